"""Compares what was asked with what the journal says."""

from __future__ import annotations

import json
import time
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .calls import Fields, Request, Socket, Unit, number_of

SHOWN = 8
"""Faults that are kept to be shown."""


class Tail:
    """Reads new whole lines of all journals below a folder, also of files that were renamed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[tuple[int, int], int] = {}
        """Bytes that have been read of each file, by device and inode."""

    def lines(self) -> Iterator[bytes]:
        """Whole lines that are new."""
        for path in sorted(self._folder.rglob("usage-*.jsonl*")):
            with path.open("rb") as file:
                info = path.stat()
                key = info.st_dev, info.st_ino
                file.seek(self._read.get(key, 0))
                data = file.read()
            end = data.rfind(b"\n") + 1
            self._read[key] = self._read.get(key, 0) + end
            yield from data[:end].splitlines()

    def torn(self) -> int:
        """How many files end within a line."""
        files = self._folder.rglob("usage-*.jsonl*")
        return sum(not data.endswith(b"\n") for path in files if (data := path.read_bytes()))


@dataclass
class Ledger:
    """The calls that were made, until the journal has each exactly once."""

    tail: Tail
    made: int = 0
    written: int = 0
    """Records that are as they should be."""
    doubled: int = 0
    damaged: int = 0
    """Lines that are no record."""
    wrong: int = 0
    """Records whose counts or ending are not those of the call."""
    strange: int = 0
    """Records of no call that was made."""
    faults: list[str] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    others: Counter[str] = field(default_factory=Counter)
    """Lines that are of no call, by their kind: `lost`, `unparsed`..."""
    open: dict[int, Fields] = field(default_factory=dict)
    """Calls that are not in the journal yet, and what it must say of them."""
    ended: OrderedDict[int, float] = field(default_factory=OrderedDict)
    """Those of them that have ended, and when; the oldest first."""
    given_up: set[int] = field(default_factory=set)
    """Calls that a death may have lost or cut short: any record of them is right, once."""
    recorded: bytearray = field(default_factory=bytearray)
    longest_lag: float = 0.0
    """Seconds from the end of a call to the sight of its record."""

    def begin(self, unit: Unit) -> None:
        """Note the calls of a unit that is about to be asked for."""
        if isinstance(unit, Request):
            self.open[unit.number] = unit.fields
            self.made += 1
            return
        self._begin_socket(unit)

    def _begin_socket(self, socket: Socket) -> None:
        for number in socket.numbers:
            self.open[number] = socket.fields(number)
        self.made += len(socket.numbers)

    def end(self, number: int) -> None:
        """Note that a call has ended, as the client sees it."""
        if number in self.open:  # a turn may be in the journal before the client has read it
            self.ended[number] = time.time()

    def give_up(self, numbers: Iterable[int]) -> None:
        """Expect nothing certain of these calls any more."""
        for number in numbers:
            if self.open.pop(number, None) is not None:
                self.given_up.add(number)
                self.ended.pop(number, None)

    def follow(self) -> None:
        """Read what the journal has that is new."""
        now = time.time()
        for line in self.tail.lines():
            try:
                record = json.loads(line)
                number = number_of(record)
            except (ValueError, AttributeError):
                self._fault("damaged", f"damaged: {line[:200]!r}")
                continue
            if "kind" in record:
                self.others[str(record["kind"])] += 1
            else:
                self._take(record, number, now)

    def _take(self, record: dict[str, Any], number: int | None, now: float) -> None:
        if number is None:
            self._fault("strange", f"of no call: {record}")
            return
        if number >= len(self.recorded):
            self.recorded.extend(bytes(number + 1_024 - len(self.recorded)))
        if self.recorded[number]:
            self._fault("doubled", f"call {number} again: {record}")
            return
        self.recorded[number] = 1
        if (at := self.ended.pop(number, None)) is not None:
            self.longest_lag = max(self.longest_lag, now - at)
        fields = self.open.pop(number, None)
        if fields is None:
            if number in self.given_up:
                self.written += 1
            else:
                self._fault("strange", f"call {number} was not made: {record}")
            return
        self.outcomes[str(record.get("outcome"))] += 1
        differing = {
            name: (record.get(name), value)
            for name, value in fields.items()
            if record.get(name) != value
        }
        if differing:
            self._fault("wrong", f"call {number} (journal, truth): {differing}")
        else:
            self.written += 1

    def _fault(self, kind: str, what: str) -> None:
        setattr(self, kind, getattr(self, kind) + 1)
        if len(self.faults) < SHOWN:
            self.faults.append(what)

    @property
    def bad(self) -> int:
        """Lines that should not be there as they are."""
        return self.doubled + self.damaged + self.wrong + self.strange

    @property
    def backlog(self) -> int:
        """Calls that have ended and are not in the journal."""
        return len(self.ended)

    @property
    def lag(self) -> float:
        """How long ago the oldest of them ended, in seconds."""
        return max(0.0, time.time() - next(iter(self.ended.values()))) if self.ended else 0.0

    def older_than(self, seconds: float, now: float) -> list[int]:
        """Calls that had ended longer before `now` and are not in the journal."""
        return [number for number, at in self.ended.items() if now - at > seconds]

    def younger_than(self, seconds: float, now: float) -> list[int]:
        """Calls that had ended no longer before `now`, and are not in the journal."""
        return [number for number, at in self.ended.items() if now - at <= seconds]

    def has(self, number: int) -> bool:
        """Whether the journal has a call."""
        return number < len(self.recorded) and bool(self.recorded[number])
