"""The fake upstream's HTTP/1.1, by h11: one chunk on the wire for every piece a handler sends."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Protocol

import h11

from .handler import Headers, Reply, Request, Socket
from .websocket import ServerSocket

READ_SIZE = 65536


class App(Protocol):
    """Who answers: see `server.Upstream`."""

    async def answer(self, request: Request, reply: Reply) -> None:
        """Answer a request."""

    async def answer_socket(self, request: Request, websocket: Socket) -> None:
        """Answer a WebSocket handshake and what follows."""


def reset_connection(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN."""
    # SO_LINGER with a time of zero discards and resets.
    writer.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
    )
    writer.transport.abort()


class Http1Wire:
    """A reply's `handler.Wire` in HTTP/1.1."""

    def __init__(self, connection: h11.Connection, writer: asyncio.StreamWriter) -> None:
        self._connection = connection
        self._writer = writer

    async def head(self, status: int, headers: Headers) -> None:
        await self._write(h11.Response(status_code=status, headers=list(headers)))

    async def send(self, data: bytes) -> None:
        await self._write(h11.Data(data=data))

    async def end(self, trailers: Headers) -> None:
        await self._write(h11.EndOfMessage(headers=list(trailers)))

    def abort(self) -> None:
        reset_connection(self._writer)

    def drop(self) -> None:
        self._writer.close()

    async def _write(self, event: h11.Response | h11.Data | h11.EndOfMessage) -> None:
        self._writer.write(self._connection.send(event) or b"")
        await self._writer.drain()


async def serve_http1(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, app: App, scheme: str
) -> None:
    """Answer the requests of one connection, one after the other."""
    connection = h11.Connection(h11.SERVER)
    while (request := await _read_request(connection, reader, scheme)) is not None:
        if (request.header("upgrade") or "").lower() == "websocket":
            await app.answer_socket(request, ServerSocket(request, reader, writer))
            return
        reply = Reply(Http1Wire(connection, writer))
        if not await _answer(app, request, reply, reader, connection):
            return
        connection.start_next_cycle()


async def _read_request(
    connection: h11.Connection, reader: asyncio.StreamReader, scheme: str
) -> Request | None:
    head: h11.Request | None = None
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(READ_SIZE))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            return _request(head, bytes(body), scheme)
        else:
            return None


def _request(head: h11.Request, body: bytes, scheme: str) -> Request:
    headers = tuple((name.decode(), value.decode("latin-1")) for name, value in head.headers)
    authority = next((value for name, value in headers if name == "host"), "")
    return Request(
        method=head.method.decode(),
        scheme=scheme,
        host=authority.rpartition(":")[0] or authority,
        path=head.target.decode(),
        headers=headers,
        body=body,
        http_version="1.1",
    )


async def _answer(
    app: App,
    request: Request,
    reply: Reply,
    reader: asyncio.StreamReader,
    connection: h11.Connection,
) -> bool:
    """Run the handler while watching for the client to leave; whether the connection can be used
    again."""
    handling = asyncio.ensure_future(app.answer(request, reply))
    watching = asyncio.ensure_future(reader.read(READ_SIZE))
    try:
        await asyncio.wait({handling, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not handling.done():
            reply.gone.open()
            return False
        handling.result()
        return connection.our_state is h11.DONE and connection.their_state is h11.DONE
    finally:
        for task in (handling, watching):
            task.cancel()
        await asyncio.gather(handling, watching, return_exceptions=True)
