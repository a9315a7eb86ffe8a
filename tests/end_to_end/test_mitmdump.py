"""The addon in a real mitmdump: how it starts, ends, is reloaded, and what it leaves on disk."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from upstream.answers import anthropic_events, json_answer, sse_answer
from upstream.client import Http1Client, WebSocketClient, post
from upstream.handler import DEADLINE, Gate, Reply, Request, Socket
from upstream.held import HOST, MODEL, PATH, USAGE, Held, whole
from upstream.proxy import ADDON, Proxy, StartProxy
from upstream.server import Upstream

SOCKET_HOST = "api.openai.com"
SOCKET_PATH = "/v1/responses"
CREATE = '{"type": "response.create", "model": "gpt-5.4", "input": "Hi"}'
CREATED = (
    '{"type": "response.created", "response": {"id": "%s", "status": "in_progress", "usage": null}}'
)
COMPLETED = (
    '{"type": "response.completed", "response": {"id": "%s", "status": "completed",'
    ' "usage": {"input_tokens": 9, "output_tokens": 4, "total_tokens": 13}}}'
)


@pytest.fixture
def free_port() -> int:
    """A port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def test_a_clean_stop_settles_calls_in_flight(start_proxy: StartProxy, upstream: Upstream) -> None:
    """On SIGTERM, calls in flight are written, once, with what they have cost so far, and mitmdump
    ends with 0."""
    proxy = start_proxy()
    held, asked = Held("msg-stopped"), Gate()

    async def think(request: Request, reply: Reply) -> None:
        asked.open()
        await Gate().opened()

    upstream.route(HOST, PATH, held)
    with Http1Client(proxy, HOST) as streaming, Http1Client(proxy, HOST) as waiting:
        streaming.request("POST", PATH, b"{}").read(held.size)
        upstream.route(HOST, PATH, think)
        waiting.send("POST", PATH, b"{}")
        asked.wait()
        proxy.stop()

    begun, unanswered = proxy.records(2)
    assert (begun["response_id"], begun["outcome"]) == ("msg-stopped", "client_aborted")
    assert (begun["input_tokens"], begun["output_tokens"], begun["estimated"]) == (12, 5, True)
    assert (unanswered["outcome"], unanswered["coverage"]) == ("client_aborted", "no_usage")


def test_written_records_survive_kill_9(
    start_proxy: StartProxy, upstream: Upstream, tmp_path: Path
) -> None:
    """A killed process loses no record that was written, and the next one continues the same
    journal."""
    journal = {"options": {"usage_dir": str(tmp_path / "usage")}}
    upstream.route(HOST, PATH, json_answer(whole("msg-before")))
    first = start_proxy(**journal)
    first.usage_dir = tmp_path / "usage"
    post(first, HOST, PATH)
    first.records(1)
    first.kill()
    assert [record["response_id"] for record in first.journal()] == ["msg-before"]

    second = start_proxy(**journal)
    second.usage_dir = first.usage_dir
    upstream.route(HOST, PATH, json_answer(whole("msg-after")))
    post(second, HOST, PATH)
    assert [record["response_id"] for record in second.records(2)] == ["msg-before", "msg-after"]
    second.stop()


class Reloaded:
    """A proxy whose script is edited."""

    def __init__(self, start_proxy: StartProxy, directory: Path) -> None:
        self._script = Path(shutil.copy(ADDON, directory / "usage.py"))
        self._time = 2_000_000_000  # which mitmproxy has not seen yet
        self.proxy: Proxy = start_proxy(addon=self._script, env={"PYTHONPATH": str(ADDON.parent)})

    def reload(self) -> None:
        """Edit the script and wait until it has been loaded."""
        loaded = self.proxy.log.count("Loading script")
        self._time += 1
        os.utime(self._script, (self._time, self._time))
        self.proxy.wait_for_log("Loading script", times=loaded + 1)


@pytest.fixture
def reloaded(start_proxy: StartProxy, tmp_path: Path) -> Reloaded:
    return Reloaded(start_proxy, tmp_path)


def test_a_reload_loses_no_stream(reloaded: Reloaded, upstream: Upstream) -> None:
    """mitmproxy reloads an edited script: a stream in flight continues untouched and is counted
    once, as are calls after it."""
    proxy, held = reloaded.proxy, Held("msg-reloaded")
    upstream.route(HOST, PATH, held)
    with Http1Client(proxy, HOST) as client:
        response = client.request("POST", PATH, b"{}")
        beginning = response.read(held.size)
        reloaded.reload()
        held.go_on.open()
        assert beginning + response.read() == b"".join(held.events)

    assert [(record["response_id"], record["outcome"]) for record in proxy.records(1)] == [
        ("msg-reloaded", "complete")
    ]
    upstream.route(HOST, PATH, json_answer(whole("msg-next")))
    post(proxy, HOST, PATH)
    assert [record["response_id"] for record in proxy.records(2)] == ["msg-reloaded", "msg-next"]
    proxy.stop()


def test_a_reload_loses_no_call_that_waits(reloaded: Reloaded, upstream: Upstream) -> None:
    """A call whose answer comes after two reloads is counted once, with what was asked before
    them."""
    proxy, asked, go_on = reloaded.proxy, Gate(), Gate()

    async def think(request: Request, reply: Reply) -> None:
        asked.open()
        await go_on.opened()
        await json_answer(whole("msg-late"))(request, reply)

    upstream.route(HOST, PATH, think)
    with Http1Client(proxy, HOST) as client:
        client.send("POST", PATH, b'{"model": "asked-for", "messages": []}')
        asked.wait()
        reloaded.reload()
        reloaded.reload()
        go_on.open()
        proxy.records(1)

    record = proxy.record()
    assert (record["response_id"], record["request_model"], record["outcome"]) == (
        "msg-late",
        "asked-for",
        "complete",
    )
    proxy.stop()


def test_a_reload_loses_no_turn_of_a_socket(reloaded: Reloaded, upstream: Upstream) -> None:
    """Sockets live for hours: the turn in flight and those after it are counted, each once, with
    what was asked before."""
    proxy, again = reloaded.proxy, Gate()

    async def three_turns(request: Request, websocket: Socket) -> None:
        await websocket.accept()
        for turn in range(3):
            await websocket.receive()
            await websocket.send(CREATED % f"resp-{turn}")
            if turn == 1:
                await again.opened()
            await websocket.send(COMPLETED % f"resp-{turn}")
        await websocket.receive()

    upstream.route_socket(SOCKET_HOST, SOCKET_PATH, three_turns)
    with WebSocketClient(proxy, SOCKET_HOST, SOCKET_PATH) as client:
        for turn in range(3):
            client.send(CREATE)
            assert client.receive() == CREATED % f"resp-{turn}"
            if turn == 1:
                reloaded.reload()
                again.open()
            assert client.receive() == COMPLETED % f"resp-{turn}"
        records = proxy.records(3)

    assert [
        (record["response_id"], record["request_model"], record["total_tokens"])
        for record in records
    ] == [(f"resp-{turn}", "gpt-5.4", 13) for turn in range(3)]
    proxy.stop()


def test_what_was_under_way_at_a_reload_is_settled_by_a_stop(
    reloaded: Reloaded, upstream: Upstream
) -> None:
    """The instance that is stopped settles calls that began in an earlier instance."""
    proxy, held = reloaded.proxy, Held("msg-stopped")
    upstream.route(HOST, PATH, held)
    with Http1Client(proxy, HOST) as client:
        client.request("POST", PATH, b"{}").read(held.size)
        reloaded.reload()
        proxy.stop()

    assert [(record["response_id"], record["outcome"]) for record in proxy.records(1)] == [
        ("msg-stopped", "client_aborted")
    ]


def test_nothing_secret_is_written(start_proxy: StartProxy, upstream: Upstream) -> None:
    """No prompt, completion, key or query reaches journal or log, and only their owner can read
    what is written."""
    proxy = start_proxy()
    secrets = {
        name: f"secret-{name}-0123456789"
        for name in ("key", "cookie", "query", "prompt", "answer", "tool")
    }
    tool = {"type": "tool_use", "id": "toolu_1", "name": "say", "input": {"what": secrets["tool"]}}
    body = {**whole("msg-secret"), "content": [{"type": "text", "text": secrets["answer"]}, tool]}
    upstream.route(HOST, ".*", json_answer(body))
    request = (
        f'{{"model": "{MODEL}", "messages": [{{"role": "user", "content": '
        f'"{secrets["prompt"]}"}}]}}'
    )
    headers = {
        "x-api-key": secrets["key"],
        "cookie": secrets["cookie"],
        "content-type": "application/json",
    }
    with Http1Client(proxy, HOST) as client:
        client.request("POST", f"{PATH}?beta={secrets['query']}", request.encode(), headers).read()
    record = proxy.record()
    proxy.stop()

    assert record["path"] == PATH
    written = {
        path.name: path.read_bytes() for path in proxy.usage_dir.rglob("*") if path.is_file()
    }
    assert written
    for name, secret in secrets.items():
        assert not [file for file, content in written.items() if secret.encode() in content], name
        # mitmdump itself prints the URL of each flow, query and all.
        assert name == "query" or secret not in proxy.log
    assert stat.S_IMODE(proxy.usage_dir.stat().st_mode) == 0o700
    assert {
        stat.S_IMODE(path.stat().st_mode) for path in proxy.usage_dir.rglob("*") if path.is_file()
    } == {0o600}


def test_an_unreadable_option_stops_mitmdump(start_proxy: StartProxy) -> None:
    """A mistyped value, which mitmproxy would swallow with the whole addon, ends mitmdump with a
    message that says why."""
    with pytest.raises(AssertionError, match=r"value of an option cannot be read \(.*usage_quiet"):
        start_proxy(options={"usage_quiet": "perhaps"}).wait_for_log("never")


def test_an_unknown_option_is_named(start_proxy: StartProxy, upstream: Upstream) -> None:
    """An option that does not exist is named in a warning, and calls are counted nevertheless."""
    proxy = start_proxy(options={"usage_qiuet": "true"})
    upstream.route(HOST, PATH, json_answer(whole("msg-option")))
    post(proxy, HOST, PATH)

    assert proxy.record()["response_id"] == "msg-option"
    assert "no such option: usage_qiuet" in proxy.log
    proxy.stop()


@pytest.mark.parametrize("host", ["rebound.example", "127.1"])
def test_the_page_is_not_reached_through_the_proxy(
    start_proxy: StartProxy, free_port: int, host: str
) -> None:
    """A client of the proxy reaches the page neither by its address nor by a name that only the
    resolver knows to lead there."""
    options = {"usage_web": "true", "usage_web_port": str(free_port), "connection_strategy": "lazy"}
    proxy = start_proxy(options=options, env={"UPSTREAM_PORT": str(free_port)})
    with Http1Client(proxy, f"{host}:{free_port}", tls=False) as client:
        response = client.request("GET", "/healthz", headers={"host": f"127.0.0.1:{free_port}"})
        assert (response.status, response.read() == b"ok\n") == (502, False)
    proxy.stop()


def test_other_traffic_is_left_alone(start_proxy: StartProxy, upstream: Upstream) -> None:
    """Requests that lead to no LLM pass without a record, even if their bodies look like an LLM
    call."""
    proxy = start_proxy()
    upstream.route("example.com", ".*", json_answer(whole("msg-elsewhere")))
    upstream.route(
        HOST,
        "/api/event_logging/v2/batch",
        json_answer({"usage": {"input_tokens": 1, "output_tokens": 1}}),
    )
    upstream.route(
        HOST, PATH, sse_answer(*anthropic_events("msg-only", MODEL, USAGE, 410, ("Hello",)))
    )
    post(proxy, "example.com", "/index.html")
    post(proxy, HOST, "/api/event_logging/v2/batch")
    post(proxy, HOST, PATH)

    assert proxy.record()["response_id"] == "msg-only"
    proxy.stop()


def test_a_client_with_a_base_url(start_proxy: StartProxy, upstream: Upstream) -> None:
    """In reverse mode a client talks plain HTTP to the proxy, and the call still has the provider's
    name."""
    proxy = start_proxy(options={"mode": f"reverse:https://{HOST}"})
    upstream.route(
        HOST, PATH, sse_answer(*anthropic_events("msg-reverse", MODEL, USAGE, 410, ("Hello",)))
    )
    with contextlib.closing(
        http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=DEADLINE)
    ) as client:
        client.request("POST", PATH, b"{}")
        client.getresponse().read()

    record = proxy.record()
    assert (record["response_id"], record["provider"], record["host"]) == (
        "msg-reverse",
        "anthropic",
        HOST,
    )
    assert record["output_tokens"] == 410
    proxy.stop()


def test_every_call_is_one_line_in_the_terminal(
    start_proxy: StartProxy, upstream: Upstream
) -> None:
    """A call is printed with its model and counts, unless `usage_quiet` is set."""
    upstream.route(HOST, PATH, json_answer(whole("msg-line")))
    for quiet in ("false", "true"):
        proxy = start_proxy(options={"usage_quiet": quiet})
        post(proxy, HOST, PATH)
        proxy.records(1)
        proxy.stop()
        assert (f"anthropic {MODEL}" in proxy.log) == (quiet == "false")


def test_a_long_stream_keeps_what_was_asked(proxy: Proxy, upstream: Upstream) -> None:
    """A stream that continues while its beginning is read and other calls settle still knows its
    request."""
    held = Held("msg-long")
    upstream.route(HOST, PATH, held)
    body = (
        b'{"model": "asked-for", "service_tier": "auto", "session_id": "session-1", "messages": []}'
    )
    with Http1Client(proxy, HOST) as client:
        response = client.request("POST", PATH, body)
        response.read(held.size)
        upstream.route(HOST, PATH, json_answer(whole("msg-meanwhile")))
        post(proxy, HOST, PATH)
        # settled after the held stream's beginning had been read
        assert proxy.record()["response_id"] == "msg-meanwhile"
        held.go_on.open()
        response.read()
        record = proxy.records(2)[1]

    assert (record["response_id"], record["outcome"]) == ("msg-long", "complete")
    assert (record["request_model"], record["request_service_tier"], record["request_bytes"]) == (
        "asked-for",
        "auto",
        len(body),
    )
    assert (record["session"], record["session_source"]) == ("session-1", "body")


def test_an_answer_made_by_an_addon_is_no_call(
    start_proxy: StartProxy, upstream: Upstream, tmp_path: Path
) -> None:
    """Nothing was asked of the provider, so nothing was spent, although mitmproxy has connected to
    it."""
    script = tmp_path / "answering.py"
    script.write_text(
        "from mitmproxy import http\n"
        "def request(flow):\n"
        "    if b'made-up' in flow.request.content:\n"
        '        answer = b\'{"usage": {"input_tokens": 5}}\'\n'
        "        flow.response = http.Response.make(200, answer, {'content-type': "
        "'application/json'})\n"
    )
    upstream.route(HOST, PATH, json_answer(whole("msg-real")))
    proxy = start_proxy(after=[script])
    assert post(proxy, HOST, PATH, b'{"prompt": "made-up"}')[0] == 200
    post(proxy, HOST, PATH)

    assert [record["response_id"] for record in proxy.records(1)] == ["msg-real"]
    proxy.stop()
    assert len(proxy.records(1)) == 1


def test_ctrl_c_ends_it(start_proxy: StartProxy) -> None:
    """SIGINT, as a person sends it, ends mitmdump with 0 at once."""
    proxy = start_proxy()
    proxy.process.send_signal(signal.SIGINT)
    proxy.process.wait(DEADLINE)
    proxy.stop()


def test_the_command_line_names_the_door(tmp_path: Path) -> None:
    """`llmtally addon-path` prints the script to load, from anywhere."""
    environment = {**os.environ, "PYTHONPATH": str(ADDON.parent)}
    command = [sys.executable, "-m", "llmtally", "addon-path"]
    shown = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )

    assert Path(shown.stdout.strip()) == ADDON
