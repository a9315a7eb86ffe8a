"""What fails in an answer takes nothing else with it."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from calls import NOON, a_call
from llmtally.record import LimitReading
from llmtally.system import parts, status_file
from llmtally.system.status_file import StatusFile
from llmtally.tally.sink import Sink
from llmtally.tracker import Tracker, tracker, usage
from llmtally.tracker.window_json import window_json
from llmtally.web import metrics
from llmtally.web.metrics import Runtime, render

NOW = NOON + 60


@pytest.fixture(autouse=True)
def not_logged_yet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test sees its own log."""
    monkeypatch.setattr(parts, "_logged", set())
    return iter(())


def raising(*_: Any, **__: Any) -> Any:
    raise OverflowError("date value out of range")


def filled() -> Tracker:
    """A tracker with a call and two windows."""
    found = Tracker()
    found.add(a_call())
    limits = [
        LimitReading("5h", "provider_native", utilization=42.0, resets_at=NOW + 600),
        LimitReading("7d", "provider_native", utilization=7.0, resets_at=NOW + 6000),
    ]
    found.add_limits(limits, provider="anthropic", account="a1b2c3d4e5f6", at=NOON)
    return found


def logged(caplog: pytest.LogCaptureFixture) -> int:
    return sum(record.levelno == logging.ERROR for record in caplog.records)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("primary_window", "window"),
        ("burn_rate", "burn_rate"),
        ("window_json", "windows"),
        ("window_order", "windows"),
        ("coverage_since", "coverage"),
        ("breakdown_json", "today"),
        ("_accounts_json", "accounts"),
        ("of_window", "predictions"),
        ("per_model_json", "per_model"),
        ("sessions_json", "top_sessions"),
        ("_problems", "problems"),
    ],
)
def test_a_part_of_the_page_that_fails_is_left_out(
    name: str, part: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The others are what they were; a notice says what is missing, and the log says it once."""
    tracker = filled()
    whole = tracker.usage(NOW)
    monkeypatch.setattr(usage, name, raising)
    seen = tracker.usage(NOW)
    tracker.usage(NOW)

    assert seen.keys() == whole.keys()
    assert {"kind": "left_out", "subject": part, "count": None, "pct": None} in seen["problems"]
    assert seen["since_start"] == whole["since_start"]
    assert [seen["week"] == whole["week"], seen["accounts"] == whole["accounts"]].count(True) >= 1
    assert logged(caplog) == len(
        [problem for problem in seen["problems"] if problem["kind"] == "left_out"]
    )


def one_fails(function: Callable[..., Any], key: str, *arguments: Any) -> Any:
    """What the function gives, but for the window of this key."""
    if any(getattr(argument, "key", None) == key for argument in arguments):
        raise OverflowError("date value out of range")
    return function(*arguments)


def test_a_window_that_fails_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the page, in the status line and among the metrics."""
    monkeypatch.setattr(usage, "window_json", partial(one_fails, window_json, "7d"))
    monkeypatch.setattr(usage, "_status_window", partial(one_fails, usage._status_window, "7d"))
    monkeypatch.setattr(tracker, "window_json", partial(one_fails, window_json, "7d"))
    state = filled()

    assert [window["key"] for window in state.usage(NOW)["windows"]] == ["5h"]
    assert [window["key"] for window in state.status(NOW)["windows"]] == ["5h"]
    assert [window["key"] for window in state.gauges(NOW)[1]] == ["5h"]


def metrics_of(state: Tracker) -> set[str]:
    """The families that are written."""
    burn, windows = state.gauges(NOW)
    text = render(state.counters, burn, windows, Runtime("1")).decode()
    return {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}


def test_a_metric_that_fails_is_left_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One of a kind leaves its kind; a kind leaves the others."""
    whole = metrics_of(filled())
    monkeypatch.setattr(metrics, "usd", raising)
    assert whole - metrics_of(filled()) == {"llmtally_cost_usd_total"}
    monkeypatch.setattr(metrics, "_histogram", raising)
    assert whole - metrics_of(filled()) == {
        "llmtally_cost_usd_total",
        "llmtally_time_to_first_token_seconds",
        "llmtally_call_duration_seconds",
    }
    assert logged(caplog) == 2


def test_a_figure_that_fails_leaves_the_status_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The file is written with what is known, and the end is told."""

    async def written(figures: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        StatusFile(tmp_path, figures, lambda work: work()).stop()
        content: dict[str, Any] = json.loads((tmp_path / status_file.NAME).read_bytes())
        return content

    figures = {"today": 1, "windows": object(), "huge": 2**70}
    assert asyncio.run(written(lambda: figures)).keys() == {"pid", "running", "today"}
    assert asyncio.run(written(raising)).keys() == {"pid", "running"}
    assert asyncio.run(written(raising))["running"] is False
    assert logged(caplog) == 3


def test_shutting_down_writes_the_journal_whatever_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A figure that cannot be made does not keep the last records from the disk."""

    async def test() -> None:
        sink = Sink(tmp_path, clock=lambda: NOW, alert=lambda text: None)
        sink.keep_status(lambda work: work())
        monkeypatch.setattr(sink.tracker, "status", raising)
        sink.add(a_call())
        sink.close()

    asyncio.run(test())
    assert (tmp_path / "usage-2026-11-20.jsonl").read_text().count("\n") == 1
