"""`scripts/soak agree`: several proxies on one directory, started, stopped and killed in varied
order. Whoever is asked must say what the journal says, within a second."""

from __future__ import annotations

import asyncio
import contextlib
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psutil
from bench.mitmdump import make_authority
from bench.report import Cell, Section

from . import calls, readers
from .ledger import Ledger, Tail
from .load import Load
from .peers import Provider
from .processes import tallies
from .proxies import Proxy, ProxyError
from .readers import Sums
from .run import exactly, none_of, settled

CALLS_A_STEP = 60
CONCURRENCY = 6

WITHIN = 1.0
"""Seconds within which all must agree with the journal, beside the time that the asking takes."""

LONGEST = 4.0
"""Seconds after which it is noted that one never agrees."""


@dataclass
class Answers:
    """How often one source was asked, and what it said."""

    asked: int = 0
    agreed: int = 0
    """Within a second."""
    late: int = 0
    never: int = 0
    worst: float = 0.0
    """Seconds until it agreed."""
    remarks: list[str] = field(default_factory=list)


@dataclass
class Baseline:
    """What the counters of one page said when they were first seen, and the journal at that
    time."""

    said: Sums
    journal: Sums


class _Agreement:
    def __init__(self, number: int, seed: int, folder: Path, options: dict[str, str]) -> None:
        self._number = number
        self._chance = random.Random(seed)
        self._folder = folder
        self._options = options
        self._provider = Provider()
        self._ledger = Ledger(Tail(folder))
        self._units = calls.units(seed)
        self._proxies: list[Proxy] = []
        self._started = 0
        self._answers: dict[str, Answers] = {
            source: Answers() for source in ("page", "metrics", "status line", "state", "report")
        }
        self._baselines: dict[str, Baseline] = {}
        self._actions: Counter[str] = Counter()

    async def run(self, steps: int) -> list[Section]:
        """Take the steps, and say who agreed."""
        make_authority(self._folder)
        await self._provider.start()
        for step in range(steps):
            await self._act(step)
            await self._drive()
            await self._ask()
        for proxy in self._proxies:
            with contextlib.suppress(ProxyError):
                await proxy.stop()
        await self._look("report", lambda: readers.of_report(self._usage_dir))
        for process in tallies(self._folder):
            with contextlib.suppress(psutil.Error):
                process.kill()
        self._provider.stop()
        return [self._section(steps), exactly(self._ledger)]

    @property
    def _usage_dir(self) -> Path:
        return self._folder / "usage"

    async def _act(self, step: int) -> None:
        """Start a proxy, or end one. The first steps start all of them."""
        if (
            step < self._number
            or len(self._proxies) < 2
            or (len(self._proxies) < self._number and self._chance.random() < 0.5)
        ):
            proxy = Proxy(
                self._provider.port, self._folder, f"proxy-{self._started}", options=self._options
            )
            self._started += 1
            await proxy.started()
            self._proxies.append(proxy)
            self._actions["started"] += 1
            return
        proxy = self._proxies.pop(self._chance.randrange(len(self._proxies)))
        if self._chance.random() < 0.5:
            proxy.kill()
            self._actions["killed"] += 1
        else:
            await proxy.stop()
            self._actions["stopped"] += 1

    async def _drive(self) -> None:
        """Send calls through all proxies, and wait until they are in the journal."""
        self._note_baselines()
        ports = [proxy.port for proxy in self._proxies]
        load = Load(ports, CONCURRENCY * len(ports), self._provider, self._ledger)
        await load.drive(self._units, CALLS_A_STEP)
        await settled(self._ledger, 10.0)

    def _pages(self) -> list[str]:
        return sorted({proxy.page for proxy in self._proxies if proxy.page is not None})

    def _note_baselines(self) -> None:
        for page in self._pages():
            if page not in self._baselines:
                with contextlib.suppress(OSError, ValueError):
                    said = readers.of_metrics(page)
                    journal = readers.of_directory(self._usage_dir)
                    self._baselines[page] = Baseline(said, journal)

    async def _ask(self) -> None:
        looks = [
            self._look("status line", lambda: readers.status_line(self._usage_dir)[1]),
            self._look("report", lambda: readers.of_report(self._usage_dir)),
        ]
        for page in self._pages():
            looks.append(self._look("page", partial(readers.of_page, page)))
            if (base := self._baselines.get(page)) is not None:
                looks.append(self._look("metrics", partial(_counted, page, base)))
        await asyncio.gather(*looks)
        state, _ = await asyncio.to_thread(readers.status_line, self._usage_dir)
        answers = self._answers["state"]
        answers.asked += 1
        answers.agreed += state == "running"
        answers.never += state != "running"
        if state != "running" and len(answers.remarks) < 2:
            answers.remarks.append(f"{state} while {len(self._proxies)} proxies run")

    async def _look(self, source: str, look: Callable[[], Sums]) -> None:
        """Ask until the answer equals the journal's sum, for some seconds."""
        answers = self._answers[source]
        answers.asked += 1
        truth = await asyncio.to_thread(readers.of_directory, self._usage_dir)
        began = time.monotonic()
        said: Sums | str = "nothing"
        while (asked := time.monotonic() - began) < LONGEST:
            try:
                said = await asyncio.to_thread(look)
            except (OSError, ValueError) as error:
                said = str(error)
            if isinstance(said, Sums) and said.equals(truth):
                answers.worst = max(answers.worst, asked)
                answers.agreed += asked <= WITHIN
                answers.late += asked > WITHIN
                return
            await asyncio.sleep(0.1)
        answers.never += 1
        if len(answers.remarks) < 2:
            answers.remarks.append(f"says {said}, the journal {truth}")

    def _section(self, steps: int) -> Section:
        rows: list[tuple[Cell, ...]] = [
            (
                source,
                float(each.asked),
                float(each.agreed),
                float(each.late),
                float(each.never),
                each.worst,
            )
            for source, each in self._answers.items()
        ]
        goals = [
            none_of(f"{source} did not agree within a second", each.late + each.never)
            for source, each in self._answers.items()
        ]
        actions = ", ".join(f"{count} {action}" for action, count in self._actions.items())
        notes = [
            f"{source}: {what}" for source, each in self._answers.items() for what in each.remarks
        ]
        return Section(
            f"Agreement of up to {self._number} proxies",
            ("who is asked", "times", "agreed in 1 s", "later", "never", "worst s"),
            rows,
            goals,
            (f"{steps} steps: {actions}. state: the status line says `running`.", *notes),
        )


def _counted(page: str, base: Baseline) -> Sums:
    """What the journal's sum would be by the counters of a page."""
    grown = readers.of_metrics(page).minus(base.said)
    return Sums._make(old + new for old, new in zip(base.journal, grown, strict=True))


def agree(number: int, steps: int, seed: int, options: dict[str, str]) -> list[Section]:
    """Start and end proxies, and ask everyone."""
    with tempfile.TemporaryDirectory() as directory:
        return asyncio.run(_Agreement(number, seed, Path(directory), options).run(steps))
