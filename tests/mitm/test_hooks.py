"""The addon, hook by hook; `test_mitmdump.py` and its neighbours play the same through a real
mitmdump."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mitmproxy import connection, exceptions, http, types
from mitmproxy.proxy.mode_specs import ProxyMode
from mitmproxy.test import taddons, tflow

from llmtally.exchange import Exchange
from llmtally.exchange.one_response import OneResponse
from llmtally.journal import account_key
from llmtally.mitm import UsageAddon, commands
from llmtally.mitm.carrier import Inline
from llmtally.mitm.commands import Commands
from llmtally.mitm.flows import ending_of, host_of, lower_headers
from llmtally.pricing import pricer
from llmtally.pricing.overrides import Overrides, read_file
from llmtally.record import Call
from llmtally.system import client_process
from llmtally.system.client_process import ClientProcess
from llmtally.tally import prices as tally_prices
from llmtally.tally.tally import HEAVY, HEAVY_CODED

BODY = (
    b'{"id":"chatcmpl-1","model":"gpt-5.4","choices":[],"usage":{"prompt_tokens":3,'
    b'"completion_tokens":4,"total_tokens":7}}'
)


@asynccontextmanager
async def running(directory: Path, **options: Any) -> AsyncIterator[tuple[UsageAddon, Any]]:
    addon = UsageAddon()
    with taddons.context(addon) as context:
        context.configure(addon, usage_dir=str(directory), **options)
        yield addon, context
        context.master.should_exit.set()
        addon.done()


def flow(**request: Any) -> http.HTTPFlow:
    made = tflow.tflow(resp=True)
    made.request = http.Request.make(
        "POST", "https://api.openai.com/v1/chat/completions", b'{"model":"gpt-5.4"}', **request
    )
    assert made.response is not None
    made.response.headers = http.Headers(content_type="application/json")
    made.response.raw_content = BODY
    made.response.timestamp_end = None
    return made


def pass_through(addon: UsageAddon, passing: http.HTTPFlow) -> None:
    addon.requestheaders(passing)
    addon.responseheaders(passing)
    addon.response(passing)


async def settled(addon: UsageAddon) -> None:
    """Wait until a call that has just passed is counted."""
    tally, counted = addon._tally, asyncio.Event()
    assert tally is not None
    add = tally.sink.add

    def told(call: Call) -> bool:
        counted.set()
        return add(call)

    tally.sink.add = told  # type: ignore[method-assign]
    await asyncio.wait_for(counted.wait(), 10)


def records(directory: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for file in sorted(directory.glob("usage-*.jsonl"))
        for line in file.read_bytes().splitlines()
    ]


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


def test_a_call_is_recorded_and_noted_beside_its_flow(tmp_path: Path) -> None:
    """A buffered response gives one record, and the comment says the same."""
    passing = flow()

    async def test() -> None:
        async with running(tmp_path) as (addon, _):
            pass_through(addon, passing)

    run(test)

    assert [record["total_tokens"] for record in records(tmp_path)] == [7]
    assert passing.comment.startswith("llmtally: openai gpt-5.4 | in 3 | out 4 | $")


@pytest.mark.parametrize(
    ("options", "printed"),
    [
        ({}, True),
        ({"usage_quiet": True}, False),
        ({"termlog_verbosity": "error"}, False),
        ({"termlog_verbosity": "info"}, True),
    ],
)
def test_a_line_is_printed_where_somebody_sees_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, options: dict[str, Any], printed: bool
) -> None:
    """Every call is a line in the terminal, unless `usage_quiet` is set or mitmproxy shows only
    errors."""
    caplog.set_level("INFO")

    async def test() -> None:
        async with running(tmp_path) as (addon, context):
            context.options.add_option("termlog_verbosity", str, "info", "")
            context.configure(addon, **options)
            pass_through(addon, flow())

    run(test)

    assert ("openai gpt-5.4 | in 3 | out 4" in caplog.text) is printed


def test_a_comment_of_a_person_stays(tmp_path: Path) -> None:
    """What somebody wrote beside a flow is not written over."""
    passing = flow()
    passing.comment = "look at this"

    async def test() -> None:
        async with running(tmp_path) as (addon, _):
            pass_through(addon, passing)

    run(test)

    assert passing.comment == "look at this"


@pytest.mark.parametrize("kind", ["loaded from a file", "server replay", "answered by an addon"])
def test_what_was_no_call_is_not_counted(tmp_path: Path, kind: str) -> None:
    """A flow that asked no provider spent nothing."""
    passing = flow()
    if kind == "loaded from a file":
        passing.live = False
    elif kind == "server replay":
        passing.is_replay = "response"
    else:
        passing.server_conn.timestamp_start = None

    async def test() -> None:
        async with running(tmp_path) as (addon, _):
            pass_through(addon, passing)

    run(test)

    assert records(tmp_path) == []


def test_client_replay_is_counted(tmp_path: Path) -> None:
    """A request sent again by hand costs real tokens."""
    passing = flow()
    passing.is_replay = "request"

    async def test() -> None:
        async with running(tmp_path) as (addon, _):
            pass_through(addon, passing)

    run(test)

    assert len(records(tmp_path)) == 1


@pytest.mark.parametrize("padding", [0, HEAVY])
def test_a_stream_is_read_to_its_end_however_large_its_request(
    tmp_path: Path, padding: int
) -> None:
    """A request that is read in a thread, as agents send them, does not cut off what was still to
    be read of the answer."""
    passing = flow()
    passing.request.raw_content = b'{"model":"gpt-5.4","input":"%s"}' % (b"x" * padding)
    assert passing.response is not None
    passing.response.headers = http.Headers(content_type="text/event-stream")

    async def test() -> None:
        async with running(tmp_path) as (addon, _):
            addon.requestheaders(passing)
            addon.responseheaders(passing)
            assert passing.response is not None
            stream = passing.response.stream
            assert callable(stream)
            for event in (
                b'{"id":"chatcmpl-1","choices":[{"delta":{"content":"Hi"}}]}',
                BODY,
                b"[DONE]",
            ):
                stream(b"data: " + event + b"\n\n")
            addon.response(passing)

    run(test)

    assert [(record["outcome"], record["total_tokens"]) for record in records(tmp_path)] == [
        ("complete", 7)
    ]


def test_a_stream_of_many_responses_belongs_to_its_request(tmp_path: Path) -> None:
    """A turn of an agent's session is settled while the stream continues, with what its request has
    asked."""
    passing = flow()
    passing.request = http.Request.make(
        "POST", "https://api.openai.com/v1/agents/sessions", b'{"agent":{"model":"gpt-5.4"}}'
    )
    assert passing.response is not None
    passing.response.headers = http.Headers(content_type="text/event-stream")
    turn = (
        b'{"id":"turn_1","object":"agent.session.turn","status":"completed",'
        b'"usage":{"input_tokens":3,"output_tokens":4}}'
    )

    async def test() -> None:
        async with running(tmp_path) as (addon, _):
            addon.requestheaders(passing)
            addon.responseheaders(passing)
            assert passing.response is not None
            stream = passing.response.stream
            assert callable(stream)
            stream(b'data: {"turn":' + turn + b"}\n\n")
            assert addon.coverage == {"priced": 1}
            addon.response(passing)

    run(test)

    assert [(record["request_model"], record["coverage"]) for record in records(tmp_path)] == [
        ("gpt-5.4", "priced")
    ]


def test_a_bug_of_ours_is_logged_once_and_the_flow_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An exception inside the core never leaves the hooks."""

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("bug")

    monkeypatch.setattr(Exchange, "response_started", broken)
    passing = flow()

    async def test() -> None:
        async with running(tmp_path) as (addon, _):
            pass_through(addon, passing)
            assert addon.coverage["unparsed"] == 1

    run(test)

    assert [(line["kind"], line["count"]) for line in records(tmp_path)] == [("unparsed", 1)]
    assert caplog.text.count("RuntimeError: bug") == 1


@pytest.mark.parametrize(
    ("options", "cure"),
    [
        ({"usage_hosts": ["x=nonsense"]}, "host=format"),
        ({"usage_prices": "/no/such/file"}, "is not a file. Name an existing price file"),
        ({"usage_intercept": "none"}, "usage_intercept: 'none' is not a choice. Set it to all or"),
        ({"usage_hosts": ["x"]}, "has no `=`"),
        ({"usage_dir": "/dev/null/x"}, "--set usage_dir="),
        ({"usage_web_port": 70_000}, "usage_web_port: 70000 is not a port"),
        ({"usage_web_token": "short"}, "usage_web_token: a token has"),
        ({"usage_limits": ["cost=5"]}, "usage_limits: .*cost_usd"),
    ],
)
def test_options_that_cannot_be_used_name_their_cure(
    tmp_path: Path, options: dict[str, Any], cure: str
) -> None:
    """A user's mistake is an OptionsError that says what to do."""

    async def test() -> None:
        async with running(tmp_path) as (addon, context):
            with pytest.raises(exceptions.OptionsError, match=cure):
                context.configure(addon, **options)

    run(test)


def test_a_bad_price_file_is_refused_at_start(tmp_path: Path) -> None:
    """Prices that cannot be read must not look as if they were in force."""
    prices = tmp_path / "prices.json"
    prices.write_text("{")

    async def test() -> None:
        async with running(tmp_path) as (addon, context):
            with pytest.raises(exceptions.OptionsError, match="usage_prices"):
                context.configure(addon, usage_prices=str(prices))

    run(test)


def test_a_changed_price_file_is_read_in_a_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Downloaded ones are large; the calls that begin after the change have its prices."""
    readers: list[str] = []

    def read(path: Path) -> Overrides:
        readers.append(threading.current_thread().name)
        return read_file(path)

    monkeypatch.setattr(pricer, "read_file", read)
    monkeypatch.setattr(tally_prices, "INTERVAL", -1.0)
    prices = tmp_path / "prices.json"
    prices.write_text('{"openai/*": {"input": 1, "output": 0}}')

    async def test() -> None:
        async with running(tmp_path, usage_prices=str(prices)) as (addon, _):
            prices.write_text('{"openai/*": {"input": 1000000, "output": 0}}')
            pass_through(addon, flow())
            await settled(addon)

    run(test)

    assert readers == ["MainThread", "llmtally-bodies_0"]
    assert [record["cost_usd"] for record in records(tmp_path)] == [3.0]


def test_another_directory_takes_what_is_settled_from_then_on(tmp_path: Path) -> None:
    """A call under way when `usage_dir` changes is not lost with the old journal."""
    old, new = tmp_path / "old", tmp_path / "new"

    async def test() -> None:
        async with running(old) as (addon, context):
            pass_through(addon, flow())
            await settled(addon)
            under_way = flow()
            addon.requestheaders(under_way)
            context.configure(addon, usage_dir=str(new))
            addon.responseheaders(under_way)
            addon.response(under_way)
            await settled(addon)
            assert addon.coverage == {"priced": 1}

    run(test)

    assert (len(records(old)), len(records(new))) == (1, 1)


QUOTA_ANSWER = (
    b'{"five_hour": {"utilization": 42.0, "resets_at": "2999-01-01T00:00:00+00:00"}, '
    b'"seven_day": null}'
)
TOKEN = "Bearer sk-ant-oat01-x"


async def windows(addon: UsageAddon) -> list[tuple[str | None, float | None]]:
    """The windows that the page shows, once an answer has been read."""
    tally, was_read = addon._tally, asyncio.Event()
    assert tally is not None
    add_limits = tally.sink.add_limits

    def told(*args: Any, **named: Any) -> None:
        add_limits(*args, **named)
        was_read.set()

    tally.sink.add_limits = told  # type: ignore[method-assign]
    await asyncio.wait_for(was_read.wait(), 10)
    shown = tally.sink.tracker.usage(time.time())["windows"]
    return [(window["provider"], window["utilization"]) for window in shown]


def test_what_a_client_asks_of_its_plan_is_read(tmp_path: Path) -> None:
    """The answer of a quota endpoint is not a call, and its windows are shown."""
    passing = flow()
    passing.request = http.Request.make(
        "GET",
        "https://api.anthropic.com/api/oauth/usage?x=1",
        headers=http.Headers(authorization=TOKEN),
    )
    assert passing.response is not None
    passing.response.raw_content = QUOTA_ANSWER

    async def test() -> None:
        async with running(tmp_path) as (addon, _):
            pass_through(addon, passing)
            assert await windows(addon) == [("anthropic", 42.0)]
            assert addon.coverage == {}

    run(test)


def test_a_plan_is_asked_about_if_a_person_wants_that(tmp_path: Path) -> None:
    """`usage_poll_anthropic` asks with the token of a call that passes."""
    tokens: list[str] = []
    passing = flow()
    passing.request = http.Request.make(
        "POST",
        "https://api.anthropic.com/v1/messages",
        b"{}",
        headers=http.Headers(authorization=TOKEN),
    )

    def answer(token: str) -> bytes:
        tokens.append(token)
        return QUOTA_ANSWER

    async def test() -> None:
        async with running(tmp_path, usage_poll_anthropic=True) as (addon, _):
            addon._quotas._poll._ask = answer
            addon.requestheaders(passing)
            assert await windows(addon) == [("anthropic", 42.0)]

    run(test)

    assert tokens == ["sk-ant-oat01-x"]


def test_an_option_that_was_never_configured_stops_the_proxy(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """mitmproxy swallows options it cannot parse; traffic that passes uncounted would be worse than
    no proxy."""

    async def test() -> None:
        async with running(tmp_path) as (addon, context):
            addon._configured = False
            addon._check_configured()
            await asyncio.sleep(0)
            assert context.master.should_exit.is_set()

    run(test)

    assert "the value of an option cannot be read" in caplog.text


@pytest.mark.parametrize(
    ("mode", "host_header", "host"),
    [
        ("regular", "API.openai.com", "api.openai.com"),
        ("reverse:https://api.anthropic.com", "localhost", "api.anthropic.com"),
        ("upstream:http://proxy:3128", "api.openai.com", "api.openai.com"),
    ],
)
def test_host(mode: str, host_header: str, host: str) -> None:
    """The host is the one the client meant; behind a reverse proxy the client only knows the
    proxy."""
    passing = flow()
    passing.client_conn.proxy_mode = ProxyMode.parse(mode)
    passing.request.headers["host"] = host_header

    assert host_of(passing, lower_headers(passing.request.headers)) == host


OPEN, CLOSED = connection.ConnectionState.OPEN, connection.ConnectionState.CLOSED


@pytest.mark.parametrize(
    ("client", "server", "message", "ending"),
    [
        (CLOSED, CLOSED, "Client disconnected.", "client_aborted"),
        (CLOSED, OPEN, "peer closed connection", "client_aborted"),
        (OPEN, CLOSED, "peer closed connection", "upstream_aborted"),
        (OPEN, OPEN, "stream reset by client (CANCEL)", "client_aborted"),
        (OPEN, OPEN, "stream reset by client (INTERNAL_ERROR)", "upstream_aborted"),
        (OPEN, OPEN, "Connection killed.", "client_aborted"),
    ],
)
def test_ending(
    client: connection.ConnectionState,
    server: connection.ConnectionState,
    message: str,
    ending: str,
) -> None:
    """The connections show who ended a broken flow; on HTTP/2 the reset code does."""
    broken = tflow.tflow(err=True)
    broken.client_conn.state, broken.server_conn.state = client, server
    assert broken.error is not None
    broken.error.msg = message

    assert ending_of(broken) == ending


def test_repeated_headers_are_joined() -> None:
    """Names are lower case, several values one list."""
    assert lower_headers(http.Headers([(b"X-A", b"1"), (b"x-a", b"2"), (b"B", b"3")])) == {
        "x-a": "1, 2",
        "b": "3",
    }


def test_the_key_is_made_once(tmp_path: Path) -> None:
    """Account hashes stay the same from one start to the next, and the key is the owner's alone."""
    first = account_key(tmp_path / "new")

    assert account_key(tmp_path / "new") == first
    assert len(first) == 32
    assert (tmp_path / "new" / "key").stat().st_mode & 0o777 == 0o600


def test_commands(tmp_path: Path) -> None:
    """A person can ask what was spent, export the calls and reset the view from within
    mitmproxy."""

    async def test() -> None:
        async with running(tmp_path) as (addon, _):
            pass_through(addon, flow())
            await settled(addon)
            commands = addon.commands
            assert commands.summary().startswith("today $")
            assert "7 tokens in 1 call\n" in commands.summary()
            commands.reset_view()
            assert "0 calls" in commands.summary()
            with pytest.raises(exceptions.CommandError, match="csv"):
                commands.export(str(tmp_path / "calls.txt"))
            at_once = Commands(lambda work: work())
            at_once.directory = tmp_path
            at_once.export(types.Path(tmp_path / "calls.json"))

    run(test)

    assert {path.name for path in tmp_path.glob("calls*")} == {"calls.json"}


def test_commands_are_registered(tmp_path: Path) -> None:
    """mitmproxy knows them by name."""

    async def test() -> None:
        async with running(tmp_path) as (_, context):
            assert {"usage.summary", "usage.export", "usage.reset_view"} <= set(
                context.master.commands.commands
            )

    run(test)


def heavy_flow() -> http.HTTPFlow:
    """A flow whose body is read in a thread: two events, whatever its label says, with padding that
    no coder makes smaller."""
    passing = flow()
    assert passing.response is not None
    padding = random.Random(1).randbytes(HEAVY_CODED).hex().encode()
    passing.response.headers["content-encoding"] = "gzip"
    passing.response.raw_content = gzip.compress(
        b"data: %s\n\ndata: %s\n\n" % (BODY, BODY.replace(b"}}", b'},"padding":"%s"}' % padding))
    )
    return passing


def test_a_bug_in_the_thread_is_no_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What a body said before reading it failed is not presented as what the call cost: it is
    unparsed, and the log says why."""
    read = OneResponse.read

    def broken(self: OneResponse, value: Any, size: int, at: float) -> Iterable[Call]:
        if "padding" in value:
            raise RuntimeError("bug")
        return read(self, value, size, at)

    monkeypatch.setattr(OneResponse, "read", broken)
    passing = heavy_flow()

    async def test() -> None:
        async with running(tmp_path) as (addon, _):
            pass_through(addon, passing)
            await settled(addon)
            assert addon.coverage == {"unparsed": 1}

    run(test)

    (record,) = records(tmp_path)
    assert passing.response is not None
    assert passing.response.raw_content is not None
    assert (record["coverage"], record.get("total_tokens")) == ("unparsed", None)
    assert record["response_bytes"] == len(passing.response.raw_content)
    assert caplog.text.count("RuntimeError: bug") == 1


def test_a_large_body_waits_for_its_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A body may be read before it is known which process asked: its call is settled afterwards."""
    was_read, then = threading.Event(), Inline._on_parsed

    def find_all(peers: Mapping[str, object]) -> dict[str, ClientProcess]:
        was_read.wait(10)
        return dict.fromkeys(peers, ClientProcess(41, "aider", "/home/ana/shop"))

    def note(*args: Any) -> None:
        then(*args)
        was_read.set()

    monkeypatch.setattr(client_process, "find_all", find_all)
    monkeypatch.setattr(Inline, "_on_parsed", note)

    async def test() -> None:
        async with running(tmp_path) as (addon, _):
            passing = heavy_flow()
            addon.requestheaders(passing)
            await asyncio.sleep(0)  # the look begins
            addon.responseheaders(passing)
            addon.response(passing)
            await settled(addon)

    run(test)

    assert [record.get("project") for record in records(tmp_path)] == ["/home/ana/shop"]


def test_an_export_holds_up_neither_calls_nor_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may take minutes. An unfinished export does not have the name of a finished one."""
    go_on, begun = threading.Event(), threading.Event()

    def slow(directory: Path, target: str) -> int:
        Path(target).write_text("the first half")
        begun.set()
        go_on.wait(60)
        return 1

    monkeypatch.setattr(commands, "export", slow)
    target = tmp_path / "calls.csv"

    async def test() -> None:
        async with running(tmp_path) as (addon, _):
            addon.commands.export(str(target))
            begun.wait(10)
            pass_through(addon, heavy_flow())
            await settled(addon)

    run(test)

    assert len(records(tmp_path)) == 1
    assert not go_on.is_set()
    assert not target.exists()
    go_on.set()
