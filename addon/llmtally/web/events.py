"""What open pages are told as it happens, as server-sent events.
https://html.spec.whatwg.org/multipage/server-sent-events.html

- `record`: a call's record, as it stands in the journal.
- `usage`: what `/api/usage` answers, when it has changed and at most once a second; in any case now
  and then.
- `reset`: events were missed; what is shown must be asked for anew.

Pure: the timer and what writes are passed in. A reader that does not read costs its backlog, which
is bounded, and no time.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from .snapshots import Snapshot, Snapshots

READERS_CAP = 256
"""Pages open at a time: each costs a connection and a write for every tick with news."""

BACKLOG_CAP = 256 * 2**10
"""Bytes that wait for one reader: some hundred records, more than a page shows."""

TICK_SECONDS = 0.25
"""Between two looks at what is new: at once for a person, and one write for all that a busy proxy
counts meanwhile."""

HEARTBEAT_SECONDS = 15.0
"""A `usage` is due even if no call was: rates fall and windows run out by the clock. And a dead
connection is found out."""

STALL_SECONDS = 60.0
"""A reader that has taken nothing for so long while something waited is let go."""

SLICE_SECONDS = 0.002
"""Writing at a time, then the traffic has its turn."""

RETRY_MS = 1_000
"""When a browser comes back after its connection was lost."""


def event(name: str, data: bytes) -> bytes:
    """One event; `data` is one line."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), data)


PREAMBLE = b"retry: %d\n\n" % RETRY_MS
RESET = event("reset", b"{}")


class Reader:
    """One open page. `write` sends bytes and calls `written` when they have gone; `close` ends the
    connection."""

    def __init__(
        self, write: Callable[[bytes, Callable[[], None]], None], close: Callable[[], None]
    ) -> None:
        self.close = close
        self.usage: bytes | None = None
        """The newest that waits; an older one is of no interest."""
        self.busy_since: float | None = None
        """On the monotonic clock: since when a write has been going on."""
        self._write = write
        self._backlog = [PREAMBLE]
        self._size = 0

    def add(self, record: bytes) -> None:
        """Put an event into the backlog; one that is full becomes a reset."""
        self._size += len(record)
        if self._size > BACKLOG_CAP:
            self._backlog, self._size = [RESET], 0
        else:
            self._backlog.append(record)

    def flush(self) -> None:
        """Send what waits, unless the last has not gone yet."""
        if self.busy_since is not None or not (self._backlog or self.usage):
            return
        chunk = b"".join(self._backlog) + (self.usage or b"")
        self._backlog, self._size, self.usage = [], 0, None
        self.busy_since = time.monotonic()
        self._write(chunk, self._written)

    def _written(self) -> None:
        self.busy_since = None


class Hub:
    """All open pages."""

    def __init__(
        self, snapshots: Snapshots, later: Callable[[float, Callable[[], None]], Any]
    ) -> None:
        """`later` calls a function after some seconds."""
        self.readers: set[Reader] = set()
        self._snapshots = snapshots
        self._later = later
        self._ticking = False
        self._told: Snapshot | None = None
        self._told_at = 0.0
        self._to_flush: deque[Reader] = deque()

    @property
    def is_full(self) -> bool:
        """Whether no further reader is taken."""
        return len(self.readers) >= READERS_CAP

    def join(self, reader: Reader) -> None:
        """Take in a reader, and tell it how things stand."""
        self.readers.add(reader)
        reader.usage = event("usage", self._snapshots.get().body)
        reader.flush()
        self._snapshots.changed()  # while nobody looked, nobody may have said so
        if not self._ticking:
            self._ticking = True
            self._later(TICK_SECONDS, self._tick)

    def leave(self, reader: Reader) -> None:
        """Forget a reader."""
        self.readers.discard(reader)

    def publish(self, record: bytes) -> None:
        """Send a call's record to every open page."""
        line = event("record", record)
        for reader in self.readers:
            reader.add(line)

    def _tick(self) -> None:
        self._ticking = bool(self.readers)
        if not self._ticking:
            return
        self._later(TICK_SECONDS, self._tick)
        now = time.monotonic()
        self._let_go(now)
        self._tell_usage(now)
        if not self._to_flush:
            self._to_flush.extend(self.readers)
            self._flush()

    def _tell_usage(self, now: float) -> None:
        is_news = self._told is None or self._told.changes < self._snapshots.changes
        if not is_news and now - self._told_at < HEARTBEAT_SECONDS:
            return
        snapshot = self._snapshots.get()
        if snapshot is self._told:
            return  # a newer one is not due yet
        self._told, self._told_at = snapshot, now
        usage = event("usage", snapshot.body)
        for reader in self.readers:
            reader.usage = usage

    def _let_go(self, now: float) -> None:
        for reader in list(self.readers):
            if reader.busy_since is not None and now - reader.busy_since > STALL_SECONDS:
                self.leave(reader)
                reader.close()

    def _flush(self) -> None:
        until = time.perf_counter() + SLICE_SECONDS
        while self._to_flush and time.perf_counter() < until:
            self._to_flush.popleft().flush()
        if self._to_flush:
            self._later(0, self._flush)
