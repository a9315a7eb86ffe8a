"""Rows and columns for a terminal, for a document, for a spreadsheet.

Tables are drawn by rich: it measures wide characters, fits columns to the terminal, and leaves colour out for `NO_COLOR`, dumb
terminals and pipes. It is used by pip itself and released several times a year. https://rich.readthedocs.io/en/stable/tables.html
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .terminal import humanised

PIPE_WIDTH = 10_000
"""Columns of what is no terminal: nothing is cut."""

TEXT_MIN = 16
"""Columns a name is left with when a table is narrowed: enough to tell two models apart."""

GAP = 2
"""Columns between two columns."""

CENTS_FROM = 100
"""USD from which a column is shown in cents; below it in hundredths of cents, which a single call costs."""

Kind = Literal["text", "count", "percent", "money", "number", "fixed"]
"""`number` is shown as it is; `fixed` is text that is never shortened: a day."""

_NUMBERS = ("count", "percent", "money", "number")
Cell = Any


@dataclass(frozen=True, slots=True)
class Column:
    """A column; its cells are of one kind. None is unknown."""

    name: str
    """As in CSV."""
    title: str
    kind: Kind = "text"
    dispensable: int = 0
    """Left out of a narrow terminal: the highest first, 0 never."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    total: Sequence[Cell] | None = None
    title: str | None = None


def console() -> Console:
    """Standard output as it is now."""
    return Console(width=None if sys.stdout.isatty() else PIPE_WIDTH, highlight=False)


def show(sheet: Sheet, screen: Console) -> None:
    """Print it as exactly as the width allows: counts in full, then rounded, then without the columns it can do without."""
    levels = sorted({column.dispensable for column in sheet.columns}, reverse=True)
    attempts = [(False, levels[0]), *((True, level) for level in levels)]
    for rounded, level in attempts:
        kept = [at for at, column in enumerate(sheet.columns) if column.dispensable <= level]
        grid = [_texts(sheet, at, rounded=rounded) for at in kept]
        widths = _fitted([max(map(cell_len, texts)) for texts in grid], [sheet.columns[at].kind for at in kept], screen.width)
        if widths is not None:
            break
    screen.print(_table(sheet, [sheet.columns[at] for at in kept], grid, widths))


def _texts(sheet: Sheet, at: int, *, rounded: bool) -> list[str]:
    """One column: title, cells, total."""
    column = sheet.columns[at]
    rows = sheet.rows if sheet.total is None else [*sheet.rows, sheet.total]
    cells = [row[at] for row in rows]
    if column.kind == "money":
        decimals = 2 if any(cell is not None and cell >= CENTS_FROM for cell in cells) else 4
        return [column.title, *("-" if cell is None else f"${cell:,.{decimals}f}" for cell in cells)]
    return [column.title, *(_text(cell, column, rounded=rounded) for cell in cells)]


def _fitted(widths: list[int], kinds: list[Kind], room: int) -> list[int] | None:
    """The widths with the longest names shortened until all fit; None where they cannot."""
    widths = list(widths)
    while (excess := sum(widths) + GAP * (len(widths) - 1) - room) > 0:
        longest = max((at for at, kind in enumerate(kinds) if kind == "text"), key=widths.__getitem__, default=0)
        if kinds[longest] != "text" or widths[longest] <= TEXT_MIN:
            return None
        widths[longest] = max(TEXT_MIN, widths[longest] - max(1, excess // len(widths)))
    return widths


def _table(sheet: Sheet, columns: list[Column], grid: list[list[str]], widths: list[int] | None) -> Table:
    table = Table(box=box.SIMPLE, show_edge=False, pad_edge=False, padding=(0, GAP - 1, 0, 0), show_footer=sheet.total is not None)
    table.title, table.title_justify, table.title_style = sheet.title, "left", "bold"
    for at, column in enumerate(columns):
        table.add_column(
            Text(grid[at][0], style="bold"),
            footer=Text(grid[at][-1], style="bold"),
            justify="right" if column.kind in _NUMBERS else "left",
            no_wrap=True,
            overflow="ellipsis",
            width=widths[at] if widths else None,
            style="cyan" if at == 0 else "",
        )
    for row in range(len(sheet.rows)):
        table.add_row(*(Text(texts[row + 1]) for texts in grid))
    return table


def _text(cell: Cell, column: Column, *, rounded: bool) -> str:
    if cell is None:
        return "-"
    match column.kind:
        case "count":
            return humanised(cell) if rounded else f"{cell:,}"
        case "percent":
            return f"{cell:.1f}%"
    text = str(cell)
    return text if text.isprintable() else "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def as_markdown(sheet: Sheet) -> str:
    """A table for a document, with a total row in bold."""
    grid = [[_escaped(text) for text in _texts(sheet, at, rounded=False)] for at in range(len(sheet.columns))]
    titles, *rows = zip(*grid, strict=True)
    if sheet.total is not None:
        rows[-1] = tuple(text and f"**{text}**" for text in rows[-1])
    rule = ("--:" if column.kind in _NUMBERS else "---" for column in sheet.columns)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (titles, rule, *rows))


def _escaped(text: str) -> str:
    """Nothing in a name is markup."""
    for char in "\\`*_[]<>|":
        text = text.replace(char, "\\" + char)
    return text


def as_csv(sheet: Sheet) -> str:
    """For a spreadsheet: names in the first line, unrounded, no total. Unknown is empty."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(column.name for column in sheet.columns)
    writer.writerows(sheet.rows)
    return buffer.getvalue()
