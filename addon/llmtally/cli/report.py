"""`llmtally report`: sums by day, model, session and more, from DuckDB."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import (
    EXIT_CODES,
    Failure,
    chosen,
    filter_options,
    format_options,
    journal_option,
    note,
    note_damage,
    nothing,
)

if TYPE_CHECKING:
    from ..report import Report, Row
    from ..report.filters import Filter
    from ..text.local_time import Zone
    from ..text.tables import Column, Kind, Table

NAMES = (
    "daily",
    "weekly",
    "monthly",
    "session",
    "model",
    "client",
    "project",
    "account",
    "run",
    "kind",
    "outcome",
    "blocks",
)

UNPRICED_NAMED = 5
"""How many models without a price are named: enough to see what is missing; `--json` has more."""

ID_COLUMNS = 9
"""Columns for a session's id: its first 8 characters tell it from others, and a mark says that
there are more."""

EXAMPLES = f"""
\b
Examples:
  llmtally report                           what each day cost
  llmtally report model --since 7d          what each model cost this week
  llmtally report session --project shop --limit 10
  llmtally report kind --run nightly        that run, by kind of work
  llmtally report blocks --since today      windows of 5 hours
  llmtally report daily --csv > spend.csv

"API value" is what a subscription's calls would have cost at the API's prices: it is not billed,
and is never added to "Spent". "Cached" is the share of the input that was read from a cache. A dash
means unknown; ≥ marks a sum that lacks something unknown. A narrow terminal shows fewer columns;
--json and --csv have all of them.

{EXIT_CODES}
"""


@click.command(epilog=EXAMPLES)
@click.argument("by", type=click.Choice(NAMES), default="daily", metavar="[BY]")
@filter_options
@click.option(
    "--sort",
    type=click.Choice(["cost", "tokens", "calls", "name"]),
    help="Order of the rows. Default: name for periods, cost for others.",
)
@click.option(
    "--limit",
    type=click.IntRange(1),
    metavar="N",
    help="Show at most N rows; the total covers all.",
)
@format_options
@journal_option
def command(
    by: str, sort: str | None, limit: int | None, form: str | None, directory: Path, **filters: Any
) -> None:
    """Show what was spent, by day, model, session...

    BY is daily (the default), weekly, monthly, session, model, client, project, account, run (of
    `llmtally run`), kind (of work: main, auxiliary, `subagent Explore`...), outcome, or blocks (of
    5 hours).
    """
    from ..report import Database, ReportError
    from .progress import watched

    asked, zone = chosen(**filters)
    try:
        with Database(directory, since=asked.since, until=asked.until) as database:
            report = watched(database, lambda: database.report(by, asked, zone)).arranged(
                sort, limit
            )
    except ReportError as error:
        raise Failure(str(error)) from error
    _print(report, form, zone, asked)
    _note(report)
    if not report.rows:
        nothing(f"No calls in {directory} {'match' if _any(filters) else 'yet'}.")


def _any(filters: dict[str, Any]) -> bool:
    return any(value for name, value in filters.items() if name != "timezone")


def _print(report: Report, form: str | None, zone: Zone, asked: Filter) -> None:
    from ..report import as_json
    from ..text import tables

    if form == "json":
        import orjson

        click.echo(orjson.dumps(as_json(report, zone, asked), option=orjson.OPT_INDENT_2))
    elif form == "csv":
        rows = [row.values() for row in as_json(report, zone, asked)["rows"]]
        click.echo(tables.as_csv(_field_names(report), [list(row) for row in rows]), nl=False)
    elif report.rows:
        table = _table(report, zone)
        if form == "markdown":
            click.echo(tables.as_markdown(table))
        else:
            tables.show(table, tables.console())


def _field_names(report: Report) -> list[str]:
    """The columns of CSV: the same whatever was found, so that scripts can rely on them."""
    from ..report import GROUPINGS
    from ..tracker.totals import ZERO, to_json

    grouping = GROUPINGS[report.name]
    return [*grouping.keys, *grouping.details, *to_json(ZERO), "first_call", "last_call"]


def _table(report: Report, zone: Zone) -> Table:
    from ..text.tables import Table
    from . import totals_columns

    names = _names(report)
    figures = totals_columns.columns(report.totals)
    rows = [
        [*_named(report, row, zone), *totals_columns.cells(row.totals, figures)]
        for row in report.rows
    ]
    total = ["Total", *[""] * (len(names) - 1), *totals_columns.cells(report.totals, figures)]
    return Table([*names, *figures], rows, total)


def _names(report: Report) -> list[Column]:
    """The columns that name a row."""
    from ..report import GROUPINGS
    from ..text.tables import Column

    if report.name == "session":
        return [
            Column("session", "Session", least=ID_COLUMNS),
            Column("client", "Client", dispensable=6),
            Column("project", "Project", "path", dispensable=1),
            Column("last_call", "Last call", "fixed", dispensable=2),
        ]
    if report.name == "run":
        return [Column("run", "Run"), Column("last_call", "Last call", "fixed", dispensable=2)]
    grouping = GROUPINGS[report.name]
    kind: Kind = "fixed" if grouping.by_time else "path" if report.name == "project" else "text"
    return [Column(name, name.capitalize(), kind) for name in grouping.keys]


def _named(report: Report, row: Row, zone: Zone) -> list[str | None]:
    from ..report import GROUPINGS
    from ..text.local_time import localised

    if report.name == "blocks":
        return [f"{localised(row.first, zone):%Y-%m-%d %H:%M}"]
    names = [part or GROUPINGS[report.name].nameless for part in row.key]
    when = [f"{localised(row.last, zone):%m-%d %H:%M}"] if report.name in ("session", "run") else []
    return [*names, *row.details, *when]


def _note(report: Report) -> None:
    totals, models = report.totals, report.unpriced_models
    if totals.unpriced:
        note(f"{_counted(totals.unpriced, 'call')} no price, missing in the sums:")
        for model in [
            *models[:UNPRICED_NAMED],
            *(["and more"] if len(models) > UNPRICED_NAMED else []),
        ]:
            note(f"  {model}")
    if totals.uncounted:
        note(f"{_counted(totals.uncounted, 'call')} unknown tokens.")
    if totals.errors:
        note(f"{totals.errors:,} call{'s' if totals.errors != 1 else ''} ended in an error.")
    if report.warmups:
        note(f"{_counted(report.warmups, 'warm-up')} been left out: not billed.")
    note_damage(report.damage)


def _counted(count: int, thing: str) -> str:
    return f"{count:,} {thing} has" if count == 1 else f"{count:,} {thing}s have"
