"""The fake upstream: one port on 127.0.0.1 that speaks TLS or plain HTTP, 1.1 or 2, as the first
bytes of a client ask.

It runs on a separate loop and thread, so a test (synchronous, in pytest's thread) can hold an
answer back with a `Gate`.
"""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from .certificates import Authority
from .handler import DEADLINE, Handler, Reply, Request, Served, Socket, SocketHandler
from .http1 import serve_http1
from .http2 import serve_http2

_TLS_HANDSHAKE = b"\x16"
"""The first byte of a TLS connection (RFC 8446, section 5.1: content type 22)."""


class Upstream:
    """Answers by a route table `(host, path pattern) -> handler` that the test in progress has
    filled."""

    def __init__(self, directory: Path, listener: socket.socket | None = None) -> None:
        """`listener` is a socket in another network, if the server is to be there."""
        self.authority = Authority(directory)
        self.served: list[Served] = []
        """Every request that was routed, in order."""
        self.unrouted: list[str] = []
        """Requests nobody had planned for: a mistake of the test."""
        self._routes: list[tuple[str, re.Pattern[str], Handler | SocketHandler]] = []
        self._faults: list[BaseException] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._listener = listener or socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._loop.run_forever, name="fake upstream")

    def start(self) -> None:
        """Start to accept connections."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._begin(), self._loop).result(DEADLINE)

    def stop(self) -> None:
        """Close all connections and stop."""
        asyncio.run_coroutine_threadsafe(self._cancel(), self._loop).result(DEADLINE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(DEADLINE)
        self._listener.close()
        self._loop.close()

    def route(self, host: str, path: str, handler: Handler) -> None:
        """Answer requests for `host` (`*`: for any) whose path and query match the regular
        expression `path` in full.

        Later routes win.
        """
        self._routes.insert(0, (host, re.compile(path), handler))

    def route_socket(self, host: str, path: str, handler: SocketHandler) -> None:
        """Add a route for WebSockets, like `route`."""
        self._routes.insert(0, (host, re.compile(path), handler))

    def reset(self) -> None:
        """Forget the routes and requests of the last test. Raises what went wrong in its
        handlers."""
        unrouted, faults = self.unrouted, self._faults
        self._routes, self.served, self.unrouted, self._faults = [], [], [], []
        assert not unrouted, f"requests without a route: {unrouted}"
        if faults:
            raise faults[0]

    # What the protocols call

    async def answer(self, request: Request, reply: Reply) -> None:
        """Find and run the handler of a request."""
        handler: Any = self._find(request)
        if handler is None:
            await reply.head(501, [("content-length", "0")])
            await reply.end()
            return
        self.served.append(Served(request, reply))
        await self._run(handler(request, reply))
        if not reply.ended:
            reply.abort()

    async def answer_socket(self, request: Request, websocket: Socket) -> None:
        """Find and run the handler of a WebSocket; without one it is reset."""
        handler: Any = self._find(request)
        if handler is None:
            websocket.abort()
            return
        self.served.append(Served(request, None))
        await self._run(handler(request, websocket))

    def _find(self, request: Request) -> Handler | SocketHandler | None:
        for host, path, handler in self._routes:
            if host in (request.host, "*") and path.fullmatch(request.path):
                return handler
        self.unrouted.append(f"{request.method} {request.scheme}://{request.host}{request.path}")
        return None

    async def _run(self, handling: Coroutine[Any, Any, None]) -> None:
        try:
            await handling
        except ConnectionError:
            pass  # the peer left; the reply's `gone` says so
        except Exception as fault:  # noqa: BLE001  # shown by reset(), in the thread of the test
            self._faults.append(fault)

    # Connections

    async def _begin(self) -> None:
        self._spawn(self._accept())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _cancel(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._loop.shutdown_default_executor()

    async def _accept(self) -> None:
        context = self.authority.server_context()
        while True:
            connection, _ = await self._loop.sock_accept(self._listener)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._spawn(self._serve(connection, context))

    async def _serve(self, connection: socket.socket, context: Any) -> None:
        with connection:
            if not (first := await self._peek(connection)):
                return
            encrypted = first == _TLS_HANDSHAKE
            reader = asyncio.StreamReader()
            protocol = asyncio.StreamReaderProtocol(reader)
            try:
                transport, _ = await self._loop.connect_accepted_socket(
                    lambda: protocol, connection, ssl=context if encrypted else None
                )
            except OSError:
                return  # the client gave up during the handshake
            writer = asyncio.StreamWriter(transport, protocol, reader, self._loop)
            try:
                if (
                    encrypted
                    and transport.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
                ):
                    await serve_http2(reader, writer, self)
                else:
                    await serve_http1(reader, writer, self, "https" if encrypted else "http")
            except ConnectionError:
                pass
            finally:
                transport.close()
                # Flushed and closed before the socket object is released.
                await asyncio.gather(writer.wait_closed(), return_exceptions=True)

    async def _peek(self, connection: socket.socket) -> bytes:
        readable = self._loop.create_future()
        self._loop.add_reader(connection, readable.set_result, None)
        try:
            await readable
        finally:
            self._loop.remove_reader(connection)
        try:
            return connection.recv(1, socket.MSG_PEEK)
        except ConnectionError:
            return b""
