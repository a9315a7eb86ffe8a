"""`llmtally reconcile`: reads journal and logs, compares them and prints the result."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..options import (
    NOTHING,
    Command,
    chosen,
    journal_option,
    note_damage,
    nothing,
    prices_option,
    time_options,
)

if TYPE_CHECKING:
    from ...text.local_time import Zone
    from .client_logs import Logged
    from .comparison import Comparison, JournalCall
    from .sums import Price

EXAMPLES = """
\b
Examples:
  llmtally reconcile                            since the journal began
  llmtally reconcile --since today --client claude-code
  llmtally reconcile --json | jq .agreement_pct
  llmtally reconcile --json | jq .sums.ratios.output_tokens

"Ratio" is the wire's value divided by the log's. Costs are at the API's prices, whoever pays; costs
computed from logs are approximate, marked ~. ≥ marks a sum that lacks calls of models without a
price.

"Wire only": the client left the call out of its log, as it does with title calls and probes. "Log
only": the call bypassed the proxy. Codex logged no ids before 0.155: such calls are matched by
thread, counts and time. Calls that used no tokens are left out. If the journal is empty, only the
logs' totals are printed.

In JSON, `differences`, `not_logged` and `bypassed` list every call that is not equal; `bypassed` is
also there as `past_the_proxy`, its old name, which the next version drops.

Exit codes: 0 both sides agree, 1 they differ or there is nothing to compare, 2 a mistake in the
command.
"""


def _directories(option: str, text: str) -> Callable[[Command], Command]:
    return click.option(
        option,
        multiple=True,
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        metavar="DIRECTORY",
        help=text,
    )


@click.command(epilog=EXAMPLES)
@time_options
@click.option("--client", type=click.Choice(["claude-code", "codex"]), help="Only this client.")
@_directories(
    "--claude-dir",
    "Directory with Claude Code's projects/. Default: CLAUDE_CONFIG_DIR, or ~/.claude and "
    "~/.config/claude.",
)
@_directories("--codex-dir", "Directory with Codex's sessions/. Default: CODEX_HOME, or ~/.codex.")
@click.option(
    "--limit",
    type=click.IntRange(0),
    default=20,
    metavar="N",
    show_default=True,
    help="Show at most N calls in each table.",
)
@prices_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with every call that differs.")
@journal_option
def command(
    client: str | None,
    claude_dir: tuple[Path, ...],
    codex_dir: tuple[Path, ...],
    limit: int,
    prices: Path | None,
    as_json: bool,
    directory: Path,
    **times: Any,
) -> None:
    """Compare the journal with the clients' logs.

    The journal has what was on the wire; the logs are those that Claude Code and Codex write.
    """
    from . import answer
    from .comparison import MARGIN_SECONDS
    from .joining import compare

    asked, zone = chosen(**times)
    price = _price(prices)
    calls = _read_journal(directory, asked.since)
    log = _read_logs(claude_dir, codex_dir)
    since = (
        min((call.at for call in calls), default=-math.inf) if asked.since is None else asked.since
    )
    near = [logged for logged in log if logged.at >= since - MARGIN_SECONDS]
    comparison = compare(calls, near).between(since, asked.until or math.inf)
    if client is not None:
        comparison = comparison.of(client)
    if as_json:
        import orjson

        click.echo(orjson.dumps(answer.as_json(comparison, price), option=orjson.OPT_INDENT_2))
    elif not calls:
        _print_log(comparison.log_only, price)
    elif comparison.calls:
        _print(comparison, price, zone, limit)
    if not calls:
        nothing(_journal_is_empty(comparison, directory))
    if not comparison.calls:
        nothing("No calls of Claude Code or Codex to compare.")
    click.get_current_context().exit(0 if len(comparison.equal) == comparison.calls else NOTHING)


def _price(prices: Path | None) -> Price:
    from ...pricing import Pricer
    from .sums import price_of

    pricer = Pricer(override_path=prices)
    if problem := pricer.reload_if_changed():
        raise click.BadParameter(problem, param_hint="--prices")
    return price_of(pricer)


def _read_logs(claude_dir: tuple[Path, ...], codex_dir: tuple[Path, ...]) -> Iterator[Logged]:
    from . import client_logs

    yield from client_logs.read_claude(claude_dir or client_logs.claude_directories())
    yield from client_logs.read_codex(codex_dir or client_logs.codex_directories())


def _read_journal(directory: Path, since: float | None) -> list[JournalCall]:
    from ... import journal
    from .comparison import MARGIN_SECONDS, journal_call

    damage = journal.DamageReport()
    first = None if since is None else journal.utc_day(since - MARGIN_SECONDS)
    read = journal.read(directory, since=first, damage=damage)
    calls = [compared for call in read if (compared := journal_call(call)) is not None]
    note_damage(damage)
    return calls


def _print(comparison: Comparison, price: Price, zone: Zone, limit: int) -> None:
    from ...text import tables
    from . import reconcile_tables
    from .sums import sums_of

    screen = tables.console()
    tables.show(reconcile_tables.summary(comparison), screen)
    for table in (
        reconcile_tables.sums(sums_of(comparison, price)),
        reconcile_tables.differences(comparison, zone, limit),
        reconcile_tables.unlogged(comparison),
        reconcile_tables.bypassing(comparison.log_only, zone, limit),
    ):
        if table.rows:
            screen.print()
            tables.show(table, screen)


def _print_log(log: list[Logged], price: Price) -> None:
    from ...text import tables
    from .reconcile_tables import by_themselves

    if log:
        tables.show(by_themselves(log, price), tables.console())


def _journal_is_empty(comparison: Comparison, directory: Path) -> str:
    """Says what the printed figures are, and how to get calls to compare with."""
    client = (
        "claude" if any(comparison.of("claude-code").log_only) or not comparison.calls else "codex"
    )
    cure = (
        "To compare with what is on the wire, run the client through llmtally first: llmtally run "
        f"-- {client}"
    )
    if not comparison.calls:
        return f"No calls in {directory}, and none in the logs of Claude Code or Codex. {cure}"
    return (
        f"No calls in {directory} to compare: these are the logs' own figures, which leave calls "
        f"out and may be too low. {cure}"
    )
