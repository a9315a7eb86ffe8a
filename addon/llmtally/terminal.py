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
            parts.append(f"cache {humanised(usage.cache_read_tokens)} read {humanised(usage.cache_write_tokens)} written")
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
    today, burn = usage["today"], usage["burn_rate"]
    tokens, calls, unpriced = humanised(today["total_tokens"]), today["calls"], today["unpriced"]
    money = f"${today['spent_usd']:.2f} spent, ${today['api_value_usd']:.2f} API value"
    lines = [f"today {money}, {tokens} tokens in {calls} calls ({unpriced} unpriced)"]
    if burn is not None:
        lines.append(
            f"burning {humanised(round(burn['tokens_per_minute']))} tokens and ${burn['cost_usd_per_minute']:.4f} a minute"
        )
    for window in usage["windows"]:
        full = "?" if window["utilization"] is None else f"{window['utilization']:.0f} %"
        named = f"{printable(window['provider'] or 'estimated')} {printable(window['key'])}"
        lines.append(f"{named}: {full} full, resets {window['resets_at'] or '?'}")
    return "\n".join(lines)


def _money(call: Call) -> str:
    if call.cost_usd is None:
        return "unpriced" if call.coverage == "unpriced" else "-"
    label = " API value" if call.billing == "subscription" else ""
    return f"{'~' if call.cost_approximate or call.estimated else ''}${call.cost_usd:.4f}{label}"


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
