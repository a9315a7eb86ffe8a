"""What commands have in common: where the journal is, which calls are meant, how to print, how to
fail."""

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
"""Exit code: a mistake in the command, or a journal that cannot be read. click's own for the
former."""

EXIT_CODES = (
    "Exit codes: 0 done, 1 nothing found, 2 a mistake in the command or a journal that "
    "cannot be read."
)


class Failure(click.ClickException):
    """Ends the command with a message."""

    exit_code = FAILED

    def format_message(self) -> str:
        """It may quote what stands in the journal."""
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
    help="Where the journal is (the option usage_dir of the addon).",
)

prices_option = click.option(
    "--prices",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    envvar="RUNTIME_USAGE_PRICING_FILE",
    show_envvar=True,
    help="Your own prices (the option usage_prices of the addon), for what has to be priced anew.",
)

_PATTERN = "Repeat it for any of several; * stands for any text."

time_options = _all(
    click.option(
        "--since",
        metavar="TIME",
        help="From here on: 2026-11-20, 2026-11-20T15:00, today, yesterday, 7d, 12h.",
    ),
    click.option("--until", metavar="TIME", help="Up to here; a day is included."),
    click.option(
        "--timezone",
        metavar="ZONE",
        help="Whose days these are, e.g. Europe/Berlin. The machine's own by default.",
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
        help="Only this project: its path or the last parts of it.",
    ),
    click.option(
        "--session", multiple=True, metavar="PATTERN", help="Only the session whose id begins so."
    ),
    click.option(
        "--account", multiple=True, metavar="PATTERN", help="Only the account whose id begins so."
    ),
    click.option(
        "--run",
        multiple=True,
        metavar="PATTERN",
        help="Only this run: the name it was given by `llmtally run`.",
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
    """The filter and the zone that `filter_options` mean. Raises click.BadParameter."""
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
        raise click.BadParameter("it is not after --since", param_hint="--until")
    return Filter(begin, end, **patterns), zone


def note(text: str) -> None:
    """Say something beside the answer: on standard error, so that the answer can be piped. Wraps
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
    """Say which lines of the journal were skipped."""
    if damage.count:
        note(f"{damage.count:,} damaged line{'s were' if damage.count > 1 else ' was'} skipped:")
        for each in damage.first:
            note(f"  {each}")
        if more := damage.count - len(damage.first):
            note(f"  and {more:,} more")


def note_skipped(follower: JournalFollower) -> None:
    """Say how much of a journal that is followed was skipped."""
    if follower.damaged:
        note(f"{follower.damaged:,} damaged lines were skipped; `llmtally report` names them.")
    for path, reason in follower.unreadable.items():
        note(f"{path}: {reason}.")


def nothing(message: str) -> NoReturn:
    """End: there is nothing to show."""
    note(message)
    click.get_current_context().exit(NOTHING)
