"""Follows one request to an LLM until its calls are settled, however it ends.

Input takes one of four paths:

    a chunk      feed   Body.feed    OneResponse.read or ManyResponses.read   fold
    a JSON body  whole  Body.whole   OneResponse.read or ManyResponses.read   fold
    a frame      frame  WebSocket.frame                         Turns.read    fold
    the end      end    Body.finish  as a chunk; then `end` of the same three, Settlement.call
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .. import limits
from ..providers import Route
from ..record import ApiError, Call
from .body import Body
from .many_responses import ManyResponses
from .memory import Memory
from .one_response import OneResponse
from .sent_request import SentRequest
from .settlement import Settlement
from .values import NOTHING_READ, Ending, RequestHead, Response
from .websocket import WebSocket


class Exchange:
    """One flow to an LLM, from request head to its calls."""

    def __init__(self, route: Route, request: RequestHead, memory: Memory) -> None:
        self.route = route
        self.request = request
        self._sent = SentRequest(request, route.format)
        self._response = Response("websocket" if request.method == "SOCKET" else "json")
        self._settlement = Settlement(route, request, memory, self._response)
        self._body: Body | None = None
        """The response's body; None until its head has come, and always on a socket."""
        self._reader: OneResponse | ManyResponses | None = None
        """Reads the messages of the body."""
        self._socket: WebSocket | None = None
        self._ended = False

    @property
    def coded(self) -> bool:
        """Whether the body of the request or of the response has a content coding: what is in it
        may be much larger."""
        return "content-encoding" in self.request.headers or (
            self._body is not None and self._body.coded
        )

    @property
    def awaits_content(self) -> bool:
        """Whether the time of the next bytes matters: they may hold the first content."""
        return self._body is not None and self._body.awaits_content

    @property
    def messages(self) -> int:
        """Messages of the response that were read; on a socket all that came."""
        if self._socket is not None:
            return self._socket.frames
        return self._body.messages if self._body is not None else 0

    @property
    def events(self) -> int:
        """About how many events of a stream or frames of a socket came, including skipped ones; a
        whole body has none."""
        if self._response.transport in ("json", "binary"):
            return 0
        return self.messages + (self._body.skipped_events if self._body is not None else 0)

    def request_sent(self, body: bytes | None, size: int | None, at: float) -> None:
        """The request has gone out: its body (None if it was not kept), its size in bytes, and
        when."""
        self._sent.went_out(body, size, at)

    def response_started(self, status: int, headers: Mapping[str, str], at: float) -> None:
        """The response head came; header names in lower case."""
        route, response = self.route, self._response
        response.status = status
        if route.format.read_headers is not None:
            response.base = route.format.read_headers(headers, NOTHING_READ)
        response.limits = limits.read_headers(
            headers, provider=route.provider.name, now=at, status=status
        )
        if status == 101:
            if self.request.method == "SOCKET":
                self._socket = WebSocket(route, self.request.query, response, self._settlement)
            return
        self._body = Body(route, response, headers)
        many = route.format.multiple and status == 200  # what refuses them is one
        if many:
            self._reader = ManyResponses(route, self._sent, response, self._settlement)
        else:
            self._reader = self._one_response()

    def feed(self, data: bytes, at: float) -> list[Call]:
        """Read bytes of the response's body, as they are on the wire. Gives the calls that ended
        within them (results of a batch)."""
        return self._read(self._body.feed(data), at) if self._body is not None else []

    def whole(self, body: bytes, at: float) -> list[Call]:
        """Read the response's body, all of it, unless `parse_now` has read it. Gives the calls that
        ended within it."""
        return self._read(self._body.whole(body), at) if self._body is not None else []

    def frame(self, data: bytes, *, from_client: bool, at: float) -> list[Call]:
        """Read one WebSocket message. Gives the calls that ended with it."""
        if self._socket is None:
            return []
        return self._socket.frame(data, from_client=from_client, at=at)

    def trailed(self, headers: Mapping[str, str]) -> None:
        """Trailers came after the body; header names in lower case."""
        if isinstance(self._reader, OneResponse):
            self._reader.trailed(headers)

    def parse_now(self, body: bytes | None, at: float) -> None:
        """Read the request, and a whole body if there is one, before `end` is called.

        Touches nothing shared, so any thread may do it. None: the body was fed, or is going to be;
        there may be more of it.
        """
        if self.route.format.multiple:
            return
        if body is not None and self._body is not None:
            self.whole(body, at)
            self._read(self._body.finish(), at)
        self._sent.read()

    def fail(self) -> None:
        """A bug in llmtally ended the reading: nothing that was read is used, and the call is
        settled as `unparsed`."""
        self._response.failed = True
        if self._body is not None:
            self._body.fail()

    def end(self, ending: Ending, at: float, error: ApiError | None = None) -> list[Call]:
        """The flow is over; `error` is why its connection broke. Settles what is open; a second
        call settles nothing."""
        if self._ended:
            return []
        self._ended = True
        if self._socket is not None:
            return list(self._socket.end(ending, at))
        calls = self._read(self._body.finish(), at) if self._body is not None else []
        reader = self._reader or self._one_response()
        calls += reader.end(ending, at, error)
        self._sent.release()
        return calls

    def _read(self, messages: Iterable[tuple[Any, int]], at: float) -> list[Call]:
        """Read messages of the body; gives the calls that end with them."""
        assert self._reader is not None
        read = self._reader.read
        return [call for value, size in messages for call in read(value, size, at)]

    def _one_response(self) -> OneResponse:
        return OneResponse(self.route, self._sent, self._response, self._body, self._settlement)
