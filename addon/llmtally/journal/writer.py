"""Writes records to the journal in a thread, so that nobody else waits for the disk."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from itertools import islice
from pathlib import Path

from ..record import Call, NotCounted
from ..schema import Entry, entry_line, to_line
from .day_file import DayFile
from .directory import utc_day

QUEUE_CAP = 16 * 2**20
"""Bytes that may wait for a disk that does not accept them: some 15,000 records of 1 kB, a day of a
busy team."""

GATHER_SECONDS = 0.05
"""Records appended within this time are written together. Under load each wake-up of the thread
costs the traffic 100 us: the interpreter changes hands at every system call."""

WRITE_CAP = 256 * 2**10
"""Bytes of one write of several records: some 250 of them."""

RETRY_SECONDS = 1.0
RETRY_SECONDS_MAX = 30.0
"""A failing disk is tried again after 1, 2, 4... seconds, but at least this often, so that freeing
space soon has an effect."""

SYNC_SECONDS = 5.0
"""Records of this time may be lost in a power cut. A sync for each record would wear disks for
little gain."""

CLOSE_SECONDS = 0.9
"""How long `close` waits for the disk: shutting mitmproxy down should stay below a second."""


class Journal:
    """Appends lines from a thread, so that no caller waits for a disk.

    `on_trouble` is called once when records cannot be written, and once when all that waited have
    been; it may be called on either thread.
    """

    def __init__(
        self,
        directory: Path,
        *,
        on_trouble: Callable[[str], None],
        queue_cap: int = QUEUE_CAP,
        retry_seconds: float = RETRY_SECONDS,
        sync_seconds: float = SYNC_SECONDS,
    ) -> None:
        self.lost = 0
        """Records that were never written: the queue was full, they have no JSON form, or the
        journal was closed before the disk worked again."""
        self.errors = 0
        """How many attempts to write have failed."""
        self.appended = 0
        """Records that were queued."""
        self.written = 0
        """Those of them that are written."""
        self._directory = directory
        self._on_trouble = on_trouble
        self._queue_cap = queue_cap
        self._retry_seconds = retry_seconds
        self._sync_seconds = sync_seconds
        self._queue: deque[tuple[str, bytes]] = deque()
        self._queued_bytes = 0
        self._in_trouble = False
        self._reason = ""
        """Why records could not be written when the trouble began."""
        self._lost_before_trouble = 0
        self._closing = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="llmtally-journal", daemon=True)
        self._thread.start()

    @property
    def healthy(self) -> bool:
        """Whether records are being written."""
        return not self._in_trouble

    @property
    def waiting(self) -> int:
        """How many records are not written yet."""
        return len(self._queue)

    def append(self, entry: Entry) -> bytes | None:
        """Queue a call, or what else a line may say, to be written; return its line, or None if it
        cannot be written as JSON. Returns at once and never raises."""
        try:
            if isinstance(entry, Call):
                day, line = _day_name(int(entry.ended // 86_400)), to_line(entry)
            else:
                day, line = _day_name(int(entry.timestamp // 86_400)), entry_line(entry)
        # not a date, or no JSON (a lone surrogate)
        except (ValueError, TypeError, OverflowError, OSError) as error:
            self._unwritable(error)
            return None
        with self._changed:
            if not self._closing and self._queued_bytes + len(line) <= self._queue_cap:
                self._queue.append((day, line))
                self.appended += 1
                self._queued_bytes += len(line)
                if len(self._queue) == 1:  # otherwise the thread is awake
                    self._changed.notify_all()
                return line
        self._trouble(
            "it is closed" if self._closing else "records come faster than the disk takes them",
            lost=1,
        )
        return line

    def flush(self, timeout: float) -> bool:
        """Wait until everything queued is written; False if that takes over `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._queue, timeout)

    def close(self) -> None:
        """Write what is queued, sync and end, in less than a second whatever the disk does."""
        with self._changed:
            if self._closing:
                return
            self._closing = True
            self._changed.notify_all()
        self._thread.join(CLOSE_SECONDS)
        if left := self.waiting:
            self.lost += left
            self._on_trouble(
                f"The journal in {self._directory} was closed before it could be written: "
                f"{_records(left)} lost."
            )

    def _run(self) -> None:
        file = DayFile(self._directory)
        delay = self._retry_seconds
        closing = False
        while not closing:
            closing = self._wait(file)
            try:
                self._write_waiting(file)
                if closing or self._until_sync(file) == 0:
                    file.sync()
                delay = self._retry_seconds
            except OSError as error:
                file.close()
                self.errors += 1
                self._trouble(error.strerror or str(error))
                if not closing:
                    self._pause(delay)
                    delay = min(2 * delay, RETRY_SECONDS_MAX)
        file.close()

    def _wait(self, file: DayFile) -> bool:
        """Sleep until there is something to write, to sync or to close; True if to close."""
        timeout = self._until_sync(file)
        with self._changed:
            if self._changed.wait_for(lambda: self._queue or self._closing, timeout):
                self._changed.wait_for(lambda: self._closing, GATHER_SECONDS)
            return self._closing

    def _until_sync(self, file: DayFile) -> float | None:
        """Seconds until the next sync is due; None if there is nothing to sync."""
        if file.unsynced_since is None:
            return None
        return max(0.0, file.unsynced_since + self._sync_seconds - time.monotonic())

    def _pause(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._closing, seconds)

    def _write_waiting(self, file: DayFile) -> None:
        if not self._queue:
            return
        while self._queue:
            day, lines = self._first_of_a_day()
            written = file.write(day, lines)
            with self._changed:
                for line in lines[:written]:
                    self._queue.popleft()
                    self._queued_bytes -= len(line)
                    self.written += 1
                self._changed.notify_all()
            if written < len(lines):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._recovered(file)

    def _first_of_a_day(self) -> tuple[str, list[bytes]]:
        """The day and lines to write next. They stay in the queue until they are written; only this
        thread removes them."""
        with self._changed:
            day, line = self._queue[0]
            lines, size = [line], len(line)
            for at, line in islice(self._queue, 1, None):
                size += len(line)
                if at != day or size > WRITE_CAP:
                    break
                lines.append(line)
        return day, lines

    def _trouble(self, reason: str, lost: int = 0) -> None:
        with self._changed:
            self.lost += lost
            if self._in_trouble:
                return
            self._in_trouble, self._reason = True, reason
            self._lost_before_trouble = self.lost - lost
        self._on_trouble(
            f"The journal in {self._directory} is not being written: {reason}. Calls are "
            "still counted; up to "
            f"{self._queue_cap // 2**20} MiB of records wait in memory until it works again."
        )

    def _recovered(self, file: DayFile) -> None:
        """Say that records are written again, if they were not, and write down how many were lost
        meanwhile."""
        with self._changed:
            if not self._in_trouble:
                return
            lost, now = self.lost - self._lost_before_trouble, time.time()
        if lost:
            line = entry_line(NotCounted("lost", now, lost, reason=self._reason))
            if not file.write(_day_name(int(now // 86_400)), [line]):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with self._changed:
            self._in_trouble = False
        self._on_trouble(
            f"The journal in {self._directory} is written again: {_records(lost)} lost."
        )

    def _unwritable(self, error: Exception) -> None:
        with self._changed:
            self.lost += 1
            self.errors += 1
        self._on_trouble(f"A record cannot be written to the journal: {error}.")
        self.append(NotCounted("lost", time.time(), 1, reason="it has no JSON form"))


def _records(n: int) -> str:
    return f"{n or 'no'} record{' was' if n == 1 else 's were'}"


@lru_cache(maxsize=8)
def _day_name(days: int) -> str:
    """The name of a UTC day, given in days since the epoch. Raises ValueError or OverflowError."""
    return utc_day(days * 86_400).isoformat()
