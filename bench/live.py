"""The live view: what a call costs the tracker, what a snapshot costs, how much memory stays, and
how long a restart takes.

Memory and restart are each measured in a separate process: memory by its peak, the restart by the
wall clock.
"""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import orjson

from llmtally.record import Attribution, Call, LimitReading, Usage, rfc3339
from llmtally.schema import to_line
from llmtally.tally.sink import Sink
from llmtally.tracker import Tracker

from .calls import claude_code_call
from .report import Cell, Goal, Plan, Section

NOW = 1_790_000_000.0
DAYS = 7
SESSIONS = 10_000
RESTORED = 100_000
MANY = 1_000_000
MODELS = (
    "claude-opus-4-8",
    "claude-haiku-4-5",
    "claude-sonnet-5",
    "gpt-5.6-sol",
    "gemini-3.8-flash",
)


def calls(count: int, per_session: int) -> Iterator[Call]:
    """Made-up calls over the last days, like those of Claude Code and other clients: with agents,
    limit windows and caches."""
    step = DAYS * 86_400 / count
    for number in range(count):
        ended = NOW - (count - number) * step
        session = f"{number // per_session:08x}-session"
        windows = (
            LimitReading(
                "5h",
                "provider_native",
                (number % 1_000) / 10,
                resets_at=ended - ended % 18_000 + 18_000,
            ),
            LimitReading("7d", "provider_native", 40.0, resets_at=NOW + 86_400),
        )
        yield claude_code_call(
            ended,
            MODELS[number % len(MODELS)],
            Usage(
                12 + number % 90,
                20_000 + number % 7_000,
                1_800,
                None,
                1_500,
                None,
                410 + number % 100,
                250,
            ),
            request_id=f"flow-{number}",
            response_id=f"msg-{number}",
            cost_usd=0.01 + number % 100 / 10_000,
            billing="subscription" if number % 2 else "api",
            attribution=Attribution(
                session=session,
                agent=f"agent-{number % 5}" if number % 3 else None,
                request_class="subagent" if number % 3 else "main",
                project=f"/home/me/project-{number // per_session % 40}",
                account=f"{number % 2:012x}",
            ),
            limits=windows if number % 2 else (),
        )


def run(plan: Plan) -> Section:
    """Measure everything once, and single calls many times for their median."""
    repeats = max(plan.repeats // 3, 3)
    added = _add_times(repeats)
    snapshot, size, rows = _snapshot(repeats)
    peak = _in_own_process("memory")
    restored, hold = (float(figure) for figure in _in_own_process("restore").split())
    table: list[tuple[Cell, ...]] = [
        ("tracker.add, CPU", added, "us a call"),
        (f"usage() with {rows:,} sessions known, CPU", snapshot, "ms"),
        ("/api/usage", size / 1_000, "kB of JSON"),
        (
            f"memory after {MANY:,} calls in {MANY // 20:,} sessions",
            float(peak),
            "MB, whole process",
        ),
        (f"restart with {RESTORED:,} records", restored, "s"),
        ("longest hold of the loop meanwhile", hold, "ms"),
    ]
    goals = [Goal(f"restart with {RESTORED:,} records", restored, 3.0, "s")]
    return Section("Live view", ("what", "measured", "unit"), table, goals)


def _add_times(repeats: int) -> float:
    some = list(calls(5_000, 20))
    times = []
    for _ in range(repeats):
        tracker = Tracker()
        began = time.process_time()
        for call in some:
            tracker.add(call)
        times.append((time.process_time() - began) / len(some))
    return median(times) * 1e6


def _snapshot(repeats: int) -> tuple[float, int, int]:
    tracker = Tracker()
    for call in calls(SESSIONS * 3, 3):
        tracker.add(call)
    times = []
    for number in range(repeats):
        began = time.process_time()
        usage = tracker.usage(NOW + number)
        times.append(time.process_time() - began)
    return median(times) * 1e3, len(orjson.dumps(usage)), usage["sessions"]["known"]


def _in_own_process(what: str) -> str:
    command = [sys.executable, "-m", "bench.live", what]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def measure_memory() -> str:
    """Peak megabytes of this process after a million calls."""
    tracker = Tracker()
    for call in calls(MANY, 20):
        tracker.add(call)
    tracker.usage(NOW)
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_000:.0f}"


def measure_restart() -> str:
    """Seconds until a journal is read back, and the longest time in milliseconds that a timer came
    late by meanwhile."""
    with tempfile.TemporaryDirectory() as directory:
        for call in calls(RESTORED, 20):
            with (Path(directory) / f"usage-{rfc3339(call.ended)[:10]}.jsonl").open("ab") as file:
                file.write(to_line(call))
        return asyncio.run(_restart(Path(directory)))


async def _restart(directory: Path) -> str:
    sink = Sink(directory, clock=lambda: NOW, alert=print)
    held, began = 0.0, time.perf_counter()
    restored = sink.restore(lambda _: None)
    while not restored.done():
        before = time.perf_counter()
        await asyncio.sleep(0.001)
        held = max(held, time.perf_counter() - before - 0.001)
    took = time.perf_counter() - began
    assert sink.tracker.usage(NOW)["week"]["calls"] == RESTORED
    sink.close()
    return f"{took:.3f} {held * 1e3:.1f}"


if __name__ == "__main__":
    print({"memory": measure_memory, "restore": measure_restart}[sys.argv[1]]())
