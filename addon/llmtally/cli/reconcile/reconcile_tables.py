"""A comparison as tables: how many calls agree, what they add up to, and which ones differ."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from ...text.figures import format_count, format_usd
from ...text.local_time import Zone, localised
from ...text.tables import AtLeast, Column, Table
from .client_logs import Logged
from .comparison import CLIENTS, Comparison, JournalCall
from .sums import BUCKETS, Price, Sum, Sums, ratio, sum_of_log


def summary(comparison: Comparison) -> Table:
    """How many calls agree, by client."""
    columns = [
        Column("client", "Client", "fixed"),
        Column("calls", "Calls", "count"),
        Column("equal", "Equal", "count"),
        Column("different", "Different", "count"),
        Column("wire_only", "Wire only", "count"),
        Column("log_only", "Log only", "count"),
        Column("agreement_pct", "Agreement", "percent"),
    ]
    parts = [(client, comparison.of(client)) for client in CLIENTS]
    return Table(
        columns,
        [_row(client, part) for client, part in parts if part.calls],
        _row("Total", comparison),
    )


def _row(name: str, part: Comparison) -> list[Any]:
    return [
        name,
        part.calls,
        len(part.equal),
        len(part.different),
        len(part.wire_only),
        len(part.log_only),
        part.agreement_pct,
    ]


def sums(found: Sums) -> Table:
    """The same calls as the wire and as the log counts them, and the calls that only one side
    has."""
    columns = [
        Column("tokens", "Tokens", "fixed"),
        Column("wire", "Wire", "number"),
        Column("log", "Log", "number"),
        Column("ratio", "Ratio", "number"),
        Column("wire_only", "Wire only", "number"),
        Column("log_only", "Log only", "number"),
    ]
    rows = [
        (
            name.removesuffix("_tokens").replace("_", " "),
            *(_tokens(each, name) for each in (found.wire, found.log)),
            _times(getattr(found.wire.usage, name), getattr(found.log.usage, name)),
            *(_tokens(each, name) for each in (found.wire_only, found.log_only)),
        )
        for name in BUCKETS
    ]
    money = (
        "API prices",
        _dollars(found.wire),
        _dollars(found.log, mark="~"),
        _times(found.wire.cost_usd, found.log.cost_usd),
        _dollars(found.wire_only),
        _dollars(found.log_only, mark="~"),
    )
    return Table(columns, [*rows, money], title="Calls on both sides, and on one side only")


def by_themselves(log: Iterable[Logged], price: Price) -> Table:
    """What the logs add up to where the journal has nothing to compare with them."""
    names = [name for name in BUCKETS if name != "total_tokens"]
    columns = [
        Column("client", "Client", "fixed"),
        Column("calls", "Calls", "count"),
        *(
            Column(name, name.removesuffix("_tokens").replace("_", " ").capitalize(), "count")
            for name in names
        ),
        Column("cost_usd", "API prices", "number"),
    ]
    logs: dict[str, list[Logged]] = defaultdict(list)
    for logged in log:
        logs[logged.client].append(logged)
    parts = {client: sum_of_log(each, price) for client, each in sorted(logs.items())}
    rows = [
        (
            client,
            part.calls,
            *(getattr(part.usage, name) for name in names),
            _dollars(part, mark="~"),
        )
        for client, part in parts.items()
    ]
    return Table(columns, rows, title="What the logs add up to")


def _tokens(part: Sum, name: str) -> str:
    """A rounded count; empty if there are no calls."""
    return format_count(getattr(part.usage, name)) if part.calls else ""


def _dollars(part: Sum, mark: str = "") -> str | None:
    """An amount, marked as a lower bound if the cost of some calls is unknown."""
    if not part.calls:
        return ""
    return (
        None
        if part.cost_usd is None
        else f"{'≥' if part.uncosted else ''}{mark}{format_usd(part.cost_usd)}"
    )


def _times(wire: float | None, log: float | None) -> str:
    """The wire's value as a multiple of the log's; empty if they are equal or one is unknown."""
    times = ratio(wire, log)
    return "" if times is None or wire == log else f"x{times:,.{1 if times >= 10 else 2}f}"


def differences(comparison: Comparison, zone: Zone, limit: int) -> Table:
    """One row for each field that differs, the largest difference first."""
    columns = [
        Column("at", "Time", "fixed", dispensable=1),
        Column("response_id", "Response"),
        Column("field", "Field", "fixed"),
        Column("wire", "Wire", "number"),
        Column("log", "Log", "number"),
        Column("off", "Log is off by", "number"),
    ]
    rows = [
        (
            _time(pair.call.at, zone),
            pair.call.response_id or pair.call.request_id,
            each.field,
            _value(each.wire),
            _value(each.log),
            _off(each.wire, each.log),
        )
        for pair in comparison.different
        for each in pair.differences
    ]
    rows.sort(key=lambda row: -abs(row[-1] or 0))
    shown = [(*row[:-1], None if row[-1] is None else f"{row[-1]:+,}") for row in rows[:limit]]
    return Table(columns, shown, title=_title("Different", len(rows), limit, "field"))


def _value(value: int | str | None) -> str | None:
    return f"{value:,}" if isinstance(value, int) else value


def _off(wire: int | str | None, log: int | str | None) -> int | None:
    return log - wire if isinstance(wire, int) and isinstance(log, int) else None


def unlogged(comparison: Comparison) -> Table:
    """The calls that clients left out of their logs, by kind."""
    columns = [
        Column("client", "Client", "fixed"),
        Column("request_class", "Kind", "fixed"),
        Column("calls", "Calls", "count"),
        Column("tokens", "Tokens", "count"),
        Column("cost_usd", "API prices", "money"),
    ]
    kinds: dict[tuple[str, str], list[JournalCall]] = defaultdict(list)
    for call in comparison.wire_only:
        kinds[call.client or "unknown", call.request_class or "unknown"].append(call)
    rows = [
        (*kind, len(calls), sum(call.usage.total_tokens or 0 for call in calls), _cost(calls))
        for kind, calls in sorted(kinds.items())
    ]
    return Table(columns, rows, title="Wire only: not in the client's log")


def _cost(calls: list[JournalCall]) -> float | None:
    """What the calls cost together; a lower bound if it is not known of all."""
    known = [call.cost_usd for call in calls if call.cost_usd is not None]
    if not known:
        return None
    return sum(known) if len(known) == len(calls) else AtLeast(sum(known))


def bypassing(log_only: list[Logged], zone: Zone, limit: int) -> Table:
    """The calls that bypassed the proxy."""
    columns = [
        Column("at", "Time", "fixed"),
        Column("client", "Client", "fixed"),
        Column("session", "Session"),
        Column("response_id", "Response", dispensable=1),
        Column("model", "Model", dispensable=2),
        Column("tokens", "Tokens", "count"),
    ]
    rows = [
        (
            _time(each.at, zone),
            each.client,
            each.thread,
            each.response_id,
            each.model,
            each.usage.total_tokens,
        )
        for each in log_only[:limit]
    ]
    return Table(
        columns, rows, title=_title("Log only: bypassed the proxy", len(log_only), limit, "call")
    )


def _title(text: str, count: int, limit: int, thing: str) -> str:
    return text if count <= limit else f"{text} ({limit} of {count:,} {thing}s)"


def _time(at: float, zone: Zone) -> str:
    return f"{localised(at, zone):%Y-%m-%d %H:%M:%S}"
