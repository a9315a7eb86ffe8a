"""Calls and readings for the tests of the tracker, and its arithmetic done again by walking over
them all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from llmtally.record import Attribution, Call, LimitReading, Usage

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp()
MIDNIGHT = NOON - 12 * 3600

ATTRIBUTION_FIELDS = frozenset(Attribution.__annotations__)


def a_call(
    ended: float = NOON,
    tokens: tuple[int | None, int | None, int | None, int | None] = (100, 0, 0, 10),
    cost: float | None = 0.5,
    **fields: Any,
) -> Call:
    """A call that ended then, with tokens by bucket (input, cache read, cache write, output);
    attribution by its field names."""
    who = {
        name: fields.pop(name)
        for name in list(fields)
        if name in ATTRIBUTION_FIELDS and name != "billing"
    }
    known: dict[str, Any] = {
        "timestamp": ended - 3,
        "started": ended - 2,
        "ended": ended,
        "request_id": "flow",
        "provider": "anthropic",
        "api": "anthropic_messages",
        "host": "api.anthropic.com",
        "path": "/v1/messages",
        "transport": "sse",
        "outcome": "complete",
        "coverage": "unpriced" if cost is None else "priced",
        "model": "claude-opus-5-5",
        "usage": Usage(
            input_tokens=tokens[0],
            cache_read_tokens=tokens[1],
            cache_write_tokens=tokens[2],
            output_tokens=tokens[3],
        ),
        "cost_usd": cost,
        "cost_source": None if cost is None else "prices",
        "attribution": Attribution(**{"account": "a", **who}),
    }
    return Call(**{**known, **fields})


def five_hours(
    utilization: float | None, resets_at: float | None = NOON + 3600, **fields: Any
) -> LimitReading:
    """A subscription's 5-hour window; the default one began at 08:00."""
    return LimitReading(
        **{
            "key": "5h",
            "source": "provider_native",
            "utilization": utilization,
            "resets_at": resets_at,
            "window_seconds": 5 * 3600.0,
            **fields,
        }
    )


def figures(totals: Mapping[str, Any]) -> tuple[Any, ...]:
    """The figures of a `<totals>` object that must be equal, in order."""
    return tuple(totals[name] for name in FIGURES)


FIGURES = (
    "calls",
    "errors",
    "unpriced",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_tokens",
    "total_tokens",
    "spent_usd",
    "api_value_usd",
)


def brute_force(calls: Iterable[Call]) -> tuple[Any, ...]:
    """The same figures of calls, added up one by one."""
    calls = list(calls)
    buckets = [sum(getattr(call.usage, name) or 0 for call in calls) for name in FIGURES[3:7]]
    money = [
        sum(
            round((call.cost_usd or 0) * 10**12)
            for call in calls
            if (call.billing == "subscription") is subscription
        )
        / 10**12
        for subscription in (False, True)
    ]
    return (
        len(calls),
        sum(call.outcome == "error" for call in calls),
        sum(call.coverage == "unpriced" for call in calls),
        *buckets,
        sum(buckets),
        *money,
    )
