"""Text off the wire, made safe to print: nothing in it that a terminal would obey."""

from __future__ import annotations

import unicodedata

WIDTH = 40
"""Columns a name off the wire may take: longer ones are cut, so that the numbers stay in sight."""


def printable(text: str) -> str:
    """Text off the wire without anything a terminal would obey, cut to `WIDTH` columns."""
    kept = _fitting(text)
    return visible(kept) + ("…" if len(kept) < len(text) else "")


def visible(text: str) -> str:
    """The text with a mark in place of whatever a terminal would obey."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def _fitting(text: str) -> str:
    """What of the text fits `WIDTH`: East Asian characters and emoji take two columns."""
    if text.isascii():
        return text[:WIDTH]
    room = WIDTH
    for at, char in enumerate(text[: WIDTH + 1]):
        room -= 2 if unicodedata.east_asian_width(char) in "WF" else 1
        if room < 0:
            return text[:at]
    return text
