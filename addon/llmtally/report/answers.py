"""The results of reports and queries."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from ..journal import DamageReport
from ..record import rfc3339
from ..text.local_time import Zone, zone_name
from ..tracker.totals import Totals, to_json
from .filters import Filter
from .groupings import GROUPINGS


class Row(NamedTuple):
    """One line of a report: a group of calls and what they add up to."""

    key: tuple[str | None, ...]
    totals: Totals
    first: float
    """Epoch seconds: when the first of the calls ended."""
    last: float
    details: tuple[str | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """A grouping's rows, their total, and what was left out of both."""

    name: str
    rows: list[Row]
    totals: Totals
    """Over all calls, also those of rows that were cut off. A call without a price that has several
    models is one call here."""
    warmups: int
    """Warm-ups of a socket: not billed, in no row."""
    unpriced_models: list[str]
    """`provider/model` of calls without a price, the first few."""
    damage: DamageReport

    def arranged(self, order: str | None, limit: int | None) -> Report:
        """The report with its first rows by `cost`, `tokens`, `calls` or `name`, or in its default
        order if None."""
        orders = {
            "cost": lambda row: (-row.totals.cost, -row.totals.total_tokens),
            "tokens": lambda row: -row.totals.total_tokens,
            "calls": lambda row: -row.totals.calls,
            "name": lambda row: [part or "" for part in row.key],
        }
        order = order or ("name" if GROUPINGS[self.name].by_time else "cost")
        rows = sorted(sorted(self.rows, key=orders["name"]), key=orders[order])
        return replace(self, rows=rows[:limit])


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a user's SQL query."""

    columns: list[str]
    rows: list[tuple[Any, ...]]
    damage: DamageReport


def as_json(report: Report, zone: Zone, chosen: Filter) -> dict[str, Any]:
    """`{report, timezone, since, until, rows[], totals, warmups, unpriced_models, damaged{count,
    lines[]}}`."""
    grouping = GROUPINGS[report.name]
    return {
        "report": report.name,
        "timezone": zone_name(zone),
        "since": None if chosen.since is None else rfc3339(chosen.since),
        "until": None if chosen.until is None else rfc3339(chosen.until),
        "rows": [
            dict(zip(grouping.keys, row.key, strict=True))
            | dict(zip(grouping.details, row.details, strict=True))
            | to_json(row.totals)
            | {"first_call": rfc3339(row.first), "last_call": rfc3339(row.last)}
            for row in report.rows
        ],
        "totals": to_json(report.totals),
        "warmups": report.warmups,
        "unpriced_models": report.unpriced_models,
        "damaged": damage_as_json(report.damage),
    }


def damage_as_json(damage: DamageReport) -> dict[str, Any]:
    """`{count, lines[{file, line, reason}]}`; the first lines only."""
    lines = [
        {"file": each.path.name, "line": each.line, "reason": each.reason} for each in damage.first
    ]
    return {"count": damage.count, "lines": lines}
