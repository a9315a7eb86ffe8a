"""The two ends: a provider that answers each call by its number, and a client that makes calls
through a proxy and compares every byte of the answers."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Iterator

from wsproto import ConnectionType

from .calls import NUMBER_HEADER, Request, Socket, Unit
from .sockets import READ_SIZE, End

_NUMBER = re.compile(rb"\r\n%b: *(\d+)" % NUMBER_HEADER.encode(), re.IGNORECASE)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_LAST_CHUNK = b"0\r\n\r\n"

SOCKET_HOST, SOCKET_PATH = "api.openai.com", "/v1/responses"
CREATE = '{"type": "response.create", "model": "gpt-5", "input": "Go on"}'

Ended = Callable[[int], None]
"""Called with a call's number once its end has been seen at the client."""

_GONE = (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError)


class WrongAnswerError(Exception):
    """The client did not get the bytes that the provider sent."""


class Provider:
    """The fake of every provider, on loopback."""

    def __init__(self) -> None:
        self.units: dict[int, Unit] = {}
        """What is asked for now, by its first number; whoever asks puts it here."""
        self.asked: set[int] = set()
        """Those of them that have been asked for."""
        self.port = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen on a free port, which `port` then tells."""
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", 0, limit=READ_SIZE, backlog=1_024
        )
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Close the port to new connections."""
        if self._server is not None:
            self._server.close()

    @contextlib.contextmanager
    def expecting(self, number: int, unit: Unit) -> Iterator[None]:
        """Answer a unit while it is asked for."""
        self.units[number] = unit
        try:
            yield
        finally:
            del self.units[number]
            self.asked.discard(number)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._answer(reader, writer):
                pass
        except _GONE:
            pass  # whoever asked is gone, or was killed
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; returns whether another may come."""
        head = await _head(reader)
        if (length := _LENGTH.search(head)) is not None:
            await reader.readexactly(int(length[1]))
        number = _NUMBER.search(head)
        unit = self.units.get(int(number[1])) if number is not None else None
        if unit is None:
            return False  # asked for by somebody who is gone
        assert number is not None
        self.asked.add(int(number[1]))
        if isinstance(unit, Socket):
            await _serve_socket(unit, head, reader, writer)
            return False
        if unit.answered:
            for part in _framed(unit):
                writer.write(part)
                await writer.drain()
                if unit.drip:
                    await asyncio.sleep(unit.drip)
        if unit.cut in ("by client", "held"):
            await reader.read(1)
        return unit.cut == "none"


def _framed(request: Request) -> Iterator[bytes]:
    """The answer as bytes, in parts if it drips. Streams are sent in chunks, of which the last one
    is missing if the answer is cut off."""
    head = b"HTTP/1.1 %d Status\r\n%b" % (request.status, request.headers)
    if b"application/json" in request.headers:
        head += b"content-length: %d\r\n\r\n" % sum(map(len, request.pieces))
        parts = [head, *request.pieces]
    else:
        chunks = (b"%x\r\n%b\r\n" % (len(piece), piece) for piece in request.pieces if piece)
        end = _LAST_CHUNK if request.cut == "none" else b""
        parts = [head + b"transfer-encoding: chunked\r\n\r\n", *chunks, end]
    yield from parts if request.drip else (b"".join(parts),)


async def _serve_socket(
    socket: Socket, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    end = End(ConnectionType.SERVER, reader, writer)
    await end.accept(head)
    for number in socket.numbers:
        if await end.receive() is None:
            return
        for event in socket.events(number):
            end.send(event)
        await writer.drain()
    if socket.cut == "by server":
        end.close()
    await end.receive()


class Client:
    """One connection to a proxy, opened again where a call broke it."""

    def __init__(self, port: int, provider: Provider, ended: Ended) -> None:
        self._port = port
        self._provider = provider
        self._ended = ended
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, unit: Unit) -> None:
        """Make all calls of a unit. Raises OSError or EOFError where the proxy is gone, and
        WrongAnswerError where bytes differ."""
        number = unit.number if isinstance(unit, Request) else unit.numbers[0]
        with self._provider.expecting(number, unit):
            if isinstance(unit, Request):
                await self._request(unit)
            else:
                await self._socket(unit)

    def close(self) -> None:
        """Leave, whatever is under way."""
        if self._writer is not None:
            self._writer.transport.abort()
        self._reader = self._writer = None

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._reader is None or self._writer is None:
            self._reader, self._writer = await asyncio.open_connection(
                "127.0.0.1", self._port, limit=READ_SIZE
            )
        return self._reader, self._writer

    async def _request(self, request: Request) -> None:
        reader, writer = await self._connected()
        writer.write(request.message)
        expected = b"".join(request.pieces)
        if request.cut == "by client":
            if request.answered:
                got = await _body_until(reader, len(expected))
                _same(request, got, expected)
            else:
                while request.number not in self._provider.asked:
                    if reader.at_eof():
                        raise ConnectionResetError("the proxy is gone")
                    await asyncio.sleep(0.005)
            self.close()
        elif request.cut in ("by server", "held"):
            with contextlib.suppress(*_GONE):
                await _body(reader)
            self.close()
        else:
            _same(request, await _body(reader), expected)
        self._ended(request.number)

    async def _socket(self, socket: Socket) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, limit=READ_SIZE)
        try:
            end = End(ConnectionType.CLIENT, reader, writer)
            await end.open(SOCKET_HOST, SOCKET_PATH, socket.headers)
            for number in socket.numbers:
                end.send(CREATE)
                for event in socket.events(number):
                    if (got := await end.receive()) is None:
                        raise ConnectionResetError("the socket closed")
                    if got != event:
                        raise WrongAnswerError(f"call {number}")
                if number != socket.numbers[-1] or socket.cut == "none":
                    self._ended(number)
            if socket.cut == "by server":
                await end.receive()
            else:
                end.close()
                await writer.drain()
            if socket.cut != "none":
                self._ended(socket.numbers[-1])
        finally:
            writer.close()


def _same(request: Request, got: bytes, expected: bytes) -> None:
    if got != expected:
        raise WrongAnswerError(f"call {request.number}: {len(got)} bytes of {len(expected)}")


async def _head(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


async def _body(reader: asyncio.StreamReader) -> bytes:
    """The body of an answer."""
    if (length := _LENGTH.search(await _head(reader))) is not None:
        return await reader.readexactly(int(length[1]))
    parts = []
    while (size := int(await reader.readuntil(b"\r\n"), 16)) > 0:
        parts.append((await reader.readexactly(size + 2))[:-2])
    await reader.readexactly(2)
    return b"".join(parts)


async def _body_until(reader: asyncio.StreamReader, size: int) -> bytes:
    """The beginning of a chunked body."""
    await _head(reader)
    got = b""
    while len(got) < size:
        chunk = int(await reader.readuntil(b"\r\n"), 16)
        if chunk == 0:
            raise ConnectionResetError("the answer ended too early")
        got += (await reader.readexactly(chunk + 2))[:-2]
    return got
