"""What a test writes to play a provider: `async def handler(request, reply)`, on the fake
upstream's own loop."""

from __future__ import annotations

import asyncio
import concurrent.futures
import dataclasses
import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

DEADLINE = 60.0
"""Seconds after which something that should have happened has not. Only a failing test ever waits
this long."""

Headers = Iterable[tuple[str, str]]


class Gate:
    """A door between the test's thread and the upstream's loop: opened once, by either, and awaited
    by the other."""

    def __init__(self) -> None:
        self._opened: concurrent.futures.Future[None] = concurrent.futures.Future()

    def open(self) -> None:
        """Let everyone through, now and later."""
        if not self._opened.done():
            self._opened.set_result(None)

    @property
    def is_open(self) -> bool:
        """Whether it has been opened."""
        return self._opened.done()

    async def opened(self) -> None:
        """Wait in a handler."""
        await asyncio.shield(asyncio.wrap_future(self._opened))

    def wait(self) -> None:
        """Wait in a test. Raises TimeoutError."""
        self._opened.result(DEADLINE)


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it reached the upstream."""

    method: str
    scheme: str
    host: str
    """The authority's name, without a port."""
    path: str
    """The path, with its query."""
    headers: tuple[tuple[str, str], ...]
    """Names in lower case."""
    body: bytes
    http_version: str

    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        """The first value of a header."""
        return next((value for key, value in self.headers if key == name), None)


class Wire(Protocol):
    """What each HTTP version brings to a reply."""

    async def head(self, status: int, headers: Headers) -> None:
        """Send the response head."""

    async def send(self, data: bytes) -> None:
        """Send body bytes: one HTTP/1.1 chunk, or DATA frames."""

    async def end(self, trailers: Headers) -> None:
        """End the response."""

    def abort(self) -> None:
        """End it with a reset: of the connection in HTTP/1.1, of the stream in HTTP/2."""

    def drop(self) -> None:
        """Close the connection in an orderly way, whatever is still to come."""


class Reply:
    """The answer to one request, with a memory of what was sent."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.sent = bytearray()
        """Body bytes handed to the wire."""
        self.started = False
        self.ended = False
        self.gone = Gate()
        """Opens when the peer has gone away before the end."""

    async def head(self, status: int = 200, headers: Headers = ()) -> None:
        """Send the response head."""
        self.started = True
        await self._wire.head(status, headers)

    async def send(self, data: bytes) -> None:
        """Send a piece of the body: one HTTP/1.1 chunk, or DATA frames."""
        self.sent += data
        await self._wire.send(data)

    async def end(self, trailers: Headers = ()) -> None:
        """End the response. Trailers are for HTTP/2: mitmproxy knows none in HTTP/1.1."""
        self.ended = True
        await self._wire.end(trailers)

    def abort(self) -> None:
        """Break off with a reset."""
        self.ended = True
        self._wire.abort()

    def drop(self) -> None:
        """Break off by closing the connection."""
        self.ended = True
        self._wire.drop()


class Socket(Protocol):
    """A WebSocket, seen from the provider."""

    async def accept(self, headers: Headers = ()) -> None:
        """Answer the handshake."""

    async def receive(self) -> str | bytes | None:
        """The next message; None once the peer has closed or gone."""

    async def send(self, message: str | bytes) -> None:
        """Send one message."""

    async def close(self, code: int = 1000) -> None:
        """Close in an orderly way."""

    def abort(self) -> None:
        """Reset the connection without a close frame."""


Handler = Callable[[Request, Reply], Awaitable[None]]
SocketHandler = Callable[[Request, Socket], Awaitable[None]]


@dataclass(slots=True)
class Served:
    """One request the upstream saw, and its reply."""

    request: Request
    reply: Reply | None
    """The sender of the response; None for a WebSocket."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole reply, known in advance. It is a handler."""

    chunks: tuple[bytes, ...]
    content_type: str = "application/json"
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    chunked: bool = False
    """Sent piece by piece without a length; else in one piece with one."""

    @property
    def body(self) -> bytes:
        """The whole body."""
        return b"".join(self.chunks)

    def with_headers(self, **headers: str) -> Answer:
        """The same with more headers; `_` stands for `-`."""
        return dataclasses.replace(
            self, headers=(*self.headers, *((k.replace("_", "-"), v) for k, v in headers.items()))
        )

    async def __call__(self, request: Request, reply: Reply) -> None:
        """Send the prepared answer."""
        head = [("content-type", self.content_type), *self.headers]
        if not self.chunked:
            head.append(("content-length", str(len(self.body))))
        await reply.head(self.status, head)
        for chunk in self.chunks if self.chunked else (self.body,):
            await reply.send(chunk)
        await reply.end()
