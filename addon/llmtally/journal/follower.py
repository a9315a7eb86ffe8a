"""Follows the journal: gives calls as they are written, whichever process writes them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from ..record import Call
from ..schema import RecordError, from_line
from .directory import days
from .lines import LineReader


@dataclass(frozen=True, slots=True)
class _Place:
    """A file that is being followed, and how far it has been read."""

    inode: int
    reader: LineReader


class JournalFollower:
    """Gives the journal's calls in the order in which they were written, beginning with a given day
    or with the newest two days.

    A call that ended just before midnight may be written to yesterday's file after today's was
    begun, so both are watched.
    """

    def __init__(self, directory: Path, since: date | None = None) -> None:
        self.damaged = 0
        """Lines that were skipped because they are not a record."""
        self.unreadable: dict[Path, str] = {}
        """Files that cannot be opened, and why."""
        self._directory = directory
        self._places: dict[Path, _Place] = {}
        newest = days(directory)[-1:]
        self._since = since or (newest[0][0] - timedelta(days=1) if newest else None)

    def poll(self) -> Iterator[tuple[bytes, Call]]:
        """What was written since the last poll: each line and its call."""
        for day, path in days(self._directory, self._since):
            self._since = max(self._since or day, day - timedelta(days=1))
            for line in self._lines(path):
                try:
                    call = from_line(line)
                except RecordError:
                    self.damaged += 1
                else:
                    yield line, call
        for path in [path for path in self._places if not path.exists()]:
            del self._places[path]

    def _lines(self, path: Path) -> Iterator[bytes]:
        try:
            with path.open("rb") as file:
                reader = self._reader(path, os.fstat(file.fileno()))
                yield from reader.read(file, growing=True)
        except FileNotFoundError:  # deleted since the directory was listed
            return
        except OSError as error:  # the next poll tries again
            self.unreadable[path] = error.strerror or str(error)

    def _reader(self, path: Path, info: os.stat_result) -> LineReader:
        """The reader of a file; a new one if the file was replaced or truncated."""
        place = self._places.get(path)
        if place is None or place.inode != info.st_ino or place.reader.offset > info.st_size:
            place = self._places[path] = _Place(info.st_ino, LineReader())
        return place.reader
