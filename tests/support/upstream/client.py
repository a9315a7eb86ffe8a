"""Bare clients that show what arrives, when, byte for byte: HTTP/1.1 by the standard library,
HTTP/2 by h2, WebSockets by wsproto.

SDKs hide exactly what the transparency tests are about: chunk boundaries, content codings and how a
connection ends.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterable, Mapping
from typing import Self

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, TextMessage
from wsproto.events import Event as WsEvent
from wsproto.events import Request as WsRequest
from wsproto.extensions import PerMessageDeflate

from .handler import DEADLINE
from .proxy import Proxy

READ_SIZE = 65536


def post(
    proxy: Proxy,
    host: str,
    path: str,
    body: bytes = b"{}",
    *,
    tls: bool = True,
    method: str = "POST",
) -> tuple[int, bytes]:
    """One HTTP/1.1 request; its status and whole body, as it came over the wire."""
    with Http1Client(proxy, host, tls=tls) as client:
        response = client.request(method, path, body)
        return response.status, response.read()


class Http1Client:
    """One HTTP/1.1 connection to a host through the proxy; for plain HTTP, the proxy is sent the
    whole URL."""

    def __init__(self, proxy: Proxy, host: str, *, tls: bool = True) -> None:
        self._prefix = "" if tls else f"http://{host}"
        self._connection: http.client.HTTPConnection
        if tls:
            self._connection = http.client.HTTPSConnection(
                "127.0.0.1", proxy.port, timeout=DEADLINE, context=proxy.client_context()
            )
            self._connection.set_tunnel(host, 443)
        else:
            self._connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=DEADLINE)
        self._host = host
        self._response: http.client.HTTPResponse | None = None

    def request(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> http.client.HTTPResponse:
        """Send a request and return once the response head is there; read on with `read1`."""
        self._connection.request(
            method, self._prefix + path, body or None, {"host": self._host, **(headers or {})}
        )
        self._response = self._connection.getresponse()
        return self._response

    def send(self, method: str, path: str, body: bytes = b"") -> None:
        """Send a request and wait for nothing."""
        self._connection.request(method, self._prefix + path, body or None)

    def close(self) -> None:
        """Leave, whatever is under way."""
        if self._response is not None:
            self._response.close()
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _tunnel(proxy: Proxy, host: str, protocol: str) -> ssl.SSLSocket:
    """TLS to a host through the proxy."""
    tunnel = socket.create_connection(("127.0.0.1", proxy.port), timeout=DEADLINE)
    tunnel.sendall(f"CONNECT {host}:443 HTTP/1.1\r\nhost: {host}:443\r\n\r\n".encode())
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += tunnel.recv(1)
    assert b" 200 " in answer, answer
    context = proxy.client_context()
    context.set_alpn_protocols([protocol])
    encrypted = context.wrap_socket(tunnel, server_hostname=host)
    assert encrypted.selected_alpn_protocol() == protocol
    return encrypted


class Http2Client:
    """One HTTP/2 connection to a host through the proxy."""

    def __init__(self, proxy: Proxy, host: str) -> None:
        self._socket = _tunnel(proxy, host, "h2")
        self._host = host
        self._connection = H2Connection(H2Configuration(header_encoding="utf-8"))
        self._connection.initiate_connection()
        self._flush()
        self.headers: dict[int, dict[str, str]] = {}
        self.bodies: dict[int, bytes] = {}
        self.ended: dict[int, str] = {}
        """How each stream ended: `end` or `reset`."""

    def request(
        self,
        path: str,
        body: bytes,
        headers: Iterable[tuple[str, str]] = (),
        *,
        method: str = "POST",
    ) -> int:
        """Send a request; return its stream's number."""
        number = self._connection.get_next_available_stream_id()
        self._connection.send_headers(
            number,
            [
                (":method", method),
                (":scheme", "https"),
                (":authority", self._host),
                (":path", path),
                *headers,
            ],
        )
        self._connection.send_data(number, body, end_stream=True)
        self._flush()
        self.bodies[number] = b""
        return number

    def read_head(self, number: int) -> dict[str, str]:
        """The headers of the stream's response, once they are there."""
        while number not in self.headers:
            assert number not in self.ended
            self._receive()
        return self.headers[number]

    def read_until(self, number: int, size: int) -> bytes:
        """The stream's body once it holds at least `size` bytes."""
        while len(self.bodies[number]) < size:
            assert number not in self.ended, self.bodies[number]
            self._receive()
        return self.bodies[number]

    def read_to_end(self, number: int) -> bytes:
        """The stream's body when it has ended; `ended` says how it ended."""
        while number not in self.ended:
            self._receive()
        return self.bodies[number]

    def cancel(self, number: int) -> None:
        """Reset one stream."""
        self._connection.reset_stream(number, ErrorCodes.CANCEL)
        self._flush()

    def close(self) -> None:
        """Close the connection, whatever is under way."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _receive(self) -> None:
        try:
            data = self._socket.recv(READ_SIZE)
        except (ConnectionError, ssl.SSLEOFError):
            data = b""
        if not data:
            self.ended.update(
                (number, "reset") for number in self.bodies if number not in self.ended
            )
            return
        for event in self._connection.receive_data(data):
            match event:
                case ResponseReceived(stream_id=int(number), headers=list(headers)):
                    self.headers[number] = {str(name): str(value) for name, value in headers}
                case TrailersReceived(stream_id=int(number), headers=list(headers)):
                    self.headers[number] |= {str(name): str(value) for name, value in headers}
                case DataReceived(
                    stream_id=int(number), data=bytes(piece), flow_controlled_length=int(length)
                ):
                    self.bodies[number] += piece
                    self._connection.acknowledge_received_data(length, number)
                case StreamEnded(stream_id=int(number)):
                    self.ended[number] = "end"
                case StreamReset(stream_id=int(number)):
                    self.ended[number] = "reset"
                case ConnectionTerminated():
                    self.ended.update(
                        (number, "reset") for number in self.bodies if number not in self.ended
                    )
        self._flush()

    def _flush(self) -> None:
        self._socket.sendall(self._connection.data_to_send())


class WebSocketClient:
    """One WebSocket to a host through the proxy, with permessage-deflate."""

    def __init__(
        self, proxy: Proxy, host: str, path: str, headers: Mapping[str, str] | None = None
    ) -> None:
        self._socket = _tunnel(proxy, host, "http/1.1")
        self._connection = WSConnection(ConnectionType.CLIENT)
        extra = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
        self._send(
            WsRequest(host=host, target=path, extensions=[PerMessageDeflate()], extra_headers=extra)
        )
        self._events: list[WsEvent] = []
        accepted = self._next_event()
        assert isinstance(accepted, AcceptConnection), accepted

    def send(self, message: str | bytes) -> None:
        """Send one message."""
        self._send(TextMessage(message) if isinstance(message, str) else BytesMessage(message))

    def receive(self) -> str | bytes | None:
        """The next message; None once the server has closed or gone."""
        message: str | bytes = b""
        while True:
            match self._next_event():
                case TextMessage(data=str(text), message_finished=finished):
                    message = text if message == b"" else f"{message!s}{text}"
                case BytesMessage(data=data, message_finished=finished):
                    message = bytes(message if isinstance(message, bytes) else b"") + bytes(data)
                case _:
                    return None
            if finished:
                return message

    def abort(self) -> None:
        """Go away without a close frame."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def _send(self, event: WsEvent) -> None:
        self._socket.sendall(self._connection.send(event))

    def _next_event(self) -> WsEvent:
        while not self._events:
            try:
                data = self._socket.recv(READ_SIZE)
            except (ConnectionError, ssl.SSLEOFError):
                data = b""
            self._connection.receive_data(data or None)
            self._events += self._connection.events()
        return self._events.pop(0)
