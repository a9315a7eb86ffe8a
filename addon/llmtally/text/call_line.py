"""One call as one line of text, for the terminal and for the comment beside a flow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..record import Call
from .figures import format_count, format_duration, format_usd
from .safe_text import printable


def one_line(call: Call) -> str:
    """The call in one line, the important numbers first; safe to print whatever the peer sent."""
    parts = [f"{printable(call.provider)} {printable(call.model or call.request_model or '?')}"]
    if call.coverage != "error":  # which used nothing
        parts += [*_tokens(call), money(call)]
    if call.duration_ms is not None:
        parts.append(format_duration(call.duration_ms))
    parts += outcome(call)
    who = call.attribution
    named = [
        who.client,
        who.request_class if who.request_class != "main" else None,
        who.session and who.session[:8],
    ]
    parts += [printable(name) for name in named if name]
    return " | ".join(parts)


def _tokens(call: Call) -> list[str]:
    usage = call.usage
    if usage.total_tokens is None:
        return ["tokens unknown"]
    cached = ((usage.cache_read_tokens, "read"), (usage.cache_write_tokens, "written"))
    cache = " ".join(f"{format_count(count)} {what}" for count, what in cached if count)
    return [
        f"in {format_count(usage.input_tokens)}",
        *([f"cache {cache}"] if cache else []),
        f"out {output(call)}",
    ]


def output(call: Call) -> str:
    """Output tokens, marked with ~ if they are an estimate."""
    return f"{'~' if call.estimated else ''}{format_count(call.usage.output_tokens)}"


def outcome(call: Call) -> list[str]:
    """How the call ended, unless it is complete."""
    if call.outcome == "complete":
        return []
    return [call.outcome if call.error is None else f"{call.outcome}: {printable(call.error.type)}"]


def summary(usage: Mapping[str, Any]) -> str:
    """A few lines about the answer of `/api/usage`: today, the burn rate, the limit windows."""
    burn = usage["burn_rate"]
    lines = [f"today {totals_line(usage['today'])}"]
    if burn is not None:
        lines.append(
            f"a minute: {format_count(round(burn['tokens_per_minute']))} tokens, "
            f"{format_usd(burn['cost_usd_per_minute'])}"
        )
    for window in usage["windows"]:
        full = "?" if window["utilization"] is None else f"{window['utilization']:.0f}%"
        resets = (
            "?"
            if window["resets_at"] is None
            else f"{window['resets_at'][:16].replace('T', ' ')} UTC"
        )
        lines.append(
            f"{printable(window['provider'] or 'estimated')} {printable(window['key'])}: "
            f"{full} full, resets {resets}"
        )
    return "\n".join(lines)


def totals_line(totals: Mapping[str, Any]) -> str:
    """The tracker's totals in one phrase."""
    amount = f"{format_usd(totals['spent_usd'])} spent"
    if totals["api_value_usd"]:
        amount += f", {format_usd(totals['api_value_usd'])} API value of subscriptions"
    unpriced = f" ({totals['unpriced']} unpriced)" if totals["unpriced"] else ""
    calls = f"{totals['calls']:,} call{'s' if totals['calls'] != 1 else ''}"
    return f"{amount}, {format_count(totals['total_tokens'])} tokens in {calls}{unpriced}"


def money(call: Call) -> str:
    """The cost of the call, marked as API value if a subscription pays."""
    label = " API value" if call.billing == "subscription" and call.cost_usd is not None else ""
    return f"{cost(call)}{label}"


def cost(call: Call) -> str:
    """The amount alone, marked with ~ if it is an estimate."""
    if call.cost_usd is None:
        return "unpriced" if call.coverage == "unpriced" else "no price"
    return f"{'~' if call.cost_approximate or call.estimated else ''}{format_usd(call.cost_usd)}"
