"""One call as one line of text, for the terminal and for the comment beside a flow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .record import Call

WIDTH = 40
"""Columns a name off the wire may take: longer ones are cut, so that the numbers stay in sight."""


def one_line(call: Call) -> str:
    """The call in one line, the numbers that matter first; safe to print whatever the peer sent."""
    usage = call.usage
    parts = [f"{printable(call.provider)} {printable(call.model or call.request_model or '?')}"]
    if usage.total_tokens is None:
        parts.append("tokens unknown")
    else:
        parts.append(f"in {humanised(usage.input_tokens)}")
        if usage.cache_read_tokens or usage.cache_write_tokens:
            cached = ((usage.cache_read_tokens, "read"), (usage.cache_write_tokens, "written"))
            parts.append("cache " + " ".join(f"{humanised(count)} {what}" for count, what in cached if count is not None))
        parts.append(f"out {'~' if call.estimated else ''}{humanised(usage.output_tokens)}")
    parts.append(_money(call))
    if call.duration_ms is not None:
        parts.append(f"{call.duration_ms / 1000:.1f}s")
    if call.outcome != "complete":
        parts.append(call.outcome if call.error is None else f"{call.outcome}: {printable(call.error.type)}")
    who = call.attribution
    named = [who.client, who.request_class if who.request_class != "main" else None, who.session and who.session[:8]]
    parts += [printable(name) for name in named if name]
    return " | ".join(parts)


def summary(usage: Mapping[str, Any]) -> str:
    """A few lines from what `/api/usage` answers: today, the burn rate, the limit windows."""
    burn = usage["burn_rate"]
    lines = [f"today {totals_line(usage['today'])}"]
    if burn is not None:
        lines.append(
            f"burning {humanised(round(burn['tokens_per_minute']))} tokens and ${burn['cost_usd_per_minute']:.4f} a minute"
        )
    for window in usage["windows"]:
        full = "?" if window["utilization"] is None else f"{window['utilization']:.0f} %"
        named = f"{printable(window['provider'] or 'estimated')} {printable(window['key'])}"
        lines.append(f"{named}: {full} full, resets {window['resets_at'] or '?'}")
    return "\n".join(lines)


def totals_line(totals: Mapping[str, Any]) -> str:
    """Totals, as the tracker gives them, in half a line."""
    money = f"{dollars(totals['spent_usd'])} spent"
    if totals["api_value_usd"]:
        money += f", {dollars(totals['api_value_usd'])} API value of subscriptions"
    unpriced = f" ({totals['unpriced']} unpriced)" if totals["unpriced"] else ""
    return f"{money}, {humanised(totals['total_tokens'])} tokens in {totals['calls']} calls{unpriced}"


def dollars(amount: float) -> str:
    """`$12.35`, `$0.0372`, `$0.000088`: cents, and two digits that tell something below a cent."""
    if amount >= 1 or amount == 0:
        return f"${amount:.2f}"
    if amount < 0.000_001:
        return "<$0.000001"
    return f"${amount:.4f}" if amount >= 0.01 else f"${float(f'{amount:.2g}'):.8f}".rstrip("0")


def _money(call: Call) -> str:
    if call.cost_usd is None:
        return "unpriced" if call.coverage == "unpriced" else "no price"
    label = " API value" if call.billing == "subscription" else ""
    return f"{'~' if call.cost_approximate or call.estimated else ''}{dollars(call.cost_usd)}{label}"


def humanised(number: int | None) -> str:
    """`950`, `12.3k`, `4.56M`; unknown is `?`."""
    if number is None:
        return "?"
    for limit, divisor, suffix in ((10_000, 1, ""), (1_000_000, 1_000, "k"), (1_000_000_000, 1_000_000, "M")):
        if number < limit:
            return str(number) if divisor == 1 else f"{number / divisor:.1f}{suffix}"
    return f"{number / 1_000_000_000:.1f}G"


def printable(text: str) -> str:
    """Text off the wire without anything a terminal would obey, cut to `WIDTH`."""
    clean = text[:WIDTH]
    if not clean.isprintable():
        clean = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in clean)
    return clean + "…" if len(text) > WIDTH else clean
