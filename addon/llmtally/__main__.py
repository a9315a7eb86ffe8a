"""The command `llmtally`, and `python -m llmtally`."""

from __future__ import annotations

import io
import os
import sys

FAILED = 2
"""Exit code, as of other failures."""


def main() -> None:
    """Run the command line; a disk that is full and a file that may not be read are no reason for a
    stack trace."""
    if sys.stdout is None:  # closed by the shell: >&-
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  to the end of the process
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # names come in all scripts, and terminals in all encodings
            stream.reconfigure(errors="replace")
    try:
        _run()
    except BrokenPipeError:
        _let_go()
        sys.exit(1)  # as click has it
    except OSError as error:
        _let_go()
        print(f"Error: {error.filename or 'standard output'}: {error.strerror}.", file=sys.stderr)
        sys.exit(FAILED)


def _run() -> None:
    """The status line is asked for at every prompt: it loads nothing of the rest."""
    if sys.argv[1:] in (["statusline"], ["statusline", "--json"]):
        from .cli.statusline import main as statusline

        sys.exit(statusline(as_json=len(sys.argv) > 2))
    from .cli.main import main as cli

    cli()


def _let_go() -> None:
    """Python writes what is left at its end, which would fail once more.
    https://docs.python.org/3/library/signal.html#note-on-sigpipe"""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


if __name__ == "__main__":
    main()
