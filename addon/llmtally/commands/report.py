"""`llmtally report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import EXIT_CODES, Failure, chosen, filter_options, format_options, journal_option, note, note_damage, nothing

if TYPE_CHECKING:
    from ..report import Report
    from ..tables import Sheet
    from ..tracker.totals import Totals

NAMES = ("daily", "weekly", "monthly", "session", "model", "client", "project", "blocks")

EXAMPLES = f"""
\b
Examples:
  llmtally report                                  what each day cost
  llmtally report model --since 7d                 which models the last week went to
  llmtally report session --project shop --limit 10
  llmtally report blocks --since today             5-hour windows
  llmtally report daily --csv > spend.csv

"API value" is what a subscription's calls would have cost at the API's prices: not a bill, and never added to "Spent".
"Hit" is the share of the input that was read from a cache. A dash is unknown; a dash in a name: the client did not say.

{EXIT_CODES}
"""


@click.command(epilog=EXAMPLES)
@click.argument("by", type=click.Choice(NAMES), default="daily")
@filter_options
@click.option("--sort", type=click.Choice(["cost", "tokens", "calls", "name"]), help="Time reports by name, others by cost.")
@click.option("--limit", type=click.IntRange(1), help="Only so many rows; the total stays that of all.")
@format_options
@journal_option
def command(by: str, sort: str | None, limit: int | None, form: str | None, directory: Path, **filters: Any) -> None:
    """What was spent, by day, model, session...

    Also by week, month, client, project, or block of 5 hours.
    """
    from ..report import Database, ReportError, as_json
    from .progress import watched

    asked, zone = chosen(**filters)
    try:
        with Database(directory, since=asked.since, until=asked.until) as database:
            report = watched(database, lambda: database.report(by, asked, zone)).arranged(sort, limit)
    except ReportError as error:
        raise Failure(str(error)) from error
    if form == "json":
        click.echo(_json(as_json(report, zone, asked)))
    elif report.rows:
        _print(_sheet(report), form)
    _note(report)
    if not report.rows:
        nothing(f"No calls in {directory} {'match' if _any(filters) else 'yet'}.")


def _any(filters: dict[str, Any]) -> bool:
    return any(value for name, value in filters.items() if name != "timezone")


def _json(document: object) -> str:
    import orjson

    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()


def _print(sheet: Sheet, form: str | None) -> None:
    from .. import tables

    if form == "csv":
        click.echo(tables.as_csv(sheet), nl=False)
    elif form == "markdown":
        click.echo(tables.as_markdown(sheet))
    else:
        tables.show(sheet, tables.console())


def _sheet(report: Report) -> Sheet:
    """What a person looks at first stands nearest to the name; money stands last, as in a bill."""
    from ..report import GROUPINGS
    from ..tables import Column, Sheet

    grouping, totals = GROUPINGS[report.name], report.totals
    columns = [Column(name, name.capitalize(), "fixed" if grouping.by_time else "text") for name in grouping.keys]
    columns += [Column(name, name.capitalize(), "text", dispensable=7) for name in grouping.details]
    columns += [
        Column("calls", "Calls", "count"),
        Column("input_tokens", "Input", "count", dispensable=2),
        Column("cache_write_tokens", "Cache write", "count", dispensable=5),
        Column("cache_read_tokens", "Cache read", "count", dispensable=4),
        Column("cache_hit_pct", "Hit", "percent", dispensable=3),
        Column("output_tokens", "Output", "count", dispensable=1),
        Column("spent_usd", "Spent", "money"),
    ]
    if totals.api_value:
        columns.append(Column("api_value_usd", "API value", "money"))
    if totals.unpriced:
        columns.append(Column("unpriced", "Unpriced", "count", dispensable=6))
    names = [column.name for column in columns[len(grouping.keys) + len(grouping.details) :]]
    rows = [[*row.key, *row.details, *_cells(row.totals, names)] for row in report.rows]
    blank = [""] * (len(grouping.keys) + len(grouping.details) - 1)
    return Sheet(columns, rows, ["Total", *blank, *_cells(totals, names)])


def _cells(totals: Totals, names: list[str]) -> list[Any]:
    from ..tracker.totals import to_json

    said = to_json(totals)
    return [said[name] for name in names]


def _note(report: Report) -> None:
    totals = report.totals
    if totals.unpriced:
        note(f"{_counted(totals.unpriced, 'call')} no price: {', '.join(report.unpriced_models)}")
    if totals.uncounted:
        note(f"{_counted(totals.uncounted, 'call')} unknown tokens.")
    if report.warmups:
        note(f"{_counted(report.warmups, 'warm-up')} been left out: not billed.")
    note_damage(report.damage)


def _counted(count: int, thing: str) -> str:
    return f"{count:,} {thing} has" if count == 1 else f"{count:,} {thing}s have"
