"""Follows the journal: gives what is written as it is written, whichever process writes it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import BinaryIO

from ..schema import Entry, RecordError, read_line
from .directory import days
from .lines import UNREADABLE, LineReader, open_file, why_unreadable


@dataclass(slots=True)
class _Place:
    """A file that is being followed, and how far it has been read."""

    file_id: tuple[int, int]
    """Device and inode."""
    reader: LineReader
    file: BinaryIO | None = None
    """Open if the file may be renamed while lines are still written to it; its inode can't be used
    again meanwhile."""

    def close(self) -> None:
        """Close the file, if it is open."""
        if self.file is not None:
            self.file.close()
            self.file = None


class JournalFollower:
    """Gives what the journal's lines say in the order in which they were written, beginning with a
    given day or with the newest two days.

    All files are watched. A call that ended just before midnight may be written to yesterday's file
    after today's was begun, and a clock that is set back by a week makes the next call go to a file
    of last week.
    """

    def __init__(self, directory: Path, since: date | None = None) -> None:
        self.damaged = 0
        """Lines that were skipped because they are not a record."""
        self.unreadable: dict[Path, str] = {}
        """Files that cannot be read, and why."""
        self._directory = directory
        self._places: dict[date, _Place] = {}
        """By day."""
        found = days(directory)
        since = since or (found[-1][0] - timedelta(days=1) if found else date.min)
        for day, path in found:
            if day < since:
                self._pass_over(day, path)

    def __del__(self) -> None:
        for place in self._places.values():
            place.close()

    def _pass_over(self, day: date, path: Path) -> None:
        """Begin at the end of what a file holds now."""
        try:
            info = path.stat()
        except FileNotFoundError:
            return
        self._places[day] = _Place(_file_id(info), LineReader(info.st_size))

    def poll(self) -> Iterator[tuple[bytes, Entry]]:
        """What was written since the last poll: each line and what it says."""
        for line in self._new_lines():
            try:
                entry = read_line(line)
            except RecordError:
                self.damaged += 1
            else:
                if entry is not None:
                    yield line, entry

    def _new_lines(self) -> Iterator[bytes]:
        found = days(self._directory)
        for day in self._places.keys() - {day for day, _ in found}:
            yield from self._rest(self._places.pop(day))
        newest_two = [day for day, _ in found][-2:]
        for day, path in found:
            try:
                if path.suffix == ".gz":
                    yield from self._compressed(day, path)
                else:
                    yield from self._plain(day, path, keep_open=day in newest_two)
            except FileNotFoundError:  # deleted since the directory was listed
                continue
            except UNREADABLE as error:  # the next poll tries again
                self.unreadable[path] = why_unreadable(error)

    def _plain(self, day: date, path: Path, *, keep_open: bool) -> Iterator[bytes]:
        info = path.stat()
        place = self._places.get(day)
        if place is not None and (
            place.file_id != _file_id(info) or place.reader.offset > info.st_size
        ):
            del self._places[day]  # another file, or truncated
            yield from self._rest(place)
            place = None
        if place is None:
            place = self._places[day] = _Place(_file_id(info), LineReader())
        if place.file is None and place.reader.offset < info.st_size:
            place.file = open_file(path)
        if place.file is not None:
            yield from place.reader.read(place.file, growing=True)
            if not keep_open:
                place.close()

    def _compressed(self, day: date, path: Path) -> Iterator[bytes]:
        """A compressed file is read once. One that takes the place of a plain file has its
        lines."""
        info = path.stat()
        place = self._places.get(day)
        self._places[day] = _Place(_file_id(info), LineReader(info.st_size))
        if place is not None:
            yield from self._rest(place)
            return
        with open_file(path) as file:
            yield from LineReader().read(file, growing=False)

    def _rest(self, place: _Place) -> Iterator[bytes]:
        """What was written to a file between the last poll and its renaming."""
        if place.file is not None:
            yield from place.reader.read(place.file, growing=False)
            place.close()


def _file_id(info: os.stat_result) -> tuple[int, int]:
    return info.st_dev, info.st_ino
