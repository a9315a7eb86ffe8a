"""Loaded into mitmdump: notes for how long its event loop was held, as a timer of a millisecond
sees it.

A hold counts with the CPU time that mitmdump itself spent in it, in any thread (one that parses
JSON keeps the interpreter's lock): what neighbours on the machine take is not its fault.
"""

import asyncio
import os
import time
from pathlib import Path
from typing import TextIO

TICK = 0.001
NOTED = 0.002
"""Seconds: shorter ones are the timer's own inaccuracy."""

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
    """Begin."""
    holds = Path(os.environ["LOOP_HOLDS"]).open("w", buffering=1)  # noqa: SIM115  # open as long as mitmdump runs
    tasks.add(asyncio.get_running_loop().create_task(watch(holds)))
