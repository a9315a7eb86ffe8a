"""`llmtally sql`: answers SQL over the journal, with DuckDB."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import Failure, format_options, journal_option, note_damage, nothing

if TYPE_CHECKING:
    from ..report import Answer
    from ..text.tables import Kind

EXAMPLES = """
\b
Examples:
  llmtally sql "select model, sum(cost_usd) from calls group by 1"
  llmtally sql "select * from calls order by cost_usd desc limit 5"
  llmtally sql "describe calls"
  llmtally sql - --json < question.sql
  llmtally sql "copy calls to 'calls.parquet'"

The view `calls` has every field of a record as a column; times are UTC. The SQL dialect is
DuckDB's. A result too wide for the terminal is printed row by row.

Exit codes: 0 done, 1 nothing found, 2 a mistake in the command or a journal that cannot be read.
"""


@click.command(epilog=EXAMPLES)
@click.argument("query")
@format_options
@journal_option
def command(query: str, form: str | None, directory: Path) -> None:
    """Query the journal with SQL.

    QUERY reads the view `calls`; - takes it from standard input.
    """
    from ..report import Database, ReportError
    from .progress import watched

    text = sys.stdin.read() if query == "-" else query
    if not text.strip():
        raise click.BadParameter("is empty", param_hint="QUERY")
    try:
        with Database(directory) as database:
            if database.is_empty:
                if form == "json":
                    click.echo("[]")
                nothing(f"No calls in {directory} yet.")
            answer = watched(database, lambda: database.sql(text))
    except ReportError as error:
        raise Failure(str(error)) from error
    _print(answer, form)
    note_damage(answer.damage)
    if not answer.rows:
        nothing("No rows.")


def _print(answer: Answer, form: str | None) -> None:
    if form == "json":
        rows = [dict(zip(answer.columns, map(_plain, row), strict=True)) for row in answer.rows]
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False, default=str))
        return
    from ..text import tables

    if form == "csv":
        click.echo(tables.as_csv(answer.columns, answer.rows), nl=False)
        return
    columns = [
        tables.Column(name, name, _kind(answer, at)) for at, name in enumerate(answer.columns)
    ]
    table = tables.Table(columns, answer.rows)
    if form == "markdown":
        click.echo(tables.as_markdown(table))
    elif answer.rows:
        tables.show(table, tables.console())


def _kind(answer: Answer, at: int) -> Kind:
    """The kind of a column, from its first value that is known."""
    from numbers import Number

    value = next((row[at] for row in answer.rows if row[at] is not None), None)
    return "number" if isinstance(value, Number) and not isinstance(value, bool) else "text"


def _plain(value: Any) -> Any:
    """The value as JSON can hold it: without NaN and Decimal."""
    from decimal import Decimal

    if isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value
