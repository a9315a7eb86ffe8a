"""`scripts/soak run`: many calls of all kinds, each of which the journal must have exactly once."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.mitmdump import make_authority
from bench.report import Cell, Goal, Section

from . import calls, readers
from .ledger import Ledger, Tail
from .load import Load
from .peers import Provider
from .processes import Watch, rss_slope, slope
from .proxies import Proxy

PERIOD = 0.5
"""Seconds between two looks at journal and processes."""

PROGRESS = 60
"""Looks between two lines that say how far the run is."""

ROWS = 12
"""Rows of the table over time."""

PATIENCE = 60.0
"""Seconds without a new record after which no more are expected."""


@dataclass(frozen=True, slots=True)
class Moment:
    """How things stood at one time."""

    seconds: float
    made: int
    backlog: int
    lag: float
    rss: float


def run(wanted: int, concurrency: int, seed: int, options: dict[str, str]) -> list[Section]:
    """Make the calls, and say what became of them."""
    with tempfile.TemporaryDirectory() as directory:
        return asyncio.run(_run(wanted, concurrency, seed, Path(directory), options))


async def _run(
    wanted: int, concurrency: int, seed: int, folder: Path, options: dict[str, str]
) -> list[Section]:
    make_authority(folder)
    provider, ledger, watch = Provider(), Ledger(Tail(folder)), Watch(folder)
    await provider.start()
    proxy = Proxy(provider.port, folder, "proxy", options=options)
    await proxy.started()
    load = Load((proxy.port,), concurrency, provider, ledger)
    moments: list[Moment] = []
    began = time.monotonic()
    looking = asyncio.create_task(_look(began, load, ledger, watch, moments))
    await load.drive(calls.units(seed), wanted)
    seconds = time.monotonic() - began
    waiting = await asyncio.to_thread(_waiting, proxy)
    settled_in = await settled(ledger)
    looking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await looking
    page = await asyncio.to_thread(_agrees, proxy)
    await proxy.stop()
    provider.stop()
    ledger.follow()
    return [
        _over_time(moments, load.made, seconds, settled_in, concurrency, waiting),
        _processes(watch, load.made),
        exactly(ledger, page=page),
    ]


async def _look(
    began: float, load: Load, ledger: Ledger, watch: Watch, moments: list[Moment]
) -> None:
    while True:
        ledger.follow()
        watch.sample()
        rss = sum(samples[-1].rss for samples in watch.samples.values())
        moments.append(Moment(time.monotonic() - began, load.made, ledger.backlog, ledger.lag, rss))
        if len(moments) % PROGRESS == 0:
            print(f"{load.made} calls, {ledger.backlog} not written", file=sys.stderr, flush=True)
        await asyncio.sleep(PERIOD)


async def settled(ledger: Ledger, patience: float = PATIENCE) -> float:
    """Wait until the journal has every call that ended; returns the seconds it took."""
    began = changed = time.monotonic()
    left = len(ledger.open)
    while left and time.monotonic() - changed < patience:
        await asyncio.sleep(0.1)
        ledger.follow()
        if len(ledger.open) != left:
            left, changed = len(ledger.open), time.monotonic()
    return time.monotonic() - began


def _agrees(proxy: Proxy) -> bool:
    """Whether the page says what the journal says."""
    if proxy.page is None:
        return False
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        with contextlib.suppress(ValueError, OSError):
            if readers.of_page(proxy.page).equals(readers.of_directory(proxy.usage_dir)):
                return True
        time.sleep(0.2)
    return False


def _waiting(proxy: Proxy) -> str:
    """What the metrics say of lag and backlog at the end of the load."""
    try:
        found = readers.gauges(proxy.page or "")
    except OSError as error:
        return f"no metrics: {error}"
    return ", ".join(f"{name} {value:g}" for name, value in found.items())


def _over_time(
    moments: list[Moment],
    made: int,
    seconds: float,
    settled_in: float,
    concurrency: int,
    waiting: str,
) -> Section:
    step = max(1, len(moments) // ROWS)
    rows: list[tuple[Cell, ...]] = [
        (each.seconds, float(each.made), float(each.backlog), each.lag, each.rss)
        for each in itertools.islice(moments, 0, None, step)
    ]
    worst = max(moments, key=lambda each: each.lag)
    return Section(
        f"Load: {concurrency} connections",
        ("seconds", "calls", "backlog", "lag s", "RSS MB"),
        rows,
        notes=(
            (
                f"{made} calls in {seconds:.1f} s, {made / seconds:.0f} a second; all settled "
                f"{settled_in:.1f} s later."
            ),
            (
                f"backlog: calls that have ended at the client and are not in the journal, at most "
                f"{max(each.backlog for each in moments)}; lag: seconds since the oldest of them "
                f"ended, at most {worst.lag:.2f}, looked at every {PERIOD} s."
            ),
            f"CPU of this process: {1e3 * time.process_time() / made:.1f} ms a call",
            f"the metrics say at the end of the load: {waiting}",
        ),
    )


def _processes(watch: Watch, made: int) -> Section:
    rows: list[tuple[Cell, ...]] = []
    for name, samples in watch.samples.items():
        late = samples[len(samples) // 2 :]
        rows.append(
            (
                name,
                samples[0].rss,
                max(sample.rss for sample in samples),
                rss_slope(samples),
                float(max(sample.descriptors for sample in samples)),
                60 * slope((sample.at, sample.descriptors) for sample in late),
                float(max(sample.threads for sample in samples)),
                1e3 * (samples[-1].cpu - samples[0].cpu) / max(1, made),
            )
        )
    columns = ("process", "RSS MB", "most", "MB/min", "fds", "fds/min", "threads", "CPU ms/call")
    note = "MB/min, fds/min: the slope in the second half of the run."
    return Section("Processes", columns, rows, notes=(note,))


def exactly(ledger: Ledger, *, page: bool | None = None) -> Section:
    """What the journal has of the calls that were made."""
    counted = (
        ("as they were", ledger.written),
        ("missing", len(ledger.open)),
        ("doubled", ledger.doubled),
        ("with other counts or another ending", ledger.wrong),
        ("of no call", ledger.strange),
        ("damaged lines", ledger.damaged),
    )
    goals = [none_of(what, count) for what, count in counted[1:]]
    if page is not None:
        goals.append(none_of("page differs from the journal", int(not page)))
    notes = [f"{ledger.made} calls: " + ", ".join(f"{n} {o}" for o, n in ledger.outcomes.items())]
    notes += [f"{count} lines of kind {kind}" for kind, count in ledger.others.items()]
    notes += ledger.faults
    if ledger.open:
        notes.append(f"missing: {list(ledger.open.items())[:5]}")
    return Section(
        "Records", ("records", "number"), [(w, float(n)) for w, n in counted], goals, tuple(notes)
    )


def none_of(what: str, count: int) -> Goal:
    """The goal that something does not happen even once."""
    return Goal(what, count, 0.5, "")
