"""The whole proxy, with and without the addon: throughput, CPU, latency and memory, with streams
and with short requests.

The mitmdumps run side by side, pinned to core 1, and take turns; the client and the server at their
ends are in this process, on core 0. If the addon starts a tally, that runs on core 0, too, as on a
machine with cores to spare, and once more on core 1 (`addon, all on one core`). `stream = True`
runs twice: what the second shows against the first is noise. `hooks that do nothing` is what any
addon with the same hooks costs: ours cannot cost less. Traffic is plain HTTP on loopback, so that
the proxy is all there is; with TLS its own cost grows and the addon's share shrinks."""

from __future__ import annotations

import asyncio
import re
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean, median

from . import traffic
from .load import Connection, Upstream, connect
from .mitmdump import (
    IDLE_HOOKS,
    PARSE_EVERY_EVENT,
    STREAM_TRUE,
    USAGE,
    Mitmdump,
    make_authority,
    on_core,
    require_linux,
)
from .report import Cell, Goal, Plan, Section
from .stats import Ratio, quantile, ratio

BASELINE, CONTROL, IDLE, ADDON = "stream = True", "the same again", "hooks that do nothing", "addon"
ONE_CORE, BEFORE = "addon, all on one core", "addon before"
PARSING, DIRECT = "parse every event", "no proxy"
SCRIPTS = {
    BASELINE: STREAM_TRUE,
    ADDON: USAGE,
    CONTROL: STREAM_TRUE,
    ONE_CORE: USAGE,
    BEFORE: USAGE,
    IDLE: IDLE_HOOKS,
    PARSING: PARSE_EVERY_EVENT,
}
"""In the order of a turn: the addon between its two baselines."""

COUNTING = (ADDON, ONE_CORE, BEFORE)

MEMORY_GOAL, TALLY_GOAL = 1.15, 80.0
"""How many times as much memory as the baseline the proxy may take, and how many MB the tally at
its start."""

AFTERWARDS = 0.4
"""Seconds after the traffic in which the addon does what it puts off, to the last line in the
journal; its CPU counts."""

SETTLED_SECONDS = 10.0
"""Seconds after the proxy's end in which a tally may write what it still has."""

MANY = 200
STREAM_REQUEST = traffic.post(
    "api.anthropic.com", "/v1/messages", traffic.short_request(stream=True)
)
SHORT_REQUEST = traffic.post("api.anthropic.com", "/v1/messages", traffic.short_request())


@dataclass(frozen=True, slots=True)
class Batch:
    """The traffic that one turn sent."""

    calls: int
    units: int
    """How many events or requests."""
    latencies: Sequence[float] = ()
    """Seconds from sending to receiving each event, or from each request to its answer."""


@dataclass(frozen=True, slots=True)
class Workload:
    """One kind of traffic, and how it is driven."""

    name: str
    connections: int
    """How many of the client's connections it uses."""
    drive: Callable[[Upstream, Sequence[Connection], Plan], Awaitable[Batch]]
    turns: int
    """Turns in each round; 0: one turn in each start, for what takes seconds."""
    goals: tuple[tuple[str, str, float], ...] = ()
    """`(configuration, figure, limit)`: how many times as much as the baseline a figure may be, or
    must be if more is better."""
    configurations: tuple[str, ...] = (BASELINE, ADDON, CONTROL, ONE_CORE, BEFORE, IDLE)


@dataclass(frozen=True, slots=True)
class Turn:
    """The results of one turn."""

    batch: Batch
    cpu: float
    """CPU seconds for each unit."""
    rate: float
    """Units that passed in each second."""

    def latency(self, q: float) -> float:
        """The time below which a share `q` of the latencies of this turn lies, in ms."""
        return 1e3 * quantile(self.batch.latencies, q)


FIGURES: dict[str, tuple[Callable[[Turn], float], bool]] = {
    "CPU": (lambda turn: turn.cpu, False),
    "rate": (lambda turn: turn.rate, True),
    "p50": (lambda turn: turn.latency(0.5), False),
    "p99": (lambda turn: turn.latency(0.99), False),
}
"""What is compared with the baseline, and whether more is better."""


# The traffic


async def fast_streams(
    upstream: Upstream, clients: Sequence[Connection], _: Plan, *, deltas: int, times: int
) -> Batch:
    """Send streams as fast as the proxy takes them."""
    stream = traffic.anthropic_stream(deltas)
    answer = traffic.whole_stream(stream)
    upstream.answer = lambda transport: transport.write(traffic.fresh(answer))
    for _turn in range(times):
        await asyncio.gather(*(client.ask(STREAM_REQUEST) for client in clients))
    calls = times * len(clients)
    return Batch(calls, calls * len(stream.events))


async def paced_streams(
    upstream: Upstream, clients: Sequence[Connection], plan: Plan, *, rate: float
) -> Batch:
    """Streams at `rate` events a second each, all open before the first event that counts; how late
    each event comes."""
    *opening, stop, delta, end = map(traffic.chunk, traffic.anthropic_stream(1).events)
    transports: list[asyncio.Transport] = []
    latencies: list[float] = []

    def begin(transport: asyncio.Transport) -> None:
        transport.write(traffic.fresh(traffic.STREAM_HEAD + b"".join(opening)))
        transports.append(transport)

    upstream.answer = begin
    for client in clients:
        client.on_body = partial(_read_stamps, latencies)
    asked = asyncio.gather(*(client.ask(STREAM_REQUEST) for client in clients))
    while len(transports) < len(clients):  # noqa: ASYNC110  # a few polls before anything is measured
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.3)  # what was put off at the opening is done
    sent = await _pace(transports, rate, plan.paced_seconds)
    for transport in transports:
        transport.write(stop + delta + end + traffic.LAST_CHUNK)
    await asked
    for client in clients:
        client.on_body = None
    return Batch(len(clients), sent + len(clients) * (len(opening) + 3), latencies)


async def _pace(transports: Sequence[asyncio.Transport], rate: float, seconds: float) -> int:
    interval = 1 / (rate * len(transports))
    number = int(seconds / interval)
    began = time.perf_counter()
    for at in range(number):
        if (early := began + at * interval - time.perf_counter()) > 0:
            await asyncio.sleep(early)
        transports[at % len(transports)].write(
            traffic.chunk(traffic.STAMPED % time.perf_counter_ns())
        )
    return number


def _read_stamps(latencies: list[float], data: bytes) -> None:
    now = time.perf_counter_ns()
    latencies += [(now - int(stamp)) / 1e9 for stamp in re.findall(rb'"t(\d{20})"', data)]


async def short_requests(
    upstream: Upstream, clients: Sequence[Connection], _: Plan, *, each: int
) -> Batch:
    """Send requests one after the other on every connection."""
    answer = traffic.short_answer()
    upstream.answer = lambda transport: transport.write(traffic.ok(traffic.fresh(answer)))
    latencies: list[float] = []

    async def ask(client: Connection) -> None:
        for _ in range(each):
            began = time.perf_counter()
            await client.ask(SHORT_REQUEST)
            latencies.append(time.perf_counter() - began)

    await asyncio.gather(*map(ask, clients))
    return Batch(len(latencies), len(latencies), latencies)


ALL = tuple(SCRIPTS)
PACED = (BASELINE, ADDON, CONTROL)
RATE = ((ADDON, "rate", 0.97), (ONE_CORE, "rate", 0.90))
LATENCY = ((ADDON, "p50", 1.03), (ADDON, "p99", 1.15))
WORKLOADS = (
    Workload(
        "short requests, 1 at a time",
        1,
        partial(short_requests, each=150),
        3,
        (*LATENCY, *RATE),
        ALL,
    ),
    Workload(
        "short requests, 32 at a time", 32, partial(short_requests, each=8), 3, (*LATENCY, *RATE)
    ),
    Workload(
        "1 stream, full speed",
        1,
        partial(fast_streams, deltas=2_000, times=2),
        3,
        ((ADDON, "CPU", 1.03), *RATE),
        ALL,
    ),
    Workload(
        "50 streams, full speed",
        50,
        partial(fast_streams, deltas=300, times=1),
        2,
        ((ADDON, "CPU", 1.03), *RATE),
    ),
    Workload(
        "1 stream, 200 events/s", 1, partial(paced_streams, rate=200), 0, configurations=PACED
    ),
    Workload(
        f"{MANY} streams, 10 events/s each",
        MANY,
        partial(paced_streams, rate=10),
        0,
        configurations=PACED,
    ),
)


# The measuring


class Contestant:
    """A mitmdump, or a direct way without one, and its client's connections."""

    def __init__(self, name: str, upstream: Upstream, directory: Path, before: Path | None) -> None:
        self.name = name
        self.rss = 0.0
        """The most memory that the proxy held in all its turns, in MB."""
        self.tally_rss: float | None = None
        """The tally's memory after its start, in MB."""
        self.process = None
        if name != DIRECT:
            package = before / "addon" if name == BEFORE and before is not None else None
            self.process = Mitmdump(
                (SCRIPTS[name] if package is None else package / "usage.py",),
                upstream.port,
                directory / name,
                tally_core=1 if name == ONE_CORE else 0,
                package=package,
            )
        self.turns: defaultdict[str, list[Turn]] = defaultdict(list)
        self._calls = 0
        self._upstream = upstream
        self._connections: list[Connection] = []

    async def start(self, plan: Plan) -> None:
        """Connect, and use every connection once."""
        if self.process is not None:
            await self.process.started()
        self._connections = await connect(
            self.process.port if self.process else self._upstream.port, MANY
        )
        self._calls += (await short_requests(self._upstream, self._connections, plan, each=2)).calls
        if self.process is not None:
            self.process.pin()
            self.tally_rss = self.process.tally_rss

    async def take_turn(self, workload: Workload, plan: Plan) -> None:
        """Drive one batch and keep its results."""
        cpu, began = self._cpu(), time.perf_counter()
        batch = await workload.drive(
            self._upstream, self._connections[: workload.connections], plan
        )
        seconds = time.perf_counter() - began
        await asyncio.sleep(AFTERWARDS if self.process is not None else 0)
        self.turns[workload.name].append(
            Turn(batch, (self._cpu() - cpu) / batch.units, batch.units / seconds)
        )
        self._calls += batch.calls

    def _cpu(self) -> float:
        return self.process.cpu if self.process is not None else 0.0

    def stop(self) -> None:
        """Stop it. Raises RuntimeError where the addon has not recorded every call: then its
        numbers mean nothing."""
        for connection in self._connections:
            connection.transport.close()
        if self.process is None:
            return
        self.rss = self.process.peak_rss
        self.process.stop()
        deadline = time.monotonic() + SETTLED_SECONDS
        while self.name in COUNTING and self.process.records != self._calls:
            if time.monotonic() > deadline:
                raise RuntimeError(
                    f"{self._calls} calls were made, and {self.process.records} recorded"
                )
            time.sleep(0.1)


Results = dict[str, list[Contestant]]
"""Contestants by configuration, one for each start."""


async def _measure(plan: Plan) -> Results:
    upstream = Upstream()
    await upstream.start()
    results: Results = defaultdict(list)
    for _ in range(plan.starts):
        with tempfile.TemporaryDirectory() as directory:
            for contestant in await _one_start(upstream, Path(directory), plan):
                results[contestant.name].append(contestant)
    upstream.stop()
    return results


async def _one_start(upstream: Upstream, directory: Path, plan: Plan) -> list[Contestant]:
    make_authority(directory)
    contestants = [
        Contestant(name, upstream, directory, plan.before)
        for name in (*SCRIPTS, DIRECT)
        if name != BEFORE or plan.before is not None
    ]
    for contestant in contestants:
        await contestant.start(plan)
    for number in range(plan.rounds):
        for workload in WORKLOADS:
            for _ in range(workload.turns or number == 0):
                for contestant in contestants:
                    if contestant.name in (*workload.configurations, DIRECT):
                        await contestant.take_turn(workload, plan)
    for contestant in contestants:
        contestant.stop()
    return contestants


# The table


def run(plan: Plan) -> Section:
    """Measure all workloads and configurations, in turn."""
    require_linux()
    with on_core(0):
        results = asyncio.run(_measure(plan))
    rows: list[tuple[Cell, ...]] = []
    goals: list[Goal] = []
    for workload in WORKLOADS:
        turns = {
            name: [turn for contestant in contestants for turn in contestant.turns[workload.name]]
            for name, contestants in results.items()
        }
        names = [name for name in (*workload.configurations, DIRECT) if name in results]
        rows += [_row(workload, name, turns) for name in names]
        goals += [_goal(workload, turns, *goal) for goal in workload.goals if goal[0] in results]
    memory = {
        name: [contestant.rss for contestant in contestants]
        for name, contestants in results.items()
        if name != DIRECT
    }
    used = {name: ratio(values, memory[BASELINE]) for name, values in memory.items()}
    goals.append(
        Goal("memory of the proxy", used[ADDON].times, MEMORY_GOAL, "x", used[ADDON].spread)
    )
    started = [each.tally_rss for each in results[ADDON] if each.tally_rss is not None]
    if started:
        goals.append(Goal("memory of the tally at its start", median(started), TALLY_GOAL, "MB"))
    return Section(
        "Proxy",
        (
            "traffic",
            "mitmdump",
            "CPU us",
            "CPU x",
            "per second",
            "rate x",
            "p50 ms",
            "p50 x",
            "p99 ms",
            "p99 x",
        ),
        rows,
        goals,
        (
            f"Of one event or request; medians over {plan.starts} starts of {plan.rounds} rounds.",
            (
                f"x: times the mean of both `{BASELINE}` next to it in time, ± half the "
                "interquartile range. CPU is the proxy's alone."
            ),
            (
                f"`{CONTROL}` is compared with `{BASELINE}`: it should show 1, and what it shows "
                "is noise."
            ),
            *(
                f"memory, {name}: {median(values):.0f} MB at most, {used[name]} x"
                for name, values in memory.items()
            ),
            f"tally: {median(started):.0f} MB at its start"
            if started
            else "No tally process: the addon counts in the proxy.",
        ),
    )


def _row(workload: Workload, name: str, turns: Mapping[str, list[Turn]]) -> tuple[Cell, ...]:
    mine = turns[name]
    latencies = [1e3 * latency for turn in mine for latency in turn.batch.latencies]
    rate = median(turn.rate for turn in mine) if workload.turns else None  # otherwise it was given
    cells: list[Cell] = [workload.name, name]
    values: dict[str, Cell] = {
        "CPU": None if name == DIRECT else 1e6 * median(turn.cpu for turn in mine),
        "rate": rate,
        "p50": median(latencies) if latencies else None,
        "p99": quantile(latencies, 0.99) if latencies else None,
    }
    for figure, value in values.items():
        compared = value is not None and name not in (BASELINE, DIRECT)
        cells += [value, str(_compared(turns, name, figure)) if compared else None]
    return tuple(cells)


def _compared(turns: Mapping[str, list[Turn]], name: str, figure: str) -> Ratio:
    value, _ = FIGURES[figure]
    baselines = (BASELINE,) if name == CONTROL else (BASELINE, CONTROL)
    beside = [
        fmean(map(value, pair))
        for pair in zip(*(turns[baseline] for baseline in baselines), strict=True)
    ]
    return ratio([value(turn) for turn in turns[name]], beside)


def _goal(
    workload: Workload, turns: Mapping[str, list[Turn]], name: str, figure: str, limit: float
) -> Goal:
    found, control = (_compared(turns, each, figure) for each in (name, CONTROL))
    return Goal(
        f"{figure} of {name}, {workload.name}",
        found.times,
        limit,
        "x",
        max(found.spread, abs(control.times - 1)),
        at_least=FIGURES[figure][1],
    )
