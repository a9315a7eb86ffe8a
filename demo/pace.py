"""Waits of clients and providers that end when the demo does, so that everything ends cleanly and
at once."""

from __future__ import annotations

import asyncio
import threading
import time

SLICE = 0.1
"""Seconds after which a waiting provider looks whether the demo has ended: too short to be noticed,
too long to cost anything."""


class Pace:
    """Waits that end with the demo, for threads and for the fake upstream's loop."""

    def __init__(self) -> None:
        self._over = threading.Event()

    @property
    def is_over(self) -> bool:
        """Whether the demo has ended, so that nothing should begin."""
        return self._over.is_set()

    def end(self) -> None:
        """End all waits, those in progress and all later ones."""
        self._over.set()

    def wait(self, seconds: float) -> None:
        """Wait in a client's thread; returns early when the demo ends."""
        self._over.wait(seconds)

    async def pause(self, seconds: float) -> None:
        """Wait in the fake upstream's loop; returns early when the demo ends."""
        until = time.monotonic() + seconds
        while not self.is_over and (left := until - time.monotonic()) > 0:  # noqa: ASYNC110  # the end comes from another thread
            await asyncio.sleep(min(left, SLICE))
