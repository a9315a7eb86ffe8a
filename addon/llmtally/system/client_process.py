"""Which local process sent a request: its id, name and working directory.

On Linux a client on this machine has its end of the connection in `/proc/net/tcp{,6}`, with the
socket's inode, whatever its address (in local capture 169.254.0.1); another machine's end is not
there. The process that holds the inode has a link `socket:[inode]` in `/proc/<pid>/fd`. On macOS
psutil asks each process for its connections. It could on Linux, too, but takes twice the CPU time
where the process is found and seven times where it is not, and all of it comes from the traffic.
Only our user's processes are looked at. https://docs.kernel.org/networking/proc_net_tcp.html
"""

from __future__ import annotations

import ipaddress
import os
import struct
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from ..record import TEXT_CAP

PROC = Path("/proc") if sys.platform == "linux" else None
"""Where the kernel shows its processes; None: psutil asks it."""

TABLE_CAP = 16 * 1024 * 1024
"""Bytes of a connection table that are read: 100,000 connections."""

INTERVAL = 0.5
"""Seconds between look-ups: each costs some milliseconds of CPU, and a script may open a connection
per request."""

CONNECTIONS_CAP = 1_024
"""Connections remembered: more clients than one proxy serves at a time."""

_ESTABLISHED = "01"

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
_Found: TypeAlias = "Future[dict[str, ClientProcess]]"


@dataclass(frozen=True, slots=True)
class ClientProcess:
    """A client process on this machine."""

    pid: int
    name: str | None = None
    """The program's name; on Linux its first 15 characters."""
    cwd: str | None = None
    """The process's working directory."""


class Processes:
    """The processes behind client connections: looked up in a thread while the connection lives,
    many at a time."""

    def __init__(
        self,
        submit: Callable[..., object],
        call_later: Callable[[float, Callable[[], None]], object],
    ) -> None:
        """`submit` runs a function in a thread, `call_later` runs one after a number of seconds."""
        self._submit = submit
        self._call_later = call_later
        self._found: OrderedDict[str, _Found] = OrderedDict()
        self._peers: dict[str, tuple[str, int]] = {}
        """Connections of the next look-up."""
        self._next: _Found | None = None
        self._not_before = 0.0

    def connected(self, connection: str, peer: tuple[str, int], *, now: float) -> None:
        """A request came over this connection. `now` is on any clock that does not go back."""
        if connection in self._found:
            return
        if self._next is None:
            self._next = Future()
            self._call_later(max(0.0, self._not_before - now), self._look)
            self._not_before = max(now, self._not_before) + INTERVAL
        self._peers[connection] = peer
        self._found[connection] = self._next
        if len(self._found) > CONNECTIONS_CAP:
            self._found.popitem(last=False)

    def _look(self) -> None:
        peers, found, self._peers, self._next = self._peers, self._next, {}, None
        assert found is not None
        with suppress(RuntimeError):  # the thread has been ended: we are shutting down
            self._submit(_look_up, peers, found)

    def pending(self, connection: str) -> _Found | None:
        """The look-up that this connection waits for, if any."""
        found = self._found.get(connection)
        return found if found is not None and not found.done() else None

    def of(self, connection: str) -> ClientProcess | None:
        """The process, once it has been found."""
        found = self._found.get(connection)
        return found.result().get(connection) if found is not None and found.done() else None


def _look_up(peers: Mapping[str, tuple[str, int]], found: _Found) -> None:
    """Look the connections up. Calls wait for this, so it also completes if nothing was found or
    the look-up fails by a bug."""
    processes: dict[str, ClientProcess] = {}
    try:
        processes = find_all(peers)
    finally:
        found.set_result(processes)


def find(peer: tuple[str, int], *, proc: Path | None = PROC) -> ClientProcess | None:
    """The process of our user at the other end of a connection; see `find_all`."""
    return find_all({"": peer}, proc=proc).get("")


def find_all(
    peers: Mapping[str, tuple[str, int]], *, proc: Path | None = PROC
) -> dict[str, ClientProcess]:
    """The processes of our user at the other ends of connections, by the connections' names.

    Blocks for some milliseconds (it looks through the open files of our processes once, however
    many are asked for), so call it in a thread. Processes that cannot be read are left out: some
    end while they are looked at.
    """
    return _find_with_psutil(peers) if proc is None else _find_in_proc(peers, proc)


def _find_in_proc(peers: Mapping[str, tuple[str, int]], proc: Path) -> dict[str, ClientProcess]:
    found: dict[str, ClientProcess] = {}
    try:
        links: dict[str, list[str]] = {}
        for name, inode in _socket_inodes(peers, proc):
            links.setdefault(f"socket:[{inode}]", []).append(name)
        for pid, link in _owners(set(links), proc):
            process = _describe(pid, proc)
            found.update((name, process) for name in links[link])
    except OSError:
        pass
    return found


def _find_with_psutil(peers: Mapping[str, tuple[str, int]]) -> dict[str, ClientProcess]:
    """Find the clients by asking psutil for the connections of each of our processes, the newest
    first: only root may list all connections of a Mac at once.
    https://psutil.readthedocs.io/en/latest/#psutil.net_connections"""
    import psutil  # 30 ms, which Linux is spared

    wanted: dict[tuple[_Address | None, int], list[str]] = {}
    for name, (host, port) in peers.items():
        wanted.setdefault((_address(host), port), []).append(name)
    found: dict[str, ClientProcess] = {}
    for pid in sorted(psutil.pids(), reverse=True):
        if not wanted:
            break
        try:
            process = psutil.Process(pid)
            if process.uids().real != os.getuid():
                continue
            for connection in process.net_connections("tcp"):
                if connection.status == psutil.CONN_ESTABLISHED:
                    end = _address(connection.laddr.ip), connection.laddr.port
                    for name in wanted.pop(end, ()):
                        found[name] = ClientProcess(
                            pid, _printable(process.name()), _printable(process.cwd())
                        )
        except (psutil.Error, OSError):  # it has ended, or may not be looked at
            continue
    return found


def _socket_inodes(peers: Mapping[str, tuple[str, int]], proc: Path) -> Iterator[tuple[str, str]]:
    """The peers' names and the inodes of their sockets. Each table is read once for all of them."""
    wanted: dict[str, dict[str, list[str]]] = {"tcp": {}, "tcp6": {}}
    for name, (host, port) in peers.items():
        for table, local in _table_rows(host, port):
            wanted[table].setdefault(local, []).append(name)
    for table, names in wanted.items():
        for local, inode in _established(proc / "net" / table) if names else ():
            for name in names.get(local, ()):
                yield name, inode


def _table_rows(host: str, port: int) -> list[tuple[str, str]]:
    """The tables that may list an address, and the address as the kernel prints it there."""
    address = _address(host)
    if address is None:
        return []
    if isinstance(address, ipaddress.IPv6Address):
        return [("tcp6", f"{_kernel_hex(address)}:{port:04X}")]
    mapped = ipaddress.IPv6Address(f"::ffff:{address}")
    return [
        ("tcp", f"{_kernel_hex(address)}:{port:04X}"),
        ("tcp6", f"{_kernel_hex(mapped)}:{port:04X}"),
    ]


def _address(host: str) -> _Address | None:
    """The address, as IPv4 where it is that of an IPv4 connection; None where it is not one."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address


def _kernel_hex(address: _Address) -> str:
    """An address as the kernel prints it: 32-bit words, each in the machine's own byte order."""
    words = struct.unpack(f"={len(address.packed) // 4}I", address.packed)
    return "".join(f"{word:08X}" for word in words)


def _established(table: Path) -> Iterator[tuple[str, str]]:
    """Local address and inode of our user's established connections: `sl local remote st .. uid
    timeout inode`."""
    try:
        with table.open(errors="replace") as lines:
            text = lines.read(TABLE_CAP)
    except FileNotFoundError:  # no IPv6
        return
    uid = str(os.getuid())
    for line in text.splitlines():
        columns = line.split(maxsplit=10)
        if len(columns) > 9 and columns[3] == _ESTABLISHED and columns[7] == uid:
            yield columns[1], columns[9]


def _owners(links: set[str], proc: Path) -> Iterator[tuple[int, str]]:
    """The processes of our user that hold these files, newest first: clients are younger than most
    of what runs."""
    for pid in sorted(
        (int(entry.name) for entry in proc.iterdir() if entry.name.isdecimal()), reverse=True
    ):
        if not links:
            return
        for link in _held(proc / str(pid), links):
            links.discard(link)
            yield pid, link


def _held(process: Path, links: set[str]) -> set[str]:
    try:
        if process.stat().st_uid != os.getuid():
            return set()
        with os.scandir(process / "fd") as descriptors:
            return {
                link
                for descriptor in descriptors
                if (link := _read_link(descriptor.path)) in links and link is not None
            }
    except OSError:
        return set()


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
    return (
        "".join(character for character in value if character.isprintable())[:TEXT_CAP].strip()
        or None
    )
