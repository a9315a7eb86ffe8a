"""Totals over time, kept as running sums: what was spent since any moment is one subtraction.

A `Curve` holds the sum up to the end of each step (a minute, ten minutes, a day) in which something happened. A `Timeline` holds
curves of several resolutions, fine ones for the recent past and coarse ones for the week. Time is counted in whole minutes since
the epoch; which minute a call belongs to is decided by its end.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from .totals import ZERO, Totals, minus, plus

MINUTE = 60
MINUTES_PER_DAY = 1440
NEVER = -(10**9)
"""A step before all others."""


def minute_of(at: float) -> int:
    """The minute a moment lies in."""
    return int(at // MINUTE)


def day_start(at: float) -> int:
    """The first minute of a moment's UTC day."""
    return minute_of(at) // MINUTES_PER_DAY * MINUTES_PER_DAY


def nearest_minute(at: float) -> int:
    """The minute that begins closest to a moment. Providers' reset times jitter by seconds."""
    return int((at + MINUTE / 2) // MINUTE)


def first_minute_within(now: float, seconds: float) -> int:
    """The first whole minute of the last so many seconds."""
    return -int((seconds - now) // MINUTE)


class Curve:
    """Running sums by step, oldest first. Steps before `floor` have been forgotten, `floor` included."""

    __slots__ = ("base", "floor", "steps", "sums")

    def __init__(self) -> None:
        self.base = ZERO
        """The sum of all that was forgotten."""
        self.floor = NEVER
        self.steps: list[int] = []
        self.sums: list[Totals] = []
        """`sums[i]`: everything up to the end of `steps[i]`."""

    @property
    def total(self) -> Totals:
        """Everything ever added."""
        return self.sums[-1] if self.sums else self.base

    def add(self, step: int, row: Totals, keep: int) -> None:
        """Add to a step; only the newest `keep` steps are remembered. O(1) but for calls that come late."""
        steps = self.steps
        if not steps or step > steps[-1]:
            if step <= self.floor:
                return
            self.sums.append(plus(self.total, row))
            steps.append(step)
            if steps[0] <= step - keep:
                self.forget(step - keep + 1)
        elif step == steps[-1]:
            self.sums[-1] = plus(self.sums[-1], row)
        elif step > self.floor:
            self._add_late(step, row)

    def _add_late(self, step: int, row: Totals) -> None:
        index = bisect_left(self.steps, step)
        if self.steps[index] != step:
            self.steps.insert(index, step)
            self.sums.insert(index, self.sums[index - 1] if index else self.base)
        for later in range(index, len(self.sums)):
            self.sums[later] = plus(self.sums[later], row)

    def before(self, step: int) -> Totals:
        """Everything before a step."""
        index = bisect_left(self.steps, step)
        return self.sums[index - 1] if index else self.base

    def since(self, step: int) -> Totals:
        """Everything from a step on."""
        return minus(self.total, self.before(step))

    def deltas(self, start: int, end: int) -> Iterator[tuple[int, Totals]]:
        """What each step from `start` to before `end` added."""
        for index in range(bisect_left(self.steps, start), bisect_left(self.steps, end)):
            yield self.steps[index], minus(self.sums[index], self.sums[index - 1] if index else self.base)

    def forget(self, step: int) -> None:
        """Drop everything before a step."""
        index = bisect_left(self.steps, step)
        if index:
            self.base, self.floor = self.sums[index - 1], self.steps[index - 1]
            del self.steps[:index], self.sums[:index]

    def fold(self, other: Curve, keep: int) -> None:
        """Add all of another curve."""
        self.forget(other.floor + 1)
        self.floor = max(self.floor, other.floor)
        for step, row in other.deltas(NEVER, -NEVER):
            self.add(step, row, keep)


@dataclass(frozen=True, slots=True)
class Level:
    """One resolution of a timeline."""

    minutes: int
    """Length of a step."""
    keep: int
    """Steps remembered."""


class Timeline:
    """The same sums at several resolutions, finest first; the last one reaches back the whole week."""

    __slots__ = ("curves", "levels")

    def __init__(self, levels: tuple[Level, ...]) -> None:
        self.levels = levels
        self.curves = tuple(Curve() for _ in levels)

    def add(self, minute: int, row: Totals) -> None:
        """Add what happened in a minute."""
        for level, curve in zip(self.levels, self.curves, strict=True):
            curve.add(minute // level.minutes, row, level.keep)

    def since(self, minute: int) -> Totals:
        """Everything from a minute on, by the finest resolution that reaches back to it."""
        for level, curve in zip(self.levels, self.curves, strict=True):
            step = (minute + level.minutes // 2) // level.minutes
            if step > curve.floor:
                return curve.since(step)
        return self.retained

    @property
    def retained(self) -> Totals:
        """Everything that is not forgotten."""
        return minus(self.curves[-1].total, self.curves[-1].base)

    @property
    def is_empty(self) -> bool:
        """Whether everything has been forgotten."""
        return not self.curves[-1].steps

    def forget(self, minute: int) -> None:
        """Drop everything before a minute, which is the first of a day."""
        for level, curve in zip(self.levels, self.curves, strict=True):
            curve.forget(minute // level.minutes)

    def fold(self, other: Timeline) -> None:
        """Add all of another timeline with the same levels."""
        for level, curve, folded in zip(self.levels, self.curves, other.curves, strict=True):
            curve.fold(folded, level.keep)


class HasTimeline(Protocol):
    """Anything that is counted over time."""

    @property
    def timeline(self) -> Timeline:
        """Its sums."""
