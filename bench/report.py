"""Tables and goals: for people as text, for programs as JSON."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

Cell = str | float | None


@dataclass(frozen=True, slots=True)
class Plan:
    """How often and for how long everything is measured."""

    starts: int
    """Times every mitmdump is started again: two processes of the same program differ by a percent
    or two."""
    rounds: int
    """Times everything is measured in one start, in turn."""
    repeats: int
    """Runs of what is measured inside this process."""
    paced_seconds: float
    """How long streams of a set rate run."""
    before: Path | None = None
    """Another checkout, whose addon is measured beside this one's."""


FULL = Plan(starts=3, rounds=3, repeats=41, paced_seconds=1.5)
QUICK = Plan(starts=1, rounds=1, repeats=9, paced_seconds=0.7)


@dataclass(frozen=True, slots=True)
class Goal:
    """A number that must stay below a limit."""

    what: str
    measured: float
    limit: float
    unit: str
    noise: float = 0.0
    """What the same measurement shows between two things that are the same."""
    at_least: bool = False
    """The number must reach the limit instead."""

    @property
    def verdict(self) -> str:
        """Whether the goal was met; there is no verdict where noise may have decided it."""
        if abs(self.measured - self.limit) < self.noise:
            return "no verdict, within noise of the limit"
        if self.at_least:
            return "met" if self.measured >= self.limit else "MISSED"
        return "met" if self.measured < self.limit else "MISSED"


@dataclass(frozen=True, slots=True)
class Section:
    """One table, with its goals and notes."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[Cell, ...]]
    goals: list[Goal] = field(default_factory=list)
    notes: tuple[str, ...] = ()


def as_text(section: Section) -> str:
    """The table with aligned columns, its notes, its goals."""
    grid = [section.columns, *(tuple(_text(cell) for cell in row) for row in section.rows)]
    widths = [max(len(row[at]) for row in grid) for at in range(len(section.columns))]
    texts = {at for row in section.rows for at, cell in enumerate(row) if isinstance(cell, str)}
    lines = ["", section.title, ""]
    for row in grid:
        cells = [
            text.ljust(widths[at]) if at in texts else text.rjust(widths[at])
            for at, text in enumerate(row)
        ]
        lines.append("  " + "  ".join(cells).rstrip())
    lines += [f"  {note}" for note in section.notes]
    lines += [
        f"  goal: {g.what} {'>=' if g.at_least else '<'} {_limit(g)}: {_measured(g)}, {g.verdict}"
        for g in section.goals
    ]
    return "\n".join(lines)


def _limit(goal: Goal) -> str:
    return f"{goal.limit:g} {goal.unit}".rstrip()


def _measured(goal: Goal) -> str:
    return f"{_text(goal.measured)} {goal.unit}".rstrip() + (
        f" (noise {_text(goal.noise)})" if goal.noise else ""
    )


def _text(cell: Cell) -> str:
    """A cell as text, with three significant figures: the measurements are not more exact."""
    if cell is None:
        return ""
    if isinstance(cell, str):
        return cell
    decimals = 0 if abs(cell) >= 100 else 1 if abs(cell) >= 10 else 2
    return f"{cell:,.{decimals}f}"


def write_json(path: Path, sections: list[Section]) -> None:
    """All numbers, unrounded, and what they were measured on."""
    document = {
        "python": platform.python_version(),
        "mitmproxy": version("mitmproxy"),
        "machine": platform.machine(),
        "sections": [
            {
                "title": section.title,
                "rows": [dict(zip(section.columns, row, strict=True)) for row in section.rows],
                "goals": [
                    {
                        "what": g.what,
                        "measured": g.measured,
                        "limit": g.limit,
                        "unit": g.unit,
                        "noise": g.noise,
                        "at_least": g.at_least,
                        "verdict": g.verdict,
                    }
                    for g in section.goals
                ],
            }
            for section in sections
        ],
    }
    path.write_text(json.dumps(document, indent=2) + "\n")
