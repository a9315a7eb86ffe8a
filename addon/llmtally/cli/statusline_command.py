"""`llmtally statusline` as a command with help and completion; without `--dir`, `__main__` calls
`statusline` directly, which is faster."""

from __future__ import annotations

from pathlib import Path

import click

from .options import journal_option

EXAMPLES = """
\b
Examples:
  llmtally statusline
    session $0.41, today $4.12 API value | 5h 42% resets 1h 12m | 7d 18%
  llmtally statusline --json | jq .today.spent_usd

\b
Claude Code, in ~/.claude/settings.json:
  {"statusLine": {"type": "command", "command": "llmtally statusline"}}
bash, in ~/.bashrc:
  PS1='$(llmtally statusline) \\$ '
tmux, in ~/.tmux.conf:
  set -g status-right '#(llmtally statusline)'

Amounts are in USD. A subscription's calls are shown at the API's prices, as `API value`. Days are
UTC. The figures are those of the proxy that last counted a call; `session not seen` means that the
session's calls do not go through llmtally.

Windows are those of the session's account, or else of the account with the fullest window; the
provider is named if that is ambiguous. `5h 93%! full in 26m` means that the window will be full
before its reset, at the last hour's rate; `!` marks one fuller than 80%. If the line gets longer
than 80 columns, the burn rate or the cached share of the input is left out.

Exit codes: 0 printed, 1 nothing has been counted here yet.
"""


@click.command(epilog=EXAMPLES)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@journal_option
@click.pass_context
def command(context: click.Context, as_json: bool, directory: Path) -> None:
    """Print one short line: today's cost, burn rate, limit windows.

    With Claude Code's JSON on standard input, the line begins with that session, and the windows
    are those of its account.
    """
    from .statusline import main

    context.exit(main(as_json, str(directory)))
