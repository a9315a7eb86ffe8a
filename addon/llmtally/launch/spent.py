"""What a run spent, in a few lines."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from .. import journal
from ..record import Call
from ..terminal import humanised, one_line, printable
from ..tracker.totals import Totals, of_call, plus, summed, usd

MODELS_SHOWN = 10
"""An agent uses two or three; a script that tries all there are gets a line for the rest."""


def calls_of(directory: Path, name: str, since: float) -> list[Call]:
    """The calls of a run, from the journal."""
    return [
        call
        for call in journal.read(directory, since=journal.utc_day(since))
        if call.attribution.run == name and call.ended >= since
    ]


def summary(name: str, calls: Iterable[Call]) -> str:
    """Spent by model, cache hit rate, the most expensive call."""
    calls = [call for call in calls if call.attribution.request_class != "warmup"]
    if not calls:
        return f"{name} made no calls that llmtally saw. Should it have? `llmtally doctor` finds out why."
    models: dict[str, Totals] = {}
    for call in calls:
        model = f"{printable(call.provider)} {printable(call.model or call.request_model or '?')}"
        models[model] = plus(models[model], of_call(call)) if model in models else of_call(call)
    ranked = sorted(models.items(), key=lambda item: (-item[1].cost, -item[1].total_tokens))
    if rest := ranked[MODELS_SHOWN:]:
        ranked = [*ranked[:MODELS_SHOWN], ("others", summed(totals for _, totals in rest))]
    lines = [f"{name}: {_line(summed(models.values()))}"]
    if len(ranked) > 1:
        width = max(len(model) for model, _ in ranked)
        lines += [f"  {model:<{width}}  {_line(totals)}" for model, totals in ranked]
    dearest = max(calls, key=lambda call: call.cost_usd or 0)
    if dearest.cost_usd and len(calls) > 1:
        lines.append(f"  most expensive call: {one_line(dearest)}")
    return "\n".join(lines)


def _line(totals: Totals) -> str:
    parts = [_money(totals), f"{totals.calls} call{'s' if totals.calls != 1 else ''}"]
    parts.append(f"in {humanised(totals.context_tokens)}, out {humanised(totals.output_tokens)}")
    if totals.cache_hit_pct is not None:
        parts.append(f"{totals.cache_hit_pct:.0f} % from cache")
    parts += [f"{count:d} {what}" for what, count in (("unpriced", totals.unpriced), ("failed", totals.errors)) if count]
    return " | ".join(parts)


def _money(totals: Totals) -> str:
    amounts = [(totals.spent, ""), (totals.api_value, " API value")]
    return " + ".join(f"${usd(amount):.4f}{label}" for amount, label in amounts if amount) or (
        "cost unknown" if totals.uncosted else "$0"
    )
