"""The command line, `llmtally`. A command's module is imported when it is asked for, so that starting costs little."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import click

from . import __version__

COMMANDS = ("run", "report", "statusline", "doctor", "sql", "tail", "reconcile", "completion")
"""In the order of the help. Each is `command` in the module of its name in `commands/`."""


class _Commands(click.Group):
    """click's way to load commands late. https://click.palletsprojects.com/en/stable/complex/#defining-the-lazy-group"""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*COMMANDS, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        command: click.Command = import_module(f".commands.{cmd_name}", __package__).command
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__)
def main() -> None:
    """Reads the token spend of any LLM client off the wire.

    The addon writes a journal; these commands read it. Start with `llmtally report`.
    """


@main.command()
def addon_path() -> None:
    """Print the file to load: mitmdump -s "$(llmtally addon-path)"."""
    click.echo(find_addon())


def find_addon() -> Path:
    """The door: in a folder of its own in an installed package, beside the package in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "door" / "usage.py"
    return installed if installed.is_file() else package.parent / "usage.py"
