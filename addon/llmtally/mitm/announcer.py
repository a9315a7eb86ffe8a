"""Tells other processes that this proxy runs, and where it listens: see `presence`."""

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
from ..tally.observations import Listening

logger = logging.getLogger(__name__)

STARTING = 0.05
"""Seconds between polls while mitmproxy begins to listen, for which it has no hook. `llmtally run`
waits for it."""

RUNNING = 1.0
"""Seconds between polls later on: the directory, the page and the modes can be changed at any
time."""


class Announcer:
    """Keeps `proxies/PID.json` of the directory in use up to date."""

    def __init__(self, listening: Callable[[Listening], None]) -> None:
        """`listening` is told where the proxy listens."""
        self.directory: Path | None = None
        """The directory in use."""
        self.page: Callable[[], str | None] = lambda: None
        """The page's URL, if there is one."""
        self._listening = listening
        self._written: tuple[Path, Presence] | None = None
        """The directory of the file, and the content written last."""
        self._next: asyncio.TimerHandle | None = None

    def running(self) -> None:
        """Start polling for changes to write."""
        if self._next is not None:
            self._next.cancel()
        self._poll()

    def done(self) -> None:
        """Remove the file, as the proxy ends."""
        if self._next is not None:
            self._next.cancel()
        self._remove()

    def _poll(self) -> None:
        directory, now = self.directory, self._presence()
        if directory is not None and now.listens and (directory, now) != self._written:
            self._remove()
            self._write(directory, now)
            ca = str(Path(now.confdir) / "mitmproxy-ca-cert.pem")
            self._listening(Listening(now.regular, ca))
        self._next = asyncio.get_running_loop().call_later(
            RUNNING if now.listens else STARTING, self._poll
        )

    def _write(self, directory: Path, now: Presence) -> None:
        self._written = directory, now
        try:
            presence.write(directory, now)
        except OSError as error:
            logger.warning(
                "llmtally: %s cannot be written (%s), so `llmtally run` and other commands do not "
                "know of this proxy.",
                directory,
                error.strerror,
            )

    def _remove(self) -> None:
        if self._written is not None:
            presence.remove(self._written[0], os.getpid())
            self._written = None

    def _presence(self) -> Presence:
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
            page=self.page(),
        )
