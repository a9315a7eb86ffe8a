"""Caches the answer of `/api/usage`, so that it is made at most once a second however many clients
ask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

FRESH_SECONDS = 1.0
"""Age up to which an answer is sent again."""

SNAPSHOTS_CAP = 16
"""Accounts whose answers are kept: more than people look at within a second."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An answer and when it was made."""

    body: bytes
    made_at: float
    changes: int
    """How many changes it includes."""


class Snapshots:
    """The latest answer for each account, and for all together."""

    def __init__(
        self, make: Callable[[float, str | None], bytes], clock: Callable[[], float]
    ) -> None:
        self.changes = 0
        """How many changes there were: a snapshot that includes as many is up to date."""
        self._make = make
        self._clock = clock
        self._kept: dict[str | None, Snapshot] = {}

    def changed(self) -> None:
        """Note that the data has changed."""
        self.changes += 1

    def get(self, account: str | None = None) -> Snapshot:
        """Return an answer that is at most a second old."""
        now = self._clock()
        kept = self._kept.get(account)
        if kept is not None and 0 <= now - kept.made_at < FRESH_SECONDS:
            return kept
        if len(self._kept) >= SNAPSHOTS_CAP:
            self._kept.clear()
        made = self._kept[account] = Snapshot(self._make(now, account), now, self.changes)
        return made
