"""Reading the journal, whatever has happened to its files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import orjson

from ..record import Call
from ..schema import KINDS, Entry, RecordError, check_line, read_line, to_line
from .directory import days
from .lines import READ_SIZE, UNREADABLE, LineReader, open_file, why_unreadable

DAMAGE_KEPT = 20
"""Damaged lines that are described, enough to find the cause; further ones are only counted."""


@dataclass(frozen=True, slots=True)
class Damage:
    """A line that was skipped."""

    path: Path
    line: int
    """Line number, counted from 1; 0 means the whole file."""
    reason: str

    def __str__(self) -> str:
        return (
            f"{self.path.name} line {self.line}: {self.reason}"
            if self.line
            else f"{self.path.name}: {self.reason}"
        )


@dataclass(slots=True)
class DamageReport:
    """What was skipped while reading."""

    count: int = 0
    """Damaged lines and unreadable files, all of them."""
    first: list[Damage] = field(default_factory=list)
    """The first `DAMAGE_KEPT` damaged lines."""

    def add(self, damage: Damage) -> None:
        """Count it, and keep it if it is one of the first."""
        self.count += 1
        if len(self.first) < DAMAGE_KEPT:
            self.first.append(damage)


def read(
    directory: Path,
    *,
    since: date | None = None,
    until: date | None = None,
    damage: DamageReport | None = None,
) -> Iterator[Call]:
    """The calls of the days from `since` to `until`, both included, oldest first. What cannot be
    read is added to `damage`."""
    report = DamageReport() if damage is None else damage
    for _, path in days(directory, since, until):
        for entry in read_file(path, report):
            if isinstance(entry, Call):
                yield entry


def read_file(
    path: Path, damage: DamageReport, *, end: int | None = None
) -> Iterator[Entry | None]:
    """What the lines of one file say, up to `end` bytes. Yields None for a damaged line and for one
    of an unknown kind, so that a caller on an event loop can yield to the loop there, too."""
    for number, line in _numbered_lines(path, damage, end):
        entry = None
        try:
            entry = read_line(line)
        except RecordError as error:
            damage.add(Damage(path, number, str(error)))
        yield entry


def check_file(
    path: Path, damage: DamageReport, progress: Callable[[int], None] = lambda _: None
) -> bool:
    """Find the damaged lines of a file. Returns whether there is nothing in it but calls and lines
    of known kinds, so that another reader of JSON finds the same calls in it. `progress` is called
    with the length of each line."""
    before, is_plain = damage.count, True
    for number, line in _numbered_lines(path, damage):
        progress(len(line))
        try:
            kind = check_line(line)
        except RecordError as error:
            damage.add(Damage(path, number, str(error)))
        else:
            is_plain = is_plain and (kind is None or kind in KINDS)
    return is_plain and damage.count == before


def copy_calls(path: Path, copy: Path) -> None:
    """Write the calls of a file to another file, and nothing else. Raises OSError."""
    with copy.open("wb", buffering=READ_SIZE) as file:
        for entry in read_file(path, DamageReport()):
            if isinstance(entry, Call):
                file.write(to_line(entry))


def warm_page_cache(path: Path) -> None:
    """Read a file once in this thread, so that the kernel has it in memory and the next reader does
    not wait for the disk."""
    with suppress(OSError), path.open("rb", buffering=0) as file:
        buffer = bytearray(READ_SIZE)
        while file.readinto(buffer):
            pass


def read_records(
    directory: Path,
    *,
    since: date | None = None,
    until: date | None = None,
    damage: DamageReport | None = None,
) -> Iterator[dict[str, Any]]:
    """Like `read`, but yields the JSON objects as written, with fields that this version does not
    know."""
    report = DamageReport() if damage is None else damage
    for _, path in days(directory, since, until):
        for number, line in _numbered_lines(path, report):
            try:
                is_call = check_line(line) is None
            except RecordError as error:
                report.add(Damage(path, number, str(error)))
                continue
            if is_call:
                yield orjson.loads(line)


def _numbered_lines(
    path: Path, damage: DamageReport, end: int | None = None
) -> Iterator[tuple[int, bytes]]:
    """The lines of a file that are not empty, counted from 1."""
    reader = LineReader()
    try:
        with open_file(path) as file:
            for line in reader.read(file, growing=False, end=end):
                yield reader.number, line
    except UNREADABLE as error:
        damage.add(Damage(path, 0, why_unreadable(error)))
