"""The page of a journal that other processes write. The journal is read back, then followed as it
grows. Nothing is written to its directory.

One reader does both, so that no call is missed or counted twice where one ends and the other
begins.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from pathlib import Path

from .. import __version__
from ..journal.follower import JournalFollower
from ..record import Call, Cost
from ..schema import Entry
from ..tracker import Tracker
from ..web.metrics import Runtime
from .live_view import LiveView, files_at_start, restore_today, take_in

HOST = "127.0.0.1"

TOKEN_BYTES = 24
"""192 random bits: nobody guesses them. Each page makes a new token, as others can see the command
line of a browser."""

POLL_SECONDS = 0.2
"""Seconds between two looks at the directory: short enough for a person who waits for a call; each
look costs microseconds."""


class JournalPage:
    """Serves the page of a journal, on this machine alone. Needs a running loop."""

    def __init__(
        self,
        directory: Path,
        *,
        port: int,
        explain: Callable[[Call], Cost],
        on_trouble: Callable[[str], None],
    ) -> None:
        """`port` 0 takes any free port. `explain` prices a call that is opened on the page;
        `on_trouble` is called with the reason if the page cannot be served."""
        self.follower = JournalFollower(directory, since=Tracker.restore_since(time.time()))
        self._directory = directory
        self._view = LiveView(Tracker(), clock=time.time)
        self._port = port
        self._explain = explain
        self._on_trouble = on_trouble

    def open(self) -> str | None:
        """Listen, and return the URL that logs in; None if the port cannot be used, which
        `on_trouble` has reported."""
        return self._view.serve(
            host=HOST,
            port=self._port,
            token=secrets.token_urlsafe(TOKEN_BYTES),
            runtime=lambda: Runtime(__version__, journal_followed=True),
            explain=self._explain,
            on_trouble=self._on_trouble,
        )

    def close(self) -> None:
        """Close the page and free its port."""
        self._view.stop_serving()

    async def read_back(self) -> None:
        """Take in the journal's calls of the days that the page shows."""
        now = time.time()
        self._view.begin_restoring()
        try:
            await restore_today(self._view, files_at_start(self._directory, now), now)
            await take_in(self.follower.poll(), self._restore)
            await self._view.catch_up()
        finally:
            self._view.end_restoring()

    async def follow(self) -> None:
        """Take in the calls that are written from now on. Never ends."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            await take_in(self.follower.poll(), self._add)

    def _restore(self, written: tuple[bytes, Entry]) -> None:
        _, entry = written
        self._view.restore(entry)

    def _add(self, written: tuple[bytes, Entry]) -> None:
        line, entry = written
        self._view.add(entry)
        if isinstance(entry, Call):
            self._view.publish(line)
