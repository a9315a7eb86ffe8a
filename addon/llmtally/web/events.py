"""What is sent to open pages as it happens, as server-sent events.
https://html.spec.whatwg.org/multipage/server-sent-events.html

- `record`: a call's record, as its line in the journal.
- `usage`: the answer of `/api/usage`, at most once a second if it changed, and at least every 15
  seconds.
- `reset`: events were missed; the page must load what it shows again.

Does no I/O: the timer and the function that writes are passed in. A reader that does not read costs
its backlog, which is bounded, and no time.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from .snapshots import Snapshot, Snapshots

READERS_CAP = 256
"""Pages open at a time: each costs a connection, and a write for every tick with news."""

BACKLOG_CAP = 256 * 2**10
"""Bytes that wait for one reader: some hundred records, more than a page shows."""

TICK_SECONDS = 0.25
"""Between two writes: immediate for a person, and one write for all that a busy proxy counts
meanwhile."""

HEARTBEAT_SECONDS = 15.0
"""A `usage` is sent even without a call: rates fall and windows end by the clock. It also detects
dead connections."""

STALL_SECONDS = 60.0
"""A reader that has taken nothing for this long while something waited is disconnected."""

SLICE_SECONDS = 0.002
"""Time spent writing before the traffic has its turn."""

RETRY_MS = 1_000
"""After this a browser reconnects when its connection was lost."""


def event(name: str, data: bytes) -> bytes:
    """Encode an event; `data` is one line."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), data)


PREAMBLE = b"retry: %d\n\n" % RETRY_MS
RESET = event("reset", b"{}")


class Reader:
    """One open page. `write` sends bytes and calls `written` when they are sent; `close` ends the
    connection."""

    def __init__(
        self, write: Callable[[bytes, Callable[[], None]], None], close: Callable[[], None]
    ) -> None:
        self.close = close
        self.usage: bytes | None = None
        """The latest `usage` event that waits; it replaces older ones."""
        self.busy_since: float | None = None
        """When the write that is under way began, on the monotonic clock; None if there is none."""
        self._write = write
        self._backlog = [PREAMBLE]
        self._size = 0

    def add(self, record: bytes) -> None:
        """Add an event to the backlog; a full backlog is replaced by a reset."""
        self._size += len(record)
        if self._size > BACKLOG_CAP:
            self._backlog, self._size = [RESET], 0
        else:
            self._backlog.append(record)

    def flush(self) -> None:
        """Send what waits, unless a write is under way."""
        if self.busy_since is not None or not (self._backlog or self.usage):
            return
        chunk = b"".join(self._backlog) + (self.usage or b"")
        self._backlog, self._size, self.usage = [], 0, None
        self.busy_since = time.monotonic()
        self._write(chunk, self._written)

    def _written(self) -> None:
        self.busy_since = None


class Hub:
    """Sends events to all open pages."""

    def __init__(
        self, snapshots: Snapshots, later: Callable[[float, Callable[[], None]], Any]
    ) -> None:
        """`later(seconds, work)` calls `work` after some seconds."""
        self.readers: set[Reader] = set()
        self._snapshots = snapshots
        self._later = later
        self._ticking = False
        self._sent: Snapshot | None = None
        self._sent_at = 0.0
        self._to_flush: deque[Reader] = deque()

    @property
    def is_full(self) -> bool:
        """Whether no further reader is accepted."""
        return len(self.readers) >= READERS_CAP

    def join(self, reader: Reader) -> None:
        """Add a reader, and send it the current usage."""
        self.readers.add(reader)
        reader.usage = event("usage", self._snapshots.get().body)
        reader.flush()
        self._snapshots.changed()  # without readers, changes may not have been reported
        if not self._ticking:
            self._ticking = True
            self._later(TICK_SECONDS, self._tick)

    def leave(self, reader: Reader) -> None:
        """Remove a reader that is gone."""
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
        self._drop_stalled(now)
        self._send_usage(now)
        if not self._to_flush:
            self._to_flush.extend(self.readers)
            self._flush()

    def _send_usage(self, now: float) -> None:
        is_news = self._sent is None or self._sent.changes < self._snapshots.changes
        if not is_news and now - self._sent_at < HEARTBEAT_SECONDS:
            return
        snapshot = self._snapshots.get()
        if snapshot is self._sent:
            return  # a newer one is not due yet
        self._sent, self._sent_at = snapshot, now
        usage = event("usage", snapshot.body)
        for reader in self.readers:
            reader.usage = usage

    def _drop_stalled(self, now: float) -> None:
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
