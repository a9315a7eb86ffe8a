"""The command `llmtally`, and `python -m llmtally`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; the status line, which is asked for at every prompt, without loading any of it."""
    if sys.argv[1:] in (["statusline"], ["statusline", "--json"]):
        from .statusline import main as statusline

        sys.exit(statusline(as_json=len(sys.argv) > 2))
    from .cli import main as cli

    cli()


if __name__ == "__main__":
    main()
