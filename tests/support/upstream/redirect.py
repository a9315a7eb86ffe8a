"""Loaded into mitmdump by the tests: all its connections go to the fake upstream, and none can
leave the machine.

The connection is led astray at the socket, below mitmproxy's own idea of where it goes, so that
flows keep the provider's host name. It is the last script on the command line: when the port is
announced, all others have been loaded.
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from mitmproxy import ctx
from mitmproxy.addonmanager import Loader
from mitmproxy.addons.proxyserver import Proxyserver

_connect = asyncio.open_connection


async def open_connection(
    host: str, port: int, **options: Any
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the fake upstream, whoever was meant."""
    return await _connect("127.0.0.1", int(os.environ["UPSTREAM_PORT"]), **options)


def refuse_the_world(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook: no connection but to loopback."""
    if (
        event == "socket.connect"
        and isinstance(arguments[1], tuple)
        and arguments[1][0] not in ("127.0.0.1", "::1")
    ):
        raise PermissionError(f"a test tried to reach {arguments[1]}")


def load(loader: Loader) -> None:
    """Take over the sockets."""
    setattr(asyncio, "open_connection", open_connection)  # noqa: B010  # mypy lets no function be replaced by assignment
    sys.addaudithook(refuse_the_world)


async def running() -> None:
    """Say on which port the proxy listens, once it does."""
    server: Proxyserver = ctx.master.addons.get("proxyserver")
    while not (addresses := server.listen_addrs()):  # noqa: ASYNC110  # mitmproxy has no event for it
        await asyncio.sleep(0.01)
    announced = Path(os.environ["PROXY_READY"])
    draft = announced.with_suffix(".draft")
    draft.write_text(str(addresses[0][1]))
    draft.rename(announced)
