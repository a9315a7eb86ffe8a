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
"""The disjoint ones, and all of them together."""

Price = Callable[[Logged], float | None]
"""USD of a logged call; None where its model has no price or is not told."""


class Sum(NamedTuple):
    """What some calls come to."""

    calls: int
    usage: Usage
    cost_usd: float | None
    """At the API's prices, whoever pays; None where no call's is known."""
    uncosted: int
    """Calls whose cost is not known, and is missing."""


class Sums(NamedTuple):
    """The calls that both sides know, as either tells them, and those of one side."""

    wire: Sum
    log: Sum
    wire_only: Sum
    log_only: Sum


def sums_of(comparison: Comparison, price: Price) -> Sums:
    """Add up."""
    pairs = [*comparison.equal, *comparison.different]
    return Sums(
        wire=_sum((comparable(pair.wire, pair.logged), pair.wire.cost_usd) for pair in pairs),
        log=sum_of_log((pair.logged for pair in pairs), price),
        wire_only=_sum((wire.usage, wire.cost_usd) for wire in comparison.wire_only),
        log_only=sum_of_log(comparison.log_only, price),
    )


def sum_of_log(log: Iterable[Logged], price: Price) -> Sum:
    """What the log says by itself."""
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
    """How many times what the log says the wire says; None where there is nothing to divide."""
    return wire / log if wire is not None and log else None


def price_of(pricer: Pricer) -> Price:
    """Prices of what a client logged, as if its provider's API had been paid for it. The log tells
    neither tier nor region nor who was asked, so it is an approximation in any case."""

    def price(logged: Logged) -> float | None:
        return pricer.price(_as_call(logged)).cost_usd

    return price


_ASKED = {
    "claude-code": ("anthropic", "anthropic_messages", "api.anthropic.com", "/v1/messages"),
    "codex": ("openai", "openai_responses", "api.openai.com", "/v1/responses"),
}
"""By client, the API whose prices are taken: provider, its format, host and path."""


def _as_call(logged: Logged) -> Call:
    provider, api, host, path = _ASKED[logged.client]
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
    """`{wire{}, log{}, wire_only{}, log_only{}, ratios{}}`: a ratio is the wire's count by the
    log's, or null."""
    wire, log = sum_as_json(found.wire), sum_as_json(found.log)
    ratios = {name: ratio(wire[name], log[name]) for name in (*BUCKETS, "cost_usd")}
    return {**{side: sum_as_json(part) for side, part in found._asdict().items()}, "ratios": ratios}
