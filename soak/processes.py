"""What the system says of llmtally's processes: memory, descriptors, threads, CPU."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import psutil
from bench import mitmdump
from bench.mitmdump import MARK

PROXY, TALLY = "mitmdump", "tally"


def of(folder: Path) -> list[tuple[str, psutil.Process]]:
    """The processes that belong to a folder, each with what it is: a proxy, or the tally that a
    proxy started."""
    found = [(TALLY, process) for process in tallies(folder)]
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            is_proxy = any(Path(word).name == PROXY for word in process.cmdline()[:2])
            if is_proxy and process.environ().get(MARK) == str(folder):
                found.append((PROXY, process))
    return found


def tallies(folder: Path) -> list[psutil.Process]:
    """The processes that count for the proxies of a folder; none where the proxies do it."""
    return mitmdump.tallies(str(folder))


@dataclass(frozen=True, slots=True)
class Sample:
    """One process at one time."""

    at: float
    rss: float
    """MB."""
    descriptors: int
    threads: int
    cpu: float
    """Seconds since it started."""


class Watch:
    """Samples of all processes of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: list[tuple[str, psutil.Process]] = []
        self._looked = 0.0
        self.samples: defaultdict[str, list[Sample]] = defaultdict(list)

    def sample(self) -> None:
        """Look at every process; new ones are looked for every few seconds."""
        now = time.monotonic()
        if now - self._looked > 3:
            self._processes, self._looked = of(self._folder), now
        for kind, process in self._processes:
            with contextlib.suppress(psutil.Error, OSError), process.oneshot():
                times = process.cpu_times()
                self.samples[f"{kind} {process.pid}"].append(
                    Sample(
                        now,
                        process.memory_info().rss / 1e6,
                        process.num_fds(),
                        process.num_threads(),
                        times.user + times.system,
                    )
                )


def slope(points: Iterable[tuple[float, float]]) -> float:
    """The slope of the line through points, by least squares."""
    points = list(points)
    if len(points) < 2:
        return 0.0
    middle_x, middle_y = fmean(x for x, _ in points), fmean(y for _, y in points)
    width = sum((x - middle_x) ** 2 for x, _ in points)
    return sum((x - middle_x) * (y - middle_y) for x, y in points) / width if width else 0.0


def rss_slope(samples: Sequence[Sample]) -> float:
    """MB a minute by which a process grew in the second half of its samples, when what is filled
    once (caches, pools) is mostly full."""
    late = samples[len(samples) // 2 :]
    return 60 * slope((sample.at, sample.rss) for sample in late)
