"""An addon for mitmdump that records how long its event loop was blocked, as measured by a timer of
one millisecond.

Only CPU time that mitmdump itself spent meanwhile counts, in any thread (one that parses JSON keeps
the interpreter's lock); time taken by other programs does not.
"""

import asyncio
import os
import time
from pathlib import Path
from typing import TextIO

TICK = 0.001
NOTED = 0.002
"""Seconds: shorter holds are the timer's inaccuracy."""

tasks: set[asyncio.Task[None]] = set()


async def watch(holds: TextIO) -> None:
    """Write one line for each hold."""
    while True:
        wall, cpu = time.perf_counter(), time.process_time()
        await asyncio.sleep(TICK)
        hold = min(time.perf_counter() - wall - TICK, time.process_time() - cpu)
        if hold > NOTED:
            holds.write(f"{hold}\n")


def running() -> None:
    """Start to watch, because mitmdump is running."""
    holds = Path(os.environ["LOOP_HOLDS"]).open("w", buffering=1)  # noqa: SIM115  # open as long as mitmdump runs
    tasks.add(asyncio.get_running_loop().create_task(watch(holds)))
