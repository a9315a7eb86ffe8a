"""Tables in every width, and as Markdown and CSV."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from llmtally.tables import Column, Sheet, as_csv, as_markdown, show

COLUMNS = [
    Column("model", "Model"),
    Column("calls", "Calls", "count"),
    Column("read", "Cache read", "count", dispensable=1),
    Column("hit", "Hit", "percent", dispensable=2),
    Column("spent", "Spent", "money"),
]
SHEET = Sheet(
    COLUMNS,
    [["anthropic/claude-opus-4-8-20260601", 1234567, 12345678901, 94.72, 1234.5], ["x", 1, None, None, None]],
    ["Total", 1234568, 12345678901, 94.7, 1234.5],
)


def drawn(sheet: Sheet, width: int) -> str:
    screen = Console(width=width, file=io.StringIO(), highlight=False)
    show(sheet, screen)
    return str(screen.file.getvalue())  # type: ignore[attr-defined]


def test_exact_where_there_is_room() -> None:
    """Counts are in full, money in cents, and what is unknown is a dash."""
    rows = [line.split() for line in drawn(SHEET, 100).splitlines()]

    assert ["anthropic/claude-opus-4-8-20260601", "1,234,567", "12,345,678,901", "94.7%", "$1,234.50"] in rows
    assert ["x", "1", "-", "-", "-"] in rows
    assert ["Total", "1,234,568", "12,345,678,901", "94.7%", "$1,234.50"] in rows


def test_narrower_step_by_step() -> None:
    """First names are shortened, then counts rounded, then what can be spared goes; name, calls and money stay."""
    assert "12,345,678,901" in drawn(SHEET, 66)
    assert "anthropic/claude…" in drawn(SHEET, 62)
    assert "12,345,678,901" in drawn(SHEET, 62)
    assert "12.3G" in drawn(SHEET, 58)
    assert "94.7%" not in drawn(SHEET, 46)
    assert "12.3G" in drawn(SHEET, 46)
    assert "12.3G" not in drawn(SHEET, 36)
    assert "$1,234.50" in drawn(SHEET, 36)


@pytest.mark.parametrize("width", range(34, 120))
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    """Nothing wraps."""
    lines = drawn(SHEET, width).splitlines()

    assert max(map(cell_len, lines)) <= width
    assert len(lines) == 6


@given(name=st.text(max_size=60))
def test_a_name_cannot_break_out(name: str) -> None:
    """Nothing off the wire moves the cursor, colours, marks up, or adds a row or a column, in any form."""
    sheet = Sheet(COLUMNS[:2], [[name, 1]])
    markdown = as_markdown(sheet)

    assert len(drawn(sheet, 80).splitlines()) == 3
    assert not set(drawn(sheet, 80)) & {"\x1b", "\r", "\x9b", "\u202e"}
    assert len(markdown.splitlines()) == 3
    assert markdown.replace("\\\\", "").replace("\\|", "").count("|") == 9
    assert list(csv.reader(io.StringIO(as_csv(sheet), newline="")))[1:] == [[name, "1"]] or not name.isprintable()


def test_small_money_is_told() -> None:
    """A column of small sums has four decimals; one large sum makes cents of all."""
    assert "$0.0034" in drawn(Sheet(COLUMNS[4:], [[0.0034], [1.0]]), 80)
    assert "$0.00" in drawn(Sheet(COLUMNS[4:], [[0.0034], [100.0]]), 80)


def test_markdown_and_csv() -> None:
    """A document gets the table as it is read, a spreadsheet the figures as they are."""
    sheet = Sheet(COLUMNS, [["a_b|c", 1234, None, 50.0, 0.5]], ["Total", 1234, None, 50.0, 0.5])

    assert as_markdown(sheet).splitlines() == [
        "| Model | Calls | Cache read | Hit | Spent |",
        "| --- | --: | --: | --: | --: |",
        "| a\\_b\\|c | 1,234 | - | 50.0% | $0.5000 |",
        "| **Total** | **1,234** | **-** | **50.0%** | **$0.5000** |",
    ]
    assert as_csv(sheet) == "model,calls,read,hit,spent\na_b|c,1234,,50.0,0.5\n"
