"""`llmtally reconcile`."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import NOTHING, Command, chosen, journal_option, note_damage, nothing, time_options

if TYPE_CHECKING:
    from ..client_logs import Logged
    from ..journal import DamageReport
    from ..local_time import Zone
    from ..reconcile import Comparison, Wire
    from ..tables import Sheet

EXAMPLES = """
\b
Examples:
  llmtally reconcile                            since the journal began
  llmtally reconcile --since today --client claude-code
  llmtally reconcile --json | jq .agreement_pct

"Wire only": the client left the call out of its log, as it does with title calls and probes. "Log only": the call went past the
proxy. Codex logged no ids before 0.155: such calls are joined by thread, counts and time. Calls that used no tokens are left out.

Exit codes: 0 both sides agree, 1 they differ or there is nothing to compare, 2 a mistake in the command.
"""


def _directories(option: str, text: str) -> Callable[[Command], Command]:
    return click.option(
        option, multiple=True, type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="DIRECTORY", help=text
    )


@click.command(epilog=EXAMPLES)
@time_options
@click.option("--client", type=click.Choice(["claude-code", "codex"]), help="Only this client.")
@_directories("--claude-dir", "Holds Claude Code's projects/. By default CLAUDE_CONFIG_DIR, or ~/.claude and ~/.config/claude.")
@_directories("--codex-dir", "Holds Codex's sessions/. By default CODEX_HOME, or ~/.codex.")
@click.option(
    "--limit", type=click.IntRange(0), default=20, metavar="N", show_default=True, help="Single calls shown in each table."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with every call that is not equal.")
@journal_option
def command(
    client: str | None,
    claude_dir: tuple[Path, ...],
    codex_dir: tuple[Path, ...],
    limit: int,
    as_json: bool,
    directory: Path,
    **times: Any,
) -> None:
    """Compare with the clients' own logs.

    These are the logs that Claude Code and Codex keep; the journal is what was on the wire.
    """
    from .. import client_logs, reconcile
    from ..journal import DamageReport

    asked, zone = chosen(**times)
    damage = DamageReport()
    wires = list(_wires(directory, asked.since, damage))
    note_damage(damage)
    if not wires:
        if as_json:
            _print(reconcile.Comparison(), zone, limit, as_json=True)
        nothing(f"No calls in {directory} to compare.")
    log = [
        *client_logs.read_claude(claude_dir or client_logs.claude_directories()),
        *client_logs.read_codex(codex_dir or client_logs.codex_directories()),
    ]
    since = min(wire.at for wire in wires) if asked.since is None else asked.since
    near = [logged for logged in log if logged.at >= since - reconcile.MARGIN_SECONDS]
    comparison = reconcile.compare(wires, near).between(since, asked.until or math.inf)
    if client is not None:
        comparison = comparison.of(client)
    if comparison.calls or as_json:
        _print(comparison, zone, limit, as_json=as_json)
    if not comparison.calls:
        nothing("No calls of Claude Code or Codex to compare.")
    click.get_current_context().exit(0 if len(comparison.equal) == comparison.calls else NOTHING)


def _wires(directory: Path, since: float | None, damage: DamageReport) -> Iterator[Wire]:
    from .. import journal, reconcile

    first = None if since is None else journal.utc_day(since - reconcile.MARGIN_SECONDS)
    for call in journal.read(directory, since=first, damage=damage):
        wire = reconcile.on_wire(call)
        if wire is not None:
            yield wire


def _print(comparison: Comparison, zone: Zone, limit: int, *, as_json: bool) -> None:
    from .. import reconcile, tables

    if as_json:
        import orjson

        click.echo(orjson.dumps(reconcile.as_json(comparison), option=orjson.OPT_INDENT_2))
        return
    screen = tables.console()
    tables.show(_summary(comparison), screen)
    for sheet in (
        _differences(comparison, zone, limit),
        _unlogged(comparison),
        _bypassing(comparison.log_only, zone, limit),
    ):
        if sheet.rows:
            screen.print()
            tables.show(sheet, screen)


def _summary(comparison: Comparison) -> Sheet:
    from ..reconcile import CLIENTS
    from ..tables import Column, Sheet

    columns = [
        Column("client", "Client", "fixed"),
        Column("calls", "Calls", "count"),
        Column("equal", "Equal", "count"),
        Column("different", "Different", "count"),
        Column("wire_only", "Wire only", "count"),
        Column("log_only", "Log only", "count"),
        Column("agreement_pct", "Agreement", "percent"),
    ]
    parts = [(client, comparison.of(client)) for client in CLIENTS]
    return Sheet(columns, [_row(client, part) for client, part in parts if part.calls], _row("Total", comparison))


def _row(name: str, part: Comparison) -> list[Any]:
    return [
        name,
        part.calls,
        len(part.equal),
        len(part.different),
        len(part.wire_only),
        len(part.log_only),
        part.agreement_pct,
    ]


def _differences(comparison: Comparison, zone: Zone, limit: int) -> Sheet:
    """One row a field, what is off the most first."""
    from ..tables import Column, Sheet

    columns = [
        Column("at", "Time", "fixed", dispensable=1),
        Column("response_id", "Response"),
        Column("field", "Field", "fixed"),
        Column("wire", "Wire", "number"),
        Column("log", "Log", "number"),
        Column("off", "Log is off by", "number"),
    ]
    rows = [
        (
            _time(pair.wire.at, zone),
            pair.wire.response_id or pair.wire.request_id,
            each.field,
            _value(each.wire),
            _value(each.log),
            _off(each.wire, each.log),
        )
        for pair in comparison.different
        for each in pair.differences
    ]
    rows.sort(key=lambda row: -abs(row[-1] or 0))
    shown = [(*row[:-1], None if row[-1] is None else f"{row[-1]:+,}") for row in rows[:limit]]
    return Sheet(columns, shown, title=_title("Different", len(rows), limit, "field"))


def _value(value: int | str | None) -> str | None:
    return f"{value:,}" if isinstance(value, int) else value


def _off(wire: int | str | None, log: int | str | None) -> int | None:
    return log - wire if isinstance(wire, int) and isinstance(log, int) else None


def _unlogged(comparison: Comparison) -> Sheet:
    """What clients leave out, by what kind of call it is."""
    from ..tables import Column, Sheet

    columns = [
        Column("client", "Client", "fixed"),
        Column("request_class", "Kind", "fixed"),
        Column("calls", "Calls", "count"),
        Column("tokens", "Tokens", "count"),
        Column("cost_usd", "Cost", "money"),
    ]
    kinds: dict[tuple[str, str], list[Wire]] = defaultdict(list)
    for wire in comparison.wire_only:
        kinds[wire.client or "unknown", wire.request_class or "unknown"].append(wire)
    rows = [
        (*kind, len(wires), sum(wire.usage.total_tokens or 0 for wire in wires), _cost(wires))
        for kind, wires in sorted(kinds.items())
    ]
    return Sheet(columns, rows, title="Wire only: not in the client's log")


def _cost(wires: list[Wire]) -> float | None:
    """What the calls cost together; at least so much, where it is not known of all."""
    from ..tables import AtLeast

    known = [wire.cost_usd for wire in wires if wire.cost_usd is not None]
    if not known:
        return None
    return sum(known) if len(known) == len(wires) else AtLeast(sum(known))


def _bypassing(log_only: list[Logged], zone: Zone, limit: int) -> Sheet:
    from ..tables import Column, Sheet

    columns = [
        Column("at", "Time", "fixed"),
        Column("client", "Client", "fixed"),
        Column("session", "Session"),
        Column("response_id", "Response", dispensable=1),
        Column("model", "Model", dispensable=2),
        Column("tokens", "Tokens", "count"),
    ]
    rows = [
        (_time(each.at, zone), each.client, each.thread, each.response_id, each.model, each.usage.total_tokens)
        for each in log_only[:limit]
    ]
    return Sheet(columns, rows, title=_title("Log only: past the proxy", len(log_only), limit, "call"))


def _title(text: str, count: int, limit: int, thing: str) -> str:
    return text if count <= limit else f"{text} ({limit} of {count:,} {thing}s)"


def _time(at: float, zone: Zone) -> str:
    from ..local_time import localised

    return f"{localised(at, zone):%Y-%m-%d %H:%M:%S}"
