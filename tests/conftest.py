"""Fixtures for tests with real parts: a fake upstream and a real mitmdump, both shared by the whole
session.

The first test that asks for them pays for their start; unit tests never do.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from network import NOT_HERE
from upstream.proxy import Proxy, StartProxy
from upstream.server import Upstream

# How long an example takes says how busy the machine is, not whether it is right.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


def _refuse_the_world(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook: no test connects to anything but loopback."""
    if (
        event == "socket.connect"
        and isinstance(arguments[1], tuple)
        and arguments[1][0] not in ("127.0.0.1", "::1", "localhost")
    ):
        raise PermissionError(f"a test tried to reach {arguments[1]}")


sys.addaudithook(_refuse_the_world)


def pytest_report_header() -> list[str]:
    """What this machine cannot test."""
    return [
        f"llmtally: mode {mode} is NOT tested here, for want of {what}"
        for mode, what in NOT_HERE.items()
    ]


@pytest.fixture(scope="session")
def shared_upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    """The fake upstream of the session."""
    server = Upstream(tmp_path_factory.mktemp("upstream"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def upstream(shared_upstream: Upstream) -> Iterator[Upstream]:
    """The fake upstream with an empty route table; in the end it complains of requests that nobody
    expected."""
    yield shared_upstream
    shared_upstream.reset()


@pytest.fixture(scope="session")
def confdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """mitmproxy's directory; all share the authority that the first one makes."""
    return tmp_path_factory.mktemp("mitmproxy")


@pytest.fixture(scope="session")
def shared_proxy(
    shared_upstream: Upstream, confdir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """The mitmdump of the session."""
    proxy = Proxy(shared_upstream, confdir, tmp_path_factory.mktemp("proxy"))
    yield proxy
    proxy.stop()


@pytest.fixture
def proxy(shared_proxy: Proxy) -> Proxy:
    """The shared mitmdump; `records` counts from the start of the test."""
    shared_proxy.mark()
    return shared_proxy


@pytest.fixture
def start_proxy(upstream: Upstream, confdir: Path, tmp_path: Path) -> Iterator[StartProxy]:
    """Starts a mitmdump of the test's own, for tests that end it or give it other options or
    scripts."""
    started: list[Proxy] = []

    def start(**options: Any) -> Proxy:
        proxy = Proxy(upstream, confdir, tmp_path / f"proxy-{len(started)}", **options)
        started.append(proxy)
        return proxy

    yield start
    for proxy in started:
        if proxy.process.poll() is None:
            proxy.kill()


@pytest.fixture
def client_env(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> Proxy:
    """This process's environment leads clients through the shared proxy."""
    for name, value in proxy.client_env().items():
        monkeypatch.setenv(name, value)
    return proxy
