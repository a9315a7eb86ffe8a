"""Timelines by name, up to a cap: beyond it, the least recently active one is added to its group's
`other`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from .scope import Scope
from .timeline import Resolution, Timeline
from .totals import Totals

OTHER = "other"
"""The name under which the sums of dropped names are kept."""

K = TypeVar("K", bound=tuple[str | None, ...])


class Ledger(Generic[K]):
    """What was spent by name. A key begins with its account."""

    def __init__(self, cap: int, levels: tuple[Resolution, ...], other: Callable[[K], K]) -> None:
        self._cap = cap
        self._levels = levels
        self._other = other
        """Gives the key that a key is folded into. It must not depend on anything that a peer can
        choose freely."""
        self._named: OrderedDict[K, Timeline] = OrderedDict()
        self._others: dict[K, Timeline] = {}

    def add(self, key: K, minute: int, row: Totals) -> None:
        """Add what one call spent in a minute under a name."""
        timeline = self._named.get(key)
        if timeline is None:
            timeline = self._named[key] = Timeline(self._levels)
            if len(self._named) > self._cap:
                self._fold(*self._named.popitem(last=False))
        else:
            self._named.move_to_end(key)
        timeline.add(minute, row)

    def items(self, scope: Scope) -> Iterator[tuple[K, Timeline]]:
        """The names of the accounts in the scope, with their timelines."""
        for book in (self._named, self._others):
            for key, timeline in book.items():
                if scope.includes(key[0]):
                    yield key, timeline

    def forget(self, minute: int) -> None:
        """Drop everything before a minute, and names that are then empty."""
        for book in (self._named, self._others):
            for key, timeline in list(book.items()):
                timeline.forget(minute)
                if timeline.is_empty:
                    del book[key]

    def retire(self, account: str | None, heir: Callable[[K], K]) -> None:
        """Fold all names of an account into those of its heir."""
        for book in (self._named, self._others):
            for key in [key for key in book if key[0] == account]:
                self._fold(heir(key), book.pop(key))

    def _fold(self, key: K, timeline: Timeline) -> None:
        other = self._other(key)
        into = self._others.get(other)
        if into is None:
            into = self._others[other] = Timeline(self._levels)
        into.fold(timeline)
