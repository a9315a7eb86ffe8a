"""One request that leads to an LLM, followed to its calls: one for an HTTP response, one per turn
on a WebSocket, one per line of a batch's results, whatever the ending.

The response is read as it comes: content coding, framing, message, format.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from .. import limits
from ..formats.format import RequestReading, mapping, no_content
from ..providers import Route
from ..record import ApiError, Call, Transport, WireError
from ..wire import framing, json_body
from ..wire.content_coding import ContentDecoder, content_decoder
from . import request_body
from .lanes import Lanes
from .memory import Memory
from .settlement import MAX_LIMITS, Settlement
from .values import NOTHING_READ, Ending, Lane, RequestHead, Response

EAGER_MESSAGES = 1_024
"""Messages parsed in the hope of content. Real streams begin within a dozen; small empty events
compress a thousand to one."""


class Exchange:
    """One flow to an LLM, from request head to its calls."""

    def __init__(self, route: Route, request: RequestHead, memory: Memory) -> None:
        self.route = route
        self.request = request
        self.streaming = False
        """Whether the response comes in pieces that must reach the client as they come."""
        self.messages = 0
        """Messages of the response that were read; of a socket all that came."""
        self.pieces = 0
        """Times `feed` was called."""
        self.read = False
        """The whole body has been read; more of it will not be."""
        self._format = route.format
        self._settlement = Settlement(route, request, memory)
        self._request_body: bytes | None = None
        self._request_bytes: int | None = None
        self._asked: tuple[RequestReading, Mapping[str, Any] | None] | None = None
        """What the request's body says, once it has been read."""
        self._started = request.timestamp
        self._response = Response("websocket" if request.method == "SOCKET" else "json")
        self._coding: ContentDecoder | None = None
        self._framing: framing.Framing | None = None
        self._only: Lane | None = None
        """The one response of a body that holds no more."""
        self._lanes = Lanes()
        """The responses of a socket or of a batch's results."""
        self._session: dict[str, RequestReading] = {}
        """What the messages of a socket said about all later responses, by lane."""
        self._ended = False
        self._quiet = False
        """Content has been seen: from now on only messages with a needle need to be parsed."""
        self._watch_limits = route.provider.limit_events or route.format.name == "openai_realtime"

    @property
    def coded(self) -> bool:
        """Whether a content coding is around the request's body or the response's: what is in there
        may be much larger."""
        return self._coding is not None or "content-encoding" in self.request.headers

    @property
    def awaits_content(self) -> bool:
        """Whether the time of the next bytes matters: they may hold the first content."""
        return (
            self._framing is not None and self._format.content is not no_content and not self._quiet
        )

    @property
    def events(self) -> int:
        """About how many events of a stream or frames of a socket came, those passed over included;
        a whole body is neither."""
        if self._response.transport in ("json", "binary"):
            return 0
        return self.messages + (
            self._framing.skim.skipped_events if self._framing is not None else 0
        )

    def request_sent(self, body: bytes | None, size: int | None, at: float) -> None:
        """The request has gone out: its body (None if it was not kept), its size in bytes, and
        when."""
        self._request_body = body
        self._request_bytes = size
        self._started = max(at, self.request.timestamp)

    def response_started(self, status: int, headers: Mapping[str, str], at: float) -> None:
        """The response head came; header names in lower case."""
        response = self._response
        response.status = status
        if self._format.read_headers is not None:
            response.base = self._format.read_headers(headers, NOTHING_READ)
        response.limits = limits.read_headers(
            headers, provider=self.route.provider.name, now=at, status=status
        )
        if status == 101:
            return
        content_type = headers.get("content-type", "")
        hint: Transport | None = "json_array" if self.route.streams_json else None
        response.transport, self._framing = framing.choose(content_type, hint=hint)
        array = self.route.streams_json and response.transport == "json_array"
        # A file of many responses is read as it passes: to settle thousands at its end would hold
        # up the loop for seconds.
        self.streaming = framing.is_streaming(content_type) or array or self._holds_many
        try:
            self._coding = (
                content_decoder(encoding)
                if (encoding := headers.get("content-encoding", ""))
                else None
            )
        except WireError:
            self._give_up()

    def feed(self, data: bytes, at: float) -> list[Call]:
        """Bytes of the response body, as they are on the wire. Gives the calls that ended within
        them (batch results)."""
        self._response.size += len(data)
        self.pieces += 1
        calls: list[Call] = []
        if self._framing is None or self.read:
            return calls
        try:
            for piece in self._coding.decode(data) if self._coding is not None else (data,):
                for message in self._framing.feed(piece):
                    self._message(message, at, calls)
        except WireError:
            self._give_up()
        return calls

    def whole(self, body: bytes, at: float) -> list[Call]:
        """The response body, all of it, unless it has been read ahead. Gives the calls that ended
        within it."""
        if self.read:
            return []
        if not self._is_one_json_text or len(body) > json_body.MAX_BODY:
            return self.feed(body, at)
        try:
            value = self._parse(body)
        except WireError:
            return self.feed(body, at)  # the label was wrong
        self.read = True
        self._response.size = len(body)
        calls: list[Call] = []
        self._read(value, len(body), at, calls)
        return calls

    def fail(self) -> None:
        """Reading has gone wrong by a bug of ours: nothing of it is believed, and the call is
        settled as `unparsed`."""
        self._response.failed = True
        self._framing = None
        self.read = True

    def trailed(self, headers: Mapping[str, str]) -> None:
        """Trailers came after the body; gRPC puts its status there."""
        if self._format.read_headers is not None:
            lane = self._single()
            lane.reading = self._format.read_headers(headers, lane.reading)

    def frame(self, data: bytes, *, from_client: bool, at: float) -> list[Call]:
        """One WebSocket message."""
        calls: list[Call] = []
        if not from_client:
            self.messages += 1
            self._response.size += len(data)
            if self._quiet and not self._wanted(data):
                self._pass_over(len(data))
                return calls
        try:
            value = self._parse(data)
        except WireError:
            self._response.faults += 1
            return calls
        self._turn(value, len(data), at, calls, from_client=from_client)
        return calls

    def parse_now(self, body: bytes | None, at: float) -> None:
        """Read the request, and a whole body if there is one, before `end` is called.

        Touches nothing shared, so any thread may do it. None: the body was fed, or is going to be;
        there may be more of it.
        """
        if self._format.multiple:
            return
        if body is not None:
            self.whole(body, at)
            self._flush(at, [])
        self._read_request()

    def end(self, ending: Ending, at: float, error: ApiError | None = None) -> list[Call]:
        """The flow is over. Settles what is open; a second call settles nothing."""
        if self._ended:
            return []
        self._ended = True
        calls: list[Call] = []
        self._flush(at, calls)
        if self.request.method == "SOCKET" and self._response.status == 101:
            for lane in self._lanes.clear():
                self._settle(lane, ending, at, calls)
        # what could not be read of many is one call more, unparsed
        elif not self._holds_many or self._response.faults:
            self._settle(self._single(), ending, at, calls, error)
        self._request_body = None
        return calls

    # Messages

    @property
    def _holds_many(self) -> bool:
        """Whether the body holds many responses, each of which ends within it. What refuses them is
        one."""
        return self._format.multiple and self._response.status == 200

    @property
    def _is_one_json_text(self) -> bool:
        """Whether the body is labelled as such, so that none of it is awaited in pieces."""
        return (
            self._response.transport == "json"
            and isinstance(self._framing, framing.Sniffing)
            and self._coding is None
        )

    def _flush(self, at: float, calls: list[Call]) -> None:
        if self._framing is None or self.read:
            return
        self.read = True
        try:
            self._framing.skim.ended = True
            for message in self._framing.feed(b""):
                self._message(message, at, calls)
            for message in self._framing.flush():
                self._message(message, at, calls, last=True)
        except WireError:
            self._give_up()
        if self._framing is not None:
            self._response.faults += self._framing.skim.faults

    def _give_up(self) -> None:
        """The rest of a damaged body can't be read; what was read before stands."""
        self._response.faults += 1
        self._framing = None

    def _parse(self, data: bytes) -> Any:
        value = data if self._response.transport == "grpc" else json_body.load(data)
        return self._format.unwrap(value) if self._format.unwrap is not None else value

    def _message(self, data: bytes, at: float, calls: list[Call], *, last: bool = False) -> None:
        try:
            value = self._parse(data)
        except WireError:
            # Events that are no JSON and no fault: an empty one, `[DONE]`, and a last one that was
            # cut off in its middle.
            if data not in (b"", b"[DONE]") and not last:
                self._response.faults += 1
        else:
            self._read(value, len(data), at, calls)

    def _read(self, value: Any, size: int, at: float, calls: list[Call]) -> None:
        self.messages += 1
        if self.messages == EAGER_MESSAGES:
            self._go_quiet()
        for each in value if isinstance(value, list) else (value,):
            if self._holds_many:
                self._turn(each, size, at, calls, from_client=False)
            else:
                self._fold(self._single(), each, size, at)

    def _fold(self, lane: Lane, value: Any, size: int, at: float) -> None:
        if length := self._format.content(value):
            if lane.first_content is None:
                lane.first_content = at
                overhead = self._framing.skim.overhead if self._framing is not None else 0
                lane.envelope = max(0, size + overhead - length)
                if self._framing is not None:
                    self._framing.skim.envelope = lane.envelope
                self._go_quiet()
            lane.delivered += length
        if (
            self._watch_limits
            and self.request.method != "SOCKET"
            and (found := limits.read_event(value, now=at))
        ):
            lane.limits = [*lane.limits, *found][-MAX_LIMITS:]
        failed = lane.reading.error is not None
        try:
            lane.reading = self._format.read(value, lane.reading)
        except WireError:
            self._response.faults += 1
        if lane.reading.error is not None and not failed:
            lane.limits += limits.read_error(
                value, provider=self.route.provider.name, status=self._response.status or 0, now=at
            )

    def _go_quiet(self) -> None:
        """From the first content on, only messages that can matter are taken out of the stream."""
        self._quiet = self.request.method != "SOCKET"
        if self._format.needles and self._framing is not None:
            self._framing.skim.needles = self._needles()
            self._framing.skim.endings = self._format.endings

    def _needles(self) -> tuple[bytes, ...]:
        return (
            (*self._format.needles, *limits.EVENT_NEEDLES)
            if self._watch_limits
            else self._format.needles
        )

    # One response

    def _single(self) -> Lane:
        if self._only is None:
            self._only = self._new_lane()
        return self._only

    def _new_lane(self) -> Lane:
        """A lane for an HTTP response. What was asked is filled in when it is settled: the request
        is read after the response."""
        return Lane(
            RequestReading(),
            None,
            timestamp=self.request.timestamp,
            started=self._started,
            reading=self._response.base,
        )

    def _read_request(self) -> tuple[RequestReading, Mapping[str, Any] | None]:
        if self._asked is None:
            body = request_body.read(self._request_body, self.request.headers)
            self._asked = (
                self._format.read_request(body) if body is not None else RequestReading(),
                body,
            )
        return self._asked

    def _settle(
        self,
        lane: Lane,
        ending: Ending,
        at: float,
        calls: list[Call],
        error: ApiError | None = None,
    ) -> None:
        if self._response.status != 101:
            lane.request, lane.body = self._read_request()
            lane.started, lane.request_bytes = self._started, self._request_bytes
        if isinstance(self._framing, framing.Sniffing):
            self._response.transport = self._framing.transport
        if self._framing is not None:
            lane.delivered += max(
                0,
                self._framing.skim.skipped_bytes
                - self._framing.skim.skipped_events * lane.envelope,
            )
        if (call := self._settlement.call(lane, self._response, ending, at, error)) is not None:
            calls.append(call)

    # Many responses on one connection, or in one body

    def _turn(
        self, value: Any, size: int, at: float, calls: list[Call], *, from_client: bool
    ) -> None:
        if not from_client and self._watch_limits and (found := limits.read_event(value, now=at)):
            self._response.limits = (*self._response.limits, *found)[-MAX_LIMITS:]
        if self._format.read_session is not None:
            self._session.update(self._format.read_session(value))
        turn = self._format.turn(value, from_client) if self._format.turn is not None else None
        if turn is None:
            return
        if turn.phase == "request":
            body = mapping(value)
            lane = Lane(
                self._format.read_request(body), body, timestamp=at, started=at, request_bytes=size
            )
            self._ask(turn.lane, lane, at, calls)
            return
        found_lane = self._lanes.get(turn.lane)
        if found_lane is None and turn.phase == "close":
            return
        if found_lane is None:
            found_lane = self._successor(turn.lane, at)
            self._ask(turn.lane, found_lane, at, calls)
        found_lane.response_bytes += size
        self._fold(found_lane, value, size, at)
        if turn.phase != "read":
            self._settle(self._lanes.close(turn.lane), "complete", at, calls)
        # An idle socket is never quiet: the next response may begin unasked.
        self._quiet = bool(self._format.needles) and self._lanes.all_answering

    def _successor(self, key: str, at: float) -> Lane:
        """A response no frame asked for (steering, voice detection): the session or the request
        before it tells what it is."""
        if (asked := self._session.get(key)) is not None:
            return Lane(asked, None, timestamp=at, started=at)
        if (before := self._lanes.ended(key)) is not None:
            return Lane(
                dataclasses.replace(before.request, warmup=False),
                before.body,
                timestamp=at,
                started=at,
            )
        if self._response.status == 101:
            return Lane(
                RequestReading(model=self.request.query.get("model")),
                None,
                timestamp=at,
                started=at,
            )
        return self._new_lane()

    def _ask(self, key: str, lane: Lane, at: float, calls: list[Call]) -> None:
        """Open a lane, or stand behind the response that is still in it."""
        self._quiet = False
        if (oldest := self._lanes.open(key, lane)) is not None:
            self._settle(self._lanes.close(oldest), "upstream_aborted", at, calls)

    def _wanted(self, data: bytes) -> bool:
        return any(needle in data for needle in self._needles())

    def _pass_over(self, size: int) -> None:
        """A frame that was not parsed still delivered something, to the lane that spoke last."""
        if (lane := self._lanes.newest) is not None:
            lane.response_bytes += size
            lane.delivered += max(0, size - lane.envelope)
