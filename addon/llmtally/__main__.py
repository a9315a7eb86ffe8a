"""The entry point of the command `llmtally` and of `python -m llmtally`."""

from __future__ import annotations

import io
import os
import sys

FAILED = 2
"""Exit code of a failure, the same as in `cli.options`."""


def main() -> None:
    """Run the command line. A full disk or an unreadable file ends it with a message, not a stack
    trace."""
    if sys.stdout is None:  # closed by the shell: >&-
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  to the end of the process
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # names may have characters that the terminal's encoding lacks
            stream.reconfigure(errors="replace")
    try:
        _run()
    except BrokenPipeError:
        _discard_output()
        sys.exit(1)  # as click has it
    except OSError as error:
        _discard_output()
        print(f"Error: {error.filename or 'standard output'}: {error.strerror}.", file=sys.stderr)
        sys.exit(FAILED)


def _run() -> None:
    """Run a command. The status line, which runs at every prompt, loads nothing of the others."""
    if sys.argv[1:] in (["statusline"], ["statusline", "--json"]):
        from .cli.statusline import main as statusline

        sys.exit(statusline(as_json=len(sys.argv) > 2))
    from .cli.main import main as cli

    cli()


def _discard_output() -> None:
    """Send the rest of the output nowhere: Python flushes it at exit, which would fail again.
    https://docs.python.org/3/library/signal.html#note-on-sigpipe"""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


if __name__ == "__main__":
    main()
