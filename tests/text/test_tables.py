"""Tables in every width, and as Markdown and CSV."""

from __future__ import annotations

import csv
import io
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from llmtally.text.tables import AtLeast, Cell, Column, Table, as_csv, as_markdown, shortened, show

COLUMNS = [
    Column("model", "Model"),
    Column("calls", "Calls", "count"),
    Column("read", "Cache read", "count", dispensable=1),
    Column("hit", "Hit", "percent", dispensable=2),
    Column("spent", "Spent", "money"),
]
SHEET = Table(
    COLUMNS,
    [
        ["anthropic/claude-opus-4-8-20260601", 1234567, 12345678901, 94.72, 1234.5],
        ["x", 1, None, None, None],
    ],
    ["Total", 1234568, 12345678901, 94.7, 1234.5],
)


def drawn(table: Table, width: int) -> str:
    screen = Console(width=width, file=io.StringIO(), highlight=False)
    show(table, screen)
    return str(screen.file.getvalue())  # type: ignore[attr-defined]


def test_exact_where_there_is_room() -> None:
    """Counts are in full, money in cents, and what is unknown is a dash."""
    rows = [line.split() for line in drawn(SHEET, 100).splitlines()]

    assert [
        "anthropic/claude-opus-4-8-20260601",
        "1,234,567",
        "12,345,678,901",
        "94.7%",
        "$1,234.50",
    ] in rows
    assert ["x", "1", "-", "-", "-"] in rows
    assert ["Total", "1,234,568", "12,345,678,901", "94.7%", "$1,234.50"] in rows


def test_narrower_step_by_step() -> None:
    """Long names give way first, then digits, columns, more of the names; then it is no longer a
    table. Name, calls and money stay."""

    def shown(width: int) -> list[str]:
        texts = (
            "opus-4-8-20260601",
            "opus-4",
            "12,345,678,901",
            "12.3G",
            "94.7%",
            "1,234,567",
            "1.2M",
            "$1,234.50",
        )
        return [text for text in texts if text in drawn(SHEET, width)]

    assert shown(82) == [
        "opus-4-8-20260601",
        "opus-4",
        "12,345,678,901",
        "94.7%",
        "1,234,567",
        "$1,234.50",
    ]
    assert shown(70) == ["opus-4", "12,345,678,901", "94.7%", "1,234,567", "$1,234.50"]
    assert shown(66) == ["opus-4", "12.3G", "94.7%", "1.2M", "$1,234.50"]
    assert shown(55) == ["opus-4", "12.3G", "1.2M", "$1,234.50"]
    assert shown(42) == ["opus-4", "1.2M", "$1,234.50"]
    assert shown(34) == ["1.2M", "$1,234.50"]
    assert shown(33) == [
        "opus-4-8-20260601",
        "opus-4",
        "12,345,678,901",
        "94.7%",
        "1,234,567",
        "$1,234.50",
    ]


@pytest.mark.parametrize("width", range(34, 120))
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    """No line wraps on a terminal."""
    lines = drawn(SHEET, width).splitlines()

    assert max(map(cell_len, lines)) <= width
    assert len(lines) == 6


def test_the_beginning_of_an_id_is_enough() -> None:
    """An id makes room for names, down to what tells it from others."""
    columns = [
        Column("session", "Session", least=9),
        Column("project", "Project", "path"),
        Column("calls", "Calls", "count"),
    ]
    table = Table(columns, [["0b1c2d3e-91af-4c0d", "/home/me/work/backend-service", 1]])

    assert drawn(table, 43).splitlines()[-1] == "0b1c2d3e…  …/me/work/backend-service      1"
    assert "0b1c2d3e-91af-4c0d" in drawn(table, 80)


@pytest.mark.parametrize(
    ("text", "width", "kind", "short"),
    [
        ("claude-opus-4-8", 15, "text", "claude-opus-4-8"),
        ("claude-opus-4-8", 14, "text", "claude-opus-4…"),
        ("/home/me/shop", 9, "path", "…/me/shop"),
        ("/home/me/shop", 13, "path", "/home/me/shop"),
        ("模型通义千问", 6, "text", "模型…"),
        ("模型通义千问", 7, "text", "模型通…"),
        ("/项目/电商平台", 8, "path", "…商平台"),
        ("x" * 1_000_000, 4, "text", "xxx…"),
    ],
)
def test_shortened(text: str, width: int, kind: Literal["text", "path"], short: str) -> None:
    """A name keeps its beginning, a path its end; a character of two columns is not halved."""
    assert shortened(text, width, kind) == short
    assert cell_len(short) <= width


def test_what_fits_in_no_way_is_printed_row_by_row() -> None:
    """`select *` has fifty columns; nothing of them is lost."""
    columns = [Column(f"column_{number}", f"column_{number}") for number in range(20)]
    table = Table(
        columns, [[f"value {number}" for number in range(20)], [None] * 19 + ["\x1b" + "v" * 200]]
    )
    lines = drawn(table, 80).splitlines()

    assert lines[:2] == ["column_0   value 0", "column_1   value 1"]
    assert lines[19:22] == ["column_19  value 19", "", "column_0   -"]
    assert lines[40] == "column_19  \N{REPLACEMENT CHARACTER}" + "v" * 200


def test_binary_fractions_are_not_shown() -> None:
    """A sum of a user's own has the digits that mean something."""
    assert drawn(
        Table([Column("sum", "sum", "number")], [[42.454041000000025], [3], [1e-9], [True]]), 80
    ).split()[2:] == [
        "42.454041",
        "3",
        "1e-09",
        "True",
    ]


@given(name=st.text(max_size=60))
def test_a_name_cannot_break_out(name: str) -> None:
    """Nothing off the wire moves the cursor, colours, marks up, or adds a row or a column, in any
    form."""
    table = Table(COLUMNS[:2], [[name, 1]])
    markdown = as_markdown(table)

    assert len(drawn(table, 80).splitlines()) == 3
    assert not set(drawn(table, 80)) & {"\x1b", "\r", "\x9b", "\u202e"}
    assert len(markdown.splitlines()) == 3
    assert markdown.replace("\\\\", "").replace("\\|", "").count("|") == 9
    [[said, calls]] = list(
        csv.reader(io.StringIO(as_csv(["model", "calls"], table.rows), newline=""))
    )[1:]
    assert calls == "1"
    assert said in (name, f"'{name}") or (not name.isprintable() and said.isprintable())
    assert not said.startswith(("=", "+", "-", "@"))


def test_small_money_is_told() -> None:
    """Small sums have four decimals; one large sum makes cents of all in the table, and nothing
    that costs is shown as nothing."""
    money = [*COLUMNS[4:], Column("value", "API value", "money")]

    def amounts(*row: Cell) -> list[str]:
        return drawn(Table(money, [row]), 80).split()[4:]

    assert amounts(0.0034, 1.0) == ["$0.0034", "$1.0000"]
    assert amounts(0.0134, 10.0) == ["$0.01", "$10.00"]
    assert amounts(0.0034, 10.0) == ["<$0.01", "$10.00"]
    assert amounts(0.00001, 0.0) == ["<$0.0001", "$0.0000"]
    assert amounts(AtLeast(1.5), AtLeast(0)) == ["≥$1.5000", "≥$0.0000"]
    assert amounts(None, AtLeast(1234.5)) == ["-", "≥$1,234.50"]


def test_markdown_and_csv() -> None:
    """A document gets the table as it is read, a spreadsheet the figures as they are."""
    table = Table(COLUMNS, [["a_b|c", 1234, None, 50.0, 0.5]], ["Total", 1234, None, 50.0, 0.5])

    assert as_markdown(table).splitlines() == [
        "| Model | Calls | Cache read | Hit | Spent |",
        "| --- | --: | --: | --: | --: |",
        "| a\\_b\\|c | 1,234 | - | 50.0% | $0.5000 |",
        "| **Total** | **1,234** | **-** | **50.0%** | **$0.5000** |",
    ]
    assert as_csv(["model", "calls", "hit"], [["a_b|c", 1234, None], ["=1+1", 0, 50.0]]) == (
        "model,calls,hit\na_b|c,1234,\n'=1+1,0,50.0\n"
    )
