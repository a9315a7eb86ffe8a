"""Says to other processes that this proxy runs, and where it listens: see `presence`."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path

from mitmproxy import ctx
from mitmproxy.addons.proxyserver import Proxyserver

from .. import __version__
from ..system import presence
from ..system.presence import OWNER, Presence
from ..tally.sink import Sink

logger = logging.getLogger(__name__)

STARTING = 0.05
"""Seconds between looks while mitmproxy begins to listen, for which it has no hook. `llmtally run`
waits for it."""

RUNNING = 1.0
"""Seconds between looks later on: the directory, the page and the modes can be changed at any
time."""


class Announcer:
    """Keeps the file true."""

    def __init__(self, live: Callable[[], Sink | None]) -> None:
        self._live = live
        self._said: tuple[Path, Presence] | None = None
        self._next: asyncio.TimerHandle | None = None

    def running(self) -> None:
        """Begin to look."""
        if self._next is not None:
            self._next.cancel()
        self._look()

    def done(self) -> None:
        """Take it back."""
        if self._next is not None:
            self._next.cancel()
        self._withdraw()

    def _look(self) -> None:
        live, now = self._live(), self._presence()
        if live is not None and now.listens and (live.directory, now) != self._said:
            self._withdraw()
            self._announce(live.directory, now)
            live.reached_at = now.regular
            live.ca = str(Path(now.confdir) / "mitmproxy-ca-cert.pem")
        self._next = asyncio.get_running_loop().call_later(
            RUNNING if now.listens else STARTING, self._look
        )

    def _announce(self, directory: Path, now: Presence) -> None:
        self._said = directory, now
        try:
            presence.write(directory, now)
        except OSError as error:
            logger.warning(
                "llmtally: other programs can't be told of this proxy: %s can't be written (%s).",
                directory,
                error.strerror,
            )

    def _withdraw(self) -> None:
        if self._said is not None:
            presence.remove(self._said[0], os.getpid())
            self._said = None

    def _presence(self) -> Presence:
        live = self._live()
        server: Proxyserver = ctx.master.addons.get("proxyserver")
        return Presence(
            pid=os.getpid(),
            version=__version__,
            listens=tuple(
                (instance.mode.type_name, address[0], address[1])
                for instance in server.servers
                for address in instance.listen_addrs
            ),
            confdir=str(Path(ctx.options.confdir).expanduser()),
            intercept=ctx.options.usage_intercept,
            open_to_all=not ctx.options.proxyauth,
            owner=os.environ.get(OWNER),
            page=None if live is None else live.page,
        )
