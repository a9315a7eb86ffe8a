"""`wire/grpc.py`: messages in their frames, and protobuf without a schema."""

from __future__ import annotations

import gzip
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtally.record import WireError
from llmtally.wire import grpc
from llmtally.wire.grpc import GrpcDecoder, fields
from splits import cuts, every_byte, messages, split


def frame(message: bytes, flags: int = 0) -> bytes:
    """One gRPC frame."""
    return bytes([flags]) + struct.pack(">I", len(message)) + message


def varint(value: int) -> bytes:
    """A number as a protobuf varint."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def encode(number: int, value: int | bytes) -> bytes:
    """One protobuf field."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def test_messages_are_taken_from_their_frames() -> None:
    """Plain, empty and compressed messages come out; trailers of gRPC-Web do not."""
    stream = (
        frame(b"one") + frame(b"") + frame(gzip.compress(b"two"), 1) + frame(b"grpc-status:0", 0x80)
    )

    assert messages(GrpcDecoder(), [stream]) == [b"one", b"", b"two"]
    assert messages(GrpcDecoder(), every_byte(stream)) == [b"one", b"", b"two"]


def test_message_that_cannot_be_decompressed_costs_itself_alone() -> None:
    """A damaged message, or a bomb, is a fault, and the next message is read."""
    decoder = GrpcDecoder()
    bomb = gzip.compress(bytes(grpc.MAX_MESSAGE + 1))

    assert messages(decoder, [frame(b"no gzip", 1) + frame(bomb, 1) + frame(b"one")]) == [b"one"]
    assert decoder.faults == 2


@pytest.mark.parametrize("width", [1, 7, 1000])
def test_message_beyond_the_cap_is_passed_over(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    """A too long message is a fault and is not held; the next one is read."""
    monkeypatch.setattr(grpc, "MAX_MESSAGE", 100)
    decoder = GrpcDecoder()
    stream = frame(b"x" * 100) + frame(b"y" * 101) + frame(b"one")

    assert messages(decoder, [stream[at : at + width] for at in range(0, len(stream), width)]) == [
        b"x" * 100,
        b"one",
    ]
    assert decoder.faults == 1


def test_flags_that_do_not_exist_end_the_stream() -> None:
    """A body that is not gRPC is one fault, and nothing after it is read."""
    decoder = GrpcDecoder()

    assert messages(decoder, [frame(b"one") + b"<html>error</html>", frame(b"two")]) == [b"one"]
    assert decoder.faults == 1


@given(st.lists(st.binary(max_size=20).map(frame), max_size=4), st.binary(max_size=30), cuts)
def test_any_split_gives_the_same_messages(
    frames: list[bytes], noise: bytes, at: list[int]
) -> None:
    """However the stream is cut the messages are the same, and noise raises nothing."""
    stream = b"".join(frames) + noise
    found = messages(GrpcDecoder(), split(stream, at))

    assert found == messages(GrpcDecoder(), [stream])
    assert found[: len(frames)] == [one[5:] for one in frames]


@given(
    st.lists(
        st.tuples(st.integers(1, 2**29 - 1), st.integers(0, 2**64 - 1) | st.binary(max_size=20)),
        max_size=6,
    )
)
def test_fields_are_read_without_a_schema(expected: list[tuple[int, int | bytes]]) -> None:
    """Numbers and byte strings come out under their field numbers, in order."""
    assert list(fields(b"".join(encode(number, value) for number, value in expected))) == expected


def test_fixed_width_fields_are_numbers() -> None:
    """The 32-bit and 64-bit wire types are unsigned, little-endian."""
    message = (
        varint(1 << 3 | 5) + struct.pack("<I", 7) + varint(2 << 3 | 1) + struct.pack("<Q", 2**63)
    )

    assert list(fields(message)) == [(1, 7), (2, 2**63)]


@pytest.mark.parametrize(
    "message",
    [
        b"\x00\x01",
        b"\x08",
        b"\x08\x80",
        b"\x12\x05abc",
        b"\x0d\x00",
        b"\x0b",
        b"\x80" * 11,
        b"\x08" + b"\xff" * 11,
    ],
)
def test_damaged_protobuf_is_a_wire_error(message: bytes) -> None:
    """Field number 0, groups, and anything cut off or too long is refused."""
    with pytest.raises(WireError):
        list(fields(message))


@given(st.binary(max_size=60))
def test_arbitrary_protobuf_raises_only_wire_error(message: bytes) -> None:
    """No bytes make the reader raise anything but WireError."""
    try:
        assert sum(1 for _ in fields(message)) <= len(message)
    except WireError as error:
        assert str(error)
