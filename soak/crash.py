"""`scripts/soak crash`: deaths, pauses and troubles of the disk at random moments under load, and
what they cost.

Each trial drives load, lets one thing happen, and compares the journal with the calls. A proxy that
has died is started again on the same directory, and its page must say what the journal says. A
thing that happens to the tally happens to the proxy where that counts itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import psutil
from bench.mitmdump import make_authority
from bench.report import Cell, Goal, Section

from . import calls, readers
from .calls import Unit
from .ledger import Ledger, Tail
from .load import Load
from .peers import Client, Provider
from .processes import tallies
from .proxies import Proxy, ProxyError
from .run import none_of, settled

ALLOWED = 0.1
"""Seconds before a kill in which a call may end and be lost."""

UNDER_LOAD = 1.5
"""Seconds of load before each event, at most; at least a fifth of it."""

PAUSE = 10.0
DISK_FULL = 1.0
ROOM = 2_000
"""Bytes that a full disk still takes."""

FAR = 10_000_000
"""Numbers that no other call of a directory reaches."""

GRACE = 0.2
"""Seconds after a renaming in which a call may still end into the old file."""

TRIALS_A_DIRECTORY = 20
"""Trials before a new directory: the journal that a start reads back stays short."""

PATIENCE = 20.0
"""Seconds without a new record after which no more are expected."""


@dataclass
class Counted:
    """What one kind of event has cost, over its trials."""

    trials: int = 0
    calls: int = 0
    lost: int = 0
    """Calls that had ended earlier than allowed before the event, and have no record."""
    oldest_lost: float = 0.0
    """Seconds before the event at which the oldest of them had ended."""
    excused: int = 0
    """Calls that ended within the allowance, and have no record."""
    misplaced: int = 0
    """Records after the event that are not in the file where readers look."""
    bad: int = 0
    """Records that are doubled, damaged, wrong or of no call."""
    torn: int = 0
    page_differs: int = 0
    remarks: list[str] = field(default_factory=list)

    def remark(self, what: str) -> None:
        """Keep what should be shown, but not all of it."""
        if len(self.remarks) < 3:
            self.remarks.append(what)


@dataclass
class Trial:
    """One proxy under load, and the thing that is to happen."""

    folder: Path
    proxy: Proxy
    provider: Provider
    ledger: Ledger
    load: Load
    counted: Counted
    chance: random.Random
    streams: int
    """Streams that are in flight when mitmdump is told to end."""
    pause: float

    @property
    def counting(self) -> list[psutil.Process]:
        """The process that counts: the tally, or else the proxy."""
        return tallies(self.folder) or [psutil.Process(self.proxy.process.pid)]


Event = Callable[[Trial], Awaitable[None]]


async def kill_proxy(trial: Trial) -> None:
    """The proxy dies."""
    trial.proxy.kill()


async def kill_tally(trial: Trial) -> None:
    """The process that counts dies."""
    if not (found := tallies(trial.folder)):
        trial.proxy.kill()
    for process in found:
        process.kill()


async def kill_both(trial: Trial) -> None:
    """All die at once."""
    for process in tallies(trial.folder):
        process.kill()
    trial.proxy.kill()


async def pause(trial: Trial) -> None:
    """The process that counts is stopped for a while (SIGSTOP), and goes on."""
    stopped, before = trial.counting, trial.load.made
    for process in stopped:
        process.suspend()
    await asyncio.sleep(trial.pause)
    passed = trial.load.made - before
    for process in stopped:
        process.resume()
    trial.counted.remark(f"{passed} calls ended in {trial.pause:g} s of pause")


async def fill_disk(trial: Trial) -> None:
    """No file can grow by more than a little, as on a full disk, for a while."""
    journal = max((path.stat().st_size for path in _today(trial.proxy.usage_dir)), default=0)
    limited = trial.counting
    for process in limited:
        process.rlimit(psutil.RLIMIT_FSIZE, (journal + ROOM, psutil.RLIM_INFINITY))
    await asyncio.sleep(DISK_FULL)
    for process in limited:
        process.rlimit(psutil.RLIMIT_FSIZE, (psutil.RLIM_INFINITY, psutil.RLIM_INFINITY))


async def rotate(trial: Trial) -> None:
    """Another program renames today's file."""
    for path in _today(trial.proxy.usage_dir):
        path.rename(path.with_name(path.name + ".1"))


async def rename(trial: Trial) -> None:
    """Somebody renames the directory."""
    trial.proxy.usage_dir.rename(trial.folder / "renamed")


async def terminate(trial: Trial) -> None:
    """mitmdump is told to end (SIGTERM) while many streams are in flight."""
    trial.load.stop()
    while not trial.load.is_idle:  # noqa: ASYNC110  # what else is cut off would be no rule
        await asyncio.sleep(0.02)
    first = trial.ledger.made + FAR
    held = [calls.held(first + at) for at in range(trial.streams)]
    clients = [
        Client(trial.proxy.port, trial.provider, lambda _: None) for _ in range(trial.streams)
    ]
    for unit in held:
        trial.ledger.begin(unit)
    waiting = asyncio.gather(
        *(client.ask(unit) for client, unit in zip(clients, held, strict=True)),
        return_exceptions=True,
    )
    while len(trial.provider.asked & {unit.number for unit in held}) < len(held):  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    await asyncio.sleep(0.2)
    stopping = asyncio.create_task(trial.proxy.stop())
    await waiting
    await stopping
    now = time.time()
    for unit in held:  # each must be in the journal, whatever was excused
        if unit.number in trial.ledger.open:
            trial.ledger.ended[unit.number] = now - 60
    for client in clients:
        client.close()


EVENTS: dict[str, Event] = {
    "kill-proxy": kill_proxy,
    "kill-tally": kill_tally,
    "kill-both": kill_both,
    "pause": pause,
    "disk-full": fill_disk,
    "rotate": rotate,
    "rename": rename,
    "terminate": terminate,
}

MOVES = ("rotate", "rename")
"""Events after which the directory is not used again."""


def _today(usage_dir: Path) -> list[Path]:
    return sorted(usage_dir.glob("usage-*.jsonl"))[-1:]


@dataclass(frozen=True, slots=True)
class Plan:
    """How often what happens, and under which load."""

    times: int
    events: tuple[str, ...]
    concurrency: int
    seed: int
    streams: int = 500
    pause: float = PAUSE
    options: dict[str, str] = field(default_factory=dict)
    allowed: float = ALLOWED
    under_load: float = UNDER_LOAD


def crash(plan: Plan) -> list[Section]:
    """Let things happen, and say what they cost."""
    with tempfile.TemporaryDirectory() as directory:
        return asyncio.run(_Crashes(plan, Path(directory)).run())


class _Crashes:
    """The trials, one after the other."""

    def __init__(self, plan: Plan, root: Path) -> None:
        self._plan = plan
        self._root = root
        self._chance = random.Random(plan.seed)
        self._provider = Provider()
        self._units: Iterator[Unit] = calls.units(plan.seed)
        self._counted = {name: Counted() for name in plan.events}
        self._ledgers: list[Ledger] = []
        self._folder = root
        self._in_folder = 0
        self._proxy: Proxy | None = None
        self._unclean: list[str] = []
        """What mitmdumps said that ended with an error."""

    async def run(self) -> list[Section]:
        """All trials, and the tables."""
        await self._provider.start()
        for number in range(self._plan.times):
            name = self._plan.events[number % len(self._plan.events)]
            await self._trial(name)
            print(f"{number + 1}. {name}: {self._counted[name].lost} lost so far", file=sys.stderr)
        await self._end_folder()
        self._provider.stop()
        return [self._section(), _records(self._ledgers)]

    async def _trial(self, name: str) -> None:
        counted = self._counted[name]
        if self._in_folder == 0:
            self._begin_folder()
        ledger = self._ledgers[-1]
        proxy = await self._running()
        load = Load((proxy.port,), self._plan.concurrency, self._provider, ledger)
        trial = Trial(
            self._folder,
            proxy,
            self._provider,
            ledger,
            load,
            counted,
            self._chance,
            self._plan.streams,
            self._plan.pause,
        )
        made = ledger.made
        driving = asyncio.create_task(load.drive(self._units))
        await asyncio.sleep(self._chance.uniform(self._plan.under_load / 5, self._plan.under_load))
        while name in MOVES and not _today(proxy.usage_dir):  # noqa: ASYNC110  # nothing to move yet
            await asyncio.sleep(0.05)
        at = time.time()
        bad = ledger.bad
        try:
            await EVENTS[name](trial)
        except ProxyError as error:
            self._unclean.append(str(error)[-600:])
        if proxy.is_alive and name != "terminate":
            await asyncio.sleep(self._chance.uniform(1.0, 1.5))
        load.stop()
        await driving
        counted.trials += 1
        counted.calls += ledger.made - made
        await self._settle(trial, at)
        counted.bad += ledger.bad - bad
        self._in_folder = (self._in_folder + 1) % TRIALS_A_DIRECTORY
        if name in MOVES:
            self._note_misplaced(trial, at)
        else:
            await self._compare_page(trial)
        if name in MOVES or self._in_folder == 0:
            await self._end_folder()

    def _begin_folder(self) -> None:
        self._folder = self._root / f"{len(self._ledgers)}"
        self._folder.mkdir()
        make_authority(self._root)
        shutil.copytree(self._root / "conf", self._folder / "conf")
        self._ledgers.append(Ledger(Tail(self._folder)))

    async def _running(self) -> Proxy:
        if self._proxy is None or not self._proxy.is_alive:
            self._proxy = Proxy(
                self._provider.port, self._folder, "proxy", options=self._plan.options
            )
            await self._proxy.started()
        return self._proxy

    async def _settle(self, trial: Trial, at: float) -> None:
        """Wait for the records that may still come, and count those that do not."""
        ledger, counted = trial.ledger, trial.counted
        excused: list[int] = []
        if trial.proxy.is_alive:
            await settled(ledger, PATIENCE)
            at = time.time() + self._plan.allowed
        else:
            excused = ledger.younger_than(self._plan.allowed, at)
            ledger.give_up(excused)
            if tallies(trial.folder):
                await settled(ledger, 3.0)  # the tally settles what the proxy has left
        ledger.follow()
        lost = ledger.older_than(self._plan.allowed, at)
        counted.lost += len(lost)
        if lost:
            counted.oldest_lost = max(
                counted.oldest_lost, *(at - ledger.ended[number] for number in lost)
            )
        counted.excused += sum(not ledger.has(number) for number in excused)
        counted.torn += ledger.tail.torn()
        ledger.give_up(list(ledger.open))

    async def _compare_page(self, trial: Trial) -> None:
        """The page must say what the journal says, after a restart if there was a death."""
        proxy = await self._running()
        deadline = time.monotonic() + PATIENCE
        said = truth = readers.Sums()
        while time.monotonic() < deadline:
            truth = await asyncio.to_thread(readers.of_directory, proxy.usage_dir)
            with contextlib.suppress(OSError, ValueError):
                if proxy.page is not None:
                    said = await asyncio.to_thread(readers.of_page, proxy.page)
            if said.equals(truth):
                return
            await asyncio.sleep(0.2)
        trial.counted.page_differs += 1
        trial.counted.remark(f"the page says {said}, the journal {truth}")

    def _note_misplaced(self, trial: Trial, at: float) -> None:
        """Count the records after a renaming that readers do not find."""
        hidden = [*self._folder.rglob("*.jsonl.1"), *self._folder.glob("renamed/usage-*.jsonl")]
        for path in hidden:
            for line in path.read_bytes().splitlines():
                trial.counted.misplaced += _ended(line) > at + GRACE

    async def _end_folder(self) -> None:
        if self._proxy is not None and self._proxy.is_alive:
            try:
                await self._proxy.stop()
            except ProxyError as error:
                self._unclean.append(str(error)[-600:])
        for process in tallies(self._folder):
            with contextlib.suppress(psutil.Error):
                process.kill()
        self._proxy, self._in_folder = None, 0
        if self._ledgers:
            self._ledgers[-1].follow()

    def _section(self) -> Section:
        rows: list[tuple[Cell, ...]] = [
            (
                name,
                float(each.trials),
                float(each.calls),
                float(each.lost),
                each.oldest_lost,
                float(each.excused),
                float(each.misplaced),
                float(each.bad),
                float(each.torn),
                float(each.page_differs),
            )
            for name, each in self._counted.items()
        ]
        goals: list[Goal] = []
        for name, each in self._counted.items():
            goals += [
                none_of(f"{name}: lost", each.lost),
                none_of(f"{name}: misplaced", each.misplaced),
                none_of(f"{name}: page differs", each.page_differs),
            ]
        goals.append(none_of("mitmdump ended with an error", len(self._unclean)))
        notes = [f"{name}: {what}" for name, each in self._counted.items() for what in each.remarks]
        allowed = self._plan.allowed
        return Section(
            "Deaths and troubles",
            (
                "event",
                "trials",
                "calls",
                "lost",
                "oldest s",
                "excused",
                "misplaced",
                "bad",
                "torn",
                "page differs",
            ),
            rows,
            goals,
            (
                (
                    f"lost: ended more than {allowed:g} s before the event (or at any time, where "
                    "the proxy lived on), and has no record; excused: ended later."
                ),
                (
                    "misplaced: ended after a renaming, and is not where readers "
                    "look. bad: records that are doubled, damaged, wrong or of no call. "
                    "torn: files that end within a line."
                ),
                *notes,
                *self._unclean[:2],
            ),
        )


def _ended(line: bytes) -> float:
    """When the call of a line ended; 0 where the line is damaged, which the ledger counts."""
    try:
        return datetime.fromisoformat(json.loads(line)["ended"]).timestamp()
    except ValueError:
        return 0.0


def _records(ledgers: list[Ledger]) -> Section:
    """What the journals have, over all directories."""
    counted = {
        what: sum(getattr(ledger, what) for ledger in ledgers)
        for what in ("written", "doubled", "wrong", "strange", "damaged")
    }
    others = sum((ledger.others for ledger in ledgers), Counter[str]())
    return Section(
        "Records",
        ("records", "number"),
        [(what, float(count)) for what, count in counted.items()],
        [none_of(what, count) for what, count in counted.items() if what != "written"],
        (
            *(f"{count} lines of kind {kind}" for kind, count in others.items()),
            *[fault for ledger in ledgers for fault in ledger.faults][:8],
        ),
    )
