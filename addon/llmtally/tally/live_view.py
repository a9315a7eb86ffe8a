"""The state that calls add up to, and the page that shows it."""

from __future__ import annotations

import asyncio
import gc
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

from .. import journal
from ..journal import DamageReport
from ..record import Call, Cost, QuotaAnswer
from ..schema import Entry
from ..tracker import Tracker
from ..web import WebServer
from ..web.metrics import Runtime

Item = TypeVar("Item")

BATCH = 40
"""Calls that are taken in before other work on the loop has its turn: about 1 ms. In smaller
batches each call costs more, as reading and adding take turns."""


class LiveView:
    """A tracker and the web server that shows it. It does not know where calls come from. Call its
    methods on the loop's thread."""

    def __init__(self, tracker: Tracker, *, clock: Callable[[], float]) -> None:
        """`clock` returns the current time in epoch seconds."""
        self.tracker = tracker
        self._clock = clock
        self._web: WebServer | None = None
        self._rebuilt: Tracker | None = None
        """While the journal is read back: takes in its calls in their order."""
        self._meanwhile: deque[Entry] | None = deque()
        """What has come so far; None once the journal is read back."""

    # What comes in

    def add(self, entry: Entry) -> None:
        """Count a call in the state, or what another line of the journal says."""
        _add(self.tracker, entry, restored=False)
        if self._meanwhile is not None:
            self._meanwhile.append(entry)

    def publish(self, line: bytes) -> None:
        """Show a call to the pages that are open, by its line in the journal."""
        if self._web is not None:
            self._web.publish(line)

    def changed(self) -> None:
        """Note that something other than a call has changed on the page."""
        if self._web is not None:
            self._web.changed()

    # What was

    def begin_restoring(self) -> None:
        """Expect calls of an earlier run from now on: first those of today with `restore_first`,
        which are shown at once; then all from the oldest on, today's again, with `restore`; and
        `catch_up` at the end. So today's figures need not wait for last week's calls, and what is
        shown in the end is what one would see who had never stopped."""
        self.tracker.restoring = True
        self._rebuilt = self.tracker.blank()
        # Nothing that is read back is garbage; looking for some among 100,000 calls holds the loop
        # for 300 ms each time.
        gc.disable()

    def restore_first(self, entry: Entry) -> None:
        """Show a call of an earlier run, or what another line of the journal says, until `catch_up`
        has been called."""
        _add(self.tracker, entry, restored=True)

    def restore(self, entry: Entry) -> None:
        """Count a call of an earlier run, or what another line of the journal says."""
        if self._rebuilt is not None:
            _add(self._rebuilt, entry, restored=True)

    async def catch_up(self) -> None:
        """Count what has come since the start, too, and show everything."""
        rebuilt = self._rebuilt
        if rebuilt is not None:
            await take_in(self._came(), partial(_add, rebuilt, restored=False))
            self.tracker.take_over(rebuilt)
            self._rebuilt = None

    def _came(self) -> Iterator[Entry]:
        while self._meanwhile:
            yield self._meanwhile.popleft()

    def reset(self) -> None:
        """Count from zero again."""
        self.tracker.reset()
        if self._rebuilt is not None:
            self._rebuilt.reset()
        if self._meanwhile is not None:
            self._meanwhile.clear()

    def end_restoring(self) -> None:
        """Expect no more calls of an earlier run: all are taken in, or reading was stopped."""
        if self.tracker.restoring:
            self.tracker.restoring = False
            self._rebuilt = self._meanwhile = None
            gc.freeze()  # what is known by now stays known
            gc.enable()
            self.changed()

    # The page

    def serve(
        self,
        *,
        host: str,
        port: int,
        token: str,
        runtime: Callable[[], Runtime],
        explain: Callable[[Call], Cost],
        on_trouble: Callable[[str], None],
    ) -> str | None:
        """Open the page; returns the URL that logs in, or None if the address is in use, in which
        case `on_trouble` is called with the reason. Needs a running loop. `port` 0 takes any free
        port; `explain` prices a call that is opened on the page."""
        self.stop_serving()
        web = WebServer(
            self.tracker,
            host=host,
            port=port,
            token=token,
            clock=self._clock,
            runtime=runtime,
            explain=explain,
            on_trouble=on_trouble,
        )
        if not web.start():
            return None
        self._web = web
        return web.url

    def stop_serving(self) -> None:
        """Close the page and free its port."""
        if self._web is not None:
            self._web.stop()
            self._web = None

    @property
    def page(self) -> str | None:
        """The page's URL, without the token that opens it."""
        return None if self._web is None else self._web.address

    @property
    def port(self) -> int:
        """The port on which the page listens; 0 without one."""
        return 0 if self._web is None else self._web.port

    def is_page(self, address: tuple[str, int]) -> bool:
        """Whether a connection to this address would lead to the page."""
        return self._web is not None and self._web.is_reached_by(address)

    def proxy_connected(self, local: tuple[str, int], remote: tuple[str, int]) -> None:
        """The proxy has connected to a server, perhaps to the page."""
        if self._web is not None:
            self._web.proxy_connected(local, remote)


def _add(tracker: Tracker, entry: Entry, *, restored: bool) -> None:
    if isinstance(entry, Call):
        tracker.add(entry, restored=restored)
    elif isinstance(entry, QuotaAnswer):
        tracker.add_limits(
            entry.limits,
            provider=entry.provider,
            account=entry.account,
            at=entry.timestamp,
            restored=restored,
        )
    else:
        tracker.count_coverage(entry.kind, entry.count, at=entry.timestamp, restored=restored)


async def take_in(items: Iterable[Item | None], take: Callable[[Item], None]) -> None:
    """Give items to `take` some at a time, so that others on the loop have their turn in between.
    None stands for a line that holds no call."""
    items = iter(items)
    while batch := list(islice(items, BATCH)):
        for item in batch:
            if item is not None:
                take(item)
        await asyncio.sleep(0)


@dataclass(frozen=True, slots=True)
class FileAtStart:
    """A file of the journal as it was when a process started. What is written to it later comes to
    the process by another way."""

    day: date
    path: Path
    size: int | None
    """Bytes; None: a compressed file, which does not grow."""


def files_at_start(directory: Path, now: float) -> list[FileAtStart]:
    """The files whose calls the state keeps, oldest first."""
    found = []
    for day, path in journal.days(directory, since=Tracker.restore_since(now)):
        with suppress(OSError):
            size = None if path.suffix == ".gz" else path.stat().st_size
            found.append(FileAtStart(day, path, size))
    return found


async def restore_today(view: LiveView, files: Iterable[FileAtStart], now: float) -> None:
    """Show the calls of today before all others are read."""
    for file in files:
        if file.day >= journal.utc_day(now):
            await asyncio.to_thread(journal.warm_page_cache, file.path)
            entries = journal.read_file(file.path, DamageReport(), end=file.size)
            await take_in(entries, view.restore_first)  # type: ignore[arg-type]  # a union
    view.changed()
