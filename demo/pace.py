"""Everybody's sense of time. When the demo ends nobody waits any longer, so that all that is under
way ends well, and at once."""

from __future__ import annotations

import asyncio
import threading
import time

SLICE = 0.1
"""Seconds after which a waiting provider looks whether the demo has ended: nobody notices, and it
costs nothing."""


class Pace:
    """Waits that end with the demo, for threads and for the fake upstream's loop."""

    def __init__(self) -> None:
        self._over = threading.Event()

    @property
    def is_over(self) -> bool:
        """Whether the demo has ended."""
        return self._over.is_set()

    def end(self) -> None:
        """Let nobody wait from here on."""
        self._over.set()

    def wait(self, seconds: float) -> None:
        """Wait in a thread."""
        self._over.wait(seconds)

    async def pause(self, seconds: float) -> None:
        """Wait in the upstream's loop."""
        until = time.monotonic() + seconds
        while not self.is_over and (left := until - time.monotonic()) > 0:  # noqa: ASYNC110  # the end comes from another thread
            await asyncio.sleep(min(left, SLICE))
