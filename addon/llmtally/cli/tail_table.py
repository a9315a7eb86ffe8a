"""Calls as rows of a growing table: what `tail` shows on a terminal.

The widths of the columns are fixed before the first call is known, so they fit usual values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from ..record import Call
from ..text.call_line import cost, outcome, output
from ..text.figures import format_count, format_duration
from ..text.local_time import Zone, localised
from ..text.safe_text import visible
from ..text.tables import GAP, NAME_STYLE, Kind, shortened

MODEL_MOST = 32
"""Columns for a model's name: nearly all fit. Room beyond that goes to the remarks."""

REMARK_LEAST = 12
"""Columns for remarks: enough for `API value`, and to tell `client_aborted` from
`upstream_aborted`."""


@dataclass(frozen=True, slots=True)
class _Column:
    title: str
    width: int
    cell: Callable[[Call], str]
    kind: Kind = "number"


def _model(call: Call) -> str:
    return call.model or call.request_model or "?"


def _cached(call: Call) -> str:
    context, read = call.usage.context_tokens, call.usage.cache_read_tokens
    return f"{100 * read / context:.0f}%" if context and read is not None else "-"


def _of_answered(cell: Callable[[Call], str]) -> Callable[[Call], str]:
    """A cell that shows a dash for a refused call, which used nothing."""
    return lambda call: "-" if call.coverage == "error" else cell(call)


def _remarks(call: Call) -> str:
    who = call.attribution
    said = outcome(call)
    if call.billing == "subscription" and call.cost_usd is not None:
        said.append("API value")
    if who.request_class not in (None, "main"):
        said.append(str(who.request_class))
    if who.retry:
        said.append(f"retry {who.retry}")
    return ", ".join(said)


MODEL = _Column("Model", 20, _model, "text")

ALWAYS = (
    MODEL,
    _Column("Input", 6, _of_answered(lambda call: format_count(call.usage.context_tokens))),
    _Column("Cached", 6, _of_answered(_cached)),
    _Column("Output", 6, _of_answered(output)),
    _Column("Cost", 10, _of_answered(cost)),
)
"""The columns that are always shown, after the time. With time and remarks they fill 80 columns."""

FURTHER = (
    _Column(
        "Took",
        7,
        lambda call: "-" if call.duration_ms is None else format_duration(call.duration_ms),
    ),
    _Column("Client", 12, lambda call: call.attribution.client or "-", "text"),
    _Column("Session", 9, lambda call: call.attribution.session or "-", "text"),
    _Column("Project", 20, lambda call: call.attribution.project or "-", "path"),
)
"""The columns that are added in this order while there is room."""


class Rows:
    """Prints calls as rows: titles first, and the date whenever it changes."""

    def __init__(self, screen: Console, zone: Zone, now: float) -> None:
        self._screen = screen
        self._zone = zone
        self._day = localised(now, zone).date()
        self._width = 0
        self._widths: dict[_Column, int] = {}

    def show(self, call: Call) -> None:
        """Print a call as a row."""
        if self._screen.width != self._width:  # the first row, or the window was resized
            self._width = self._screen.width
            self._widths = _widths(self._width)
            self._print(
                "Time    ", {column: column.title for column in self._widths}, "Remarks", title=True
            )
        ended = localised(call.ended, self._zone)
        if ended.date() != self._day:
            self._day = ended.date()
            self._screen.print(Text(str(self._day), "bold"))
        self._print(
            f"{ended:%H:%M:%S}",
            {column: visible(column.cell(call)) for column in self._widths},
            visible(_remarks(call)),
        )

    def _print(
        self, time: str, cells: dict[_Column, str], remarks: str, *, title: bool = False
    ) -> None:
        line = Text(time, "bold" if title else "")
        for column, cell in cells.items():
            line.append(" " * GAP)
            line.append(
                _padded(cell, self._widths[column], column.kind),
                NAME_STYLE if column is MODEL and not title else None,
            )
        if (room := self._width - line.cell_len - GAP) > 1 and remarks:
            line.append(" " * GAP + shortened(remarks, room))
        self._screen.print(line, soft_wrap=True)


def _widths(room: int) -> dict[_Column, int]:
    """The columns that fit, and their widths; room to spare goes to the model's name, then to the
    remarks."""
    room -= len("00:00:00") + GAP + REMARK_LEAST + sum(column.width + GAP for column in ALWAYS)
    shown = list(ALWAYS)
    for column in FURTHER:
        if room < column.width + GAP:
            break
        shown.append(column)
        room -= column.width + GAP
    widths = {column: column.width for column in shown}
    widths[MODEL] += max(0, min(room, MODEL_MOST - MODEL.width))
    return widths


def _padded(cell: str, width: int, kind: Kind) -> str:
    """The cell in the width of its column; names are cut to fit, numbers never."""
    if kind == "number":
        return cell.rjust(width)
    cell = shortened(cell, width, kind)
    return cell + " " * (width - cell_len(cell))
