"""The command line, `llmtally`. Commands import what they need when they run, so that starting costs little."""

from __future__ import annotations

from pathlib import Path

import click

from . import __version__


@click.group()
@click.version_option(__version__)
def main() -> None:
    """Reads the token spend of any LLM client off the wire."""


@main.command()
def addon_path() -> None:
    """Print the file to load: mitmdump -s "$(llmtally addon-path)"."""
    click.echo(find_addon())


def find_addon() -> Path:
    """The door: in a folder of its own in an installed package, beside the package in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "door" / "usage.py"
    return installed if installed.is_file() else package.parent / "usage.py"
