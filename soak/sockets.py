"""Both ends of a WebSocket, by wsproto, on streams of asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    TextMessage,
)
from wsproto.events import Request as Opening

READ_SIZE = 2**18


class End:
    """One end of a socket."""

    def __init__(
        self, kind: ConnectionType, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.writer = writer
        self._reader = reader
        self._connection = WSConnection(kind)

    async def open(self, host: str, path: str, headers: Sequence[tuple[str, str]]) -> None:
        """Ask for a socket through a proxy, and wait until it is there."""
        extra = [(name.encode(), value.encode()) for name, value in headers]
        self.write(Opening(host=host, target=f"http://{host}{path}", extra_headers=extra))
        event = await self._event()
        if not isinstance(event, AcceptConnection):
            raise ConnectionResetError(f"no socket: {event}")

    async def accept(self, head: bytes) -> None:
        """Accept the socket that a client asks for in `head`."""
        self._connection.receive_data(head)
        await self._event()
        self.write(AcceptConnection())

    async def receive(self) -> str | None:
        """The next message; None once the other side has closed."""
        parts: list[str] = []
        while True:
            event = await self._event()
            if isinstance(event, TextMessage):
                parts.append(event.data)
                if event.message_finished:
                    return "".join(parts)
            elif isinstance(event, (CloseConnection, RejectConnection)) or event is None:
                if (
                    isinstance(event, CloseConnection)
                    and self._connection.state is ConnectionState.REMOTE_CLOSING
                ):
                    self.write(event.response())
                return None
            elif isinstance(event, Ping):
                self.write(event.response())
            elif isinstance(event, BytesMessage):
                raise ConnectionResetError("bytes where text was sent")

    def send(self, text: str) -> None:
        """Send a message."""
        self.write(TextMessage(text))

    def close(self) -> None:
        """Say that no more will come."""
        self.write(CloseConnection(1000))

    def write(self, event: Event) -> None:
        """Send an event as it is."""
        self.writer.write(self._connection.send(event))

    async def _event(self) -> Event | None:
        while True:
            for event in self._connection.events():
                return event
            data = await self._reader.read(READ_SIZE)
            if not data:
                return None
            self._connection.receive_data(data)
