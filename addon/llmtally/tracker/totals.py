"""What a set of calls adds up to. Sums are integers, so that they are the same in any order of
adding.

Money is counted in picodollars (1e-12 USD), rounded once per call: the cheapest token costs some
10,000 of them. Two sums are kept apart: what is billed, and what a subscription's calls would have
cost at the API's prices.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import sub
from typing import NamedTuple, TypedDict

from ..record import TEXT_CAP, Call, Part, Usage

PICODOLLARS = 10**12

COST_CAP = 10**9
"""USD believed of one call. A stated cost beyond it (or below 0, or no number) is unknown: no call
costs a billion."""

UNKNOWN = "unknown"
"""The name shown for something that the wire did not name."""


class Totals(NamedTuple):
    """Sums over calls. Adding `Totals` is `plus`; the operator would concatenate them."""

    calls: int = 0
    errors: int = 0
    """Calls that ended in an error."""
    unpriced: int = 0
    """Calls whose tokens are known and whose price is not."""
    uncounted: int = 0
    """Calls whose tokens are unknown. A refused call does not count here: it used nothing."""
    uncosted: int = 0
    """Calls whose cost is unknown, for any reason. A refused call does not count here."""
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    spent: int = 0
    """Picodollars that were billed per call."""
    api_value: int = 0
    """Picodollars that a subscription's calls would have cost: not a bill."""

    @property
    def total_tokens(self) -> int:
        """The four disjoint buckets together."""
        return self.context_tokens + self.output_tokens

    @property
    def context_tokens(self) -> int:
        """All input, cached or not."""
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens

    @property
    def cost(self) -> int:
        """Picodollars of all calls, billed or not."""
        return self.spent + self.api_value

    @property
    def cost_usd(self) -> float | None:
        """USD, billed or not; None where no call's cost is known."""
        return None if self.uncosted and self.uncosted >= self.calls else usd(self.cost)

    @property
    def cache_hit_pct(self) -> float | None:
        """Percent of the input that came from a cache; None where there was no input."""
        return 100 * self.cache_read_tokens / self.context_tokens if self.context_tokens else None


ZERO = Totals()

_FIRST_AMOUNT = Totals._fields.index("input_tokens")
_new = tuple.__new__


def plus(left: Totals, right: Totals) -> Totals:
    """Field-wise sum. It is written out, because most of the time of adding a call is spent here,
    and a loop takes twice as long."""
    (
        calls,
        errors,
        unpriced,
        uncounted,
        uncosted,
        fresh,
        read,
        written,
        output,
        reasoning,
        spent,
        value,
    ) = left
    (
        calls2,
        errors2,
        unpriced2,
        uncounted2,
        uncosted2,
        fresh2,
        read2,
        written2,
        output2,
        reasoning2,
        spent2,
        value2,
    ) = right
    return _new(
        Totals,
        (
            calls + calls2,
            errors + errors2,
            unpriced + unpriced2,
            uncounted + uncounted2,
            uncosted + uncosted2,
            fresh + fresh2,
            read + read2,
            written + written2,
            output + output2,
            reasoning + reasoning2,
            spent + spent2,
            value + value2,
        ),
    )


def minus(left: Totals, right: Totals) -> Totals:
    """Field-wise difference, which is exact: these are integers."""
    return Totals._make(map(sub, left, right))


def summed(many: Iterable[Totals]) -> Totals:
    """The sum of any number of totals. It adds by columns, which takes a third of the time that
    adding rows does."""
    columns = tuple(map(sum, zip(*many, strict=True)))
    return _new(Totals, columns) if columns else ZERO


def picodollars(amount: float | None) -> int | None:
    """USD as an integer of picodollars; None for an unknown or absurd amount."""
    if amount is None or not 0 <= amount <= COST_CAP:
        return None
    return round(amount * PICODOLLARS)


def usd(amount: int) -> float:
    """Picodollars as the nearest float of USD."""
    return amount / PICODOLLARS


def of_call(call: Call) -> Totals:
    """What one call adds to the sums; `report.columns.AGGREGATES` says the same in SQL."""
    refused = call.coverage == "error"
    usage = call.usage
    cost = picodollars(call.cost_usd)
    uncounted = usage.output_tokens is None and usage.total_tokens is None and not refused
    uncosted = cost is None and not refused
    return _row(
        call,
        usage,
        cost,
        (1, call.outcome == "error", call.coverage == "unpriced", uncounted, uncosted),
    )


def _row(
    call: Call, usage: Usage, cost: int | None, counts: tuple[int, int, int, int, int]
) -> Totals:
    amount = cost or 0
    return _new(
        Totals,
        (
            *counts,
            usage.input_tokens or 0,
            usage.cache_read_tokens or 0,
            usage.cache_write_tokens or 0,
            usage.output_tokens or 0,
            usage.reasoning_tokens or 0,
            *((0, amount) if call.billing == "subscription" else (amount, 0)),
        ),
    )


def by_model(call: Call, whole: Totals) -> list[tuple[str, Totals]]:
    """The call split by the models that were billed in it. It counts as a call of the model that
    answered, which comes last."""
    answered = model_of(call)
    if not call.parts:
        return [(answered, whole)]
    shares = []
    rest = whole
    for part in call.parts:
        if part.model is None or (model := part.model[:TEXT_CAP]) == answered:
            continue
        share = _of_part(part, call)
        left = minus(rest, share)
        # the parts of a call with a stated cost may cost more by our prices than the whole
        if min(left[_FIRST_AMOUNT:]) >= 0:
            rest = left._replace(unpriced=rest.unpriced, uncosted=rest.uncosted)
            shares.append((model, share))
    shares.append((answered, rest))
    return shares


def model_of(call: Call) -> str:
    """The model that answered, else the one that was asked for."""
    return (call.model or call.request_model or UNKNOWN)[:TEXT_CAP]


SUBAGENT = "subagent"


def kind_of(request_class: str | None, agent_type: str | None) -> str | None:
    """The kind of work, as it is called everywhere: `main`, `auxiliary`, `subagent Explore`."""
    if request_class == SUBAGENT and agent_type is not None:
        return f"{SUBAGENT} {agent_type}"
    return request_class


def cut(name: str | None) -> str | None:
    """A name off the wire, cut to the longest that names are allowed to be."""
    return name if name is None else name[:TEXT_CAP]


def _of_part(part: Part, call: Call) -> Totals:
    cost = picodollars(part.cost_usd)
    unpriced = cost is None and call.coverage == "unpriced"
    return _row(call, part.usage, cost, (0, 0, unpriced, 0, unpriced))


class TotalsJson(TypedDict):
    """Totals as the API has them. Tokens and `cost_usd` are null where they are unknown of every
    call; where only some are, `uncounted` and `unpriced` say so."""

    calls: int
    errors: int
    unpriced: int
    uncounted: int
    input_tokens: int | None
    cache_read_tokens: int | None
    cache_write_tokens: int | None
    output_tokens: int | None
    reasoning_tokens: int | None
    total_tokens: int | None
    cache_hit_pct: float | None
    """Percent of the input that came from a cache; null: there was no input."""
    cost_usd: float | None
    """The sum of the next two fields."""
    spent_usd: float
    """USD that were billed per call."""
    api_value_usd: float
    """A subscription's calls at the API's prices: not a bill."""


def to_json(totals: Totals) -> TotalsJson:
    """The totals in the units of the API."""
    known = not (totals.uncounted and totals.uncounted >= totals.calls)
    return {
        "calls": totals.calls,
        "errors": totals.errors,
        "unpriced": totals.unpriced,
        "uncounted": totals.uncounted,
        "input_tokens": totals.input_tokens if known else None,
        "cache_read_tokens": totals.cache_read_tokens if known else None,
        "cache_write_tokens": totals.cache_write_tokens if known else None,
        "output_tokens": totals.output_tokens if known else None,
        "reasoning_tokens": totals.reasoning_tokens if known else None,
        "total_tokens": totals.total_tokens if known else None,
        "cache_hit_pct": totals.cache_hit_pct,
        "cost_usd": totals.cost_usd,
        "spent_usd": usd(totals.spent),
        "api_value_usd": usd(totals.api_value),
    }
