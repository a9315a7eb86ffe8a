"""The page on the network: tornado's HTTP server on mitmproxy's loop, which carries the traffic,
too. The only module that imports tornado.

tornado parses requests and limits their size; `app` answers them. Nothing here blocks.
https://www.tornadoweb.org/en/stable/httpserver.html

`tornado.web` would save 29 lines of 711, but it checks the method and parses forms before a handler
can check `Host` and login, and its gzip would compress each open page's event stream separately.
"""

from __future__ import annotations

import asyncio
import http.client
import logging
import socket
from collections import deque
from collections.abc import Callable
from typing import Any

from tornado.http1connection import HTTP1Connection, HTTP1ServerConnection
from tornado.httpserver import HTTPServer
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.iostream import IOStream

from ..record import Call, Cost
from ..tracker import Tracker
from .access import WILDCARDS, Access, is_loopback, login_url
from .app import Answer, App, Request, error
from .assets import load_assets
from .events import Hub, Reader
from .metrics import Runtime

logger = logging.getLogger(__name__)

MAX_HEADER_BYTES = 16 * 2**10
"""A browser with cookies of many servers on this host sends a few kB."""

MAX_BODY_BYTES = 4 * 2**10
"""The login form is all that is ever sent."""

MAX_BUFFER_BYTES = 64 * 2**10
"""Of a connection's input: more than the largest request."""

BACKLOG = 128
"""Connections that wait to be accepted: tornado's default."""

BODY_SECONDS = 10.0
"""For the body of a request to arrive."""

IDLE_SECONDS = 75.0
"""A connection without a complete request head is closed after this; browsers keep theirs about as
long."""

MAX_CONNECTIONS = 512
"""Twice the open pages that are accepted. The traffic needs file descriptors, too."""


class WebServer:
    """Serves the page and its JSON at one address. Call its methods on the loop's thread."""

    def __init__(
        self,
        tracker: Tracker,
        *,
        host: str,
        port: int,
        token: str,
        clock: Callable[[], float],
        runtime: Callable[[], Runtime],
        explain: Callable[[Call], Cost],
        on_trouble: Callable[[str], None],
    ) -> None:
        """`port` 0 takes any free port. `explain` prices a call that is opened on the page;
        `on_trouble` is called with the reason if the page cannot be served."""
        self._tracker = tracker
        self._host = host
        self._port = port
        self._token = token
        self._clock = clock
        self._runtime = runtime
        self._explain = explain
        self._on_trouble = on_trouble
        self._server: _Server | None = None

    def start(self) -> bool:
        """Listen. If that fails, call `on_trouble` with the reason and return False. Needs a
        running loop."""
        listener = socket.socket(socket.AF_INET6 if ":" in self._host else socket.AF_INET)
        try:
            # A restart must not wait for connections of the last run to time out.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self._host, self._port))
            listener.listen(BACKLOG)
        except (OSError, OverflowError, UnicodeError) as problem:
            listener.close()
            reason = str((problem.strerror if isinstance(problem, OSError) else None) or problem)
            self._on_trouble(
                f"Cannot serve the page on {_authority(self._host, self._port)}: "
                f"{reason[:1].lower()}{reason[1:]}."
            )
            return False
        listener.setblocking(False)
        self._port = listener.getsockname()[1]
        access = Access(self._token, self._host, self._port)
        app = App(
            self._tracker,
            access,
            load_assets(),
            clock=self._clock,
            runtime=self._runtime,
            explain=self._explain,
        )
        self._server = _Server(
            lambda _: None,
            max_header_size=MAX_HEADER_BYTES,
            max_body_size=MAX_BODY_BYTES,
            max_buffer_size=MAX_BUFFER_BYTES,
            body_timeout=BODY_SECONDS,
            idle_connection_timeout=IDLE_SECONDS,
        )
        self._server.answer_with(app, Hub(app.snapshots, asyncio.get_running_loop().call_later))
        self._server.add_socket(listener)
        return True

    def stop(self) -> None:
        """Free the port and close all connections at once, open event streams included."""
        if self._server is not None:
            self._server.stop()
            self._server.close_connections()
            self._server = None

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    @property
    def address(self) -> str:
        """The page's URL, for a browser that is logged in."""
        host = "127.0.0.1" if self._host in WILDCARDS else self._host
        return f"http://{_authority(host, self._port)}/"

    @property
    def url(self) -> str:
        """The URL that logs a browser in. It contains the token: keep it secret."""
        return login_url(self.address, self._token)

    def publish(self, line: bytes) -> None:
        """Send a journal line to open pages, and within a second what `/api/usage` answers now."""
        if self._server is None:
            return
        self._server.app.snapshots.changed()
        self._server.hub.publish(line.rstrip())

    def changed(self) -> None:
        """Send open pages a new usage without a record: limits were read, the journal was read
        back, or the view was reset."""
        if self._server is not None:
            self._server.app.snapshots.changed()

    def is_reached_by(self, address: tuple[str, int]) -> bool:
        """Whether a connection to this address would lead here. The proxy must not make one: its
        clients would look local to us."""
        host, port = address[:2]
        if self._server is None or port != self._port:
            return False
        return is_loopback(host) or host in WILDCARDS or host.lower() == self._host.lower()

    def proxy_connected(self, local: tuple[str, int], remote: tuple[str, int]) -> None:
        """Note that the proxy connected these addresses. If that leads here, by a name that only
        the resolver knows, close the connection."""
        if self._server is not None and (
            self.is_reached_by(remote) or (remote[1] == self._port and remote[0] == local[0])
        ):
            self._server.refuse(local)


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _plain(address: tuple[Any, ...]) -> tuple[str, int]:
    """Return host and port, with an IPv4 address as such: a socket for both families writes it as
    IPv6."""
    return address[0].removeprefix("::ffff:"), address[1]


class _Server(HTTPServer):
    """tornado's server with a cap on connections and `app` as its application."""

    def answer_with(self, app: App, hub: Hub) -> None:
        """Set what answers. Not in `__init__`, as tornado makes its servers without it."""
        self.app = app
        self.hub = hub
        self._streams: dict[IOStream, tuple[str, int]] = {}
        """Open connections and their clients' addresses."""
        self._refused: deque[tuple[str, int]] = deque(maxlen=BACKLOG)
        """Clients whose connection is closed once it comes; no more than these can be waiting."""

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        """Accept or close a new connection."""
        client = _plain(address)
        if client in self._refused:
            self._refused.remove(client)
            stream.close()
            return
        if len(self._streams) >= MAX_CONNECTIONS:
            stream.close()
            return
        self._streams[stream] = client
        super().handle_stream(stream, address)

    def refuse(self, address: tuple[str, int]) -> None:
        """Close the connection from an address; it may be made but not accepted yet."""
        client = _plain(address)
        streams = [stream for stream, other in self._streams.items() if other == client]
        for stream in streams:
            stream.close()
        if not streams:
            self._refused.append(client)

    def start_request(
        self,
        server_conn: object,  # noqa: ARG002  tornado's signature
        request_conn: HTTPConnection,
    ) -> HTTPMessageDelegate:
        """Begin a request: tornado calls this for each one."""
        assert isinstance(request_conn, HTTP1Connection)
        return _Exchange(self.app, self.hub, request_conn)

    def on_close(self, server_conn: object) -> None:
        """Forget a connection that has ended."""
        assert isinstance(server_conn, HTTP1ServerConnection)
        self._streams.pop(server_conn.stream, None)
        super().on_close(server_conn)

    def close_connections(self) -> None:
        """Close all connections at once. tornado's `close_all_connections` must be awaited, which
        mitmproxy's `done` cannot."""
        for stream in list(self._streams):
            stream.close()


class _Exchange(HTTPMessageDelegate):
    """Reads one request and sends its answer."""

    def __init__(self, app: App, hub: Hub, connection: HTTP1Connection) -> None:
        self._app = app
        self._hub = hub
        self._connection = connection
        self._body = bytearray()

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> None:
        """Keep the request's head for `finish`."""
        assert isinstance(start_line, RequestStartLine)
        self._start_line = start_line
        self._headers = {name.lower(): value for name, value in headers.items()}

    def data_received(self, chunk: bytes) -> None:
        """Keep a piece of the body, whose size tornado limits."""
        self._body += chunk

    def finish(self) -> None:
        """Answer the request, which is complete."""
        request = Request(
            self._start_line.method, self._start_line.path, self._headers, bytes(self._body)
        )
        try:
            answer = self._app.answer(request)
        except Exception:
            # The page must be able to tell a bug in llmtally from a proxy that is gone.
            logger.exception("llmtally: a request to the page failed. This is a bug in llmtally.")
            answer = error(500, "internal error: see the log")
        if answer.is_stream and self._hub.is_full:
            answer = error(503, "too many open pages")
        if answer.is_stream:
            self._stream(answer)
        else:
            self._send(answer)

    def _send(self, answer: Answer) -> None:
        headers = HTTPHeaders(dict(answer.headers))
        if answer.status != http.client.NOT_MODIFIED:
            headers["Content-Length"] = str(len(answer.body))
        body = None if self._start_line.method == "HEAD" else answer.body
        self._connection.write_headers(_status_line(answer), headers, body)
        self._connection.finish()

    def _stream(self, answer: Answer) -> None:
        connection = self._connection
        head: list[Answer] = [answer]

        def write(chunk: bytes, written: Callable[[], None]) -> None:
            if head:
                answer = head.pop()
                future = connection.write_headers(
                    _status_line(answer), HTTPHeaders(dict(answer.headers)), chunk
                )
            else:
                future = connection.write(chunk)
            future.add_done_callback(lambda _: written())

        reader = Reader(write, connection.close)
        connection.set_close_callback(lambda: self._hub.leave(reader))
        self._hub.join(reader)


def _status_line(answer: Answer) -> ResponseStartLine:
    return ResponseStartLine("HTTP/1.1", answer.status, http.client.responses[answer.status])
