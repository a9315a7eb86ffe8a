"""Makes text safe for spreadsheets, which execute cells of a CSV file that begin like a formula:
names come off the wire.

https://owasp.org/www-community/attacks/CSV_Injection
"""

from __future__ import annotations

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""Characters that a formula begins with, or that are ignored in front of one."""


def escape_formula(text: str) -> str:
    """The text; if it would be a formula, with an apostrophe in front, which marks it as text."""
    return f"'{text}" if text.startswith(FORMULA) else text
