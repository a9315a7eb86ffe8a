"""`python -m demo`: start everything, say where the page is, and end cleanly."""

from __future__ import annotations

import argparse
import os
import re
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from upstream.proxy import Proxy
from upstream.server import Upstream

from . import history
from .pace import Pace
from .plans import Plans
from .providers import Providers

PORT = 8088
"""The page's port where it is free: the addon's default, which can be bookmarked."""

ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

LOGIN = re.compile(r"the page is at (http://\S+)")

WELCOME = """
llmtally demo

    ALL NUMBERS ARE MADE UP. No provider is asked, no key is used, nothing leaves this machine.

    {url}

Open it in a browser. Ctrl-C ends the demo and removes {directory}.
"""


def main() -> None:
    """Run the demo as the command line says, until it is ended."""
    parser = argparse.ArgumentParser(
        prog="scripts/demo", description="The page with made-up traffic: no key, no network."
    )
    parser.add_argument(
        "--seconds", type=float, metavar="N", help="end after so many seconds; else with Ctrl-C"
    )
    parser.add_argument(
        "--port", type=int, help=f"port of the page: {PORT}, or any if that is taken"
    )
    arguments = parser.parse_args()
    pace = Pace()
    for ending in ENDINGS:
        signal.signal(ending, lambda *_: pace.end())
    sys.addaudithook(_refuse_the_world)
    print("Starting a proxy, providers and clients that are made up; a few seconds.", flush=True)
    with tempfile.TemporaryDirectory(prefix="llmtally-demo-") as directory:
        _play(
            pace,
            Path(directory),
            _free_port() if arguments.port is None else arguments.port,
            arguments.seconds,
        )
    print(f"Ended; {directory} is gone.")


def _play(pace: Pace, directory: Path, port: int, seconds: float | None) -> None:
    # the working directory is the project of clients that do not name theirs
    scripts = directory / "evals"
    for folder in (scripts, directory / "upstream", directory / "usage"):
        folder.mkdir()
    os.chdir(scripts)
    plans = Plans(time.time())
    history.write(directory / "usage", plans)
    upstream = Upstream(directory / "upstream")
    Providers(upstream, pace, plans)
    upstream.start()
    try:
        with _proxy(upstream, directory, port) as proxy:
            print(WELCOME.format(url=_login_url(proxy), directory=directory), flush=True)
            _run_clients(pace, proxy, seconds)
    finally:
        os.chdir("/")  # what is about to be removed
        upstream.stop()


@contextmanager
def _proxy(upstream: Upstream, directory: Path, port: int) -> Iterator[Proxy]:
    """Run a mitmdump that Ctrl-C, which a terminal sends to all processes, does not end: it ends
    last, when all calls have."""
    outer = signal.pthread_sigmask(signal.SIG_BLOCK, ENDINGS)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    try:
        options = {"usage_web": "true", "usage_web_port": str(port)}
        proxy = Proxy(upstream, directory / "mitmproxy", directory, options=options)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, outer)
    try:
        yield proxy
    finally:
        proxy.stop()


def _run_clients(pace: Pace, proxy: Proxy, seconds: float | None) -> None:
    os.environ.update(proxy.client_env())
    # the SDKs take seconds to load, while which the page can be looked at
    from .clients import Clients

    until = None if seconds is None else time.monotonic() + seconds
    clients = Clients(pace)
    clients.start()
    while not pace.is_over:
        if proxy.process.poll() is not None:
            sys.exit(f"mitmdump has ended:\n{proxy.log}")
        if until is not None and time.monotonic() >= until:
            pace.end()
        pace.wait(0.2)
    clients.join()


def _login_url(proxy: Proxy) -> str:
    proxy.wait_for_log("the page is at http")
    found = LOGIN.search(proxy.log)
    assert found is not None
    return found[1]


def _free_port() -> int:
    """The usual port; 0, which takes any, if it is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the page's own server does
        try:
            probe.bind(("127.0.0.1", PORT))
        except OSError:
            return 0
    return PORT


def _refuse_the_world(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook, also used in the tests and in the demo's mitmdump, that refuses every
    connection beyond loopback."""
    if (
        event == "socket.connect"
        and isinstance(arguments[1], tuple)
        and arguments[1][0] not in ("127.0.0.1", "::1")
    ):
        raise PermissionError(f"the demo tried to reach {arguments[1]}")


if __name__ == "__main__":
    main()
