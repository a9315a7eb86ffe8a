"""The responses that are open at once on one connection or in one body. Each is in a lane, which
holds one open response at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from .values import Lane

MAX_LANES = 64
"""Responses open at once on one socket; OpenAI multiplexes a handful. The oldest beyond that is
settled as cut off."""


class Lanes:
    """Holds the open responses by lane, those that wait behind them, and the last one that ended in
    each lane."""

    def __init__(self) -> None:
        self._open: dict[str, Lane] = {}
        self._waiting: dict[str, deque[Lane]] = {}
        """Responses that were asked for before the one in their lane had ended."""
        self._ended: dict[str, Lane] = {}

    def get(self, key: str) -> Lane | None:
        """The response that is open in a lane."""
        return self._open.get(key)

    def ended(self, key: str) -> Lane | None:
        """The response that ended last in a lane."""
        return self._ended.get(key)

    def open_ones(self) -> Iterable[Lane]:
        """The responses that are open, the oldest first."""
        return self._open.values()

    def open(self, key: str, lane: Lane) -> str | None:
        """Put a response in its lane, or behind the one that is in it. Gives the oldest lane if
        there are too many."""
        if key in self._open:
            self._waiting.setdefault(key, deque()).append(lane)
        else:
            self._open[key] = lane
        too_many = len(self._open) + sum(map(len, self._waiting.values())) > MAX_LANES
        return next(iter(self._open)) if too_many else None

    def close(self, key: str) -> Lane:
        """Take out the response in a lane; the next that was asked for there moves up."""
        lane = self._ended[key] = self._open.pop(key)
        if len(self._ended) > MAX_LANES:
            del self._ended[next(iter(self._ended))]
        if waiting := self._waiting.get(key):
            self._open[key] = waiting.popleft()
            if not waiting:
                del self._waiting[key]
        return lane

    def clear(self) -> list[Lane]:
        """Remove and return all responses that are open or waiting."""
        left = [
            *self._open.values(),
            *(lane for waiting in self._waiting.values() for lane in waiting),
        ]
        self._open.clear()
        self._waiting.clear()
        return left

    @property
    def newest(self) -> Lane | None:
        """The response that was opened last."""
        return next(reversed(self._open.values()), None)

    @property
    def all_answering(self) -> bool:
        """Whether a response is open, and each that is has delivered something."""
        return bool(self._open) and all(
            lane.first_content is not None for lane in self._open.values()
        )
