"""`llmtally tail`."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import chosen, filter_options, journal_option, note, nothing

if TYPE_CHECKING:
    from ..filters import Filter
    from ..local_time import Zone
    from ..record import Call
    from ..tail import Follower

POLL_SECONDS = 0.2
"""A line appears while its call is still remembered; a look at a directory costs microseconds."""

EXAMPLES = """
\b
Examples:
  llmtally tail                                    the last 10 calls, then each as it ends
  llmtally tail --client claude-code --project shop
  llmtally tail -n 100 --no-follow                 the last 100 calls
  llmtally tail --json | jq .cost_usd              records as they stand in the journal

Ctrl-C ends it. Exit codes: 0 done, 1 no calls found (with --no-follow), 2 a mistake in the command.
"""


@click.command(epilog=EXAMPLES)
@filter_options
@click.option("-n", "count", type=click.IntRange(0), default=10, show_default=True, help="Begin with so many of the last two days.")
@click.option("--follow/--no-follow", default=True, show_default=True, help="Go on with what comes.")
@click.option("--json", "as_json", is_flag=True, help="Print whole records, one a line.")
@journal_option
def command(count: int, follow: bool, as_json: bool, directory: Path, **filters: Any) -> None:
    """Print calls as they happen."""
    from ..tail import Follower

    asked, zone = chosen(**filters)
    follower = Follower(directory)
    with suppress(KeyboardInterrupt):  # the way to end it
        shown = _show(deque(_matching(follower, asked), maxlen=count), zone, as_json=as_json)
        if follower.damaged:
            note(f"{follower.damaged:,} damaged lines were skipped; `llmtally report` names them.")
        if not follow and not shown:
            nothing(f"No calls in {directory} match.")
        if follow and not shown and sys.stderr.isatty():
            note(f"Waiting for calls in {directory}.")
        while follow:
            time.sleep(POLL_SECONDS)
            _show(_matching(follower, asked), zone, as_json=as_json)


def _show(calls: Iterable[tuple[bytes, Call]], zone: Zone, *, as_json: bool) -> bool:
    """Print them; whether there were any."""
    any_shown = False
    for line, call in calls:
        _print(line, call, zone, as_json=as_json)
        any_shown = True
    return any_shown


def _matching(follower: Follower, asked: Filter) -> Iterator[tuple[bytes, Call]]:
    return ((line, call) for line, call in follower.poll() if asked.accepts(call))


def _print(line: bytes, call: Call, zone: Zone, *, as_json: bool) -> None:
    from ..local_time import localised
    from ..terminal import one_line

    if as_json:
        click.echo(line, nl=False)
    else:
        click.echo(f"{localised(call.ended, zone):%H:%M:%S} {one_line(call)}")
    sys.stdout.flush()
