"""Which framing a body has: by its media type, and where that says nothing, by its first bytes.

A framing takes the decoded bytes of a body as they come and gives whole messages: JSON texts, or protobuf for gRPC.
"""

from __future__ import annotations

import functools
import re
from typing import Protocol

from ..record import Transport, WireError
from . import json_body
from .eventstream import EventStreamDecoder
from .grpc import GrpcDecoder
from .json_body import JsonArray, JsonBody
from .ndjson import NdjsonDecoder
from .sse import SseDecoder

MAX_FIRST_LINE = 2**20
"""Bytes of a body that are held while it is open whether a second line follows, which would make it NDJSON. OpenAI gives results
of a batch without a label; a line of them is a whole answer, 70 KB for an embedding."""

_BOM = b"\xef\xbb\xbf"
_BLANKS = b" \t\r\n"
_NOT_BLANK = re.compile(rb"[^ \t\r\n]")
_SKIPPED = (b" ", b"\t", b"\r", b"\n", _BOM)
_SSE_FIELDS = (b"data:", b"event:", b"id:", b"retry:", b":")


class Framing(Protocol):
    """Cuts a body into messages. Raises WireError where the rest of the body cannot be cut any more; ignores it from then on."""

    needles: tuple[bytes, ...]
    """If any: messages that hold none of them may be skipped. Framings that cannot skip cheaply ignore this."""

    envelope: int
    """Bytes that a message has around its content: what is skipped and no longer than this is not counted."""

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
    if transport in (None, "json", "json_array"):
        sniffing = Sniffing(transport)
        return sniffing.transport, sniffing
    return transport, _framing(transport)


def is_streaming(content_type: str) -> bool:
    """Whether a body of this type comes in pieces that a client waits for, so that it must not be held back."""
    return _transport(content_type) in _STREAMING


@functools.lru_cache(maxsize=64)
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
        self.envelope = 0
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
    """A body whose label says nothing (`text/plain`) or may be wrong: decides by the first bytes that are not blank.

    Labelled `application/json` are also event streams and NDJSON, by servers that think of what is in them.
    """

    def __init__(self, label: Transport | None = None) -> None:
        self.transport: Transport = label or "json"
        """What the body turned out to be; until then its label."""
        self._label = label
        self._needles: tuple[bytes, ...] = ()
        self._envelope = 0
        self._head = bytearray()
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
    def envelope(self) -> int:
        """As `Framing.envelope`."""
        return self._envelope

    @envelope.setter
    def envelope(self, envelope: int) -> None:
        self._envelope = envelope
        if self._framing is not None:
            self._framing.envelope = envelope

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
        self._head += data
        if self._head.startswith(_SKIPPED):
            self._head = self._head.lstrip(_BLANKS).removeprefix(_BOM).lstrip(_BLANKS)
        transport = _sniff(self._head, self._label)
        return self._become(transport) if transport is not None else []

    def flush(self) -> list[bytes]:
        """What can still be read at the end of the body."""
        messages: list[bytes] = []
        if self._framing is None and self._head:
            messages = self._become(_sniff(self._head, self._label, ended=True) or self._label or "binary")
        return messages + self._framing.flush() if self._framing is not None else messages

    def _become(self, transport: Transport) -> list[bytes]:
        self.transport = transport
        self._framing = _framing(transport)
        self._framing.needles = self._needles
        self._framing.envelope = self._envelope
        head, self._head = bytes(self._head), bytearray()
        return self._framing.feed(head)


def _sniff(head: bytearray, label: Transport | None, *, ended: bool = False) -> Transport | None:
    """What a body that begins with `head` is; None if more of it must be seen."""
    if head.startswith(b"{") and label != "json_array":
        return _sniff_object(head, ended=ended)
    if head.startswith(_SSE_FIELDS):
        return "sse"
    if any(prefix.startswith(head) for prefix in (*_SSE_FIELDS, _BOM)):
        return None
    return label or ("json_array" if head.startswith(b"[") else "binary")


def _sniff_object(head: bytearray, *, ended: bool) -> Transport | None:
    """NDJSON if the first line is a whole JSON text and another follows, else one document."""
    end = head.find(b"\n", 0, MAX_FIRST_LINE + 1)
    if end < 0 or not _NOT_BLANK.search(head, end):
        return "json" if ended or len(head) > MAX_FIRST_LINE else None
    return "ndjson" if _is_json(bytes(head[:end])) else "json"


def _is_json(text: bytes) -> bool:
    try:
        json_body.load(text)
    except WireError:
        return False
    return True
