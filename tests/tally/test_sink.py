"""Where calls go, and what a restart brings back."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import urllib.request
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

import calls
from llmtally import journal
from llmtally.journal import Journal
from llmtally.pricing import Pricer
from llmtally.record import Call, LimitReading, Usage
from llmtally.tally.sink import Sink
from llmtally.tracker import Tracker

NOW = 1_790_000_000.0
TOKEN = "a-token-for-the-tests-0123456789"


def a_call(number: int, *, ended: float = NOW - 60) -> Call:
    ids = {"request_id": f"flow-{number}", "response_id": f"msg-{number}"}
    return calls.a_call(ended, **ids, usage=Usage(input_tokens=10, output_tokens=5))


def write(directory: Path, calls: list[Call]) -> None:
    writing = Journal(directory, on_trouble=lambda text: None)
    for call in calls:
        writing.append(call)
    writing.close()


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


def calls_of(sink: Sink) -> int:
    count: int = sink.tracker.usage(NOW)["today"]["calls"]
    return count


def test_a_restart_brings_back_the_state(tmp_path: Path) -> None:
    """Calls that were written before the start count again, and the callback is given each of
    them."""
    write(tmp_path, [a_call(number) for number in range(207)])
    told: list[str | None] = []

    async def test() -> None:
        sink = Sink(tmp_path, clock=lambda: NOW, alert=lambda text: None)
        await sink.restore(lambda call: told.append(call.response_id))
        assert calls_of(sink) == 207
        assert len(set(told)) == 207
        assert gc.isenabled()
        sink.close()

    run(test)


def test_calls_of_this_run_are_not_read_back(tmp_path: Path) -> None:
    """A call that ends while the journal is still being read counts once."""
    write(tmp_path, [a_call(1)])

    async def test() -> None:
        sink = Sink(tmp_path, clock=lambda: NOW, alert=lambda text: None)
        sink.add(a_call(2, ended=NOW + 1))
        assert sink._journal.flush(5)
        await sink.restore(lambda call: None)
        assert calls_of(sink) == 2
        sink.close()

    run(test)


def test_a_clock_that_was_set_back_hides_no_call(tmp_path: Path) -> None:
    """What an earlier run has written comes back, also if it ended "in the future"."""
    write(tmp_path, [a_call(1), a_call(2, ended=NOW + 3600)])

    async def test() -> None:
        sink = Sink(tmp_path, clock=lambda: NOW, alert=lambda text: None)
        await sink.restore(lambda call: None)
        assert calls_of(sink) == 2
        sink.close()

    run(test)


def without_time(usage: Any) -> dict[str, Any]:
    return {name: value for name, value in usage.items() if name != "since_start"}


def test_today_is_read_first(tmp_path: Path) -> None:
    """Its figures are there before older days are read; in the end all is as if the process had
    never stopped, what came meanwhile included."""
    old = [a_call(number, ended=NOW - 86400 * (1 + number % 6)) for number in range(2000)]
    old.sort(key=lambda call: call.ended)
    today = [a_call(number) for number in range(2000, 2300)]
    write(tmp_path, old + today)
    at_today: list[dict[str, Any]] = []
    came: list[Call] = []
    told: list[Call] = []

    async def test() -> dict[str, Any]:
        sink = Sink(tmp_path, clock=lambda: NOW, alert=lambda text: None)
        reading = sink.restore(told.append)
        while not reading.done():
            await asyncio.sleep(0)
            if calls_of(sink) >= 300 and not at_today:
                at_today.append({"restoring": sink.tracker.restoring, "read": len(told)})
            if at_today and len(came) < 30:
                came.append(a_call(3000 + len(came), ended=NOW + len(came)))
                sink.add(came[-1])
        usage = without_time(sink.tracker.usage(NOW))
        newest = [call.request_id for call in sink.tracker.calls(1000)]
        assert newest == [call.request_id for call in reversed([*old, *today, *came])][:1000]
        assert gc.isenabled()
        sink.close()
        return usage

    usage = asyncio.run(test())
    uninterrupted = Tracker()
    for call in (*old, *today, *came):
        uninterrupted.add(call)

    assert at_today == [{"restoring": True, "read": 0}]
    assert len(came) == 30
    assert usage == without_time(uninterrupted.usage(NOW))
    assert [call.request_id for call in told] == [call.request_id for call in (*old, *today)]


def test_counting_from_zero_while_the_journal_is_read(tmp_path: Path) -> None:
    """What was read until then does not come back."""
    write(tmp_path, [a_call(number) for number in range(500)])

    async def test() -> None:
        sink = Sink(tmp_path, clock=lambda: NOW, alert=lambda text: None)
        told: list[Call] = []
        begun = asyncio.Event()

        def tell(call: Call) -> None:
            told.append(call)
            begun.set()

        reading = sink.restore(tell)
        await begun.wait()
        read = len(told)
        sink.reset()
        await reading
        assert calls_of(sink) == 500 - read
        sink.close()

    run(test)


def test_a_torn_line_is_skipped_and_said(tmp_path: Path) -> None:
    """A damaged line is skipped, and one message says so."""
    write(tmp_path, [a_call(1)])
    path = next(tmp_path.glob("usage-*.jsonl"))
    path.write_bytes(b'{"schema": 1, "timest\n' + path.read_bytes())
    alerts: list[str] = []

    async def test() -> None:
        sink = Sink(tmp_path, clock=lambda: NOW, alert=alerts.append)
        await sink.restore(lambda call: None)
        assert calls_of(sink) == 1
        sink.close()

    run(test)

    assert len(alerts) == 1
    assert "line 1" in alerts[0]


def test_what_is_no_call_is_not_journaled(tmp_path: Path) -> None:
    """Duplicates and pending responses count for coverage only."""

    async def test() -> None:
        sink = Sink(tmp_path, clock=lambda: NOW, alert=lambda text: None)
        sink.add(a_call(1)._replace(coverage="duplicate"))
        sink.add(a_call(2)._replace(coverage="no_usage", pending=True))
        sink.count("bypassed")
        coverage = sink.tracker.usage(NOW)["coverage"]
        assert (coverage["duplicate"], coverage["bypassed"]) == (1, 1)
        sink.close()

    run(test)

    assert list(journal.read(tmp_path)) == []


def test_what_is_no_call_comes_back_too(tmp_path: Path) -> None:
    """Windows that only a quota endpoint reported, and what was not counted, are after a restart
    what they were, and Prometheus counts none of it again."""
    limits = [LimitReading("5h", "provider_native", utilization=42.0, resets_at=NOW + 600)]

    def seen(sink: Sink) -> tuple[Any, ...]:
        usage = sink.tracker.usage(NOW)
        return usage["windows"], usage["coverage"], usage["accounts"], usage["problems"]

    async def before() -> tuple[Any, ...]:
        sink = Sink(tmp_path, clock=lambda: NOW - 60.0005, alert=lambda text: None)
        sink.add_limits(limits, provider="anthropic", account="a1b2c3d4e5f6")
        for host in ("a.example", "a.example", "b.example"):
            sink.count("bypassed", host)
        sink.count("unparsed")
        sink.close()
        return seen(sink)

    async def after() -> tuple[Any, ...]:
        sink = Sink(tmp_path, clock=lambda: NOW, alert=lambda text: None)
        await sink.restore(lambda call: None)
        sink.close()
        assert sink.tracker.counters.coverage == {}
        return seen(sink)

    assert asyncio.run(before()) == asyncio.run(after())
    text = next(tmp_path.glob("usage-*.jsonl")).read_text()
    assert text.count('"kind":"bypassed"') == 2
    assert '"count":2,"host":"a.example"' in text


def test_a_kind_of_a_later_version_is_skipped(tmp_path: Path) -> None:
    """It is no damage."""
    write(tmp_path, [a_call(1)])
    path = next(tmp_path.glob("usage-*.jsonl"))
    path.write_bytes(path.read_bytes() + b'{"kind":"later","timestamp":5}\n')
    alerts: list[str] = []

    async def test() -> None:
        sink = Sink(tmp_path, clock=lambda: NOW, alert=alerts.append)
        await sink.restore(lambda call: None)
        assert calls_of(sink) == 1
        sink.close()

    run(test)
    assert alerts == []


def test_the_page(tmp_path: Path) -> None:
    """The page serves what came in, quota answers too, and its port is free again after it."""

    async def test() -> None:
        sink = Sink(tmp_path, clock=lambda: NOW, alert=lambda text: None)
        url = sink.serve(host="127.0.0.1", port=0, token=TOKEN, explain=Pricer().price)
        assert url is not None
        sink.reached_at, sink.ca = ("127.0.0.1", 8080), "/home/me/.mitmproxy/mitmproxy-ca-cert.pem"
        sink.add(a_call(1))
        windows = [LimitReading("5h", "provider_native", utilization=42.0, resets_at=NOW + 600)]
        sink.add_limits(windows, provider="anthropic", account=None)
        base = url.partition("/login")[0]
        port = int(base.rpartition(":")[2])

        def ask() -> dict[str, Any]:
            request = urllib.request.Request(
                f"{base}/api/usage", headers={"Authorization": f"Bearer {TOKEN}"}
            )
            with urllib.request.urlopen(request, timeout=10) as answer:
                usage: dict[str, Any] = json.load(answer)
            return usage

        usage = await asyncio.to_thread(ask)
        assert usage["today"]["calls"] == 1
        assert usage["proxy"] == {
            "host": "127.0.0.1",
            "port": 8080,
            "ca": "/home/me/.mitmproxy/mitmproxy-ca-cert.pem",
        }
        assert [(window["key"], window["utilization"]) for window in usage["windows"]] == [
            ("5h", 42.0)
        ]
        assert sink.view.is_page(("127.0.0.1", port))
        assert (
            sink.serve(host="127.0.0.1", port=port, token=TOKEN, explain=Pricer().price) is not None
        )
        sink.close()
        assert not sink.view.is_page(("127.0.0.1", port))

    run(test)


def test_a_port_that_is_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The page is not served, and the warning names the option that chooses another port."""

    async def test() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            sink = Sink(tmp_path, clock=lambda: NOW, alert=lambda text: None)
            assert (
                sink.serve(
                    host="127.0.0.1",
                    port=taken.getsockname()[1],
                    token=TOKEN,
                    explain=Pricer().price,
                )
                is None
            )
            assert sink.view.page is None
            sink.close()

    run(test)

    assert (
        "address already in use. Everything else works. Choose another port with --set "
        "usage_web_port=PORT" in caplog.text
    )
