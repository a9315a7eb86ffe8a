"""What `/api/usage` answers, made at most once a second however many pages and scripts ask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

FRESH_SECONDS = 1.0

SNAPSHOTS_CAP = 16
"""Accounts whose answer is kept: as many as are looked at within a second."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An answer."""

    body: bytes
    made_at: float
    changes: int
    """How many changes it has seen."""


class Snapshots:
    """The newest answer for each account, and for all together."""

    def __init__(
        self, make: Callable[[float, str | None], bytes], clock: Callable[[], float]
    ) -> None:
        self.changes = 0
        """How many there were: one that has seen as many is up to date."""
        self._make = make
        self._clock = clock
        self._kept: dict[str | None, Snapshot] = {}

    def changed(self) -> None:
        """What it is made of has changed."""
        self.changes += 1

    def get(self, account: str | None = None) -> Snapshot:
        """An answer that is at most a second old."""
        now = self._clock()
        kept = self._kept.get(account)
        if kept is not None and 0 <= now - kept.made_at < FRESH_SECONDS:
            return kept
        if len(self._kept) >= SNAPSHOTS_CAP:
            self._kept.clear()
        made = self._kept[account] = Snapshot(self._make(now, account), now, self.changes)
        return made
