"""gRPC messages, `application/grpc`, and the protobuf in them.
https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md

    u8 flags | u32 length, big-endian | message

Flag 1 marks a compressed message (gzip is the only coding in use), flag 128 the trailers that
gRPC-Web puts into the body, flag 2 those of Connect, whose streams have the same frames. Protobuf
is read without a schema: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator

from ..record import Transport, WireError
from .content_coding import FREE_OUTPUT, MAX_RATIO, decode_whole
from .messages import Rest

MAX_MESSAGE = 32 * 2**20
"""Bytes of one message, decompressed: as much as one event of an event stream. gRPC's own default
is 4 MiB."""

MAX_FIELDS = 1024
"""Fields of a protobuf message, each of which takes a microsecond. Answers have a dozen, and one
for each source that they cite."""

_HEAD = 5
_COMPRESSED, _TRAILERS = 0x01, 0x82
_VARINT, _FIXED64, _COUNTED, _FIXED32 = 0, 1, 2, 5
_MAX_VARINT = 10


class GrpcDecoder:
    """Gives the messages as protobuf bytes."""

    transport: Transport = "grpc"
    skipped_events = skipped_content = 0

    def __init__(self) -> None:
        self.faults = self.cut = 0
        self._allowance = FREE_OUTPUT
        """Bytes that compressed messages may still decode to."""
        self._buffer = bytearray()
        self._passing = 0
        """Bytes left of a message that is being dropped."""
        self._dead = False

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that `data` completes. After a head that gRPC does not allow nothing more is
        found."""
        if self._dead:
            return []
        self._buffer += data
        return list(self._messages())

    def seek(self, *_: object) -> None:
        """Do nothing: all messages are given."""

    def finish(self) -> Rest:
        """Nothing is left: a message that lacks its end is not read."""
        self._buffer.clear()
        return Rest()

    def _messages(self) -> Iterator[bytes]:
        buffer = self._buffer
        while not self._dead:
            passed = min(self._passing, len(buffer))
            del buffer[:passed]
            self._passing -= passed
            if len(buffer) < _HEAD:
                return
            flags, length = buffer[0], int.from_bytes(buffer[1:_HEAD], "big")
            if flags & ~(_COMPRESSED | _TRAILERS):
                self.faults += 1
                self._dead = True
                buffer.clear()
            elif length > MAX_MESSAGE:
                self.faults += 1
                self._passing = _HEAD + length
            elif len(buffer) < _HEAD + length:
                return
            else:
                message = bytes(buffer[_HEAD : _HEAD + length])
                del buffer[: _HEAD + length]
                self.cut += 1
                if not flags & _TRAILERS:
                    yield from self._plain(message, compressed=bool(flags & _COMPRESSED))

    def _plain(self, message: bytes, *, compressed: bool) -> Iterator[bytes]:
        try:
            yield self._decompress(message) if compressed else message
        except WireError:
            self.faults += 1
            self._allowance = 0

    def _decompress(self, message: bytes) -> bytes:
        """A message out of its coding. All messages of a body share one allowance."""
        self._allowance = min(self._allowance + MAX_RATIO * len(message), MAX_MESSAGE)
        plain = decode_whole("gzip", message, cap=self._allowance)
        self._allowance -= len(plain)
        return plain


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Field number and value of each field of a protobuf message: bytes for what has a length,
    otherwise the unsigned number.

    Raises WireError where the message is damaged, or after `MAX_FIELDS`.
    """
    at = 0
    left = MAX_FIELDS
    while at < len(message):
        if not left:
            raise WireError("protobuf message has too many fields")
        left -= 1
        tag, at = _varint(message, at)
        number, wire_type = tag >> 3, tag & 7
        if not number:
            raise WireError("protobuf field has number 0")
        if wire_type == _VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if wire_type == _COUNTED:
            length, at = _varint(message, at)
        elif wire_type in (_FIXED32, _FIXED64):
            length = 4 if wire_type == _FIXED32 else 8
        else:
            raise WireError(f"protobuf field has wire type {wire_type}")
        if length > len(message) - at:
            raise WireError("protobuf field is cut off")
        raw = message[at : at + length]
        at += length
        yield number, raw if wire_type == _COUNTED else int.from_bytes(raw, "little")


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """The number at `at`, seven bits a byte, and where it ends."""
    value = 0
    for position, byte in enumerate(message[at : at + _MAX_VARINT]):
        value |= (byte & 0x7F) << 7 * position
        if byte < 0x80:
            return value, at + position + 1
    raise WireError("protobuf number is cut off or too long")
