"""The link: carries observations to a tally in another process, over a Unix socket.

Nothing here waits. What is observed is kept until the tally acknowledges it, which it does once the
journal has it; a tally that has died is started again, and is sent all that is kept.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import select
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import llmtally

from .. import __version__
from ..system.unix_socket import is_ours, socket_path
from ..tally import protocol
from ..tally.observations import (
    Answered,
    AnyObservation,
    Counted,
    Dropped,
    Ended,
    Frame,
    Listening,
    Opened,
    Overloaded,
    PageApproached,
    Pieces,
    Requested,
)
from ..tally.protocol import Acknowledged, Alert, FromTally, Hello, Settings, Settled, Shown

logger = logging.getLogger(__name__)

SEND_SECONDS = 0.02
"""Seconds between two sends, which is what a death of the proxy may lose."""

SEND_BYTES = 64 * 2**10
"""Bytes that are sent at once before others on the loop have their turn: some 50 us."""

FLOW_CAP = 64 * 2**20
"""Bytes kept of one flow: as much as is read of a request body."""

PROXY_CAP = 256 * 2**20
"""Bytes kept of all flows: some hundred large requests of agents, or a minute of saturated traffic
that no tally reads."""

LOOSE_CAP = 1_000
"""Observations without a flow that are kept until they are sent."""

WEIGHT = 512
"""Bytes that an observation takes beside its body."""

HEAD_WEIGHT = 4_096
"""The same for one with headers."""

START_SECONDS = 15.0
"""How long a tally may take to answer after its start; usually it takes half a second."""

RETRY_SECONDS = 0.05
"""Seconds between two tries to connect."""

FAILURES = 3
"""Tallies in a row that end before they answer, after which this proxy counts by itself."""

FINISH_SECONDS = 0.9
"""How long `finish` waits for the journal: shutting mitmproxy down should stay below a second."""

RECEIVE_BYTES = 64 * 2**10

LOG = "tally.log"
"""What the tally prints, in the directory."""


@dataclass(slots=True)
class Kept:
    """What is kept of one flow."""

    observations: list[AnyObservation] = field(default_factory=list)
    size: int = 0
    unsent: int = 0
    """Observations that were not sent on the connection in use."""
    sent: bool = False
    """Whether any tally may have seen it."""
    shed: bool = False
    """Bodies were dropped, so it cannot be sent again."""
    lost: bool = False
    """Bodies were dropped that no tally has read."""
    streams: bool = False
    """Pieces of the response have come."""


class Link:
    """Sends what is observed to the tally of a directory, and starts that if none answers."""

    def __init__(self, directory: Path, settings: Settings) -> None:
        """`settings` are the options of the directory. Raises OSError."""
        self.shown = Shown(None, 0, None, "")
        """What the tally shows."""
        self.backlog = 0
        """Bytes that are kept."""
        self._directory = directory
        self._path = socket_path(directory)
        self._settings = settings
        self._settled: Callable[[int, list[str]], None] = lambda _key, _lines: None
        self._alert: Callable[[str], None] = lambda _text: None
        self._fall_back: Callable[[str], None] = lambda _reason: None
        self._name = secrets.token_hex(8)
        self._kept: dict[int, Kept] = {}
        self._listening: Listening | None = None
        """Where the proxy listens, which each tally must know."""
        self._loose: deque[AnyObservation] = deque(maxlen=LOOSE_CAP)
        self._queue: deque[AnyObservation | Hello] = deque()
        """What is to be sent on the connection in use."""
        self._queued = 0
        """Bytes in the queue since the last send."""
        self._out = memoryview(b"")
        """What the socket has not taken of the message that is being sent."""
        self._taps: dict[int, Callable[[], None]] = {}
        """What sends on the bytes that each open tap holds."""
        self._socket: socket.socket | None = None
        self._unpacker = protocol.from_tally()
        self._timer: asyncio.Handle | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._failures = 0
        self._connecting: asyncio.Task[None] | None = None
        self._closed = False

    def answers(
        self,
        *,
        settled: Callable[[int, list[str]], None],
        alert: Callable[[str], None],
        fall_back: Callable[[str], None],
    ) -> None:
        """Say who takes what comes back: `settled` is given the key of a flow and lines of its
        calls, `alert` what a person should read, `fall_back` the reason why there can be no
        tally."""
        self._settled = settled
        self._alert = alert
        self._fall_back = fall_back

    # What comes in

    def start(self) -> None:
        """Connect, once the loop is running."""
        if self._connecting is None and self._socket is None and not self._closed:
            task = asyncio.get_running_loop().create_task(self._connect())
            # mitmproxy's tasks begin at once, so this one may be over
            self._connecting = None if task.done() else task

    def observe(self, observation: AnyObservation) -> None:
        """Keep an observation and send it soon."""
        key: int | None = getattr(observation, "key", None)
        if isinstance(observation, Listening):
            self._listening = observation
        if key is None:
            self._loose.append(observation)
            if self._socket is not None:
                self._queue.append(observation)
        elif isinstance(observation, Opened):
            kept = self._kept[key] = Kept()
            self._add(kept, observation, HEAD_WEIGHT)
        elif (kept_before := self._kept.get(key)) is not None:
            if isinstance(observation, Dropped):
                self._taps.pop(key, None)
                if not kept_before.sent and not kept_before.unsent:
                    self._forget(key)
                    return
            self._add(kept_before, observation, _weight(observation))
        self._schedule(soon=isinstance(observation, PageApproached))

    def pieces(self, pieces: Pieces) -> bool:
        """Keep bytes of a body; returns that the times of the next ones matter, as nobody here
        knows better."""
        if (kept := self._kept.get(pieces.key)) is not None:
            first, kept.streams = not kept.streams, True
            self._add(kept, pieces, WEIGHT + len(pieces.data))
            self._schedule(soon=first)
        return True

    def tapped(self, key: int, drain: Callable[[], None]) -> None:
        """A tap on a body was opened; `drain` sends on what it holds."""
        self._taps[key] = drain
        self._schedule()

    def end(self, ended: Ended, drain: Callable[[], None] | None) -> None:
        """Send what is left of a flow."""
        if drain is not None:
            drain()
        self._taps.pop(ended.key, None)
        self.observe(ended)

    end_in_turn = end

    def _add(self, kept: Kept, observation: AnyObservation, weight: int) -> None:
        if kept.lost and not isinstance(observation, Ended | Answered | Dropped | Overloaded):
            return
        if kept.lost and isinstance(observation, Ended):
            observation.body, weight = None, WEIGHT
        if not kept.shed or isinstance(observation, Ended | Answered):
            kept.observations.append(observation)
            kept.size += weight
            self.backlog += weight
        if self._socket is not None:
            kept.unsent += 1
            self._queue.append(observation)
            self._queued += weight
        if kept.size > FLOW_CAP:
            self._shed(kept)
        if self.backlog > PROXY_CAP:
            self._shed_most()

    # Bounds

    def _shed(self, kept: Kept) -> None:
        """Drop the bodies of a flow. If the tally has not read them, its call is `unparsed`."""
        opened = kept.observations[0]
        assert isinstance(opened, Opened)
        kept.shed = True
        if kept.unsent or self._socket is None:
            kept.lost = True
        rest = []
        for each in kept.observations[1:]:
            if isinstance(each, Pieces | Frame):
                each.data = b""
                if isinstance(each, Pieces):
                    each.arrivals = []
            else:
                if isinstance(each, Requested | Ended):
                    each.body = None
                rest.append(each)
        overloaded = Overloaded(opened.key)
        self.backlog -= kept.size
        kept.observations = [opened, overloaded, *rest]
        kept.size = HEAD_WEIGHT * len(kept.observations)
        self.backlog += kept.size
        if kept.lost and self._socket is not None:
            kept.unsent += 1
            self._queue.append(overloaded)

    def _shed_most(self) -> None:
        """Drop bodies until the cap holds: first of flows that the tally has read, then of the
        largest."""
        for kept in sorted(
            (kept for kept in self._kept.values() if not kept.shed),
            key=lambda kept: (kept.unsent > 0 or self._socket is None, -kept.size),
        ):
            if self.backlog <= PROXY_CAP * 3 // 4:
                return
            self._shed(kept)

    def _forget(self, key: int) -> None:
        if (kept := self._kept.pop(key, None)) is not None:
            self.backlog -= kept.size

    # Sending

    def _schedule(self, *, soon: bool = False) -> None:
        if self._socket is None or self._closed:
            return
        if soon or self._queued > SEND_BYTES:
            self._queued = 0
            asyncio.get_running_loop().call_soon(self._send)
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SEND_SECONDS, self._tick)

    def _tick(self) -> None:
        self._timer = None
        for drain in list(self._taps.values()):
            drain()
        self._send()
        if self._taps:
            self._schedule()

    def _send(self) -> None:
        """Send a batch, and more when the socket takes it."""
        if self._socket is None or not self._flush_out():
            return
        if not self._queue:
            return
        self._queued = 0
        self._out = memoryview(self._packed())
        if self._flush_out() and self._queue:
            asyncio.get_running_loop().call_soon(self._send)

    def _flush_out(self) -> bool:
        """Send what is left of a message; returns whether all of it has gone."""
        if not self._out:
            return True
        assert self._socket is not None
        try:
            self._out = self._out[self._socket.send(self._out) :]
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self._disconnected()
            return False
        loop, number = asyncio.get_running_loop(), self._socket.fileno()
        if self._out:
            loop.add_writer(number, self._writable)
            return False
        return True

    def _writable(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_writer(self._socket.fileno())
            self._send()

    def _packed(self) -> bytes:
        """The next batch of the queue."""
        batch: list[AnyObservation | Hello] = []
        size = 0
        while self._queue and size < SEND_BYTES:
            observation = self._queue.popleft()
            size += _weight(observation)
            batch.append(observation)
            if isinstance(observation, Hello):
                continue
            if (key := getattr(observation, "key", None)) is None:
                with suppress(ValueError):
                    self._loose.remove(observation)
            elif (kept := self._kept.get(key)) is not None:
                kept.unsent -= 1
                kept.sent = True
                if isinstance(observation, Dropped):
                    self._forget(key)
        try:
            return protocol.pack(batch)
        except (UnicodeEncodeError, TypeError, OverflowError):
            return b"".join(map(self._packed_alone, batch))

    def _packed_alone(self, observation: AnyObservation | Hello) -> bytes:
        """One observation of a batch that cannot be sent: its flow is left alone if it is to
        blame."""
        try:
            return protocol.pack([observation])
        except (UnicodeEncodeError, TypeError, OverflowError):
            logger.exception("llmtally: a flow cannot be told to the tally. This is a bug.")
            if (key := getattr(observation, "key", None)) is None:
                return b""
            self._forget(key)
            return protocol.pack([Dropped(key), Counted("unparsed")])

    # The connection

    async def _connect(self) -> None:
        """Connect to the tally, and start one if none answers."""
        loop = asyncio.get_running_loop()
        started = 0.0
        while not self._closed:
            connection = socket.socket(socket.AF_UNIX)
            connection.setblocking(False)
            try:
                await loop.sock_connect(connection, str(self._path))
            except OSError:
                connection.close()
            else:
                self._connecting = None
                self._connected(connection)
                return
            try:
                if self._process is None:
                    started = loop.time()
                    self._process = await loop.run_in_executor(None, self._spawn)
                elif self._process.poll() is not None or loop.time() - started > START_SECONDS:
                    self._process = None
                    self._failures += 1
                    if self._failures >= FAILURES:
                        self._give_up(self._reason())
                        return
            except OSError as error:
                self._give_up(error.strerror or str(error))
                return
            await asyncio.sleep(RETRY_SECONDS)

    def _give_up(self, reason: str) -> None:
        self._connecting = None
        if not self._closed:
            self._fall_back(reason)

    def _spawn(self) -> subprocess.Popen[bytes]:
        if getattr(sys, "frozen", False):
            raise OSError(0, "this mitmproxy has no Python of its own")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        log = os.open(self._directory / LOG, flags, 0o600)
        package = str(Path(llmtally.__file__ or "").parents[1])
        path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
        arguments = ["tally", "--for-proxies", "--dir", str(self._directory.absolute())]
        try:
            return subprocess.Popen(  # noqa: S603  our own program
                [sys.executable, "-P", "-m", "llmtally", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": path},
            )
        finally:
            os.close(log)

    def _reason(self) -> str:
        try:
            said = (self._directory / LOG).read_text(errors="replace").strip().splitlines()
        except OSError:
            said = []
        return said[-1][:200] if said else "it ended without a word"

    def _connected(self, connection: socket.socket) -> None:
        if not is_ours(connection):
            connection.close()
            self._give_up(f"{self._path} belongs to another user")
            return
        self._socket = connection
        self._unpacker = protocol.from_tally()
        self._out = memoryview(protocol.pack([self._hello()]))
        self._queue.clear()
        if self._listening is not None and self._listening not in self._loose:
            self._queue.append(self._listening)
        self._queue.extend(self._loose)
        for kept in self._kept.values():
            opened = kept.observations[0]
            assert isinstance(opened, Opened)
            opened.again = kept.sent
            kept.lost = kept.lost or kept.shed
            self._queue.extend(kept.observations)
            kept.unsent = len(kept.observations)
        asyncio.get_running_loop().add_reader(connection.fileno(), self._readable)
        self._send()
        self._schedule()

    def _hello(self) -> Hello:
        return Hello(protocol.PROTOCOL, __version__, self._name, self._settings)

    def use(self, settings: Settings) -> None:
        """Use other options from now on."""
        self._settings = settings
        if self._socket is not None:
            self._queue.append(self._hello())
            self._schedule()

    def _disconnected(self) -> None:
        if self._socket is None:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._socket.fileno())
        loop.remove_writer(self._socket.fileno())
        self._socket.close()
        self._socket = None
        self._out = memoryview(b"")
        self._queue.clear()
        if self._process is not None and self._process.poll() is not None:
            self._process = None
        self.start()

    def _readable(self) -> None:
        if self._socket is None:
            return
        try:
            data = self._socket.recv(RECEIVE_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data or not self._take(data):
            self._disconnected()

    def _take(self, data: bytes) -> bool:
        """Take what the tally says; returns whether it can be understood."""
        try:
            for messages in self._unpacker.feed(data):
                for message in messages:
                    self._hear(message)
        except ValueError as error:
            logger.warning("llmtally: the tally cannot be understood: %s", error)
            return False
        return True

    def _hear(self, message: FromTally) -> None:
        if isinstance(message, Acknowledged):
            self._failures = 0
            for key in message.keys:
                self._forget(key)
        elif isinstance(message, Settled):
            self._settled(message.key, message.lines)
        elif isinstance(message, Alert):
            self._alert(message.text)
        elif isinstance(message, Shown):
            self.shown = message

    # The end

    def is_page(self, address: tuple[str, int]) -> bool:
        """Whether a connection to this address would lead to the page."""
        return self.shown.page is not None and address[1] == self.shown.port

    def release(self, *, sent: bool) -> list[AnyObservation]:
        """Give up what no tally has seen, in its order, for another carrier to take it; `sent`:
        also what one may have seen."""
        self.close()
        left = [*self._loose]
        for key, kept in list(self._kept.items()):
            if sent or not kept.sent:
                opened = kept.observations[0]
                assert isinstance(opened, Opened)
                opened.again = kept.sent
                left += kept.observations
                self._forget(key)
        self._loose.clear()
        return left

    def move_to(self, other: Link) -> None:
        """Let another tally count the flows that have not ended, from their beginning."""
        other._listening = self._listening
        for key, kept in list(self._kept.items()):
            if isinstance(kept.observations[-1], Ended):
                continue
            self.observe(Dropped(key))
            kept = self._kept.pop(key, kept)
            kept.observations = [
                each for each in kept.observations if not isinstance(each, Dropped)
            ]
            self.backlog -= kept.size
            other.backlog += kept.size
            other._kept[key] = kept
            kept.sent, kept.unsent = False, 0
            if (drain := self._taps.pop(key, None)) is not None:
                other._taps[key] = drain

    def finish(self) -> None:
        """Send what is left and wait until it is in the journal, for less than a second."""
        deadline = time.monotonic() + FINISH_SECONDS
        if (connection := self._socket) is None:
            return
        connection.setblocking(True)
        try:
            while self._out or self._queue:
                connection.settimeout(max(0.01, deadline - time.monotonic()))
                connection.sendall(self._out)
                self._out = memoryview(self._packed() if self._queue else b"")
            while self._waits() and (left := deadline - time.monotonic()) > 0:
                if not select.select([connection], [], [], left)[0]:
                    break
                if not (data := connection.recv(RECEIVE_BYTES)) or not self._take(data):
                    break
        except OSError:
            pass
        finally:
            connection.setblocking(False)

    def _waits(self) -> bool:
        return any(
            isinstance(kept.observations[-1], Ended) for kept in self._kept.values() if kept.sent
        )

    def close(self) -> None:
        """Close the connection."""
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
        if self._timer is not None:
            self._timer.cancel()
        if self._socket is not None:
            with suppress(RuntimeError):
                loop = asyncio.get_running_loop()
                loop.remove_reader(self._socket.fileno())
                loop.remove_writer(self._socket.fileno())
            self._socket.close()
            self._socket = None


def _weight(observation: AnyObservation | Hello) -> int:
    if isinstance(observation, Pieces | Frame):
        return WEIGHT + len(observation.data)
    if isinstance(observation, Requested | Ended):
        return WEIGHT + len(observation.body or b"")
    return HEAD_WEIGHT
