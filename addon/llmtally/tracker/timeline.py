"""Totals over time: what was spent since any moment, in several resolutions.

A `RunningSums` holds what each step (a minute, ten minutes, a day) added. A `Timeline` is a list of
them, fine ones for the recent past and coarse ones for the week: a step that is too old for one is
moved down into the next. Adding costs constant time; the running sums that answer queries are
computed when first needed, and kept. Time is counted in whole minutes since the epoch, and the
minute a call belongs to is the one in which it ended.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, islice

from .totals import ZERO, Totals, minus, plus, summed

MINUTE = 60
MINUTES_PER_DAY = 1440

NEVER = -(10**9)
"""A step number below all others."""


def minute_of(at: float) -> int:
    """The minute that contains a moment."""
    return int(at // MINUTE)


def day_start(at: float) -> int:
    """The first minute of a moment's UTC day."""
    return minute_of(at) // MINUTES_PER_DAY * MINUTES_PER_DAY


def nearest_minute(at: float) -> int:
    """The minute that begins closest to a moment. Providers' reset times jitter by seconds."""
    return minute_of(at + MINUTE / 2)


def first_minute_within(now: float, seconds: float) -> int:
    """The first whole minute within the last `seconds`."""
    return -minute_of(seconds - now)


SLACK = 4
"""Old steps move down once they are a quarter more than are kept: many at once, yet in less than a
millisecond."""


class RunningSums:
    """What each step added, oldest first. The step `floor` and those before it are not kept
    here."""

    __slots__ = ("_base", "_sums", "floor", "rows", "steps")

    def __init__(self) -> None:
        self.floor = NEVER
        self.steps: list[int] = []
        self.rows: list[Totals] = []
        self._base = ZERO
        self._sums: list[Totals] = []
        """Running sums over the first rows, each with `_base` in it; the rest is summed when it is
        asked for."""

    @property
    def total(self) -> Totals:
        """The sum of all steps that are kept here."""
        return self.since(NEVER)

    def add(self, step: int, row: Totals) -> None:
        """Add to a step above the floor. O(1), except for a call that comes late."""
        steps = self.steps
        if not steps or step > steps[-1]:
            steps.append(step)
            self.rows.append(row)
            return
        index = len(steps) - 1 if step == steps[-1] else bisect_left(steps, step)
        if steps[index] == step:
            self.rows[index] = plus(self.rows[index], row)
        else:
            steps.insert(index, step)
            self.rows.insert(index, row)
        if len(self._sums) > index:
            del self._sums[index:]

    def since(self, step: int) -> Totals:
        """What the steps from this one on added."""
        index = bisect_left(self.steps, step)
        if index == len(self.steps):
            return ZERO
        self._sum_up()
        return minus(self._sums[-1], self._sums[index - 1] if index else self._base)

    def _sum_up(self) -> None:
        so_far = self._sums[-1] if self._sums else self._base
        for row in islice(self.rows, len(self._sums), None):
            so_far = plus(so_far, row)
            self._sums.append(so_far)

    def between(self, start: int, end: int) -> Iterator[tuple[int, Totals]]:
        """Each step from `start` to before `end`, with what it added."""
        first, last = bisect_left(self.steps, start), bisect_left(self.steps, end)
        return zip(self.steps[first:last], self.rows[first:last], strict=True)

    def take_before(self, step: int) -> list[tuple[int, Totals]]:
        """Remove the steps before this one, and give what they had added."""
        self.floor = max(self.floor, step - 1)
        count = bisect_left(self.steps, step)
        taken = list(zip(self.steps[:count], self.rows[:count], strict=True))
        if 0 < count <= len(self._sums):
            self._base = self._sums[count - 1]
        elif count:
            self._base = ZERO
            self._sums.clear()
        del self.steps[:count], self.rows[:count], self._sums[:count]
        return taken


@dataclass(frozen=True, slots=True)
class Resolution:
    """One resolution of a timeline. Each step holds a whole number of the steps of the level
    above."""

    minutes: int
    """Minutes in one step."""
    keep: int
    """Steps that are kept here. Older ones are moved down to the next level; those of the last
    level are dropped."""


class Timeline:
    """What was spent over time, in levels from fine to coarse. The last level covers the whole
    retention."""

    __slots__ = ("curves", "levels")

    def __init__(self, levels: tuple[Resolution, ...]) -> None:
        self.levels = levels
        self.curves = tuple([RunningSums() for _ in levels])

    def add(self, minute: int, row: Totals, depth: int = 0) -> None:
        """Add what happened in a minute. `level` is given only for steps that move down from a
        finer level."""
        level, curve = self.levels[depth], self.curves[depth]
        step = minute // level.minutes
        if step > curve.floor:
            curve.add(step, row)
            newest = curve.steps[-1]
            if curve.steps[0] < newest - level.keep - level.keep // SLACK:
                self._move_down(depth, curve.take_before(newest - level.keep + 1))
        elif depth + 1 < len(self.levels):
            self.add(minute, row, depth + 1)

    def _move_down(self, depth: int, old: list[tuple[int, Totals]]) -> None:
        """Add the oldest steps of a level to the next one, where one step holds several of them."""
        if depth + 1 == len(self.levels):
            return
        minutes, below = self.levels[depth].minutes, self.levels[depth + 1].minutes
        for step, rows in groupby(old, lambda step_and_row: step_and_row[0] * minutes // below):
            self.add(step * below, summed(row for _, row in rows), depth + 1)

    def since(self, minute: int) -> Totals:
        """The sum since a minute began; where longer steps are kept, since the step that begins
        closest to it.

        The resolution depends only on the newest minute, not on which steps have already been moved
        down.
        """
        if not self.curves[0].steps:
            return self.retained
        newest = self.curves[0].steps[-1] * self.levels[0].minutes
        total, start = ZERO, minute
        for level in self.levels:
            step = (minute + level.minutes // 2) // level.minutes
            start = step * level.minutes
            if step > newest // level.minutes - level.keep:
                break
        for level, curve in zip(self.levels, self.curves, strict=True):
            total = plus(total, curve.since(-(-start // level.minutes)))
        return total

    @property
    def retained(self) -> Totals:
        """The sum of everything that has not been forgotten."""
        return summed(curve.total for curve in self.curves)

    def between(self, start: int, end: int) -> Iterator[tuple[int, Totals]]:
        """The steps from one minute to before another: first minute and amount of each."""
        for level, curve in zip(self.levels, self.curves, strict=True):
            for step, row in curve.between(-(-start // level.minutes), -(-end // level.minutes)):
                yield step * level.minutes, row

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left in it."""
        return not any(curve.steps for curve in self.curves)

    def forget(self, minute: int) -> None:
        """Drop everything before a minute, which is the first of a day."""
        for level, curve in zip(self.levels, self.curves, strict=True):
            curve.take_before(minute // level.minutes)

    def fold(self, other: Timeline) -> None:
        """Add all of another timeline with the same levels."""
        for depth, (level, curve) in enumerate(zip(other.levels, other.curves, strict=True)):
            for step, row in curve.between(NEVER, -NEVER):
                self.add(step * level.minutes, row, depth)
