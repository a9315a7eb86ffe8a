"""The page of a journal that others write: read back, then followed as it grows. Nothing is written
to its directory.

One reader does both, so that no call is missed or counted twice where one ends and the other
begins.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from .. import __version__
from ..journal.follower import JournalFollower
from ..record import Call, Cost
from ..tracker import Tracker
from . import WebServer
from .metrics import Runtime

HOST = "127.0.0.1"

TOKEN_BYTES = 24
"""192 random bits: nobody guesses them. Each page has a token of its own, as others can see the
command line of a browser."""

BATCH = 100
"""Calls that are taken in before the page has its turn: some milliseconds."""

POLL_SECONDS = 0.2
"""A call appears while it is still remembered; a look at a directory costs microseconds."""


class JournalPage:
    """Serves the page on this machine alone. Wants a running loop."""

    def __init__(
        self,
        directory: Path,
        *,
        port: int,
        explain: Callable[[Call], Cost],
        on_trouble: Callable[[str], None],
    ) -> None:
        """`port` 0 takes any. `explain` prices a call that is looked at; `on_trouble` is told why
        there is no page."""
        self.follower = JournalFollower(directory, since=Tracker.restore_since(time.time()))
        self._tracker = Tracker()
        self._web = WebServer(
            self._tracker,
            host=HOST,
            port=port,
            token=secrets.token_urlsafe(TOKEN_BYTES),
            clock=time.time,
            runtime=lambda: Runtime(__version__, journal_followed=True),
            explain=explain,
            on_trouble=on_trouble,
        )

    def open(self) -> str | None:
        """Listen: the URL that logs in, or None where the port cannot be had, which was told."""
        return self._web.url if self._web.start() else None

    def close(self) -> None:
        """Free the port."""
        self._web.stop()

    async def read_back(self) -> None:
        """Take in what the journal holds of the days that are shown."""
        self._tracker.restoring = True
        await self._take(restored=True)
        self._tracker.restoring = False
        self._web.changed()

    async def follow(self) -> None:
        """Take in what comes, for ever."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            await self._take(restored=False)

    async def _take(self, *, restored: bool) -> None:
        """Take in what has been written since the last time."""
        calls = self.follower.poll()
        while batch := list(islice(calls, BATCH)):
            for line, call in batch:
                self._tracker.add(call, restored=restored)
                self._web.publish(line)
            await asyncio.sleep(0)
