"""The command line, `llmtally`. Each command's module is imported only when it is called, so that
starting stays fast."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import click

from .. import __version__

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells use it: 128 plus the number of the signal."""

EXAMPLES = """
\b
Examples:
  llmtally run -- claude -p "hello"     run a client, print what it spent
  llmtally page                         what was spent on what, in a browser
  llmtally tail                         calls as they happen
  llmtally report                       what each day cost
  llmtally doctor                       why nothing is counted
"""

COMMANDS = {
    "run": ".run.command",
    "page": ".page",
    "report": ".report",
    "statusline": ".statusline_command",
    "doctor": ".doctor.command",
    "sql": ".sql",
    "tail": ".tail",
    "reconcile": ".reconcile.command",
    "tally": ".tally",
    "completion": ".completion",
}
"""The commands in the order of the help, and the modules in which each is defined as `command`."""


class _Commands(click.Group):
    """Loads commands late, the way click describes.
    https://click.palletsprojects.com/en/stable/complex/#defining-the-lazy-group"""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*COMMANDS, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        command: click.Command = import_module(COMMANDS[cmd_name], __package__).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches

            close = get_close_matches(args[0], self.list_commands(ctx), 1)
            raise (
                click.UsageError(f"{error.message} Did you mean {close[0]!r}?", ctx)
                if close
                else error
            ) from error

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)


@click.group(
    cls=_Commands,
    epilog=EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__)
def main() -> None:
    """Read the token spend of any LLM client off the wire.

    A proxy with the addon writes every call to a journal. `run` starts such a proxy for one client;
    the other commands read the journal.
    """


@main.command()
def addon_path() -> None:
    """Print the addon's path: mitmdump -s "$(llmtally addon-path)"."""
    click.echo(find_addon())


def find_addon() -> Path:
    """The script that mitmdump loads: in `door/` of an installed package, beside the package in a
    checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "door" / "usage.py"
    return installed if installed.is_file() else package.parent / "usage.py"
