"""The tally as a process: one for a directory, which counts what all its proxies observe.

A proxy keeps what it has sent until it is acknowledged, which is after the journal's write, and
sends it again to the next tally if this one dies. What comes again is known by the ids and times of
its records.
"""

from __future__ import annotations

import asyncio
import fcntl
import functools
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from .. import __version__
from ..journal import make_directory
from ..system.client_process import Processes
from ..system.unix_socket import is_ours, socket_path
from ..text.call_line import summary
from ..tracker import ConfiguredLimits
from . import protocol
from .observations import Ended, Opened
from .prices import Prices
from .protocol import (
    Acknowledged,
    Alert,
    FromProxy,
    FromTally,
    Hello,
    Settings,
    Settled,
    Shown,
    Welcome,
)
from .tally import Tally

logger = logging.getLogger(__name__)

LOCK = "tally.lock"

LINGER_SECONDS = 5.0
"""How long a tally that a proxy has started goes on without any: restarting one takes a second."""

LOCK_SECONDS = 5.0
"""How long a tally waits for the one before it to end."""

GRACE_SECONDS = 1.0
"""How long the flows of a lost connection stay open: a proxy that lives connects again at once."""

LOOK_UP_SECONDS = 1.0
"""Seconds that settlement waits for the process behind a connection."""

ACKNOWLEDGE_SECONDS = 0.02
"""Seconds between two looks at how far the journal has been written, while somebody waits."""

SHOWN_SECONDS = 1.0
"""Seconds between two texts of `usage.summary`."""

SLICE_SECONDS = 0.005
"""Seconds for one proxy; then the page and the other proxies have their turn."""

READ_BYTES = 2**18

KEY_BITS = 40
"""Bits of a flow's key that its proxy chooses; those above are the number of the connection."""


class AlreadyRunningError(Exception):
    """Another tally counts the directory."""


class Connection:
    """A proxy, while it is connected."""

    def __init__(self, number: int, writer: asyncio.StreamWriter) -> None:
        self.base = number << KEY_BITS
        self.proxy = ""
        self.open: set[int] = set()
        """Keys of flows that have not ended, as the tally has them."""
        self.lost = False
        self._writer = writer

    def send(self, *messages: FromTally) -> None:
        """Send messages to the proxy, if it is still there."""
        if not self.lost:
            self._writer.write(protocol.pack(messages))

    async def drain(self) -> None:
        """Wait until what was sent has gone out."""
        await self._writer.drain()

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()


class TallyServer:
    """Counts what the proxies of a directory observe. Needs a running loop."""

    def __init__(self, directory: Path, *, lingers: bool) -> None:
        """`lingers`: go on without proxies, because a person has started it. Raises OSError if the
        directory cannot be used, and AlreadyRunningError."""
        make_directory(directory)
        self._directory = directory
        self._lock = _lock(directory / LOCK)
        self._lingers = lingers
        self._loop = asyncio.get_running_loop()
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="llmtally")
        self._prices = Prices(self._in_thread, self._alert)
        processes = Processes(self._threads.submit, self._loop.call_later)
        self._tally = Tally(
            directory,
            prices=self._prices,
            processes=processes,
            clock=time.time,
            alert=self._alert,
            recognises=True,
        )
        self._settings: Settings | None = None
        """The options in force: those of the first proxy."""
        self._shown = Shown(None, 0, None, "")
        self._url: str | None = None
        """The URL that logs in to the page."""
        self._connections: set[Connection] = set()
        self._lost: dict[str, tuple[Connection, asyncio.TimerHandle]] = {}
        """Connections that were lost a moment ago, by their proxies."""
        self._unacknowledged: deque[tuple[int, Connection, int]] = deque()
        """Settled flows, with how far the journal must be written."""
        self._numbers = 0
        self._end = asyncio.Event()
        self._unused: asyncio.TimerHandle | None = None
        self._restored: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Count until nobody needs it any more, or until `stop`."""
        self._restored = self._tally.start(self._threads.submit)
        path = socket_path(self._directory)
        path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            server = await asyncio.start_unix_server(self._serve, path)
        finally:
            os.umask(before)
        self._check_unused()
        self._show()
        try:
            await self._end.wait()
        finally:
            path.unlink(missing_ok=True)
            server.close()
            self._cut_off_all()
            self._tally.close()
            self._acknowledge()
            for connection in list(self._connections):
                with suppress(OSError, TimeoutError):
                    await asyncio.wait_for(connection.drain(), 1)
                connection.close()
            self._threads.shutdown(wait=False, cancel_futures=True)
            os.close(self._lock)

    def stop(self) -> None:
        """End `run`."""
        self._end.set()

    # Proxies

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("socket")
        if not is_ours(peer):
            writer.close()
            return
        self._numbers += 1
        connection = Connection(self._numbers, writer)
        self._connections.add(connection)
        self._check_unused()
        unpacker = protocol.from_proxy()
        try:
            while data := await reader.read(READ_BYTES):
                for messages in unpacker.feed(data):
                    await self._read(connection, messages)
        except (OSError, ValueError) as error:
            logger.warning("llmtally: the connection of a proxy was lost: %s", error)
        except asyncio.CancelledError:
            pass  # the process ends
        finally:
            self._disconnected(connection)
            writer.close()

    async def _read(self, connection: Connection, messages: Sequence[FromProxy]) -> None:
        until = time.perf_counter() + SLICE_SECONDS
        for message in messages:
            if isinstance(message, Opened) and message.again and self._restored is not None:
                # only the journal tells what of it has been counted
                await asyncio.wait([self._restored])
            self._take(connection, message)
            if time.perf_counter() > until:
                await asyncio.sleep(0)
                until = time.perf_counter() + SLICE_SECONDS

    def _take(self, connection: Connection, message: FromProxy) -> None:
        if isinstance(message, Hello):
            self._greet(connection, message)
        else:
            key: int | None = getattr(message, "key", None)
            if key is not None:
                key += connection.base
                setattr(message, "key", key)  # noqa: B010  not all of them have one
            if isinstance(message, Opened):
                connection.open.add(message.key)
            if isinstance(message, Ended):
                self._settle_when_known(connection, message)
            else:
                self._tell(connection, key, self._tally.observe(message))

    def _greet(self, connection: Connection, hello: Hello) -> None:
        connection.send(Welcome(protocol.PROTOCOL, __version__, os.getpid()), self._shown)
        connection.proxy = hello.proxy
        if (before := self._lost.pop(hello.proxy, None)) is not None:
            lost, timer = before
            timer.cancel()
            for key in lost.open:  # they come again, from their beginning
                self._tally.forget(key)
        self._apply(hello.settings, connection)

    def _apply(self, settings: Settings, connection: Connection) -> None:
        """Use a proxy's options, unless those of another are in force."""
        force = self._settings
        if force is not None and len(self._connections) > 1:
            if differing := [
                name
                for name in ("prices", "limits")
                if getattr(settings, name) != getattr(force, name)
            ]:
                connection.send(
                    Alert(
                        f"another proxy on {self._directory} has other values of "
                        f"{', '.join(f'usage_{name}' for name in differing)}; those are in force."
                    )
                )
            settings = Settings(
                force.prices,
                force.limits,
                settings.web,
                settings.web_host,
                settings.web_port,
                settings.token,
            )
        elif problem := self._prices.use(Path(settings.prices) if settings.prices else None):
            connection.send(Alert(problem))
        self._settings = settings
        with suppress(ValueError):  # the proxy has refused them before
            self._tally.sink.set_limits(ConfiguredLimits.parse(settings.limits))
        if settings.web and self._shown.page is None:
            self._url = self._tally.serve(
                host=settings.web_host, port=settings.web_port, token=settings.token
            )
            if self._url is None:
                connection.send(Alert(f"port {settings.web_port} is in use, so there is no page."))
            view = self._tally.view
            self._shown.page = view.page
            self._shown.host, self._shown.port = settings.web_host, view.port
        if settings.web and self._url is not None:
            connection.send(Alert(f"the page is at {self._url}"))
        self._send_shown()

    def _disconnected(self, connection: Connection) -> None:
        if connection in self._connections:
            self._connections.remove(connection)
            connection.lost = True
            cut_off = functools.partial(self._cut_off, connection, time.time())
            timer = self._loop.call_later(GRACE_SECONDS, cut_off)
            self._lost[connection.proxy] = connection, timer
            self._check_unused()

    def _cut_off(self, connection: Connection, at: float) -> None:
        """Settle what was open when a proxy went away."""
        self._lost.pop(connection.proxy, None)
        while connection.open:
            key = connection.open.pop()
            self._settle(connection, Ended(key, "client_aborted", at))

    def _cut_off_all(self) -> None:
        """Settle what proxies that are gone have left; those that live will find another tally."""
        for connection, timer in list(self._lost.values()):
            timer.cancel()
            self._cut_off(connection, time.time())

    # Settlement

    def _settle_when_known(self, connection: Connection, ended: Ended) -> None:
        """Settle a flow, once it is known which process asked if that is being looked up."""
        if ended.key not in connection.open:
            return
        connection.open.discard(ended.key)
        looking = self._tally.looking(ended.key)
        if looking is None:
            self._settle(connection, ended)
            return
        task = self._loop.create_task(self._settle_later(looking, connection, ended))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _settle_later(self, looking: Any, connection: Connection, ended: Ended) -> None:
        await asyncio.wait([asyncio.wrap_future(looking)], timeout=LOOK_UP_SECONDS)
        self._settle(connection, ended)

    def _settle(self, connection: Connection, ended: Ended) -> None:
        self._tell(connection, ended.key, self._tally.observe(ended))
        if not self._unacknowledged:
            self._loop.call_later(ACKNOWLEDGE_SECONDS, self._acknowledge)
        self._unacknowledged.append(
            (self._tally.sink.journal_position[0], connection, ended.key - connection.base)
        )

    def _tell(self, connection: Connection, key: int | None, lines: list[str]) -> None:
        if lines and key is not None:
            connection.send(Settled(key - connection.base, lines))

    def _acknowledge(self) -> None:
        """Tell proxies which flows are in the journal."""
        written = self._tally.sink.journal_position[1]
        done: dict[Connection, list[int]] = {}
        while self._unacknowledged and self._unacknowledged[0][0] <= written:
            _, connection, key = self._unacknowledged.popleft()
            done.setdefault(connection, []).append(key)
        for connection, keys in done.items():
            connection.send(Acknowledged(keys))
        if self._unacknowledged:
            self._loop.call_later(ACKNOWLEDGE_SECONDS, self._acknowledge)

    # What is shown, and the end

    def _show(self) -> None:
        """Keep the text of `usage.summary` up to date at the proxies."""
        self._loop.call_later(SHOWN_SECONDS, self._show)
        if self._connections:
            text = summary(self._tally.sink.tracker.usage(time.time()))
            if text != self._shown.summary:
                self._shown.summary = text
                self._send_shown()

    def _send_shown(self) -> None:
        for connection in self._connections:
            connection.send(self._shown)

    def _alert(self, text: str) -> None:
        """Tell all proxies; any thread may call it."""
        logger.warning("llmtally: %s", text)
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._send_alert, text)

    def _send_alert(self, text: str) -> None:
        for connection in self._connections:
            connection.send(Alert(text))

    def _in_thread(
        self, work: Callable[[], object], then: Callable[[BaseException | None], object]
    ) -> None:
        future = self._loop.run_in_executor(self._threads, work)
        future.add_done_callback(lambda done: then(done.exception()))

    def _check_unused(self) -> None:
        """End after a while without proxies, and stay if one comes."""
        if self._lingers:
            return
        if self._unused is not None:
            self._unused.cancel()
            self._unused = None
        if not self._connections:
            self._unused = self._loop.call_later(LINGER_SECONDS, self.stop)


def _lock(path: Path) -> int:
    """Take the lock of a directory's tally; the file's descriptor."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() > deadline:
                os.close(lock)
                raise AlreadyRunningError from None
            time.sleep(0.05)
        else:
            return lock
