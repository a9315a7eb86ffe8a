"""Which proxies are at work on a directory: each keeps a file `proxies/PID.json` there while it
runs.

`llmtally run` joins one of them, `llmtally doctor` looks at them. A killed proxy leaves its file,
so a file alone says nothing: the very process that wrote it has to live, and its port to answer;
the number may be another's by now, and so may the port. No secret stands in it, not even the page's
token. https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from .atomic_write import atomic_write

FOLDER = "proxies"

PROC = Path("/proc")

OWNER = "LLMTALLY_OWNED_BY"
"""Environment variable by which `llmtally run` marks a proxy as its own."""

FILE_CAP = 2**16
"""Bytes of a file that are read; a real one has some 300."""

CONNECT_SECONDS = 1.0
"""A proxy on this machine answers in a millisecond, or in some tens when it is busy."""


@dataclass(frozen=True, slots=True)
class Presence:
    """A proxy that is running."""

    pid: int
    version: str
    """Of llmtally."""
    listens: tuple[tuple[str, str, int], ...]
    """`(mode, host, port)` of each."""
    confdir: str
    """Where its certificate authority is."""
    intercept: str
    """`usage_intercept`."""
    open_to_all: bool = True
    """It asks its clients for no password."""
    owner: str | None = None
    """The run whose own it is: it ends with it, so nobody else joins."""
    page: str | None = None
    """Where its page is."""
    start_time: str | None = None
    """When its process began, see `process_start_time`; `write` fills it in."""

    @property
    def regular(self) -> tuple[str, int] | None:
        """Where clients that know of the proxy connect to."""
        for mode, host, port in self.listens:
            if mode in ("regular", "upstream"):
                return _reachable(host), port
        return None

    @property
    def is_alive(self) -> bool:
        """Whether its process is there, and no other one under its number."""
        return self.start_time is not None and process_start_time(self.pid) == self.start_time

    @property
    def answers(self) -> bool:
        """Whether it is alive and accepts connections."""
        return self.is_alive and any(
            accepts(_reachable(host), port) for _, host, port in self.listens
        )


def write(directory: Path, presence: Presence) -> None:
    """Say that a proxy runs, or what has changed about it. Raises OSError."""
    folder = directory / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    born = replace(presence, start_time=process_start_time(presence.pid))
    atomic_write(folder / f"{presence.pid}.json", json.dumps(asdict(born)).encode())


def remove(directory: Path, pid: int) -> None:
    """The proxy has ended."""
    (directory / FOLDER / f"{pid}.json").unlink(missing_ok=True)


def read_all(directory: Path) -> list[Presence]:
    """What the files say, the newest first."""
    found = []
    for path in (directory / FOLDER).glob("*.json"):
        try:
            with path.open("rb") as file:
                found.append((path.stat().st_mtime, _presence(json.loads(file.read(FILE_CAP)))))
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            continue  # gone by now, or not ours
    return [presence for _, presence in sorted(found, key=lambda each: each[0], reverse=True)]


def running(directory: Path) -> list[Presence]:
    """The proxies that are alive, the newest first."""
    return [presence for presence in read_all(directory) if presence.answers]


def process_start_time(pid: int, *, proc: Path = PROC) -> str | None:
    """When a process began, the same text at every look; None where there is no such process, or
    nothing tells.

    On Linux in clock ticks of the kernel that runs, so that setting the clock does not change it;
    elsewhere in seconds, as ps says.
    """
    try:
        boot = (proc / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return _as_ps_says(pid)
    try:
        stat = (proc / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    return f"{boot} {stat.rpartition(')')[2].split()[_START_TIME]}"


_START_TIME = 19
"""Field 22 of /proc/PID/stat, counted from what follows the name."""


def _as_ps_says(pid: int) -> str | None:
    command = ["ps", "-o", "lstart=", "-p", str(pid)]
    plain = {**os.environ, "LC_ALL": "C", "TZ": "UTC0"}
    try:
        said = subprocess.check_output(  # noqa: S603  the machine's ps
            command, env=plain, stderr=subprocess.DEVNULL, text=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return said.strip() or None


def accepts(host: str, port: int) -> bool:
    """Whether somebody accepts connections there."""
    try:
        with socket.create_connection((host, port), CONNECT_SECONDS):
            return True
    except OSError:
        return False


def _presence(answer: dict[str, Any]) -> Presence:
    known = {field.name for field in fields(Presence)}
    answer["listens"] = tuple(
        (str(mode), str(host), int(port)) for mode, host, port in answer["listens"]
    )
    return Presence(**{name: value for name, value in answer.items() if name in known})


def _reachable(host: str) -> str:
    """An address to connect to, for one that is listened on."""
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  nothing is bound here
