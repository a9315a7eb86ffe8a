"""Appends whole lines to the file of one day."""

from __future__ import annotations

import os
import time
from itertools import accumulate
from pathlib import Path

from .directory import make_directory


class DayFile:
    """The file of one day, open for appending. If a method raises OSError, close it; it can be
    written to again."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._day = ""
        self._path = directory
        self._fd = -1
        self.unsynced_since: float | None = None
        """Monotonic time of the oldest write that a power cut could undo; None if all is synced."""

    def write(self, day: str, lines: list[bytes]) -> int:
        """Append lines and return how many of them are in the file now. One more may be there, cut
        off. If this raises, none is."""
        if day != self._day or not self._is_where_readers_look():
            self.sync()
            self.close()
            self._open(day)
        end = b"\n" if self._is_torn() else b""
        written = os.write(self._fd, end + b"".join(lines)) - len(end)
        if self.unsynced_since is None:
            self.unsynced_since = time.monotonic()
        # A line that lacks only its newline is whole: the next write adds it.
        return sum(size - 1 <= written for size in accumulate(map(len, lines)))

    def _open(self, day: str) -> None:
        make_directory(self._directory)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._path = self._directory / f"usage-{day}.jsonl"
        self._fd = os.open(self._path, flags, 0o600)
        self._day = day

    def _is_where_readers_look(self) -> bool:
        """Whether the open file is still the one under its name. It is not if it was deleted, was
        renamed for a rotation, or its directory was renamed."""
        try:
            return os.path.samestat(os.fstat(self._fd), os.lstat(self._path))
        except FileNotFoundError:
            return False

    def _is_torn(self) -> bool:
        """Whether the last line lacks its newline. Checked before every write: another process may
        have died in the middle of one."""
        size = os.lseek(self._fd, 0, os.SEEK_END)
        return size > 0 and os.pread(self._fd, 1, size - 1) != b"\n"

    def sync(self) -> None:
        """Sync to disk, so that what was written survives a power cut."""
        if self.unsynced_since is not None:
            os.fsync(self._fd)
            self.unsynced_since = None

    def close(self) -> None:
        """Close the file; the next write opens it again."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._day, self.unsynced_since = -1, "", None
