"""A lean HTTP/1.1 client and server on one loop, so that what is measured is the process between
them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import cast

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = -1
_LAST_CHUNK = b"0\r\n\r\n"


class Connection(asyncio.Protocol):
    """One end of a keep-alive connection: notices when a message is complete and keeps none of
    it."""

    def __init__(self, on_message: Callable[[Connection], None]) -> None:
        self.on_body: Callable[[bytes], None] | None = None
        """Given each piece of a body as it comes."""
        self.transport: asyncio.Transport
        self._on_message = on_message
        self._head = bytearray()
        self._left: int | None = None
        """Bytes of the body that are missing; None while the head is read."""
        self._tail = b""
        self._waiting: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, to write to."""
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the request that waits for an answer."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(
                exc or ConnectionResetError("closed before the answer was complete")
            )

    def data_received(self, data: bytes) -> None:
        """Follow a message to its end."""
        if self._left is None:
            self._head += data
            end = self._head.find(b"\r\n\r\n") + 4
            if end < 4:
                return
            data = self._begin(end)
        if data and self.on_body is not None:
            self.on_body(data)
        if self._is_complete(data):
            self._left = None
            self._on_message(self)

    def _begin(self, end: int) -> bytes:
        head, data = bytes(self._head[:end]), bytes(self._head[end:])
        self._head.clear()
        self._tail = b""
        if head.startswith(b"HTTP/") and b" 200 " not in head[:16]:
            raise ConnectionError(f"not answered: {head!r} {data!r}")
        length = _LENGTH.search(head)
        self._left = int(length[1]) if length else _CHUNKED
        return data

    def _is_complete(self, data: bytes) -> bool:
        assert self._left is not None
        if self._left == _CHUNKED:
            self._tail = (self._tail + data[-len(_LAST_CHUNK) :])[-len(_LAST_CHUNK) :]
            return self._tail == _LAST_CHUNK
        self._left -= len(data)
        return self._left <= 0

    async def ask(self, message: bytes) -> None:
        """Send a request and wait until its answer is complete."""
        self._waiting = asyncio.get_running_loop().create_future()
        self.transport.write(message)
        await self._waiting

    def answered(self) -> None:
        """Let `ask` return, as the answer is complete."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


async def connect(port: int, number: int) -> list[Connection]:
    """Open a number of connections to a port of this machine."""
    loop = asyncio.get_running_loop()
    connections = []
    for _ in range(number):
        _, connection = await loop.create_connection(
            lambda: Connection(Connection.answered), "127.0.0.1", port
        )
        connections.append(connection)
    return connections


class Upstream:
    """The server; the workload in progress sets what it answers."""

    def __init__(self) -> None:
        self.answer: Callable[[asyncio.Transport], None] = lambda _: None
        """Called for every request, to write the answer."""
        self.port = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen on a free port, which is then in `port`."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(lambda connection: self.answer(connection.transport)),
            "127.0.0.1",
            0,
            backlog=512,
        )
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Close the port to new connections."""
        if self._server is not None:
            self._server.close()
