"""The fake upstream's WebSockets, by wsproto, with permessage-deflate where the client offers
it."""

from __future__ import annotations

import asyncio

from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Event, Ping, TextMessage
from wsproto.extensions import PerMessageDeflate

from .handler import Headers, Request

READ_SIZE = 65536


class ServerSocket:
    """A `handler.Socket` on a connection whose handshake request has been read."""

    def __init__(
        self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._connection = WSConnection(ConnectionType.SERVER)
        headers = [(name.encode(), value.encode()) for name, value in request.headers]
        self._connection.initiate_upgrade_connection(headers, request.path)
        self._events = self._connection.events()
        next(self._events)  # the handshake itself

    async def accept(self, headers: Headers = ()) -> None:
        extra = [(name.encode(), value.encode()) for name, value in headers]
        await self._write(AcceptConnection(extensions=[PerMessageDeflate()], extra_headers=extra))

    async def receive(self) -> str | bytes | None:
        parts: list[str | bytes] = []
        while True:
            for event in self._connection.events():
                match event:
                    case TextMessage() | BytesMessage():
                        parts.append(
                            event.data if isinstance(event.data, str) else bytes(event.data)
                        )
                        if event.message_finished:
                            return _joined(parts)
                    case Ping():
                        await self._write(event.response())
                    case CloseConnection():
                        if self._connection.state is ConnectionState.REMOTE_CLOSING:
                            await self._write(event.response())
                        return None
            if not (data := await self._reader.read(READ_SIZE)):
                return None
            self._connection.receive_data(data)

    async def send(self, message: str | bytes) -> None:
        await self._write(
            TextMessage(message) if isinstance(message, str) else BytesMessage(message)
        )

    async def close(self, code: int = 1000) -> None:
        await self._write(CloseConnection(code))
        while await self.receive() is not None:
            pass

    def abort(self) -> None:
        self._writer.transport.abort()

    async def _write(self, event: Event) -> None:
        self._writer.write(self._connection.send(event))
        await self._writer.drain()


def _joined(parts: list[str | bytes]) -> str | bytes:
    """A message is all text or all bytes."""
    text = [part for part in parts if isinstance(part, str)]
    return "".join(text) if text else b"".join(part for part in parts if isinstance(part, bytes))
