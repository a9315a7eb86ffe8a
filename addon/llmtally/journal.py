"""The journal: one JSON object a line in `usage-YYYY-MM-DD.jsonl`, one file for each UTC day on which calls ended.

Whole lines go by one `write` to a file opened with O_APPEND, so processes can share a directory, and what is written survives
their death. A line that was cut off (a kill, a full disk) is ended before the next record goes in, and skipped when it is read.
https://pubs.opengroup.org/onlinepubs/9799919799/functions/write.html
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import lru_cache
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

import orjson

from .record import Call
from .schema import SCHEMA, RecordError, from_line, to_line

QUEUE_CAP = 16 * 2**20
"""Bytes that wait while the disk does not take them: some 15,000 records of 1 kB, a day of a busy team."""

LINE_CAP = 2**20
"""Bytes of a line that is read. A record with every field at its cap is far shorter."""

READ_AHEAD = 2**20
"""Bytes that `read_ahead` reads at a time: few calls, little memory."""

DAMAGE_KEPT = 20
"""Damaged lines that are described, enough to find the cause. The others are only counted."""

GATHER_SECONDS = 0.05
"""What is appended within this time is written together. Under load each start of the thread takes 100 us from the traffic: the
interpreter is handed over at every call into the kernel."""

WRITE_CAP = 256 * 2**10
"""Bytes of one write, if it is of several records: some 250 of them."""

RETRY_SECONDS = 1.0
RETRY_SECONDS_MAX = 30.0
"""A failing disk is tried again after 1, 2, 4... seconds, and never so late that one who made room waits for it."""

SYNC_SECONDS = 5.0
"""What a power cut may lose. A sync for each record would wear disks for little."""

CLOSE_SECONDS = 0.9
"""How long `close` waits for the disk: shutting mitmproxy down should stay below a second."""


class Journal:
    """Appends calls from a thread of its own, so that no caller waits for a disk.

    `on_trouble` is told once when records cannot be written, and once when all that waited are. It is called on either thread.
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
        """Records that were never written: no room in the queue, no JSON for them, or closed before the disk came back."""
        self.errors = 0
        """Attempts that failed."""
        self._directory = directory
        self._on_trouble = on_trouble
        self._queue_cap = queue_cap
        self._retry_seconds = retry_seconds
        self._sync_seconds = sync_seconds
        self._queue: deque[tuple[str, bytes]] = deque()
        self._queued_bytes = 0
        self._in_trouble = False
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
        """Records not written yet."""
        return len(self._queue)

    def append(self, call: Call) -> None:
        """Take a call to be written. Returns at once and never raises."""
        try:
            day, line = _day_name(int(call.ended // 86_400)), to_line(call)
        except (ValueError, TypeError, OverflowError, OSError) as error:  # not a date, or no JSON (a lone surrogate)
            self._unwritable(error)
            return
        with self._changed:
            if not self._closing and self._queued_bytes + len(line) <= self._queue_cap:
                self._queue.append((day, line))
                self._queued_bytes += len(line)
                if len(self._queue) == 1:  # otherwise the thread is awake
                    self._changed.notify_all()
                return
        self._trouble("it is closed" if self._closing else "records come faster than the disk takes them", lost=1)

    def flush(self, timeout: float) -> bool:
        """Wait until all that was appended is written; False if it is not after `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._queue, timeout)

    def close(self) -> None:
        """Write what waits, sync and end, in less than a second whatever the disk does."""
        with self._changed:
            if self._closing:
                return
            self._closing = True
            self._changed.notify_all()
        self._thread.join(CLOSE_SECONDS)
        if left := self.waiting:
            self.lost += left
            self._on_trouble(f"The journal in {self._directory} was closed before it could be written: {_records(left)} lost.")

    def _run(self) -> None:
        file = _DayFile(self._directory)
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

    def _wait(self, file: _DayFile) -> bool:
        """Sleep until there is something to write, to sync or to close; True: to close."""
        timeout = self._until_sync(file)
        with self._changed:
            if self._changed.wait_for(lambda: self._queue or self._closing, timeout):
                self._changed.wait_for(lambda: self._closing, GATHER_SECONDS)
            return self._closing

    def _until_sync(self, file: _DayFile) -> float | None:
        """Seconds until what is written has to be synced; None: there is nothing."""
        if file.unsynced_since is None:
            return None
        return max(0.0, file.unsynced_since + self._sync_seconds - time.monotonic())

    def _pause(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._closing, seconds)

    def _write_waiting(self, file: _DayFile) -> None:
        if not self._queue:
            return
        while self._queue:
            day, lines = self._first_of_a_day()
            written = file.write(day, lines)
            with self._changed:
                for line in lines[:written]:
                    self._queue.popleft()
                    self._queued_bytes -= len(line)
                self._changed.notify_all()
            if written < len(lines):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._recovered()

    def _first_of_a_day(self) -> tuple[str, list[bytes]]:
        """What is to be written next. It stays in the queue until it is; only this thread takes from there."""
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
            self._in_trouble = True
            self._lost_before_trouble = self.lost - lost
        self._on_trouble(
            f"The journal in {self._directory} is not being written: {reason}. Calls are still counted; up to "
            f"{self._queue_cap // 2**20} MiB of records wait in memory until it works again."
        )

    def _recovered(self) -> None:
        with self._changed:
            if not self._in_trouble:
                return
            self._in_trouble = False
            lost = self.lost - self._lost_before_trouble
        self._on_trouble(f"The journal in {self._directory} is written again: {_records(lost)} lost.")

    def _unwritable(self, error: Exception) -> None:
        with self._changed:
            self.lost += 1
            self.errors += 1
        self._on_trouble(f"A record has no place in the journal: {error}.")


def _records(n: int) -> str:
    return f"{n or 'no'} record{' was' if n == 1 else 's were'}"


class _DayFile:
    """The file of one day, open for appending. Raises OSError; then it must be closed, and may be written to again."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._day = ""
        self._fd = -1
        self.unsynced_since: float | None = None
        """On the monotonic clock: the oldest write that a power cut could undo."""

    def write(self, day: str, lines: list[bytes]) -> int:
        """Append lines: how many of them are in the file now. One more may be there cut off. If this raises, none is."""
        if day != self._day or os.fstat(self._fd).st_nlink == 0:  # somebody deleted it: a record written there would be gone
            self.sync()
            self.close()
            self._open(day)
        end = b"\n" if self._is_torn() else b""
        written = os.write(self._fd, end + b"".join(lines)) - len(end)
        if self.unsynced_since is None:
            self.unsynced_since = time.monotonic()
        # A line that lacks only its newline is whole: the next one brings it.
        return sum(size - 1 <= written for size in accumulate(map(len, lines)))

    def _open(self, day: str) -> None:
        make_directory(self._directory)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._fd = os.open(self._directory / f"usage-{day}.jsonl", flags, 0o600)
        self._day = day

    def _is_torn(self) -> bool:
        """Whether the last line has no end. Asked before every write: another process may have died in the middle of one."""
        size = os.lseek(self._fd, 0, os.SEEK_END)
        return size > 0 and os.pread(self._fd, 1, size - 1) != b"\n"

    def sync(self) -> None:
        """Have what was written survive a power cut."""
        if self.unsynced_since is not None:
            os.fsync(self._fd)
            self.unsynced_since = None

    def close(self) -> None:
        """Close it; the next write opens it again."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._day, self.unsynced_since = -1, "", None


def make_directory(directory: Path) -> None:
    """Make the directory, for its owner alone. One that exists is closed to others only if it is used for nothing else."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    info = directory.stat()
    is_open = info.st_mode & (stat.S_IRWXG | stat.S_IRWXO) and not info.st_mode & stat.S_ISVTX
    if is_open and info.st_uid == os.geteuid() and (not any(directory.iterdir()) or days(directory)):
        directory.chmod(0o700)


def account_key(directory: Path) -> bytes:
    """The key of the account hashes: made once, kept in the journal's directory. Raises OSError."""
    make_directory(directory)
    path, draft = directory / "key", directory / f"key.{os.getpid()}"
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(secrets.token_bytes(32))
    try:
        os.link(draft, path)  # whole or not at all: another proxy may be starting
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return path.read_bytes()


def utc_day(seconds: float) -> date:
    """The UTC day of an epoch time."""
    return datetime.fromtimestamp(seconds, UTC).date()


@lru_cache(maxsize=8)
def _day_name(days: int) -> str:
    """The UTC day so many days after the epoch. Raises ValueError or OverflowError."""
    return utc_day(days * 86_400).isoformat()


@dataclass(frozen=True, slots=True)
class Damage:
    """A line that was skipped."""

    path: Path
    line: int
    """Counted from 1; 0: the whole file."""
    reason: str

    def __str__(self) -> str:
        return f"{self.path.name} line {self.line}: {self.reason}" if self.line else f"{self.path.name}: {self.reason}"


@dataclass(slots=True)
class DamageReport:
    """What was skipped while reading."""

    count: int = 0
    first: list[Damage] = field(default_factory=list)
    """The first few."""

    def add(self, damage: Damage) -> None:
        """Count it, and keep it if it is one of the first."""
        self.count += 1
        if len(self.first) < DAMAGE_KEPT:
            self.first.append(damage)


def read(
    directory: Path, *, since: date | None = None, until: date | None = None, damage: DamageReport | None = None
) -> Iterator[Call]:
    """The calls of the days from `since` to `until`, both included, oldest first. What cannot be read is added to `damage`."""
    report = DamageReport() if damage is None else damage
    for _, path in days(directory, since, until):
        yield from filter(None, read_file(path, report))


def read_file(path: Path, damage: DamageReport) -> Iterator[Call | None]:
    """The calls of one file; None for each line that is none, so that one who shares a thread can stop for a moment there, too."""
    for number, line in _numbered_lines(path, damage):
        call = None
        try:
            call = from_line(line)
        except RecordError as error:
            damage.add(Damage(path, number, str(error)))
        yield call


def read_ahead(path: Path) -> None:
    """Have the kernel read a file now, in this thread, so that one who reads it next does not wait for the disk."""
    with suppress(OSError), path.open("rb", buffering=0) as file:
        buffer = bytearray(READ_AHEAD)
        while file.readinto(buffer):
            pass


def read_records(
    directory: Path, *, since: date | None = None, until: date | None = None, damage: DamageReport | None = None
) -> Iterator[dict[str, Any]]:
    """As `read`, but the JSON objects as they stand, for those who need a few fields fast. Only `schema` is checked."""
    report = DamageReport() if damage is None else damage
    for _, path in days(directory, since, until):
        for number, line in _numbered_lines(path, report):
            try:
                record = orjson.loads(line)
            except orjson.JSONDecodeError:
                report.add(Damage(path, number, "not JSON" if line.endswith(b"\n") else "cut off"))
                continue
            if isinstance(record, dict) and record.get("schema") == SCHEMA:
                yield record
            else:
                report.add(Damage(path, number, f"not a record of schema {SCHEMA}"))


def days(directory: Path, since: date | None = None, until: date | None = None) -> list[tuple[date, Path]]:
    """The journal's files and their days, oldest first."""
    found = []
    for path in directory.glob("usage-*.jsonl"):
        try:
            day = date.fromisoformat(path.stem.removeprefix("usage-"))
        except ValueError:
            continue
        if (since is None or day >= since) and (until is None or day <= until):
            found.append((day, path))
    return sorted(found)


def _numbered_lines(path: Path, damage: DamageReport) -> Iterator[tuple[int, bytes]]:
    """The lines of a file that are not empty, counted from 1; one over the cap is cut off there."""
    number = 0
    try:
        with path.open("rb", buffering=READ_AHEAD) as file:
            while line := file.readline(LINE_CAP):
                number += 1
                if not line.isspace():
                    yield number, line
                while not line.endswith(b"\n") and (line := file.readline(LINE_CAP)):
                    pass
    except OSError as error:
        damage.add(Damage(path, 0, error.strerror or str(error)))
