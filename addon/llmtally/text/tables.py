"""Tables for a terminal, as Markdown, and as CSV.

Tables are drawn by rich: it measures wide characters, fits columns to the terminal, and leaves
colour out for `NO_COLOR`, dumb terminals and pipes. It is used by pip itself and released several
times a year. https://rich.readthedocs.io/en/stable/tables.html
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from .csv import escape_formula
from .figures import format_count
from .safe_text import visible

PIPE_WIDTH = 10_000
"""Columns assumed for pipes and files, so that nothing is cut."""

COMFORT = 25
"""Columns that a name keeps while other columns can be left out instead:
`claude-haiku-4-5-20251001`."""

TEXT_MIN = 16
"""Columns that a name always keeps: enough to tell two models apart."""

GAP = 2
"""Spaces between two columns of a table."""

CENTS_FROM = 10
"""USD from which a table is shown in cents; below it in hundredths of cents, which a single call
costs."""

NAME_STYLE = "magenta"
"""Of the 16 colours of terminals, the one that reads well on black and on white alike."""

Kind = Literal["text", "path", "count", "percent", "money", "number", "fixed"]
"""A `path` is shortened from its beginning, `fixed` text never; `number` is shown as it is."""

_NUMBERS = ("count", "percent", "money", "number")
_SHORTENED = ("text", "path")
Cell = Any


class AtLeast(float):
    """An amount of money that is a lower bound, because something unknown is missing."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column, whose cells are all of one kind; a cell of None is unknown."""

    name: str
    """The column's name in CSV."""
    title: str
    kind: Kind = "text"
    dispensable: int = 0
    """The order in which a narrow terminal leaves columns out: the highest first, 0 never."""
    least: int | None = None
    """The width that is enough for this column, if it is less than for other names: the beginning
    of an id."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under columns, with an optional total and title."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    total: Sequence[Cell] | None = None
    title: str | None = None


def console(*, stderr: bool = False) -> Console:
    """A rich console on standard output or standard error, as they are now."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(width=None if stream.isatty() else PIPE_WIDTH, highlight=False, stderr=stderr)


def show(table: Table, screen: Console) -> None:
    """Print it as exactly as the width allows.

    Counts are shown in full if they fit, else rounded; then dispensable columns are left out; then
    names are cut. A table that still does not fit is printed row by row, one line per cell.
    """
    for floor, rounded, level in _attempts(table):
        kept = [at for at, column in enumerate(table.columns) if column.dispensable <= level]
        columns = [table.columns[at] for at in kept]
        grid = _grid(table, kept, rounded=rounded)
        widths = _fitted(grid, columns, floor, screen.width)
        if widths is not None:
            screen.print(_table(table, columns, grid, widths))
            return
    _print_rows(table, screen)


def _attempts(table: Table) -> Iterator[tuple[int, bool, int]]:
    """`(columns that names keep, whether counts are rounded, the most dispensable column shown)`,
    the best first."""
    levels = sorted({column.dispensable for column in table.columns}, reverse=True)
    yield COMFORT, False, levels[0]
    for floor in (COMFORT, TEXT_MIN):
        for level in levels:
            yield floor, True, level


def _grid(table: Table, kept: Iterable[int], *, rounded: bool) -> list[list[str]]:
    """The texts of each column: title, cells, total."""
    rows = table.rows if table.total is None else [*table.rows, table.total]
    amounts = [
        row[at] for at, column in enumerate(table.columns) if column.kind == "money" for row in rows
    ]
    # The same for all money, so that columns can be compared.
    decimals = 2 if any(amount is not None and amount >= CENTS_FROM for amount in amounts) else 4
    return [
        [
            table.columns[at].title,
            *(
                _text(row[at], table.columns[at], rounded=rounded, decimals=decimals)
                for row in rows
            ),
        ]
        for at in kept
    ]


def _fitted(
    grid: list[list[str]], columns: list[Column], floor: int, room: int
) -> list[int] | None:
    """The widths of the columns, with names shortened to fit; None if they cannot fit."""
    widths = [max(map(cell_len, texts)) for texts in grid]
    floors = [
        min(width, floor if column.least is None else column.least)
        if column.kind in _SHORTENED
        else width
        for width, column in zip(widths, columns, strict=True)
    ]
    while (excess := sum(widths) + GAP * (len(widths) - 1) - room) > 0:
        spare = [width - least for width, least in zip(widths, floors, strict=True)]
        longest = spare.index(max(spare))
        if not spare[longest]:
            return None
        widths[longest] -= min(spare[longest], max(1, excess // len(widths)))
    return widths


def _table(
    table: Table, columns: list[Column], grid: list[list[str]], widths: list[int]
) -> RichTable:
    drawn = RichTable(
        box=box.SIMPLE,
        show_edge=False,
        pad_edge=False,
        padding=(0, GAP - 1, 0, 0),
        show_footer=table.total is not None,
    )
    drawn.title, drawn.title_justify, drawn.title_style = table.title, "left", "bold"
    cut = [
        [shortened(text, width, column.kind) for text in texts]
        for texts, width, column in zip(grid, widths, columns, strict=True)
    ]
    for at, column in enumerate(columns):
        drawn.add_column(
            Text(cut[at][0], style="bold"),
            footer=Text(cut[at][-1], style="bold"),
            justify="right" if column.kind in _NUMBERS else "left",
            no_wrap=True,
            width=widths[at],
            style=NAME_STYLE if at == 0 else "",
        )
    for row in range(len(table.rows)):
        drawn.add_row(*(Text(texts[row + 1]) for texts in cut))
    return drawn


def shortened(text: str, width: int, kind: Kind = "text") -> str:
    """The text cut to a width in columns: of a path the end is kept, of other text the
    beginning."""
    if cell_len(text) <= width:
        return text
    kept = text[1 - width :] if kind == "path" else text[: width - 1]
    while cell_len(kept) >= width:
        kept = kept[1:] if kind == "path" else kept[:-1]
    return f"…{kept}" if kind == "path" else f"{kept}…"


def _print_rows(table: Table, screen: Console) -> None:
    """Print the cells of each row below each other, uncut."""
    if table.title:
        screen.print(Text(table.title, style="bold"))
    titles, *rows = zip(*_grid(table, range(len(table.columns)), rounded=False), strict=True)
    width = max(map(cell_len, titles))
    for number, row in enumerate(rows):
        if number:
            screen.print()
        for title, text in zip(titles, row, strict=True):
            screen.print(
                Text.assemble((title, "bold"), " " * (width - cell_len(title) + GAP), text),
                soft_wrap=True,
            )


def _text(cell: Cell, column: Column, *, rounded: bool, decimals: int) -> str:
    if cell is None:
        return "-"
    match column.kind:
        case "count":
            return format_count(cell) if rounded else f"{cell:,}"
        case "percent":
            return f"{cell:.1f}%"
        case "money":
            return _money(cell, decimals)
        case "number" if isinstance(cell, float):
            return str(float(f"{cell:.12g}"))  # without what is left of binary fractions
    return visible(str(cell))


def _money(amount: float, decimals: int) -> str:
    if isinstance(amount, AtLeast):
        return f"≥${amount:,.{decimals}f}"
    least = 10**-decimals
    return f"${amount:,.{decimals}f}" if amount == 0 or amount >= least / 2 else f"<${least}"


def as_markdown(table: Table) -> str:
    """The table in Markdown, with the total in bold."""
    grid = [
        [_escaped(text) for text in texts]
        for texts in _grid(table, range(len(table.columns)), rounded=False)
    ]
    titles, *rows = zip(*grid, strict=True)
    if table.total is not None:
        rows[-1] = tuple(text and f"**{text}**" for text in rows[-1])
    rule = ("--:" if column.kind in _NUMBERS else "---" for column in table.columns)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (titles, rule, *rows))


def _escaped(text: str) -> str:
    """The text with all Markdown syntax escaped."""
    for char in "\\`*_[]<>|":
        text = text.replace(char, "\\" + char)
    return text


def as_csv(names: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """The rows as CSV: names in the first line, unrounded, without a total; unknown is empty."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(
        [escape_formula(visible(cell)) if isinstance(cell, str) else cell for cell in row]
        for row in rows
    )
    return buffer.getvalue()
