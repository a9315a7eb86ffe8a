"""What commands share: the options for directory, time, filters and formats, notes on standard
error, and exit codes."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

if TYPE_CHECKING:
    from ..journal import DamageReport
    from ..journal.follower import JournalFollower
    from ..report.filters import Filter
    from ..text.local_time import Zone

Command = TypeVar("Command", bound=Callable[..., Any])

NOTHING = 1
"""Exit code: there is nothing to show, or a comparison found differences."""

FAILED = 2
"""Exit code: a mistake in the command, for which click uses the same, or an unreadable journal."""

EXIT_CODES = (
    "Exit codes: 0 done, 1 nothing found, 2 a mistake in the command or a journal that "
    "cannot be read."
)


class Failure(click.ClickException):
    """Ends the command with an error message."""

    exit_code = FAILED

    def format_message(self) -> str:
        """The message, safe to print: it may quote the journal."""
        return _safe(self.message)


def _all(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    return lambda command: reduce(lambda made, option: option(made), reversed(options), command)


journal_option = click.option(
    "--dir",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="LLMTALLY_DIR",
    default=Path("~/.llmtally"),
    show_default=True,
    show_envvar=True,
    callback=lambda _context, _parameter, value: value.expanduser(),
    help="Directory of the journal (the addon's option usage_dir).",
)

confdir_option = click.option(
    "--confdir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("~/.mitmproxy"),
    show_default=True,
    help="Directory of mitmproxy's certificates and config.yaml.",
)

prices_option = click.option(
    "--prices",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    envvar="RUNTIME_USAGE_PRICING_FILE",
    show_envvar=True,
    help="Your prices (the addon's option usage_prices), for calls that are priced again.",
)

_PATTERN = "Repeat for several; * matches any text."

time_options = _all(
    click.option(
        "--since",
        metavar="TIME",
        help="From this time on: 2026-11-20, 2026-11-20T15:00, today, yesterday, 7d, 12h.",
    ),
    click.option("--until", metavar="TIME", help="Up to this time; a day is included whole."),
    click.option(
        "--timezone",
        metavar="ZONE",
        help="Time zone for day boundaries, e.g. Europe/Berlin. Default: this machine's.",
    ),
)

filter_options = _all(
    time_options,
    click.option(
        "--model",
        multiple=True,
        metavar="PATTERN",
        help=f"Only this model, or provider/model. {_PATTERN}",
    ),
    click.option(
        "--client", multiple=True, metavar="PATTERN", help="Only this client, e.g. claude-code."
    ),
    click.option(
        "--project",
        multiple=True,
        metavar="PATTERN",
        help="Only this project: its path, or the end of its path.",
    ),
    click.option(
        "--session",
        multiple=True,
        metavar="PATTERN",
        help="Only sessions whose id starts with PATTERN.",
    ),
    click.option(
        "--account",
        multiple=True,
        metavar="PATTERN",
        help="Only accounts whose id starts with PATTERN.",
    ),
    click.option(
        "--run",
        multiple=True,
        metavar="PATTERN",
        help="Only this run of `llmtally run`, by its name.",
    ),
)

format_options = _all(
    click.option("--json", "form", flag_value="json", default=None, help="Print JSON."),
    click.option("--csv", "form", flag_value="csv", default=None, help="Print CSV."),
    click.option(
        "--markdown", "form", flag_value="markdown", default=None, help="Print a Markdown table."
    ),
)


def chosen(
    since: str | None, until: str | None, timezone: str | None, **patterns: tuple[str, ...]
) -> tuple[Filter, Zone]:
    """The filter and the time zone given by `filter_options`. Raises click.BadParameter."""
    from ..report.filters import Filter
    from ..text.local_time import moment, zone_named

    now = time.time()
    option = "--timezone"
    try:
        zone = zone_named(timezone) if timezone else None
        option = "--since"
        begin = moment(since, zone, now) if since else None
        option = "--until"
        end = moment(until, zone, now, end=True) if until else None
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=option) from error
    if begin is not None and end is not None and begin >= end:
        raise click.BadParameter("is not after --since", param_hint="--until")
    return Filter(begin, end, **patterns), zone


def note(text: str) -> None:
    """Print a remark on standard error, so that the answer on standard output can be piped. Wraps
    between words on a terminal."""
    text = _safe(text)
    if sys.stderr.isatty():
        text = "\n".join(_wrapped(line) for line in text.splitlines())
    click.echo(text, err=True)


def _safe(text: str) -> str:
    from ..text.safe_text import visible

    return "\n".join(visible(line) for line in text.splitlines())


def _wrapped(line: str) -> str:
    import textwrap

    text = line.lstrip()
    indent = " " * (len(line) - len(text))
    width = shutil.get_terminal_size().columns
    return textwrap.fill(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def note_damage(damage: DamageReport) -> None:
    """Print which lines of the journal were skipped."""
    if damage.count:
        note(f"{damage.count:,} damaged line{'s were' if damage.count > 1 else ' was'} skipped:")
        for each in damage.first:
            note(f"  {each}")
        if more := damage.count - len(damage.first):
            note(f"  and {more:,} more")


def note_skipped(follower: JournalFollower) -> None:
    """Print what a journal's follower has skipped."""
    if follower.damaged:
        were = "lines were" if follower.damaged > 1 else "line was"
        note(f"{follower.damaged:,} damaged {were} skipped; `llmtally report` shows which.")
    for path, reason in follower.unreadable.items():
        note(f"{path}: {reason}.")


def nothing(message: str) -> NoReturn:
    """End the command with exit code 1: there is nothing to show."""
    note(message)
    click.get_current_context().exit(NOTHING)
