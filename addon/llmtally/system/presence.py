"""Which proxies are running on a directory: each keeps a file `proxies/PID.json` there while it
runs.

`llmtally run` joins one of them, `llmtally doctor` checks them. A killed proxy leaves its file
behind, and another process may have its number or its port by now: a proxy counts as running only
if the process that wrote the file is alive and its port answers. The file holds no secret, not even
the page's token. https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
"""

from __future__ import annotations

import json
import socket
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from .atomic_write import atomic_write

FOLDER = "proxies"

PROC = Path("/proc")

OWNER = "LLMTALLY_OWNED_BY"
"""Environment variable by which `llmtally run` recognises the proxy that it started."""

FILE_CAP = 2**16
"""Bytes of a file that are read; a real one has some 300."""

CONNECT_SECONDS = 1.0
"""A proxy on this machine answers in a millisecond, or in some tens when it is busy."""


@dataclass(frozen=True, slots=True)
class Presence:
    """A proxy, as it describes itself in its file."""

    pid: int
    version: str
    """The version of llmtally that it runs."""
    listens: tuple[tuple[str, str, int], ...]
    """`(mode, host, port)` of each listener."""
    confdir: str
    """mitmproxy's directory with the certificate authority that the proxy signs with."""
    intercept: str
    """The option `usage_intercept`: which TLS connections it decrypts."""
    open_to_all: bool = True
    """Whether it asks its clients for no password."""
    owner: str | None = None
    """The `llmtally run` that started it and will end it, so no other run joins it."""
    page: str | None = None
    """The page's URL, without a token."""
    start_time: str | None = None
    """When its process started, see `process_start_time`; `write` fills it in."""

    @property
    def regular(self) -> tuple[str, int] | None:
        """`(host, port)` for clients that use a proxy; None without a listener in regular mode."""
        for mode, host, port in self.listens:
            if mode in ("regular", "upstream"):
                return _reachable(host), port
        return None

    @property
    def is_alive(self) -> bool:
        """Whether its process is running, and is not another one with the same id."""
        return self.start_time is not None and process_start_time(self.pid) == self.start_time

    @property
    def answers(self) -> bool:
        """Whether it is alive and accepts connections."""
        return self.is_alive and any(
            accepts(_reachable(host), port) for _, host, port in self.listens
        )


def write(directory: Path, presence: Presence) -> None:
    """Write or update a proxy's file. Raises OSError."""
    folder = directory / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    started = replace(presence, start_time=process_start_time(presence.pid))
    atomic_write(folder / f"{presence.pid}.json", json.dumps(asdict(started)).encode())


def remove(directory: Path, pid: int) -> None:
    """Remove the file of a proxy that has ended."""
    (directory / FOLDER / f"{pid}.json").unlink(missing_ok=True)


def read_all(directory: Path) -> list[Presence]:
    """All proxies that have a file, running or not, the newest first."""
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
    """When a process started, as a text that stays the same while it runs; None if there is no such
    process, or the system does not say.

    On Linux in clock ticks since this boot, which setting the clock does not change; elsewhere in
    seconds since the epoch, from psutil.
    """
    try:
        boot = (proc / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return _start_time_from_psutil(pid)
    try:
        stat = (proc / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    return f"{boot} {stat.rpartition(')')[2].split()[_START_TIME]}"


_START_TIME = 19
"""Field 22 of /proc/PID/stat, counted from what follows the name."""


def _start_time_from_psutil(pid: int) -> str | None:
    import psutil  # 30 ms, which Linux is spared

    try:
        return str(psutil.Process(pid).create_time())
    except (psutil.Error, TypeError, ValueError):  # no such process, or not a number of one
        return None


def accepts(host: str, port: int) -> bool:
    """Whether something accepts connections at this address."""
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
