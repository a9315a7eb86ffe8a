"""Reading the journal, whatever has happened to its files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import orjson

from ..record import Call
from ..schema import SCHEMA, RecordError, from_line
from .directory import days
from .lines import LineReader

READ_SIZE = 2**20
"""Bytes that `warm_page_cache` reads at a time: few calls, little memory."""

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
        yield from filter(None, read_file(path, report))


def read_file(path: Path, damage: DamageReport) -> Iterator[Call | None]:
    """The calls of one file. Yields None for a damaged line, so that a caller on an event loop can
    yield to the loop there, too."""
    for number, line in _numbered_lines(path, damage):
        call = None
        try:
            call = from_line(line)
        except RecordError as error:
            damage.add(Damage(path, number, str(error)))
        yield call


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
    """Like `read`, but yields the JSON objects as written, for callers that need a few fields fast.
    Only `schema` is checked."""
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


def _numbered_lines(path: Path, damage: DamageReport) -> Iterator[tuple[int, bytes]]:
    """The lines of a file that are not empty, counted from 1."""
    reader = LineReader()
    try:
        with path.open("rb", buffering=READ_SIZE) as file:
            for line in reader.read(file, growing=False):
                yield reader.number, line
    except OSError as error:
        damage.add(Damage(path, 0, error.strerror or str(error)))
