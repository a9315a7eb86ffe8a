"""`llmtally completion`: prints the completion scripts that click makes."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

EXAMPLES = """
\b
Examples:
  bash, if bash-completion is installed:
    mkdir -p ~/.local/share/bash-completion/completions
    llmtally completion bash \\
      > ~/.local/share/bash-completion/completions/llmtally
  zsh, with fpath+=~/.zfunc before compinit in ~/.zshrc:
    mkdir -p ~/.zfunc
    llmtally completion zsh > ~/.zfunc/_llmtally
  fish:
    llmtally completion fish > ~/.config/fish/completions/llmtally.fish
"""


@click.command(epilog=EXAMPLES)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the script that completes commands and options in SHELL."""
    kind = get_completion_class(shell)
    if kind is not None:
        click.echo(kind(context.find_root().command, {}, "llmtally", "_LLMTALLY_COMPLETE").source())
