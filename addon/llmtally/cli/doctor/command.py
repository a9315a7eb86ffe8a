"""`llmtally doctor`: prints what was checked, what is wrong, and the command that mends it."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..options import NOTHING, confdir_option, note

if TYPE_CHECKING:
    from rich.console import Console

    from .finding import Finding

EXAMPLES = """
\b
Examples:
  llmtally doctor                    in the shell that starts the client
  llmtally doctor --json
  llmtally run -- llmtally doctor    checks what `run` sets for a client

It checks Python, mitmproxy and Node, the journal, mitmproxy's certificate authority, running
proxies, this shell's environment and what was counted today, and sends a call through a proxy to a
fake provider. Nothing leaves this machine.

\b
  ok      as it should be
  note    perhaps intended
  BROKEN  calls are lost, or clients fail

Below each problem is the command that solves it.

Exit codes: 0 nothing is broken, 1 something is.
"""

MARKS = {"ok": ("ok", "green"), "note": ("note", "bold"), "broken": ("BROKEN", "bold red")}

MARK_COLUMNS = 8


@click.command(epilog=EXAMPLES)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--probe/--no-probe",
    default=True,
    show_default=True,
    help="Start a proxy and send a call through it.",
)
@confdir_option
@click.option(
    "--dir",
    "directory",
    # a wrong directory is a finding here, not a mistake in the command
    type=click.Path(path_type=Path, readable=False),
    envvar="LLMTALLY_DIR",
    default=Path("~/.llmtally"),
    show_default=True,
    show_envvar=True,
    help="Directory of the journal (the addon's option usage_dir).",
)
@click.pass_context
def command(
    context: click.Context, as_json: bool, probe: bool, confdir: Path, directory: Path
) -> None:
    """Find out why nothing is counted."""
    from dataclasses import asdict

    from ...text import tables
    from ..main import find_addon
    from .examination import examine
    from .finding import Setting

    setting = Setting(
        directory.expanduser(), confdir.expanduser(), os.environ, time.time(), find_addon()
    )
    screen = tables.console()
    found: list[Finding] = []
    for finding in examine(setting, probe=probe):
        found.append(finding)
        if not as_json:
            _print(finding, screen)
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in found], indent=2))
    else:
        note(_verdict([finding.level for finding in found]))
    if any(finding.level == "broken" for finding in found):
        context.exit(NOTHING)


def _print(finding: Finding, screen: Console) -> None:
    from rich.text import Text

    from ...text.safe_text import visible

    word, style = MARKS[finding.level]
    margin = Text.assemble((word, style), " " * (MARK_COLUMNS - len(word)))
    for text in finding.text.splitlines():
        for line in Text(visible(text)).wrap(screen, screen.width - MARK_COLUMNS):
            line.rstrip()
            screen.print(margin + line, soft_wrap=True)
            margin = Text(" " * MARK_COLUMNS)
    if finding.cure is not None:
        # In one line, however long: what the terminal wraps is copied as one line.
        screen.print(Text(f"{' ' * MARK_COLUMNS}$ {visible(finding.cure)}"), soft_wrap=True)


def _verdict(levels: list[str]) -> str:
    broken, notes = levels.count("broken"), levels.count("note")
    if broken:
        return f"{broken} broken."
    return "Nothing is broken." if not notes else f"Nothing is broken; {notes} to note."
