"""AWS event streams, `application/vnd.amazon.eventstream`: how Bedrock streams.
https://docs.aws.amazon.com/transcribe/latest/dg/event-stream.html

    u32 total length | u32 headers length | u32 crc32 of these 8 bytes | headers | payload | u32
    crc32 of all before header: u8 length of name | name | u8 type | value

All numbers are big-endian. A message is given as AWS's client shows it: the payload under the name
of its event.
"""

from __future__ import annotations

import struct
from zlib import crc32

import orjson

from ..record import Transport, WireError
from . import json_body, json_skim
from .messages import Rest

MAX_HEADERS = 128 * 2**10
MAX_PAYLOAD = 24 * 2**20
"""Bytes of the headers and of the payload of a message: the limits of AWS's clients."""

_PRELUDE = struct.Struct(">III")
_CRC = struct.Struct(">I")
_OVERHEAD = _PRELUDE.size + _CRC.size

_STRING = 7
_FIXED_SIZE = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Bytes of a header value by its type: booleans, integers, a timestamp, a UUID."""
_COUNTED = (6, _STRING)
"""Types that begin with their length: bytes and strings."""


class EventStreamDecoder:
    """Gives messages as `{"<event type>": <payload>}`, exceptions and errors as `{":exception":
    {"type", "message"}}`."""

    transport: Transport = "eventstream"
    skipped_events = skipped_content = 0

    def __init__(self) -> None:
        self.faults = self.cut = 0
        self._buffer = bytearray()
        self._damage: WireError | None = None
        self._dead = False

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that `data` completes. Raises WireError, once, where the stream is damaged
        and cannot be followed."""
        if self._dead:
            return []
        self._raise_damage()
        self._buffer += data
        messages = []
        try:
            while (frame := self._next_frame()) is not None:
                self.cut += 1
                if (message := self._read(frame)) is not None:
                    messages.append(message)
        except WireError as error:
            self.faults += 1
            self._buffer.clear()
            self._damage = error
            if not messages:
                self._raise_damage()
        return messages

    def seek(self, *_: object) -> None:
        """Do nothing: all messages are given."""

    def finish(self) -> Rest:
        """Nothing is left: half a message has no checksum. Raises WireError for damage after the
        last message."""
        self._buffer.clear()
        self._raise_damage()
        return Rest()

    def _raise_damage(self) -> None:
        if self._damage is not None and not self._dead:
            self._dead = True
            raise self._damage

    def _next_frame(self) -> tuple[bytes, bytes] | None:
        """Headers and payload of the next message, checked; None if it is not whole yet."""
        buffer = self._buffer
        if len(buffer) < _PRELUDE.size:
            return None
        total, header_length, checksum = _PRELUDE.unpack_from(buffer)
        payload_length = total - header_length - _OVERHEAD
        if crc32(buffer[:8]) != checksum:
            raise WireError("event stream prelude fails its checksum")
        if header_length > MAX_HEADERS or not 0 <= payload_length <= MAX_PAYLOAD:
            raise WireError("event stream message has an impossible length")
        if len(buffer) < total:
            return None
        frame = bytes(buffer[:total])
        del buffer[:total]
        if crc32(frame[: -_CRC.size]) != _CRC.unpack_from(frame, total - _CRC.size)[0]:
            raise WireError("event stream message fails its checksum")
        split = _PRELUDE.size + header_length
        return frame[_PRELUDE.size : split], frame[split : -_CRC.size]

    def _read(self, frame: tuple[bytes, bytes]) -> bytes | None:
        """The message as JSON text; None if it says nothing or cannot be read."""
        try:
            headers = read_headers(frame[0])
            return _as_json(headers, frame[1])
        except ValueError:
            self.faults += 1
            return None


def read_headers(data: bytes) -> dict[str, str]:
    """The headers that are strings; the others are checked and left out. Raises WireError."""
    headers = {}
    at = 0
    try:
        while at < len(data):
            name_end = at + 1 + data[at]
            name, kind, at = data[at + 1 : name_end], data[name_end], name_end + 1
            if kind in _COUNTED:
                length = int.from_bytes(data[at : at + 2], "big")
                at += 2
            else:
                length = _FIXED_SIZE[kind]
            value = data[at : at + length]
            at += length
            if kind == _STRING:
                headers[name.decode()] = value.decode()
    except (IndexError, KeyError, UnicodeDecodeError) as error:
        raise WireError("event stream headers are damaged") from error
    if at > len(data):
        raise WireError("event stream headers are damaged")
    return headers


def _as_json(headers: dict[str, str], payload: bytes) -> bytes | None:
    if headers.get(":message-type", "event") != "event":
        return _exception(headers, payload)
    event_type = headers.get(":event-type")
    if event_type is None:
        return None
    if payload:  # it goes into the answer as it is, so it must be JSON
        json_skim.check(json_body.prune(payload, most=json_skim.MAX_TEXT))
    return b"{%s:%s}" % (orjson.dumps(event_type), payload or b"{}")


def _exception(headers: dict[str, str], payload: bytes) -> bytes:
    message = headers.get(":error-message")
    if message is None:
        try:
            body = json_body.load(payload)
        except WireError:
            body = None
        message = body.get("message", body.get("Message")) if isinstance(body, dict) else None
    kind = headers.get(":exception-type") or headers.get(":error-code") or "error"
    return orjson.dumps(
        {":exception": {"type": kind, "message": message if isinstance(message, str) else ""}}
    )
