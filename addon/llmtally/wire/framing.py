"""Which framing a body has: by its media type, and where that says nothing, by its first bytes.

A framing takes the decoded bytes of a body as they come and gives whole messages: JSON texts, or protobuf for gRPC.
"""

from __future__ import annotations

from typing import Protocol

from ..record import Transport, WireError
from . import json_body
from .eventstream import EventStreamDecoder
from .grpc import GrpcDecoder
from .json_body import JsonArray, JsonBody
from .ndjson import NdjsonDecoder
from .sse import SseDecoder

MAX_FIRST_LINE = 64 * 2**10
"""Bytes of an unlabelled body that are looked at for a second line, which would make it NDJSON. Ollama's lines are 150 bytes."""

_BOM = b"\xef\xbb\xbf"
_BLANKS = b" \t\r\n"
_SSE_FIELDS = (b"data:", b"event:", b"id:", b"retry:", b":")


class Framing(Protocol):
    """Cuts a body into messages. Raises WireError where the rest of the body cannot be cut any more; ignores it from then on."""

    needles: tuple[bytes, ...]
    """If any: messages that hold none of them may be skipped. Framings that cannot skip cheaply ignore this."""

    @property
    def faults(self) -> int:
        """Messages dropped because they were too long or damaged."""

    @property
    def skipped_bytes(self) -> int:
        """Bytes of the messages skipped for want of a needle."""

    @property
    def skipped_events(self) -> int:
        """About how many messages were skipped."""

    @property
    def overhead(self) -> int:
        """Bytes that stood around the last message given."""

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that `data` completes, in order."""

    def flush(self) -> list[bytes]:
        """At the end of the body: what can still be read of an unfinished last message."""


_BY_MEDIA_TYPE: dict[str, Transport] = {
    "text/event-stream": "sse",
    "application/x-ndjson": "ndjson",
    "application/ndjson": "ndjson",
    "application/jsonl": "ndjson",
    "application/x-jsonl": "ndjson",
    "application/jsonlines": "ndjson",
    "application/x-jsonlines": "ndjson",
    "application/stream+json": "ndjson",
    "binary/octet-stream": "ndjson",  # results of a batch, from an object store
    "application/vnd.amazon.eventstream": "eventstream",
    "application/json": "json",
    "text/json": "json",
}
_STREAMING: frozenset[Transport] = frozenset({"sse", "ndjson", "eventstream", "grpc"})


def choose(content_type: str, *, hint: Transport | None = None) -> tuple[Transport, Framing]:
    """The framing for a `Content-Type` value, and its name: for a `Sniffing`, its `transport` may become another.

    `hint` is what the route is known to send. It matters only for `json_array`, which no media type of its own tells from `json`.
    """
    transport = _transport(content_type)
    if transport == "json" and hint == "json_array":
        transport = "json_array"
    if transport is None:
        sniffing = Sniffing()
        return sniffing.transport, sniffing
    return transport, _framing(transport)


def is_streaming(content_type: str) -> bool:
    """Whether a body of this type comes in pieces that a client waits for, so that it must not be held back."""
    return _transport(content_type) in _STREAMING


def _transport(content_type: str) -> Transport | None:
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type.startswith(("application/grpc", "application/connect+")):  # Connect's streams have gRPC's frames
        return "grpc"
    if media_type.startswith(("audio/", "image/", "video/")):
        return "binary"
    if media_type not in _BY_MEDIA_TYPE and media_type.endswith("+json"):
        return "json"
    return _BY_MEDIA_TYPE.get(media_type)


def _framing(transport: Transport) -> Framing:
    match transport:
        case "sse":
            return SseDecoder()
        case "ndjson":
            return NdjsonDecoder()
        case "eventstream":
            return EventStreamDecoder()
        case "grpc":
            return GrpcDecoder()
        case "json_array":
            return JsonArray()
        case "json":
            return JsonBody()
    return Opaque()


class Opaque:
    """A body without messages: audio, pictures, a web page."""

    def __init__(self) -> None:
        self.needles: tuple[bytes, ...] = ()
        self.faults = 0
        self.skipped_bytes = 0
        self.skipped_events = 0
        self.overhead = 0

    def feed(self, data: bytes) -> list[bytes]:  # noqa: ARG002
        """Nothing."""
        return []

    def flush(self) -> list[bytes]:
        """Nothing."""
        return []


class Sniffing:
    """A body without a label, or with one that says nothing (`text/plain`): decides by the first bytes that are not blank."""

    def __init__(self) -> None:
        self.transport: Transport = "json"
        """What the body turned out to be; `json` until then."""
        self._needles: tuple[bytes, ...] = ()
        self._head = b""
        """What came before it was decided."""
        self._framing: Framing | None = None

    @property
    def needles(self) -> tuple[bytes, ...]:
        """As `Framing.needles`."""
        return self._needles

    @needles.setter
    def needles(self, needles: tuple[bytes, ...]) -> None:
        self._needles = needles
        if self._framing is not None:
            self._framing.needles = needles

    @property
    def faults(self) -> int:
        """As `Framing.faults`."""
        return self._framing.faults if self._framing is not None else 0

    @property
    def skipped_bytes(self) -> int:
        """As `Framing.skipped_bytes`."""
        return self._framing.skipped_bytes if self._framing is not None else 0

    @property
    def skipped_events(self) -> int:
        """As `Framing.skipped_events`."""
        return self._framing.skipped_events if self._framing is not None else 0

    @property
    def overhead(self) -> int:
        """As `Framing.overhead`."""
        return self._framing.overhead if self._framing is not None else 0

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that `data` completes; none until the framing is known."""
        if self._framing is not None:
            return self._framing.feed(data)
        self._head = (self._head + data).lstrip(_BLANKS).removeprefix(_BOM).lstrip(_BLANKS)
        transport = _sniff(self._head)
        return self._become(transport) if transport is not None else []

    def flush(self) -> list[bytes]:
        """What can still be read at the end of the body."""
        messages = self._become(_sniff(self._head, ended=True) or "binary") if self._framing is None and self._head else []
        return messages + self._framing.flush() if self._framing is not None else messages

    def _become(self, transport: Transport) -> list[bytes]:
        self.transport = transport
        self._framing = _framing(transport)
        self._framing.needles = self._needles
        head, self._head = self._head, b""
        return self._framing.feed(head)


def _sniff(head: bytes, *, ended: bool = False) -> Transport | None:
    """What a body that begins with `head` is; None if more of it must be seen."""
    if head.startswith(b"{"):
        return _sniff_object(head, ended=ended)
    if head.startswith(b"["):
        return "json_array"
    if head.startswith(_SSE_FIELDS):
        return "sse"
    if any(prefix.startswith(head) for prefix in (*_SSE_FIELDS, _BOM)):
        return None
    return "binary"


def _sniff_object(head: bytes, *, ended: bool) -> Transport | None:
    """NDJSON if the first line is a whole JSON text and another follows, else one document."""
    first, newline, rest = head.partition(b"\n")
    if ended or len(head) > MAX_FIRST_LINE or (newline and not _is_json(first)):
        return "json"
    return "ndjson" if rest.strip(_BLANKS) else None


def _is_json(text: bytes) -> bool:
    try:
        json_body.load(text)
    except WireError:
        return False
    return True
