"""What the two sides of a comparison add up to: tokens, and money at the API's prices."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import fsum
from typing import Any, NamedTuple

from ...pricing import Pricer
from ...record import NO_USAGE, Call, Usage
from .client_logs import Logged
from .comparison import Comparison, comparable

BUCKETS = (
    "input_tokens",
    "cache_write_tokens",
    "cache_read_tokens",
    "output_tokens",
    "total_tokens",
)
"""The disjoint token counts, and their total."""

Price = Callable[[Logged], float | None]
"""Gives the cost of a logged call in USD; None if its model is unknown or has no price."""


class Sum(NamedTuple):
    """What some calls add up to."""

    calls: int
    usage: Usage
    cost_usd: float | None
    """USD at the API's prices, whoever pays; None if no call's cost is known."""
    uncosted: int
    """Calls whose cost is unknown and missing in `cost_usd`."""


class Sums(NamedTuple):
    """The calls that both sides have, as the wire and as the log counts them, and those that only
    one side has."""

    wire: Sum
    log: Sum
    wire_only: Sum
    log_only: Sum


def sums_of(comparison: Comparison, price: Price) -> Sums:
    """Add up each side of a comparison."""
    pairs = [*comparison.equal, *comparison.different]
    return Sums(
        wire=_sum((comparable(pair.call, pair.logged), pair.call.cost_usd) for pair in pairs),
        log=sum_of_log((pair.logged for pair in pairs), price),
        wire_only=_sum((call.usage, call.cost_usd) for call in comparison.wire_only),
        log_only=sum_of_log(comparison.log_only, price),
    )


def sum_of_log(log: Iterable[Logged], price: Price) -> Sum:
    """What logged calls add up to."""
    return _sum((logged.usage, price(logged)) for logged in log)


def _sum(parts: Iterable[tuple[Usage, float | None]]) -> Sum:
    found = list(parts)
    costs = [cost for _, cost in found if cost is not None]
    return Sum(
        len(found),
        sum((usage for usage, _ in found), NO_USAGE),
        fsum(costs) if costs else None,
        len(found) - len(costs),
    )


def ratio(wire: float | None, log: float | None) -> float | None:
    """The wire's value divided by the log's; None if that cannot be divided."""
    return wire / log if wire is not None and log else None


def price_of(pricer: Pricer) -> Price:
    """Prices logged calls as if they were paid at the provider's API. A log names neither service
    tier nor region nor host, so the result is always an approximation."""

    def price(logged: Logged) -> float | None:
        return pricer.price(_as_call(logged)).cost_usd

    return price


_API_OF = {
    "claude-code": ("anthropic", "anthropic_messages", "api.anthropic.com", "/v1/messages"),
    "codex": ("openai", "openai_responses", "api.openai.com", "/v1/responses"),
}
"""By client, the API whose prices are used: provider, format, host and path."""


def _as_call(logged: Logged) -> Call:
    provider, api, host, path = _API_OF[logged.client]
    return Call(
        timestamp=logged.at,
        started=logged.at,
        ended=logged.at,
        request_id="",
        provider=provider,
        api=api,
        host=host,
        path=path,
        transport="sse",
        outcome="complete",
        coverage="priced",
        model=logged.model,
        usage=logged.usage,
    )


def sum_as_json(found: Sum) -> dict[str, Any]:
    """`{calls, <buckets>, total_tokens, cost_usd, uncosted}`."""
    return {
        "calls": found.calls,
        **{name: getattr(found.usage, name) for name in BUCKETS},
        "cost_usd": found.cost_usd,
        "uncosted": found.uncosted,
    }


def sums_as_json(found: Sums) -> dict[str, Any]:
    """`{wire{}, log{}, wire_only{}, log_only{}, ratios{}}`; a ratio is the wire's count divided by
    the log's, or null."""
    wire, log = sum_as_json(found.wire), sum_as_json(found.log)
    ratios = {name: ratio(wire[name], log[name]) for name in (*BUCKETS, "cost_usd")}
    return {**{side: sum_as_json(part) for side, part in found._asdict().items()}, "ratios": ratios}
