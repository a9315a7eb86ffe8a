"""Totals of calls as columns of a table, for `report` and for the end of a `run`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..text.tables import AtLeast, Column
from ..tracker.totals import Totals, to_json, usd


def columns(totals: Totals) -> list[Column]:
    """The columns: calls and tokens first, money last, as in a bill. Those of which `totals` have
    nothing are left out."""
    found = [
        Column("calls", "Calls", "count"),
        Column("input_tokens", "Input", "count", dispensable=5),
        Column("cache_write_tokens", "Cache write", "count", dispensable=8),
        Column("cache_read_tokens", "Cache read", "count", dispensable=7),
        Column("cache_hit_pct", "Cached", "percent", dispensable=3),
        Column("output_tokens", "Output", "count", dispensable=4),
        Column("spent_usd", "Spent", "money"),
    ]
    if totals.api_value:
        found.append(Column("api_value_usd", "API value", "money"))
    if totals.unpriced:
        found.append(Column("unpriced", "Unpriced", "count", dispensable=9))
    return found


def cells(totals: Totals, shown: Sequence[Column]) -> list[Any]:
    """The values of these columns."""
    said = to_json(totals) | _money(totals)
    return [said[column.name] for column in shown]


def _money(totals: Totals) -> dict[str, float | None]:
    """Both sums of money; marked as lower bounds if some calls' cost is unknown."""
    amounts: dict[str, float | None] = {
        "spent_usd": usd(totals.spent),
        "api_value_usd": usd(totals.api_value),
    }
    if not totals.uncosted:
        return amounts
    if totals.cost_usd is None:
        return dict.fromkeys(amounts)
    lacking = [name for name, amount in amounts.items() if amount] or ["spent_usd"]
    return amounts | {name: AtLeast(amounts[name] or 0) for name in lacking}
