"""Spend over time for the charts: by model and step, and today's running cost against
yesterday's."""

from __future__ import annotations

import heapq
from typing import TypedDict

from ..record import rfc3339
from .ledger import OTHER
from .scope import Scope
from .state import MODEL_LEVELS, RETENTION_DAYS, State
from .timeline import MINUTE, MINUTES_PER_DAY, day_start, minute_of
from .totals import usd

LINES = 8
"""Models that get a line each: more colours could not be told apart."""

POINTS = 200
"""Points a line may have before its steps grow: the width of a chart."""

STEPS = (1, 2, 5, 10, 20, 30, 60)
"""Minutes that a step may have: each divides a day."""

MAX_MINUTES = (RETENTION_DAYS + 1) * MINUTES_PER_DAY
COARSE = MODEL_LEVELS[1].minutes


class LineJson(TypedDict):
    """One model's sums over each step, oldest first."""

    tokens: list[int]
    cost_usd: list[float]


class CumulativeJson(TypedDict):
    """A day's cost so far in USD, at the end of each step."""

    step_minutes: int
    today: list[float]
    """Today's values, up to now."""
    yesterday: list[float]


SeriesJson = TypedDict(
    "SeriesJson",
    {
        "generated_at": str,
        "from": str,  # a keyword, so no class can have it
        "step_minutes": int,
        "points": int,
        "models": dict[str, LineJson],
        "cumulative": CumulativeJson,
    },
)
"""Spend by `provider/model` in `points` steps since `from`. Times are RFC 3339."""


def series_json(state: State, minutes: int, now: float, account: str | None) -> SeriesJson:
    """What `/api/series` answers, over the last `minutes`."""
    scope = Scope.of(account)
    minutes = max(1, min(minutes, MAX_MINUTES))
    step = next((each for each in STEPS if minutes <= each * POINTS), STEPS[-1])
    end = minute_of(now) // step + 1
    start = end - -(-minutes // step)
    lines: dict[str, _Line] = {}
    for key, timeline in state.models.items(scope):
        name = f"{key.provider}/{key.model}"
        for minute, row in timeline.between(start * step, end * step):
            if name not in lines:
                lines[name] = _Line(end - start)
            lines[name].add(minute // step - start, row.total_tokens, row.cost)
    today = day_start(now)
    return {
        "generated_at": rfc3339(now),
        "from": rfc3339(start * step * MINUTE),
        "step_minutes": step,
        "points": end - start,
        "models": {name: line.to_json() for name, line in _top(lines, end - start).items()},
        "cumulative": {
            "step_minutes": COARSE,
            "today": _cumulative(state, scope, today)[: (minute_of(now) - today) // COARSE + 1],
            "yesterday": _cumulative(state, scope, today - MINUTES_PER_DAY),
        },
    }


class _Line:
    """What one model spent in each step."""

    def __init__(self, points: int) -> None:
        self.tokens = [0] * points
        self.cost = [0] * points

    def add(self, point: int, tokens: int, cost: int) -> None:
        self.tokens[point] += tokens
        self.cost[point] += cost

    def to_json(self) -> LineJson:
        return {"tokens": self.tokens, "cost_usd": [usd(cost) for cost in self.cost]}


def _top(lines: dict[str, _Line], points: int) -> dict[str, _Line]:
    """The lines with the most tokens; the others are summed."""
    names = heapq.nlargest(LINES, lines, key=lambda name: sum(lines[name].tokens))
    top = {name: lines[name] for name in names}
    for name in lines.keys() - top.keys():
        other = top.setdefault(OTHER, _Line(points))
        for point in range(points):
            other.add(point, lines[name].tokens[point], lines[name].cost[point])
    return top


def _cumulative(state: State, scope: Scope, day: int) -> list[float]:
    """A day's cost so far, in USD, at the end of each step."""
    costs = [0] * (MINUTES_PER_DAY // COARSE)
    for _, timeline in state.models.items(scope):
        for minute, row in timeline.between(day, day + MINUTES_PER_DAY):
            costs[(minute - day) // COARSE] += row.cost
    total = 0
    running = []
    for cost in costs:
        total += cost
        running.append(usd(total))
    return running
