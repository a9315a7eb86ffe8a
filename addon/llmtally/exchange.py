"""The heart: one HTTP flow in, its calls out. Sans-IO: bytes, frames, times and the ending are handed in.

An `Exchange` follows one request that leads to an LLM. It reads the response as it comes (content coding, framing, message,
format) and settles exactly one `Call` per model response, whatever the ending: one for an HTTP response, one per turn on a
WebSocket, one per line of a batch's results. What exchanges must know of each other is in `Memory`.

If a method here raises anything, that is a bug; what peers send ends in `error` or `coverage` of the call.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from . import limits
from .attribution import Attributor, RequestView
from .formats.format import RequestReading, mapping, no_content
from .providers import Method, Route
from .record import TEXT_CAP, ApiError, Attribution, Call, Coverage, LimitReading, Outcome, Reading, Transport, Usage, WireError
from .wire import framing, json_body, multipart
from .wire.content_coding import ContentDecoder, content_decoder

Ending = Literal["complete", "client_aborted", "upstream_aborted"]

BYTES_PER_TOKEN = 4
"""UTF-8 bytes of text per output token, to estimate what an aborted stream delivered. English prose and code: 3 to 5."""

MAX_LANES = 64
"""Responses open at once on one socket; OpenAI multiplexes a handful. The oldest beyond that is settled as cut off."""

MAX_LIMITS = 64
"""Limit readings kept for one call, from its headers, events and error together; a dozen is many."""

SEEN_IDS = 65_536
"""Response ids remembered to recognise repeats: days of heavy use, about 10 MB."""

BACKGROUND = 4_096
"""Background responses remembered until a poll shows their end."""

EAGER_MESSAGES = 1_024
"""Messages parsed in the hope of content. Real streams begin within a dozen; small empty events compress a thousand to one."""

MAX_REQUEST_BODY = 64 * 2**20
"""Bytes of a request body that are read; providers refuse larger ones."""

_LLM_REQUEST_KEYS = frozenset({"messages", "input", "prompt", "contents", "inputText"})


@dataclass(frozen=True, slots=True)
class RequestHead:
    """What is known of a request before its body."""

    id: str
    """The flow's id."""
    method: Method
    host: str
    path: str
    """Without the query."""
    headers: Mapping[str, str]
    """Names in lower case."""
    timestamp: float
    """Epoch seconds when the request began."""
    query: Mapping[str, str] = field(default_factory=dict)
    peer: str | None = None
    """The client connection."""


@dataclass(slots=True)
class Lane:
    """One response in the making."""

    request: RequestReading
    body: Mapping[str, Any] | None
    """The parsed request; held until the response is settled, for attribution."""
    timestamp: float
    started: float
    reading: Reading = field(default_factory=Reading)
    first_content: float | None = None
    delivered: int = 0
    """Bytes of generated text seen in parsed messages."""
    envelope: int = 0
    """Bytes that the first content message had around its text; stands for those of the messages skipped unparsed."""
    request_bytes: int | None = None
    response_bytes: int = 0
    limits: list[LimitReading] = field(default_factory=list)


class Memory:
    """What the exchanges of one proxy share: response ids already counted, background responses, who asked."""

    def __init__(self, attributor: Attributor) -> None:
        self.attributor = attributor
        self._seen: OrderedDict[str, tuple[str, Usage]] = OrderedDict()
        """Response ids with the host and the usage they were counted with."""
        self._background: OrderedDict[str, tuple[Lane, Attribution]] = OrderedDict()

    def counted_before(self, response_id: str, host: str, usage: Usage, *, poll: bool) -> bool:
        """Whether this response has been counted; remembers it.

        Seen again by a poll, at another host (a gateway and its upstream) or with the same usage it is the same response. A new
        answer of the same host with other usage is another one: small servers draw their ids from a few hundred.
        """
        known = self._seen.get(response_id)
        self._seen[response_id] = (host, usage)
        self._seen.move_to_end(response_id)
        if len(self._seen) > SEEN_IDS:
            self._seen.popitem(last=False)
        return known is not None and (poll or known[0] != host or known[1] == usage)

    def recall(self, call: Call) -> None:
        """Remember a call of an earlier run, so that its response seen again is not counted again."""
        if call.response_id is not None and call.usage:
            self.counted_before(call.response_id, call.host, call.usage, poll=True)

    def remember_background(self, response_id: str, lane: Lane, attribution: Attribution) -> None:
        """Keep who asked for a response whose end a later poll will show."""
        self._background[response_id] = (dataclasses.replace(lane, body=None, reading=Reading(), limits=[]), attribution)
        if len(self._background) > BACKGROUND:
            self._background.popitem(last=False)

    def take_background(self, response_id: str) -> tuple[Lane, Attribution] | None:
        """The request behind a background response, once."""
        return self._background.pop(response_id, None)


class Exchange:
    """One flow to an LLM, from request head to its calls."""

    def __init__(self, route: Route, request: RequestHead, memory: Memory) -> None:
        self.route = route
        self.request = request
        self.streaming = False
        """Whether the response comes in pieces that must reach the client as they come."""
        self.settled = 0
        """Calls settled so far."""
        self._format = route.format
        self._memory = memory
        self._request_body: bytes | None = None
        self._request_bytes: int | None = None
        self._asked: tuple[RequestReading, Mapping[str, Any] | None] | None = None
        """What the request's body says, once it has been read."""
        self._started = request.timestamp
        self._status: int | None = None
        self._transport: Transport = "websocket" if request.method == "SOCKET" else "json"
        self._coding: ContentDecoder | None = None
        self._framing: framing.Framing | None = None
        self._header_limits: tuple[LimitReading, ...] = ()
        self._base = Reading()
        self._lanes: OrderedDict[str, Lane] = OrderedDict()
        self._last: dict[str, Lane] = {}
        """The response that was settled last in each lane of a socket."""
        self._waiting: dict[str, deque[Lane]] = {}
        """Responses that were asked for before the one in their lane had ended."""
        self._session: dict[str, RequestReading] = {}
        """What the messages of a socket said about all later responses, by lane."""
        self._response_bytes = 0
        self._faults = 0
        self._ended = False
        self.messages = 0
        """Messages of the response that were read."""
        self.pieces = 0
        """Times `feed` was called."""
        self.read = False
        """The whole body has been read; more of it will not be."""
        self._failed = False
        self._quiet = False
        """Content has been seen: from now on only messages with a needle need to be parsed."""
        self._loose_limits: list[LimitReading] = []
        self._watch_limits = route.provider.limit_events or route.format.name == "openai_realtime"

    @property
    def awaits_content(self) -> bool:
        """Whether the time of the next bytes matters: they may hold the first content."""
        return self._framing is not None and self._format.content is not no_content and not self._quiet

    def request_sent(self, body: bytes | None, size: int | None, at: float) -> None:
        """The request has gone out: its body (None if it was not kept), its size in bytes, and when."""
        self._request_body = body
        self._request_bytes = size
        self._started = max(at, self.request.timestamp)

    def response_started(self, status: int, headers: Mapping[str, str], at: float) -> None:
        """The response head came; header names in lower case."""
        self._status = status
        content_type = headers.get("content-type", "")
        hint: Transport | None = "json_array" if self.route.streams_json else None
        self._base = Reading()
        if self._format.read_headers is not None:
            self._base = self._format.read_headers(headers, self._base)
        self._header_limits = limits.read_headers(headers, provider=self.route.provider.name, now=at, status=status)
        if status == 101:
            return
        self._transport, self._framing = framing.choose(content_type, hint=hint)
        self.streaming = framing.is_streaming(content_type) or (self.route.streams_json and self._transport == "json_array")
        try:
            self._coding = content_decoder(encoding) if (encoding := headers.get("content-encoding", "")) else None
        except WireError:
            self._faults += 1
            self._framing = None

    def feed(self, data: bytes, at: float) -> list[Call]:
        """Bytes of the response body, as they are on the wire. Gives the calls that ended within them (batch results)."""
        self._response_bytes += len(data)
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

    def fail(self) -> None:
        """Reading has gone wrong by a bug of ours: nothing of it is believed, and the call is settled as `unparsed`."""
        self._failed = True
        self._framing = None

    def trailed(self, headers: Mapping[str, str]) -> None:
        """Trailers came after the body; gRPC puts its status there."""
        if self._format.read_headers is not None:
            lane = self._single()
            lane.reading = self._format.read_headers(headers, lane.reading)

    def frame(self, data: bytes, *, from_client: bool, at: float) -> list[Call]:
        """One WebSocket message."""
        calls: list[Call] = []
        if not from_client:
            self._response_bytes += len(data)
            if self._quiet and not self._wanted(data):
                self._pass_over(len(data))
                return calls
        try:
            value = self._parse(data)
        except WireError:
            self._faults += 1
            return calls
        self._turn(value, len(data), at, calls, from_client=from_client)
        return calls

    def read_ahead(self, body: bytes, at: float) -> None:
        """Read a whole body, and the request's, before `end` is called. Touches nothing shared, so any thread may do it."""
        if self._format.multiple:
            return
        self.feed(body, at)
        self._flush(at, [])
        self._read_request()

    def end(self, ending: Ending, at: float, error: ApiError | None = None) -> list[Call]:
        """The flow is over. Settles what is open; a second call settles nothing."""
        if self._ended:
            return []
        self._ended = True
        calls: list[Call] = []
        self._flush(at, calls)
        if self.request.method == "SOCKET" and self._status == 101:
            for lane in (*self._lanes.values(), *(lane for waiting in self._waiting.values() for lane in waiting)):
                self._settle(lane, ending, at, calls)
            self._lanes.clear()
            self._waiting.clear()
        elif not (self._format.multiple and self._status == 200):
            self._settle(self._single(), ending, at, calls, error)
        self._request_body = None
        return calls

    # Messages

    def _flush(self, at: float, calls: list[Call]) -> None:
        if self._framing is None or self.read:
            return
        self.read = True
        try:
            for piece in self._coding.flush() if self._coding is not None else ():
                for message in self._framing.feed(piece):
                    self._message(message, at, calls)
            for message in self._framing.flush():
                self._message(message, at, calls, last=True)
        except WireError:
            self._give_up()
        if self._framing is not None:
            self._faults += self._framing.faults
            if isinstance(self._framing, framing.Sniffing):
                self._transport = self._framing.transport

    def _give_up(self) -> None:
        """The rest of a damaged body can't be read; what was read before stands."""
        self._faults += 1
        self._framing = None

    def _parse(self, data: bytes) -> Any:
        value = data if self._transport == "grpc" else json_body.load(data)
        return self._format.unwrap(value) if self._format.unwrap is not None else value

    def _message(self, data: bytes, at: float, calls: list[Call], *, last: bool = False) -> None:
        try:
            value = self._parse(data)
        except WireError:
            # Events that are no JSON and no fault: an empty one, `[DONE]`, and a last one that was cut off in its middle.
            if data not in (b"", b"[DONE]") and not last:
                self._faults += 1
            return
        self.messages += 1
        if self.messages == EAGER_MESSAGES:
            self._go_quiet()
        for each in value if isinstance(value, list) else (value,):
            if self._format.multiple and self._status == 200:
                self._turn(each, len(data), at, calls, from_client=False)
            else:
                self._fold(self._single(), each, len(data), at)

    def _turn(self, value: Any, size: int, at: float, calls: list[Call], *, from_client: bool) -> None:
        if not from_client and self._watch_limits and (found := limits.read_event(value, now=at)):
            self._loose_limits = [*self._loose_limits, *found][-MAX_LIMITS:]
        if self._format.read_session is not None:
            self._session.update(self._format.read_session(value))
        turn = self._format.turn(value, from_client) if self._format.turn is not None else None
        if turn is None:
            return
        if turn.phase == "request":
            body = mapping(value)
            lane = Lane(self._format.read_request(body), body, timestamp=at, started=at, request_bytes=size)
            self._ask(turn.lane, lane, at, calls)
            return
        found_lane = self._lanes.get(turn.lane)
        if found_lane is None and turn.phase == "fail":
            return
        if found_lane is None:
            found_lane = self._successor(turn.lane, at)
            self._ask(turn.lane, found_lane, at, calls)
        found_lane.response_bytes += size
        self._fold(found_lane, value, size, at)
        if turn.phase != "read":
            self._close(turn.lane, found_lane, at, calls)
        # An idle socket is never quiet: the next response may begin unasked.
        answering = [lane.first_content is not None for lane in self._lanes.values()]
        self._quiet = bool(self._format.needles and answering and all(answering))

    def _successor(self, key: str, at: float) -> Lane:
        """A response no frame asked for (steering, voice detection): the session or the request before it tells what it is."""
        if (asked := self._session.get(key)) is not None:
            return Lane(asked, None, timestamp=at, started=at)
        if (before := self._last.get(key)) is not None:
            return Lane(dataclasses.replace(before.request, warmup=False), before.body, timestamp=at, started=at)
        if self._status == 101:
            return Lane(RequestReading(model=self.request.query.get("model")), None, timestamp=at, started=at)
        return self._new_lane()

    def _ask(self, key: str, lane: Lane, at: float, calls: list[Call]) -> None:
        """Open a lane, or stand behind the response that is still in it."""
        if key in self._lanes:
            self._waiting.setdefault(key, deque()).append(lane)
        else:
            self._lanes[key] = lane
        self._quiet = False
        if len(self._lanes) + sum(map(len, self._waiting.values())) > MAX_LANES:
            oldest = next(iter(self._lanes))
            self._close(oldest, self._lanes[oldest], at, calls, ending="upstream_aborted")

    def _close(self, key: str, lane: Lane, at: float, calls: list[Call], ending: Ending = "complete") -> None:
        """Settle the response in a lane; the next that was asked for there moves up."""
        del self._lanes[key]
        self._settle(lane, ending, at, calls)
        self._last[key] = lane
        if len(self._last) > MAX_LANES:
            del self._last[next(iter(self._last))]
        if waiting := self._waiting.get(key):
            self._lanes[key] = waiting.popleft()
            if not waiting:
                del self._waiting[key]

    def _single(self) -> Lane:
        lane = self._lanes.get("")
        if lane is None:
            lane = self._lanes[""] = self._new_lane()
        return lane

    def _new_lane(self) -> Lane:
        """A lane for an HTTP response. What was asked is filled in when it is settled: the request is read after the response."""
        return Lane(RequestReading(), None, timestamp=self.request.timestamp, started=self._started, reading=self._base)

    def _read_request(self) -> tuple[RequestReading, Mapping[str, Any] | None]:
        if self._asked is None:
            body = self._read_request_body()
            self._asked = (self._format.read_request(body) if body is not None else RequestReading(), body)
        return self._asked

    def _read_request_body(self) -> Mapping[str, Any] | None:
        raw = self._request_body
        if not raw:
            return None
        headers = self.request.headers
        content_type = headers.get("content-type", "")
        try:
            if encoding := headers.get("content-encoding", ""):
                raw = _joined(content_decoder(encoding), raw)
            if content_type.startswith("multipart/"):
                return multipart.text_fields(raw, content_type)
            body = json_body.load(raw)
        except WireError:
            return None
        return body if isinstance(body, dict) else None

    def _fold(self, lane: Lane, value: Any, size: int, at: float) -> None:
        if length := self._format.content(value):
            if lane.first_content is None:
                lane.first_content = at
                overhead = self._framing.overhead if self._framing is not None else 0
                lane.envelope = max(0, size + overhead - length)
                if self._framing is not None:
                    self._framing.envelope = lane.envelope
                self._go_quiet()
            lane.delivered += length
        if self._watch_limits and self.request.method != "SOCKET" and (found := limits.read_event(value, now=at)):
            lane.limits = [*lane.limits, *found][-MAX_LIMITS:]
        failed = lane.reading.error is not None
        try:
            lane.reading = self._format.read(value, lane.reading)
        except WireError:
            self._faults += 1
        if lane.reading.error is not None and not failed:
            lane.limits += limits.read_error(value, provider=self.route.provider.name, status=self._status or 0, now=at)

    def _go_quiet(self) -> None:
        """From the first content on, only messages that can matter are taken out of the stream."""
        self._quiet = self.request.method != "SOCKET"
        if self._format.needles and self._framing is not None:
            self._framing.needles = self._needles()

    def _needles(self) -> tuple[bytes, ...]:
        return (*self._format.needles, *limits.EVENT_NEEDLES) if self._watch_limits else self._format.needles

    def _wanted(self, data: bytes) -> bool:
        return any(needle in data for needle in self._needles())

    def _pass_over(self, size: int) -> None:
        """A frame that was not parsed still delivered something, to the lane that spoke last."""
        if self._lanes:
            lane = next(reversed(self._lanes.values()))
            lane.response_bytes += size
            lane.delivered += max(0, size - lane.envelope)

    # Settlement

    def _settle(self, lane: Lane, ending: Ending, at: float, calls: list[Call], error: ApiError | None = None) -> None:
        call = self._call(lane, ending, at, error)
        if call is not None:
            self.settled += 1
            calls.append(call)

    def _call(self, lane: Lane, ending: Ending, at: float, error: ApiError | None) -> Call | None:
        reading = Reading() if self._failed else lane.reading
        if self._status != 101:
            lane.request, lane.body = self._read_request()
            lane.started, lane.request_bytes = self._started, self._request_bytes
        if reading.counting_only or not (self.route.confirmed or _is_llm(lane)):
            return None
        if self.request.method == "GET" and reading.response_id is None and not self._format.multiple:
            return None  # a poll that showed nothing: not found, not modified
        if self._status is not None and self._status >= 400 and reading.error is None:
            reading = reading._replace(error=ApiError(f"http_{self._status}"))
        found_limits = self._limits_of(lane)
        attribution, lane = self._attribution(lane, reading, at)
        usage, estimated, reported = self._usage(lane, reading)
        outcome = self._outcome(reading, ending)
        coverage = self._coverage(reading, outcome)
        if reading.response_id is not None and reading.usage is not None:
            polled = self.request.method == "GET"
            if self._memory.counted_before(reading.response_id, self.request.host, reading.usage, poll=polled):
                coverage = "duplicate"
            self._memory.attributor.answered(reading.response_id, attribution.session)
        warmup = lane.request.warmup
        if warmup:
            attribution = attribution._replace(request_class="warmup")
            coverage = "no_usage"
        if self.request.method == "POST" and reading.pending and reading.response_id is not None:
            self._memory.remember_background(reading.response_id, lane, attribution)
        number = self.settled + 1
        return Call(
            timestamp=lane.timestamp,
            started=lane.started,
            ended=at,
            pending=reading.pending and outcome == "complete",
            request_id=self.request.id if number == 1 else f"{self.request.id}#{number}",
            response_id=reading.response_id,
            provider=self.route.provider.name,
            api=self._format.name,
            host=self.request.host[:TEXT_CAP],
            path=self.request.path[:TEXT_CAP],
            transport=self._transport,
            outcome=outcome,
            coverage=coverage,
            streaming=self._transport not in ("json", "binary"),
            model=reading.model,
            request_model=lane.request.model or self.route.model,
            status=self._status,
            stop_reason=reading.stop_reason,
            error=reading.error or error,
            usage=usage,
            parts=reading.parts,
            estimated=estimated,
            reported_output_tokens=reported,
            cost_usd=None if warmup else reading.cost_usd,
            cost_source="provider" if reading.cost_usd is not None and not warmup else None,
            cost_approximate=reading.cost_approximate,
            billing=attribution.billing or self.route.provider.billing,
            service_tier=reading.service_tier,
            request_service_tier=lane.request.service_tier,
            speed=reading.speed,
            inference_geo=reading.inference_geo,
            ttft_ms=_milliseconds(lane.started, lane.first_content),
            duration_ms=_milliseconds(lane.started, at),
            request_bytes=lane.request_bytes,
            response_bytes=lane.response_bytes or self._response_bytes,
            attribution=attribution,
            limits=found_limits,
        )

    def _attribution(self, lane: Lane, reading: Reading, at: float) -> tuple[Attribution, Lane]:
        """Who asked; a poll that shows a background response's end belongs to the request that began it."""
        if self.request.method == "GET" and reading.response_id is not None:
            behind = self._memory.take_background(reading.response_id) if not reading.pending else None
            if behind is not None:
                asked, attribution = behind
                asked = dataclasses.replace(asked, reading=reading, limits=lane.limits, response_bytes=lane.response_bytes)
                return attribution, asked
        view = RequestView(
            provider=self.route.provider.name,
            host=self.request.host,
            path=self.request.path,
            headers=self.request.headers,
            body=lane.body,
            query=self.request.query,
            peer=self.request.peer,
        )
        return self._memory.attributor.attribute(view, now=at), lane

    def _limits_of(self, lane: Lane) -> tuple[LimitReading, ...]:
        found = [*self._header_limits, *self._loose_limits, *lane.limits]
        self._header_limits, self._loose_limits = (), []
        return tuple(found[-MAX_LIMITS:])

    def _usage(self, lane: Lane, reading: Reading) -> tuple[Usage, bool, int | None]:
        """Usage, whether its output is an estimate, and what the wire had said of the output by then."""
        usage = reading.usage
        if usage is None:
            return Usage(), False, None
        reported = usage.output_tokens
        unknown = reading.output_provisional or (reported is None and lane.first_content is not None and not reading.finished)
        if not unknown:
            return usage, False, None
        estimate = -(-self._delivered(lane) // BYTES_PER_TOKEN)
        return usage._replace(output_tokens=max(estimate, reported or 0), reasoning_tokens=None), True, reported

    def _delivered(self, lane: Lane) -> int:
        if self._framing is None:
            return lane.delivered
        return lane.delivered + max(0, self._framing.skipped_bytes - self._framing.skipped_events * lane.envelope)

    def _outcome(self, reading: Reading, ending: Ending) -> Outcome:
        if reading.error is not None:
            return "error"
        if not reading.finished:
            if ending != "complete":
                return ending
            if (
                self._format.self_terminating
                and self._transport in ("sse", "ndjson", "eventstream", "websocket")
                and reading != self._base
            ):
                return "upstream_aborted"
        return "incomplete" if reading.stopped_early else "complete"

    def _coverage(self, reading: Reading, outcome: Outcome) -> Coverage:
        if self._failed:
            return "unparsed"
        if reading.usage is not None or reading.cost_usd is not None:
            return "priced" if reading.cost_usd is not None else "unpriced"
        if outcome == "error":
            return "error"
        if not self._format.counts_tokens or outcome in ("client_aborted", "upstream_aborted") or reading.pending:
            return "no_usage"
        if self._faults or (reading == self._base and self._response_bytes):
            return "unparsed"
        return "no_usage"


def _is_llm(lane: Lane) -> bool:
    """Whether the bodies say that this was an LLM call, where only the path's end said so."""
    if lane.reading.usage is not None:
        return True
    return lane.body is not None and "model" in lane.body and not _LLM_REQUEST_KEYS.isdisjoint(lane.body)


def _milliseconds(start: float, end: float | None) -> float | None:
    return None if end is None else round(max(0.0, end - start) * 1000, 1)


def _joined(coding: ContentDecoder, raw: bytes) -> bytes:
    decoded = bytearray()
    for piece in coding.decode(raw):
        decoded += piece
        if len(decoded) > MAX_REQUEST_BODY:
            raise WireError("request body too large")
    for piece in coding.flush():
        decoded += piece
    return bytes(decoded)
