"""Formats money, counts and durations for people, in a few columns."""

from __future__ import annotations

UNITS = "kMGT"
"""Suffixes for thousands, millions and so on."""

LAST_OF_UNIT = 999.95
"""Larger values would be shown as 1000.0; they are shown as 1.0 of the next unit."""


def format_usd(amount: float) -> str:
    """`$1,234.57`, `$0.0372`, `$0.000088`: cents, four decimals below a dollar, and two
    significant digits below a cent."""
    if amount >= 1 or amount == 0:
        return f"${amount:,.2f}"
    if amount < 0.000_001:
        return "<$0.000001"
    return f"${amount:.4f}" if amount >= 0.01 else f"${float(f'{amount:.2g}'):.8f}".rstrip("0")


def format_count(number: int | None) -> str:
    """A count as `950`, `12.3k` or `4.6M`; `?` if it is unknown."""
    if number is None:
        return "?"
    if number < 10_000:
        return str(number)
    size, unit = number / 1000, 0
    while size >= LAST_OF_UNIT and unit < len(UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size:.1f}{UNITS[unit]}"


def format_duration(milliseconds: float) -> str:
    """A duration as `4.2s`, `2m 46s` or `1h 03m`."""
    seconds = milliseconds / 1000
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes}m {seconds:02d}s" if minutes < 60 else f"{minutes // 60}h {minutes % 60:02d}m"
