"""The local process behind a connection: against a real child, and against made-up `/proc`
trees."""

from __future__ import annotations

import functools
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmtally.system import client_process
from llmtally.system.client_process import (
    CONNECTIONS_CAP,
    INTERVAL,
    ClientProcess,
    Processes,
    find,
)

PROC = Path("/proc")

CONNECT = (
    "import socket, sys; s = socket.create_connection((sys.argv[1], int(sys.argv[2]))); "
    "sys.stdin.read()"
)


@pytest.fixture(params=["127.0.0.1", "::1"])
def listener(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    with socket.create_server((request.param, 0), family=family) as server:
        yield server


@pytest.mark.parametrize("proc", [PROC, None], ids=["proc", "psutil"])
def test_a_real_client(listener: socket.socket, tmp_path: Path, proc: Path | None) -> None:
    """A child process that connects is found with its id and working directory, by IPv4 and
    IPv6."""
    host, port = listener.getsockname()[:2]
    with subprocess.Popen(
        [sys.executable, "-c", CONNECT, host, str(port)], cwd=tmp_path, stdin=subprocess.PIPE
    ) as child:
        connection, peer = listener.accept()
        with connection:
            found = find(peer[:2], proc=proc)
        child.communicate()
    assert found is not None
    assert (found.pid, found.cwd) == (child.pid, str(tmp_path))
    assert found.name is not None
    assert found.name.startswith("python")


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A `/proc` with one process of ours, 41, that holds socket 777."""
    holder = tmp_path / "41"
    (holder / "fd").mkdir(parents=True)
    (holder / "fd" / "3").symlink_to("socket:[777]")
    (holder / "comm").write_text("aider\n")
    (holder / "cwd").symlink_to("/home/ana/shop")
    (tmp_path / "net").mkdir()
    return tmp_path


def table(proc: Path, name: str, local: str, *, uid: int | None = None, state: str = "01") -> None:
    owner = os.getuid() if uid is None else uid
    heading = (
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  "
        "timeout inode\n"
    )
    row = (
        f"   0: {local} 0100007F:1F90 {state} 00000000:00000000 00:00000000 00000000 {owner:5} 0 "
        "777 1 0 20 4 30 10 -1\n"
    )
    (proc / "net" / name).write_text(heading + row)


CAPTURED = "0100FEA9:C350" if sys.byteorder == "little" else "A9FE0001:C350"
LOCAL4 = "0100007F:C350" if sys.byteorder == "little" else "7F000001:C350"
MAPPED = (
    "0000000000000000FFFF00000100007F:C350"
    if sys.byteorder == "little"
    else "00000000000000000000FFFF7F000001:C350"
)


def test_the_kernels_table(proc: Path) -> None:
    """The peer's address leads through the connection's inode to its holder."""
    table(proc, "tcp", LOCAL4)
    assert find(("127.0.0.1", 50_000), proc=proc) == ClientProcess(41, "aider", "/home/ana/shop")
    assert find(("::ffff:127.0.0.1", 50_000), proc=proc) == ClientProcess(
        41, "aider", "/home/ana/shop"
    )


def test_an_ipv4_connection_of_an_ipv6_socket(proc: Path) -> None:
    """Dual-stack clients stand in the IPv6 table with a mapped address."""
    table(proc, "tcp6", MAPPED)
    found = find(("127.0.0.1", 50_000), proc=proc)
    assert found is not None
    assert found.pid == 41


def test_a_client_that_comes_from_another_address(proc: Path) -> None:
    """Local capture gives clients on this machine a special address, under which the table lists
    them."""
    table(proc, "tcp", CAPTURED)
    found = find(("169.254.0.1", 50_000), proc=proc)
    assert found is not None
    assert found.pid == 41


def test_others_are_not_looked_at(proc: Path) -> None:
    """Another user's connection, another port, another state and another machine are nobody."""
    table(proc, "tcp", LOCAL4, uid=os.getuid() + 1)
    assert find(("127.0.0.1", 50_000), proc=proc) is None
    table(proc, "tcp", LOCAL4, state="06")
    assert find(("127.0.0.1", 50_000), proc=proc) is None
    table(proc, "tcp", LOCAL4)
    assert find(("127.0.0.1", 50_001), proc=proc) is None
    assert find(("192.0.2.1", 50_000), proc=proc) is None


def test_a_holder_that_ends_meanwhile(proc: Path) -> None:
    """What vanishes while it is looked at is unknown, not an error."""
    table(proc, "tcp", LOCAL4)
    (proc / "41" / "comm").unlink()
    (proc / "41" / "cwd").unlink()
    assert find(("127.0.0.1", 50_000), proc=proc) == ClientProcess(41)
    (proc / "41" / "fd" / "3").unlink()
    assert find(("127.0.0.1", 50_000), proc=proc) is None


def test_no_proc(tmp_path: Path) -> None:
    """Where `/proc` is not mounted nothing is found."""
    assert find(("127.0.0.1", 50_000), proc=tmp_path / "none") is None


def test_psutil_finds_what_proc_shows() -> None:
    """Both ways find the same processes behind many connections, and nobody behind what is not a
    connection of ours."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        clients = [socket.create_connection(server.getsockname()) for _ in range(5)]
        peers: dict[str, tuple[str, int]] = {
            str(at): client.getsockname() for at, client in enumerate(clients)
        }
        peers["mapped"] = f"::ffff:{peers['0'][0]}", peers["0"][1]
        nobody = {"listening": server.getsockname(), "no address": ("x", 1), "other": ("::2", 1)}
        ways = [client_process.find_all({**peers, **nobody}, proc=proc) for proc in (PROC, None)]
        for client in clients:
            client.close()

    assert ways[0] == ways[1]
    assert {name: process.pid for name, process in ways[1].items()} == dict.fromkeys(
        peers, os.getpid()
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(host=st.text(max_size=40), port=st.integers(), lines=st.binary(max_size=200))
def test_never_raises(proc: Path, host: str, port: int, lines: bytes) -> None:
    """Neither an odd peer nor an odd table raises."""
    (proc / "net" / "tcp").write_bytes(lines)
    find((host, port), proc=proc)
    find(("127.0.0.1", port), proc=proc)


class Thread:
    """Runs what is submitted and what is put off when the test says so."""

    def __init__(self) -> None:
        self.submitted: list[Callable[[], None]] = []
        self.put_off: list[tuple[float, Callable[[], None]]] = []

    def submit(self, work: Callable[..., None], *args: Any) -> None:
        self.submitted.append(functools.partial(work, *args))

    def call_later(self, delay: float, work: Callable[[], None]) -> None:
        self.put_off.append((delay, work))


def test_many_connections_cost_one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections that come together are looked up together, and the next ones no sooner than the
    cost allows."""
    asked: list[dict[str, tuple[str, int]]] = []

    def find_all(peers: dict[str, tuple[str, int]]) -> dict[str, ClientProcess]:
        asked.append(peers)
        return {name: ClientProcess(port) for name, (_, port) in peers.items()}

    monkeypatch.setattr(client_process, "find_all", find_all)
    thread = Thread()
    processes = Processes(thread.submit, thread.call_later)
    for number in range(5):
        processes.connected(f"c{number}", ("127.0.0.1", number), now=100.0)
    processes.connected("c0", ("127.0.0.1", 0), now=100.0)

    assert [delay for delay, _ in thread.put_off] == [0.0]
    assert processes.of("c3") is None
    assert processes.pending("c3") is not None
    thread.put_off.pop()[1]()
    thread.submitted.pop()()

    assert len(asked) == 1
    assert processes.of("c3") == ClientProcess(3)
    assert (processes.pending("c3"), processes.pending("unknown"), processes.of("unknown")) == (
        None,
        None,
        None,
    )
    processes.connected("c9", ("127.0.0.1", 9), now=100.1)
    assert [round(delay, 3) for delay, _ in thread.put_off] == [INTERVAL - 0.1]


def test_a_look_that_fails_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls whose settlement waits for it are still settled, without a process."""

    def broken(peers: object) -> None:
        raise ValueError("bug")

    monkeypatch.setattr(client_process, "find_all", broken)
    thread = Thread()
    processes = Processes(thread.submit, thread.call_later)
    processes.connected("c", ("127.0.0.1", 1), now=100.0)
    thread.put_off.pop()[1]()
    with pytest.raises(ValueError, match="bug"):
        thread.submitted.pop()()

    assert (processes.pending("c"), processes.of("c")) == (None, None)


def test_connections_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory of connections is bounded."""
    thread = Thread()
    processes = Processes(thread.submit, thread.call_later)
    for number in range(CONNECTIONS_CAP + 1):
        processes.connected(f"c{number}", ("127.0.0.1", 1), now=100.0)

    assert processes.pending("c0") is None
    assert processes.pending("c1") is not None
