"""Text for a spreadsheet, which runs a cell of a CSV file that begins like a formula: names come
off the wire.

https://owasp.org/www-community/attacks/CSV_Injection
"""

from __future__ import annotations

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What formulas begin with, and what is dropped before one."""


def escape_formula(text: str) -> str:
    """The text with an apostrophe before it, which spreadsheets take for "this is text", where it
    would be a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text
