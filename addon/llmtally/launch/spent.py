"""What a run spent: in a line, by model, and the call that cost most."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .. import journal
from ..record import Call
from ..terminal import cost, humanised, lasted, output, printable
from ..tracker.totals import Totals, of_call, plus, summed, usd

MODELS_SHOWN = 10
"""An agent uses two or three; a script that tries all there are gets a row for the rest."""


def calls_of(directory: Path, name: str, since: float) -> list[Call]:
    """The calls of a run, from the journal. A warm-up is none: it is not billed."""
    return [
        call
        for call in journal.read(directory, since=journal.utc_day(since))
        if call.attribution.run == name and call.ended >= since and call.attribution.request_class != "warmup"
    ]


def by_model(calls: Sequence[Call]) -> list[tuple[str, Totals]]:
    """Names and what they add up to, the most expensive first."""
    models: dict[str, Totals] = {}
    for call in calls:
        model = _name(call)
        models[model] = plus(models[model], of_call(call)) if model in models else of_call(call)
    ranked = sorted(models.items(), key=lambda item: (-item[1].cost, -item[1].total_tokens))
    if rest := ranked[MODELS_SHOWN:]:
        ranked = [*ranked[:MODELS_SHOWN], ("others", summed(totals for _, totals in rest))]
    return ranked


def in_a_line(totals: Totals) -> str:
    """Money, calls, tokens, and what is out of order."""
    parts = [_money(totals), f"{totals.calls:,} call{'s' if totals.calls != 1 else ''}"]
    parts.append(f"in {humanised(totals.context_tokens)}, out {humanised(totals.output_tokens)}")
    if totals.cache_hit_pct is not None:
        parts.append(f"{totals.cache_hit_pct:.0f}% cached")
    parts += [f"{count:,} {what}" for what, count in (("unpriced", totals.unpriced), ("failed", totals.errors)) if count]
    return " | ".join(parts)


def most_expensive(calls: Sequence[Call]) -> str | None:
    """The call that cost most, in a line; None where it is the only one, or none has a cost."""
    call = max(calls, key=lambda call: call.cost_usd or 0)
    if not call.cost_usd or len(calls) == 1:
        return None
    parts = [cost(call), _name(call), f"in {humanised(of_call(call).context_tokens)}, out {output(call)}"]
    return " | ".join([*parts, *([] if call.duration_ms is None else [lasted(call.duration_ms)])])


def _name(call: Call) -> str:
    return f"{printable(call.provider)} {printable(call.model or call.request_model or '?')}"


def _money(totals: Totals) -> str:
    amounts = [(totals.spent, ""), (totals.api_value, " API value")]
    known = " + ".join(f"${usd(amount):,.4f}{label}" for amount, label in amounts if amount)
    if totals.uncosted:
        return f"at least {known}" if known else "cost unknown"
    return known or "$0"
