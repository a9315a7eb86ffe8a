"""`llmtally doctor`."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict
from pathlib import Path

import click

from .options import NOTHING, note

EXAMPLES = """
\b
Examples:
  llmtally doctor            in the shell in which the client is started: its environment is looked at
  llmtally doctor --json
  llmtally run -- llmtally doctor   what a client of `llmtally run` is given

It looks at Python, mitmproxy and Node, the journal, mitmproxy's certificate authority, running proxies, the environment and what
was counted today, and sends a call through a proxy to a provider it plays itself. Nothing leaves this machine.

\b
  ok      as it should be
  note    it may be meant so
  BROKEN  calls are lost, or clients fail
Below what is no `ok` stands the command that cures it.

Exit codes: 0 nothing is broken, 1 something is.
"""

MARKS = {"ok": ("ok", "green"), "note": ("note", "yellow"), "broken": ("BROKEN", "red")}


@click.command(epilog=EXAMPLES)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--probe/--no-probe", default=True, show_default=True, help="Start a proxy and send a call through it.")
@click.option(
    "--confdir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("~/.mitmproxy"),
    show_default=True,
    help="Where mitmproxy's certificates and config.yaml are.",
)
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path),  # as for all commands, but a file is a finding here, and no mistake in the command
    envvar="LLMTALLY_DIR",
    default=Path("~/.llmtally"),
    show_default=True,
    show_envvar=True,
    help="Where the journal is (the option usage_dir of the addon).",
)
@click.pass_context
def command(context: click.Context, as_json: bool, probe: bool, confdir: Path, directory: Path) -> None:
    """Find out why nothing is counted."""
    from ..cli import find_addon
    from ..doctor import Finding, Setting, examine

    setting = Setting(directory.expanduser(), confdir.expanduser(), os.environ, time.time(), find_addon())
    found: list[Finding] = []
    for finding in examine(setting, probe=probe):
        found.append(finding)
        if not as_json:
            _print(finding.level, finding.text, finding.cure)
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in found], indent=2))
    broken = sum(finding.level == "broken" for finding in found)
    if broken:
        if not as_json:
            note(f"{broken} broken.")
        context.exit(NOTHING)


def _print(level: str, text: str, cure: str | None) -> None:
    word, colour = MARKS[level]
    # click leaves colour out of pipes; NO_COLOR is ours to respect. https://no-color.org
    mark = word if os.environ.get("NO_COLOR") else click.style(word, fg=colour)
    first, *more = text.splitlines()
    click.echo(f"{mark}{' ' * (8 - len(word))}{first}")
    for line in more:
        click.echo(f"{' ' * 8}{line}")
    if cure is not None:
        click.echo(f"{' ' * 8}$ {cure}")
