"""Commands as a person runs them: on a terminal."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from llmtally.cli import main as cli


def without_colour(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)


def in_terminal(
    width: int, *arguments: str, patience: float = 60, ends: tuple[int, ...] = (0,), **env: str
) -> str:
    """What the command prints on a terminal; a busy machine does not make the progress bar
    appear."""
    import fcntl  # not on Windows, where these tests are skipped
    import pty
    import struct
    import termios

    main, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    plain = {
        name: value
        for name, value in os.environ.items()
        if name not in ("COLUMNS", "NO_COLOR", "FORCE_COLOR")
    }
    script = (
        f"from llmtally.cli import main, progress; progress.PATIENCE_SECONDS = {patience}; "
        "main.main()"
    )
    command = [sys.executable, "-c", script, *arguments]
    root = Path(cli.__file__).parents[2]
    with subprocess.Popen(
        command,
        cwd=root,
        stdin=side,
        stdout=side,
        stderr=side,
        env={**plain, "TERM": "xterm-256color", **env},
    ) as process:
        os.close(side)
        said = b""
        with suppress(OSError):  # Linux's way to say the other side is closed
            while chunk := os.read(main, 65536):
                said += chunk
        os.close(main)
    assert process.returncode in ends
    return said.decode()
