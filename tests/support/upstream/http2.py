"""The fake upstream's HTTP/2, by h2: streams interleave as their handlers send."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, Event, RequestReceived, StreamEnded, StreamReset, WindowUpdated
from h2.exceptions import ProtocolError

from .handler import Headers, Reply, Request

if TYPE_CHECKING:
    from .http1 import App

READ_SIZE = 65536


class Http2Wire:
    """A reply's `handler.Wire` in HTTP/2."""

    def __init__(self, session: Session, stream_id: int) -> None:
        self._session = session
        self._stream_id = stream_id

    async def head(self, status: int, headers: Headers) -> None:
        self._session.connection.send_headers(self._stream_id, [(":status", str(status)), *headers])
        await self._session.flush()

    async def send(self, data: bytes) -> None:
        connection = self._session.connection
        while True:
            room = min(
                connection.local_flow_control_window(self._stream_id),
                connection.max_outbound_frame_size,
            )
            if data and not room:
                await self._session.window_opened()
                continue
            connection.send_data(self._stream_id, data[:room])
            await self._session.flush()
            data = data[room:]
            if not data:
                return

    async def end(self, trailers: Headers) -> None:
        if trailers := list(trailers):
            self._session.connection.send_headers(self._stream_id, trailers, end_stream=True)
        else:
            self._session.connection.end_stream(self._stream_id)
        await self._session.flush()

    def abort(self) -> None:
        self._session.connection.reset_stream(self._stream_id, ErrorCodes.INTERNAL_ERROR)
        self._session.write()

    def drop(self) -> None:
        self._session.writer.close()


class Stream:
    """One request in progress."""

    def __init__(self, headers: tuple[tuple[str, str], ...]) -> None:
        self.headers = headers
        self.body = bytearray()
        self.reply: Reply | None = None
        self.task: asyncio.Future[None] | None = None

    def request(self) -> Request:
        pseudo = dict(self.headers)
        authority = pseudo.get(":authority") or pseudo.get("host", "")
        return Request(
            method=pseudo[":method"],
            scheme=pseudo[":scheme"],
            host=authority.rpartition(":")[0] or authority,
            path=pseudo[":path"],
            headers=tuple(
                (name, value) for name, value in self.headers if not name.startswith(":")
            ),
            body=bytes(self.body),
            http_version="2",
        )

    def abandon(self) -> None:
        """The client is gone: tell the test, stop the handler."""
        if self.reply is not None and not self.reply.ended:
            self.reply.gone.open()
        if self.task is not None:
            self.task.cancel()


class Session:
    """One connection."""

    def __init__(self, writer: asyncio.StreamWriter, app: App) -> None:
        self.connection = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self.writer = writer
        self.streams: dict[int, Stream] = {}
        self._app = app
        self._window = asyncio.Event()

    def write(self) -> None:
        """Hand what h2 has to say to the transport."""
        self.writer.write(self.connection.data_to_send())

    async def flush(self) -> None:
        """Write, and wait for room."""
        self.write()
        await self.writer.drain()

    async def window_opened(self) -> None:
        """Wait until the client allows more bytes."""
        self._window.clear()
        await self._window.wait()

    def handle(self, event: Event) -> None:
        """Take one event of the connection."""
        match event:
            case RequestReceived(stream_id=int(number), headers=list(headers)):
                self.streams[number] = Stream(
                    tuple((str(name), str(value)) for name, value in headers)
                )
            case DataReceived(
                stream_id=int(number), data=bytes(data), flow_controlled_length=int(length)
            ):
                self.connection.acknowledge_received_data(length, number)
                self.streams[number].body += data
            case StreamEnded(stream_id=int(number)):
                self._answer(number)
            case WindowUpdated():
                self._window.set()
            case StreamReset(stream_id=int(number)) if number in self.streams:
                self.streams.pop(number).abandon()

    def _answer(self, number: int) -> None:
        stream = self.streams[number]
        stream.reply = Reply(Http2Wire(self, number))
        stream.task = asyncio.ensure_future(self._app.answer(stream.request(), stream.reply))


async def serve_http2(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, app: App) -> None:
    """Answer all streams of one connection."""
    session = Session(writer, app)
    session.connection.initiate_connection()
    try:
        await session.flush()
        while data := await reader.read(READ_SIZE):
            for event in session.connection.receive_data(data):
                session.handle(event)
            await session.flush()
    except (ConnectionError, ProtocolError):
        pass
    finally:
        for stream in session.streams.values():
            stream.abandon()
        running = [stream.task for stream in session.streams.values() if stream.task is not None]
        await asyncio.gather(*running, return_exceptions=True)
