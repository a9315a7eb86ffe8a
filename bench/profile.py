"""Shows in which functions the addon spends its time: `scripts/bench --profile`. Only the shares
mean something, as the profiler makes every call slower."""

from __future__ import annotations

import asyncio
import cProfile
import pstats
import tempfile
from collections.abc import Callable
from pathlib import Path

from . import hooks

LINES = 45
RUNS = 3


def run() -> None:
    """Print one profile for each kind of call."""
    for name, make in hooks.KINDS.items():
        if name == hooks.AGAIN:
            continue
        print(f"\n{name}: {RUNS * hooks.CALLS} calls\n")
        _profile(make).strip_dirs().sort_stats("tottime").print_stats(LINES)


def _profile(make: Callable[[], hooks.Passing]) -> pstats.Stats:
    profiler = cProfile.Profile()
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(hooks.drive({"": make}, RUNS, Path(directory), lambda: profiler))
    return pstats.Stats(profiler)
