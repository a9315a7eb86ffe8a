"""The fields by which a report can group calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..tracker.totals import UNKNOWN
from .columns import KIND, MODEL


@dataclass(frozen=True, slots=True)
class Grouping:
    """How one kind of report groups calls into rows."""

    keys: dict[str, str]
    """Names of what a row is about, and their SQL."""
    details: dict[str, str] = field(default_factory=dict)
    """Further columns of a row, and their SQL."""
    by_time: bool = False
    """Rows are in the order of time; otherwise the most expensive comes first."""
    name: Callable[[Any], str] = str
    """Makes a name from DuckDB's value of a key. Done here it runs once per row; in SQL it would
    run once per call."""
    nameless: str = UNKNOWN
    """The name shown where a key has no value."""


GROUPINGS = {
    "daily": Grouping({"day": "CAST(local AS DATE)"}, by_time=True),
    "weekly": Grouping({"week": "CAST(date_trunc('week', local) AS DATE)"}, by_time=True),
    "monthly": Grouping(
        {"month": "CAST(date_trunc('month', local) AS DATE)"},
        by_time=True,
        name=lambda day: str(day)[:7],
    ),
    "session": Grouping(
        {"session": "session"},
        {
            name: f"CASE WHEN session IS NOT NULL THEN arg_max({name}, ended) END"
            for name in ("client", "project")
        },
    ),
    "model": Grouping({"provider": "provider", "model": MODEL}),
    "client": Grouping({"client": "client"}),
    "project": Grouping({"project": "project"}),
    "account": Grouping({"account": "account"}),
    "run": Grouping({"run": "run"}, nameless="(none)"),  # no run can be called that
    "kind": Grouping({"kind": KIND}),
    "outcome": Grouping({"outcome": "outcome"}),
    "blocks": Grouping({"block": "epoch(date_trunc('minute', ended))"}, by_time=True),
}
"""Weeks begin on Monday and are named by that day. `blocks_of` makes blocks of minutes."""
