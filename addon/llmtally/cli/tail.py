"""`llmtally tail`: prints calls as they are written to the journal."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import chosen, filter_options, journal_option, note, note_skipped, nothing

if TYPE_CHECKING:
    from ..journal.follower import JournalFollower
    from ..record import Call
    from ..report.filters import Filter
    from ..text.local_time import Zone

POLL_SECONDS = 0.2
"""Seconds between two looks at the directory: a call appears at once for a person, and a look costs
microseconds."""

EXAMPLES = """
\b
Examples:
  llmtally tail                          the last 10 calls, then new ones
  llmtally tail --client claude-code --project shop
  llmtally tail -n 100 --no-follow       the last 100 calls
  llmtally tail --json | jq .cost_usd    records as they are in the journal

Calls are shown when they have ended. A terminal shows a table, with more columns the wider it is; a
pipe or file gets one line of text per call. "Input" includes cached tokens, and "Cached" is their
share. ~ marks an estimate, ? means unknown.

Ctrl-C ends it. Exit codes: 0 done, 1 no calls found (with --no-follow), 2 a mistake in the command.
"""


@click.command(epilog=EXAMPLES)
@filter_options
@click.option(
    "-n",
    "count",
    type=click.IntRange(0),
    default=10,
    metavar="N",
    show_default=True,
    help="Show the last N calls of the last two days first.",
)
@click.option("--follow/--no-follow", default=True, show_default=True, help="Keep following.")
@click.option("--json", "as_json", is_flag=True, help="Print whole records, one per line.")
@journal_option
def command(count: int, follow: bool, as_json: bool, directory: Path, **filters: Any) -> None:
    """Print calls as they happen."""
    from ..journal.follower import JournalFollower

    asked, zone = chosen(**filters)
    printer = _printer(zone, as_json=as_json)
    follower = JournalFollower(directory)
    with suppress(KeyboardInterrupt):  # the way to end it
        last = deque(_matching(follower, asked), maxlen=count)
        for line, call in last:
            printer(line, call)
        note_skipped(follower)
        if not follow and not last:
            nothing(f"No calls in {directory} match.")
        if follow and not last and sys.stderr.isatty():
            note(f"Waiting for calls in {directory}.")
        while follow:
            time.sleep(POLL_SECONDS)
            for line, call in _matching(follower, asked):
                printer(line, call)


def _matching(follower: JournalFollower, asked: Filter) -> Iterator[tuple[bytes, Call]]:
    from ..record import Call

    return (
        (line, entry)
        for line, entry in follower.poll()
        if isinstance(entry, Call) and asked.accepts(entry)
    )


def _printer(zone: Zone, *, as_json: bool) -> Callable[[bytes, Call], None]:
    """A function that prints a call, given its line in the journal and the call read from it."""
    if as_json:
        return lambda line, _: click.echo(line, nl=False)
    if sys.stdout.isatty():
        from ..text import tables
        from .tail_table import Rows

        rows = Rows(tables.console(), zone, time.time())
        return lambda _, call: rows.show(call)
    from ..text.call_line import one_line
    from ..text.local_time import localised

    return lambda _, call: click.echo(
        f"{localised(call.ended, zone):%Y-%m-%d %H:%M:%S} {one_line(call)}"
    )
