"""What a run spent: the total in one line, by model, by kind of work, and the most expensive
call."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from .. import journal
from ..record import Call
from ..text.call_line import cost, output
from ..text.figures import format_count, format_duration, format_usd
from ..text.safe_text import printable
from ..tracker.totals import SUBAGENT, ZERO, Totals, kind_of, of_call, plus, summed, usd

MODELS_SHOWN = 10
"""Models with a row each; an agent uses two or three. A script that tries many gets one row for the
rest."""

KINDS_SHOWN = 7
"""Kinds of work that are named: as many as the page tells apart."""


def calls_of(directory: Path, name: str, since: float) -> list[Call]:
    """The calls of a run, from the journal. Warm-ups are left out: they are not billed."""
    return [
        call
        for call in journal.read(directory, since=journal.utc_day(since))
        if call.attribution.run == name
        and call.ended >= since
        and call.attribution.request_class != "warmup"
    ]


def by_model(calls: Sequence[Call]) -> list[tuple[str, Totals]]:
    """Models and their totals, the most expensive first."""
    return _ranked(((_name(call), call) for call in calls), MODELS_SHOWN)


def by_kind(calls: Sequence[Call]) -> str | None:
    """One line with what each kind of work cost, the most expensive first: the main agent's calls
    by request class, and subagents by type, with their number. None if there is only one kind, or
    no cost is known.

    The names are those that the page uses for a session.
    """
    kinds = _kinds(calls)
    ranked = _ranked(zip(kinds, calls, strict=True), KINDS_SHOWN)
    if len(ranked) == 1 or not any(totals.cost for _, totals in ranked):
        return None
    agents = {
        (kind, agent) for kind, call in zip(kinds, calls, strict=True) if (agent := _agent(call))
    }
    counts = Counter(kind for kind, _ in agents)
    return ", ".join(
        f"{kind}{f' x{counts[kind]}' if counts[kind] > 1 else ''} {_money(totals)}"
        for kind, totals in ranked
    )


def _kinds(calls: Sequence[Call]) -> list[str]:
    """The kind of work of each call. A subagent's type is the last one that its calls named."""
    types = {
        _agent(call): call.attribution.agent_type for call in calls if call.attribution.agent_type
    }
    kinds = (
        kind_of(SUBAGENT, types.get(_agent(call)))
        if _agent(call)
        else kind_of(call.attribution.request_class, call.attribution.agent_type)
        for call in calls
    )
    return [printable((kind or "main").replace("_", " ")) for kind in kinds]


def _agent(call: Call) -> tuple[str | None, str] | None:
    """The subagent that made the call, as `(session, agent)`; None for the main agent."""
    who = call.attribution
    return (who.session, who.agent) if who.agent else None


def _ranked(named: Iterable[tuple[str, Call]], most: int) -> list[tuple[str, Totals]]:
    """Totals by name, the most expensive first; all beyond `most` are added up as `others`."""
    sums: dict[str, Totals] = defaultdict(lambda: ZERO)
    for name, call in named:
        sums[name] = plus(sums[name], of_call(call))
    ranked = sorted(sums.items(), key=lambda item: (-item[1].cost, -item[1].total_tokens))
    if rest := ranked[most:]:
        ranked = [*ranked[:most], ("others", summed(totals for _, totals in rest))]
    return ranked


def in_a_line(totals: Totals) -> str:
    """The total in one line: cost, calls, tokens, and how many calls are unpriced or failed."""
    parts = [_money(totals), f"{totals.calls:,} call{'s' if totals.calls != 1 else ''}"]
    parts.append(
        f"in {format_count(totals.context_tokens)}, out {format_count(totals.output_tokens)}"
    )
    if totals.cache_hit_pct is not None:
        parts.append(f"{totals.cache_hit_pct:.0f}% cached")
    parts += [
        f"{count:,} {what}"
        for what, count in (("unpriced", totals.unpriced), ("failed", totals.errors))
        if count
    ]
    return " | ".join(parts)


def most_expensive(calls: Sequence[Call]) -> str | None:
    """One line about the most expensive call; None if it is the only one, or none has a cost."""
    call = max(calls, key=lambda call: call.cost_usd or 0)
    if not call.cost_usd or len(calls) == 1:
        return None
    parts = [
        cost(call),
        _name(call),
        f"in {format_count(call.usage.context_tokens or 0)}, out {output(call)}",
    ]
    return " | ".join(
        [*parts, *([] if call.duration_ms is None else [format_duration(call.duration_ms)])]
    )


def _name(call: Call) -> str:
    return f"{printable(call.provider)} {printable(call.model or call.request_model or '?')}"


def _money(totals: Totals) -> str:
    amounts = [(totals.spent, ""), (totals.api_value, " API value")]
    known = " + ".join(f"{format_usd(usd(amount))}{label}" for amount, label in amounts if amount)
    if totals.uncosted:
        return f"at least {known}" if known else "cost unknown"
    return known or "$0"
