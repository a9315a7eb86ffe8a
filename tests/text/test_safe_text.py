"""Text off the wire on a terminal."""

from __future__ import annotations

import pytest

from llmtally.text.safe_text import WIDTH, printable, visible


def test_a_name_is_cut_to_columns() -> None:
    """Characters that take two columns count as two; what fits is whole."""
    assert printable("模" * 20) == "模" * 20
    assert printable("模" * 21) == "模" * 20 + "…"
    assert printable("é" * 41) == "é" * 40 + "…"
    assert printable("é" * 40) == "é" * 40


@pytest.mark.parametrize("text", ["\x1b[2Jgone", "a\nb", "\u202etxt", "\x9bm", "\x07"])
def test_nothing_that_a_terminal_obeys(text: str) -> None:
    """A mark stands in its place, so that it is seen that something was there."""
    assert visible(text).isprintable()
    assert len(visible(text)) == len(text)
    assert len(printable(text * 1_000)) == WIDTH + 1
