r"""Runs a program in the foreground: it has the terminal and gets its signals, and its exit code
becomes ours.

It stays in our process group, which is the terminal's foreground: Ctrl-C, Ctrl-Z, Ctrl-\ and a new
window size reach it from the kernel, and the shell stops and continues both of us. Signals that are
sent to us alone are forwarded.
https://pubs.opengroup.org/onlinepubs/9799919799/basedefs/V1_chap11.html
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import FrameType

NOT_FOUND = 127
NOT_EXECUTABLE = 126
"""Exit codes that shells use.
https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html#tag_19_08_02"""

SIGNALLED = 128
"""Added to the number of the signal that ended a program."""

CONTINUED_SECONDS = 0.1
"""How long a client that was continued together with us takes to run again."""

FORWARDED = (
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGCONT,
    signal.SIGWINCH,
)
FROM_TERMINAL = (signal.SIGINT, signal.SIGQUIT)
"""The terminal sends these to the program itself; without a terminal they are forwarded, too."""


class CannotStartError(Exception):
    """The program does not exist or cannot be executed; `code` is the exit code to use."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def run(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a program to its end; its exit code. Raises CannotStartError."""
    handlers = {}
    client: subprocess.Popen[bytes] | None = None
    early: list[int] = []  # signals that came while the program was being started

    def forward(number: int, _: FrameType | None) -> None:
        if client is None:
            early.append(number)
        elif client.returncode is None and not (number in FROM_TERMINAL and _has_terminal()):
            with suppress(ProcessLookupError):
                os.kill(client.pid, number)

    # A handler and not SIG_IGN, which the program would inherit.
    for number in (*FROM_TERMINAL, *FORWARDED):
        handlers[number] = signal.signal(number, forward)
    try:
        client = _start(command, environment)
        for signalled in early:
            forward(signalled, None)
        return _wait(client)
    finally:
        _take_terminal_back()
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _start(command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(command, env=environment)  # noqa: S603  what the user asked for
    except FileNotFoundError as error:
        raise CannotStartError(f"{command[0]}: no such program.", NOT_FOUND) from error
    except OSError as error:
        raise CannotStartError(f"{command[0]}: {error.strerror}.", NOT_EXECUTABLE) from error


def _wait(client: subprocess.Popen[bytes]) -> int:
    status = os.waitpid(client.pid, os.WUNTRACED)[1]
    while os.WIFSTOPPED(status):
        # Ctrl-Z stops both of us: we learn of it only when both are continued.
        time.sleep(CONTINUED_SECONDS)
        known, status = os.waitpid(client.pid, os.WNOHANG | os.WUNTRACED | os.WCONTINUED)
        if not known:
            # It has stopped itself: stop with it, so that the shell takes over; `fg` continues
            # both.
            os.kill(os.getpid(), signal.SIGSTOP)
        if not known or os.WIFCONTINUED(status):
            status = os.waitpid(client.pid, os.WUNTRACED)[1]
    client.returncode = os.waitstatus_to_exitcode(status)
    return client.returncode if client.returncode >= 0 else SIGNALLED - client.returncode


def _has_terminal() -> bool:
    """Whether our process group is in the foreground of a terminal, which then signals the program
    itself."""
    try:
        with open("/dev/tty", "rb", buffering=0) as terminal:
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:
        return False


def _take_terminal_back() -> None:
    """Put our process group in the foreground again: a shell that was killed leaves the terminal to
    a group that is gone, and writing to it would stop us."""
    try:
        if not sys.stderr.isatty() or os.tcgetpgrp(sys.stderr.fileno()) == os.getpgrp():
            return
        before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        os.tcsetpgrp(sys.stderr.fileno(), os.getpgrp())
        signal.signal(signal.SIGTTOU, before)
    except (OSError, AttributeError, ValueError):
        return
