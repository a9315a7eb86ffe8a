"""Which local process sent a request: its id, name and working directory.

A client on this machine has its end of the connection in `/proc/net/tcp{,6}`, with the socket's inode; the process that holds
the inode has a link `socket:[inode]` in `/proc/<pid>/fd`. Linux only: elsewhere nothing is found and the project stays
unknown. Only processes of our own user are looked at. https://docs.kernel.org/networking/proc_net_tcp.html
"""

from __future__ import annotations

import ipaddress
import os
import struct
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from .record import TEXT_CAP, Attribution

PROC = Path("/proc")

TABLE_CAP = 16 * 1024 * 1024
"""Bytes of a connection table that are read: 100,000 connections."""

INTERVAL = 1.0
"""Seconds between look-ups: each costs some milliseconds of CPU, and a script may open a connection per request."""

CONNECTIONS_CAP = 1_024
"""Connections remembered."""

_ESTABLISHED = "01"


_Found: TypeAlias = "Future[ClientProcess | None]"


@dataclass(frozen=True, slots=True)
class ClientProcess:
    """A local client."""

    pid: int
    name: str | None = None
    """As the kernel knows it: the first 15 characters of the program's name."""
    cwd: str | None = None


class Processes:
    """The processes behind client connections: each looked up once, in a thread, while the connection lives."""

    def __init__(self, submit: Callable[[Callable[[tuple[str, int]], ClientProcess | None], tuple[str, int]], _Found]) -> None:
        """`submit` runs `find` in a thread."""
        self._submit = submit
        self._found: OrderedDict[str, _Found] = OrderedDict()
        self._not_before = 0.0

    def connected(self, connection: str, peer: tuple[str, int], *, now: float) -> None:
        """A request came over this connection. `now` is on any clock that does not go back."""
        if connection in self._found or now < self._not_before:
            return
        self._not_before = now + INTERVAL
        self._found[connection] = self._submit(find, peer)
        if len(self._found) > CONNECTIONS_CAP:
            self._found.popitem(last=False)

    def of(self, connection: str) -> ClientProcess | None:
        """The process, once it has been found."""
        found = self._found.get(connection)
        return found.result() if found is not None and found.done() else None


def find(peer: tuple[str, int], *, proc: Path = PROC) -> ClientProcess | None:
    """The process of our user at the other end of a loopback connection.

    Blocks for some milliseconds (it looks through the open files of our processes once), so call it in a thread. Whatever
    goes wrong is None: processes end while they are looked at.
    """
    try:
        inode = _socket_inode(peer[0], peer[1], proc)
        if inode is None:
            return None
        pid = _owner(f"socket:[{inode}]", proc)
        return None if pid is None else _describe(pid, proc)
    except (OSError, ValueError):
        return None


def with_process(attribution: Attribution, process: ClientProcess | None) -> Attribution:
    """Fill in the project from the working directory where the client did not say; `/` is a daemon's and says nothing."""
    if attribution.project or process is None or process.cwd in (None, "/"):
        return attribution
    return attribution._replace(project=process.cwd)


def _socket_inode(host: str, port: int, proc: Path) -> str | None:
    address = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    if not address.is_loopback:
        return None
    tables = [("tcp", address), ("tcp6", address)] if address.version == 4 else [("tcp6", address)]
    for table, local in tables:
        mapped = ipaddress.IPv6Address(f"::ffff:{local}") if table == "tcp6" and local.version == 4 else local
        if (inode := _look_up(proc / "net" / table, f"{_kernel_hex(mapped)}:{port:04X}")) is not None:
            return inode
    return None


def _kernel_hex(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """An address as the kernel prints it: 32-bit words, each in the machine's own byte order."""
    words = struct.unpack(f"={len(address.packed) // 4}I", address.packed)
    return "".join(f"{word:08X}" for word in words)


def _look_up(table: Path, local: str) -> str | None:
    """Inode of our user's established connection from a local address: `sl local remote st .. uid timeout inode`."""
    try:
        with table.open() as lines:
            text = lines.read(TABLE_CAP)
    except FileNotFoundError:  # no IPv6
        return None
    uid = str(os.getuid())
    for line in text.splitlines():
        columns = line.split(maxsplit=10)
        if len(columns) > 9 and columns[1] == local and columns[3] == _ESTABLISHED and columns[7] == uid:
            return columns[9]
    return None


def _owner(link: str, proc: Path) -> int | None:
    """The newest process of our user that holds a file: clients are younger than most of what runs."""
    pids = sorted((int(entry.name) for entry in proc.iterdir() if entry.name.isdecimal()), reverse=True)
    return next((pid for pid in pids if _holds(proc / str(pid), link)), None)


def _holds(process: Path, link: str) -> bool:
    try:
        if process.stat().st_uid != os.getuid():
            return False
        with os.scandir(process / "fd") as descriptors:
            return any(_read_link(descriptor.path) == link for descriptor in descriptors)
    except OSError:
        return False


def _describe(pid: int, proc: Path) -> ClientProcess:
    process = proc / str(pid)
    try:
        name = (process / "comm").read_text(errors="replace")
    except OSError:
        name = ""
    cwd = (_read_link(process / "cwd") or "").removesuffix(" (deleted)")
    return ClientProcess(pid, _printable(name), _printable(cwd))


def _read_link(path: str | Path) -> str | None:
    try:
        return os.readlink(path)  # noqa: PTH115  Path.readlink takes five times as long, and this runs for every open file
    except OSError:
        return None


def _printable(value: str) -> str | None:
    return "".join(character for character in value if character.isprintable())[:TEXT_CAP].strip() or None
