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

LINE_CAP = 2**20
"""Bytes of a line that is read. A record with every field at its cap is far shorter."""

READ_SIZE = 2**20
"""Bytes that `warm_page_cache` reads at a time: few calls, little memory."""

DAMAGE_KEPT = 20
"""Damaged lines that are described, enough to find the cause. The others are only counted."""


@dataclass(frozen=True, slots=True)
class Damage:
    """A line that was skipped."""

    path: Path
    line: int
    """Counted from 1; 0: the whole file."""
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
    first: list[Damage] = field(default_factory=list)
    """The first few."""

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
    """The calls of one file; None for each line that is none, so that one who shares a thread can
    stop for a moment there, too."""
    for number, line in _numbered_lines(path, damage):
        call = None
        try:
            call = from_line(line)
        except RecordError as error:
            damage.add(Damage(path, number, str(error)))
        yield call


def warm_page_cache(path: Path) -> None:
    """Have the kernel read a file now, in this thread, so that one who reads it next does not wait
    for the disk."""
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
    """As `read`, but the JSON objects as they stand, for those who need a few fields fast. Only
    `schema` is checked."""
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
    """The lines of a file that are not empty, counted from 1; one over the cap is cut off there."""
    number = 0
    try:
        with path.open("rb", buffering=READ_SIZE) as file:
            while line := file.readline(LINE_CAP):
                number += 1
                if not line.isspace():
                    yield number, line
                while not line.endswith(b"\n") and (line := file.readline(LINE_CAP)):
                    pass
    except OSError as error:
        damage.add(Damage(path, 0, error.strerror or str(error)))
