"""Chooses the framing of a body: by its media type, or by its first bytes if the type says nothing.

`choose` gives one of the decoders of this folder. Where the media type may be wrong, that is a
`Sniffing`, which picks a decoder when it has seen enough.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

from ..record import Transport, WireError
from . import json_body
from .eventstream import EventStreamDecoder
from .grpc import GrpcDecoder
from .json_body import JsonArray, JsonBody
from .messages import Framing, Rest
from .ndjson import NdjsonDecoder
from .sse import SseDecoder

MAX_FIRST_LINE = 2**20
"""Bytes of a body that are held until it is known whether a second line follows, which would make
it NDJSON. OpenAI sends results of a batch without a label; a line of them is a whole response,
70 KB for an embedding."""

_BOM = b"\xef\xbb\xbf"
_BLANKS = b" \t\r\n"
_NOT_BLANK = re.compile(rb"[^ \t\r\n]")
_SKIPPED = (b" ", b"\t", b"\r", b"\n", _BOM)
_SSE_FIELDS = (b"data:", b"event:", b"id:", b"retry:", b":")


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
_FRAMINGS: dict[Transport, Callable[[], Framing]] = {
    "sse": SseDecoder,
    "ndjson": NdjsonDecoder,
    "eventstream": EventStreamDecoder,
    "grpc": GrpcDecoder,
    "json_array": JsonArray,
    "json": JsonBody,
}
_STREAMING: frozenset[Transport] = frozenset({"sse", "ndjson", "eventstream", "grpc"})


def choose(content_type: str, *, hint: Transport | None = None) -> Framing:
    """The framing for a `Content-Type` value.

    `hint` is what the route is known to send. It matters only for `json_array`, whose media type is
    that of `json`.
    """
    transport = _transport(content_type)
    if transport == "json" and hint == "json_array":
        transport = "json_array"
    if transport in (None, "json", "json_array"):
        return Sniffing(transport)
    return _FRAMINGS.get(transport, Opaque)()


def is_streaming(content_type: str, *, json_array: bool = False) -> bool:
    """Whether a body of this type comes in pieces that a client waits for, so that it must not be
    held back. `json_array`: JSON is known to be sent element by element."""
    transport = _transport(content_type)
    return transport in _STREAMING or (json_array and transport == "json")


@functools.lru_cache(maxsize=64)
def _transport(content_type: str) -> Transport | None:
    media_type = content_type.partition(";")[0].strip().lower()
    # Connect's streams have gRPC's frames
    if media_type.startswith(("application/grpc", "application/connect+")):
        return "grpc"
    if media_type.startswith(("audio/", "image/", "video/")):
        return "binary"
    if media_type not in _BY_MEDIA_TYPE and media_type.endswith("+json"):
        return "json"
    return _BY_MEDIA_TYPE.get(media_type)


class Opaque:
    """A body without messages: audio, pictures, a web page."""

    transport: Transport = "binary"
    faults = cut = skipped_events = skipped_content = 0

    def feed(self, data: bytes) -> list[bytes]:  # noqa: ARG002
        """No messages come, whatever the body holds."""
        return []

    def seek(self, *_: object) -> None:
        """Do nothing: there are no messages."""

    def finish(self) -> Rest:
        """Nothing is left at the end."""
        return Rest()


class Sniffing:
    """Decides by the first bytes that are not blank what a body is whose label says nothing
    (`text/plain`) or may be wrong.

    Some servers label event streams and NDJSON as `application/json`, because JSON is in them.
    """

    def __init__(self, label: Transport | None = None) -> None:
        self.transport: Transport = label or "json"
        """The framing that was chosen; until then, that of the label."""
        self._label = label
        self._head = bytearray()
        """Bytes that came before the framing was chosen."""
        self._framing: Framing | None = None
        """The chosen framing; None until it is chosen."""
        self._sought: tuple[tuple[bytes, ...], tuple[bytes, ...], int | None] | None = None
        """The arguments of `seek`, if it was called before the framing was chosen."""

    @property
    def faults(self) -> int:
        """Messages dropped because they were too long or damaged."""
        return self._framing.faults if self._framing is not None else 0

    @property
    def cut(self) -> int:
        """Pieces that were cut out of the body."""
        return self._framing.cut if self._framing is not None else 0

    @property
    def skipped_events(self) -> int:
        """About how many messages were skipped."""
        return self._framing.skipped_events if self._framing is not None else 0

    @property
    def skipped_content(self) -> int:
        """About how many bytes of content the skipped messages held."""
        return self._framing.skipped_content if self._framing is not None else 0

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that `data` completes; none until the framing is known."""
        if self._framing is not None:
            return self._framing.feed(data)
        self._head += data
        if self._head.startswith(_SKIPPED):
            self._head = self._head.lstrip(_BLANKS).removeprefix(_BOM).lstrip(_BLANKS)
        transport = _sniff(self._head, self._label)
        return self._become(transport) if transport is not None else []

    def seek(
        self,
        needles: tuple[bytes, ...],
        endings: tuple[bytes, ...] = (),
        around: int | None = None,
        /,
    ) -> None:
        """Let the framing skip messages, as soon as it is known."""
        if self._framing is not None:
            self._framing.seek(needles, endings, around)
        else:
            self._sought = needles, endings, around

    def finish(self) -> Rest:
        """End the body and return what is left of it. A body too short to decide is read by its
        label."""
        messages: list[bytes] = []
        if self._framing is None and self._head:
            messages = self._become(
                _sniff(self._head, self._label, ended=True) or self._label or "binary"
            )
        if self._framing is None:
            return Rest()
        rest = self._framing.finish()
        return Rest([*messages, *rest.messages], rest.unfinished)

    def _become(self, transport: Transport) -> list[bytes]:
        self.transport = transport
        self._framing = _FRAMINGS.get(transport, Opaque)()
        if self._sought is not None:
            self._framing.seek(*self._sought)
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
