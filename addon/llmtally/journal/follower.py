"""Calls as they are written to the journal, whichever process writes them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from ..record import Call
from ..schema import RecordError, from_line
from . import LINE_CAP, days


@dataclass(slots=True)
class _Place:
    """How far a file has been read."""

    inode: int
    offset: int = 0


class JournalFollower:
    """Gives the journal's calls in the order they were written, from a day on, or from the newest
    two days.

    A call that ended just before midnight may be written to yesterday's file after today's was
    begun, so both are watched.
    """

    def __init__(self, directory: Path, since: date | None = None) -> None:
        self.damaged = 0
        """Lines that are no record."""
        self.unreadable: dict[Path, str] = {}
        """Files that may not be read, and why."""
        self._directory = directory
        self._places: dict[Path, _Place] = {}
        newest = days(directory)[-1:]
        self._since = since or (newest[0][0] - timedelta(days=1) if newest else None)

    def poll(self) -> Iterator[tuple[bytes, Call]]:
        """What has been written since the last time: each line and its call."""
        for day, path in days(self._directory, self._since):
            self._since = max(self._since or day, day - timedelta(days=1))
            for line in self._lines(path):
                if line.isspace():
                    continue
                try:
                    call = from_line(line)
                except RecordError:
                    self.damaged += 1
                else:
                    yield line, call
        for path in [path for path in self._places if not path.exists()]:
            del self._places[path]

    def _lines(self, path: Path) -> Iterator[bytes]:
        """Whole lines; one that is still being written waits for its end."""
        try:
            with path.open("rb") as file:
                place = self._place(path, os.fstat(file.fileno()))
                file.seek(place.offset)
                while (line := file.readline(LINE_CAP)).endswith(b"\n") or len(line) == LINE_CAP:
                    place.offset += len(line)
                    yield line
        except FileNotFoundError:  # cleared away since we looked
            return
        except OSError as error:  # it may be allowed at the next poll
            self.unreadable[path] = error.strerror or str(error)

    def _place(self, path: Path, info: os.stat_result) -> _Place:
        """Where to read on; at the beginning of a file that was replaced or cut."""
        place = self._places.get(path)
        if place is None or place.inode != info.st_ino or place.offset > info.st_size:
            place = self._places[path] = _Place(info.st_ino)
        return place
