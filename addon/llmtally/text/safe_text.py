"""Makes text off the wire safe to print, without control characters for the terminal."""

from __future__ import annotations

import unicodedata

WIDTH = 40
"""Columns for a name off the wire: longer ones are cut, so that the numbers stay in sight."""


def printable(text: str) -> str:
    """Text off the wire without control characters, cut to `WIDTH` columns."""
    kept = _fitting(text)
    return visible(kept) + ("…" if len(kept) < len(text) else "")


def visible(text: str) -> str:
    """The text with U+FFFD in place of each character that cannot be printed."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def _fitting(text: str) -> str:
    """The beginning of the text that fits `WIDTH`; East Asian characters and emoji take two
    columns."""
    if text.isascii():
        return text[:WIDTH]
    room = WIDTH
    for at, char in enumerate(text[: WIDTH + 1]):
        room -= 2 if unicodedata.east_asian_width(char) in "WF" else 1
        if room < 0:
            return text[:at]
    return text
