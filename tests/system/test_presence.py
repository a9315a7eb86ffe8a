"""Which proxies count as running: the file of a killed one does not count, whoever has its process
id or port by now."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from llmtally.cli.run import proxy
from llmtally.system import presence
from llmtally.system.presence import Presence

NOWHERE = Path("/nowhere")


@contextmanager
def a_process() -> Iterator[int]:
    """A process that lives meanwhile."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        yield process.pid


@pytest.fixture
def port() -> Iterator[int]:
    """Of somebody who accepts connections."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def a_proxy(pid: int, port: int) -> Presence:
    return Presence(
        pid=pid, version="1", listens=(("regular", "127.0.0.1", port),), confdir="", intercept="all"
    )


def test_a_proxy_that_runs(tmp_path: Path, port: int) -> None:
    """It lives, it answers, and it is joined."""
    presence.write(tmp_path, a_proxy(os.getpid(), port))

    [found] = presence.running(tmp_path)

    assert (found.pid, found.regular) == (os.getpid(), ("127.0.0.1", port))
    assert proxy.to_join(tmp_path, {}) == found


@pytest.mark.parametrize("start_time", [None, "another boot 1234"])
def test_its_number_and_port_belong_to_others_by_now(
    tmp_path: Path, port: int, start_time: str | None
) -> None:
    """A process of the same number that began at another time is another one, though somebody
    accepts connections at the port."""
    with a_process() as pid:
        presence.write(tmp_path, a_proxy(pid, port))
        file = tmp_path / presence.FOLDER / f"{pid}.json"
        file.write_text(json.dumps({**json.loads(file.read_bytes()), "start_time": start_time}))

        [found] = presence.read_all(tmp_path)

        assert (found.is_alive, found.answers) == (False, False)
        assert proxy.to_join(tmp_path, {}) is None


@pytest.mark.parametrize("proc", [presence.PROC, NOWHERE], ids=["proc", "psutil"])
def test_when_a_process_began(proc: Path) -> None:
    """It is the same at every look, another one for another process, and nothing once the process
    has ended."""
    with a_process() as pid:
        first = presence.process_start_time(pid, proc=proc)
        assert first
        assert presence.process_start_time(pid, proc=proc) == first
        assert presence.process_start_time(1, proc=proc) != first

    assert presence.process_start_time(pid, proc=proc) is None


@pytest.mark.parametrize("pid", [-1, 2**70, "12", 1.5], ids=repr)
def test_a_number_that_no_process_has(pid: Any) -> None:
    """A file whose number was damaged is that of no running proxy, without /proc, too."""
    assert presence.process_start_time(pid, proc=NOWHERE) is None


def test_nothing_tells_when_a_process_began(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without /proc, and where psutil may not look at the process, it is not known."""

    def denied(process: psutil.Process) -> float:
        raise psutil.AccessDenied(process.pid)

    monkeypatch.setattr(psutil.Process, "create_time", denied)

    assert presence.process_start_time(os.getpid(), proc=NOWHERE) is None
