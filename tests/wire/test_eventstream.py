"""`wire/eventstream.py`: AWS frames, their checksums and their exceptions."""

from __future__ import annotations

import struct
import tracemalloc
from zlib import crc32

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aws_frames import event, frame, header
from llmtally.record import WireError
from llmtally.wire.eventstream import EventStreamDecoder, read_headers
from llmtally.wire.messages import Rest
from splits import cuts, every_byte, messages, split

METADATA = event("metadata", b'{"usage":{"inputTokens":12,"outputTokens":7},"p":"abcd"}')
CHUNK = event("chunk", b'{"bytes":"e30=","p":"ab"}')


def test_published_vectors_are_read() -> None:
    """The two messages of AWS's test suite that have no headers pass the checksums and say
    nothing."""
    empty = bytes.fromhex("00000010 00000000 05c248eb 7d98c8ff")
    without_headers = (
        bytes.fromhex("0000001d 00000000 fd528c5a") + b"{'foo':'bar'}" + bytes.fromhex("c3653936")
    )
    decoder = EventStreamDecoder()

    assert messages(decoder, [empty + without_headers + CHUNK]) == [
        b'{"chunk":{"bytes":"e30=","p":"ab"}}'
    ]
    assert decoder.faults == 0


def test_event_is_named_by_its_type() -> None:
    """An event is its payload under its type, as botocore shows it, given with its last byte."""
    decoder = EventStreamDecoder()
    stream = CHUNK + METADATA
    found = [
        (at, orjson.loads(message))
        for at, byte in enumerate(every_byte(stream), 1)
        for message in decoder.feed(byte)
    ]

    assert found == [
        (len(CHUNK), {"chunk": {"bytes": "e30=", "p": "ab"}}),
        (len(stream), {"metadata": {"usage": {"inputTokens": 12, "outputTokens": 7}, "p": "abcd"}}),
    ]
    assert messages(EventStreamDecoder(), [event('a"b', b"")]) == [b'{"a\\"b":{}}']


@pytest.mark.parametrize(
    ("headers", "payload", "error"),
    [
        (
            {":message-type": "exception", ":exception-type": "throttlingException"},
            b'{"message":"slow down"}',
            ("throttlingException", "slow down"),
        ),
        (
            {":message-type": "exception", ":exception-type": "validationException"},
            b'{"Message":"no"}',
            ("validationException", "no"),
        ),
        (
            {":message-type": "error", ":error-code": "500", ":error-message": "broken"},
            b"",
            ("500", "broken"),
        ),
        ({":message-type": "exception"}, b"not json", ("error", "")),
        ({":message-type": "exception"}, b'{"message":7}', ("error", "")),
    ],
)
def test_exceptions_and_errors_are_messages(
    headers: dict[str, str], payload: bytes, error: tuple[str, str]
) -> None:
    """A message that is not an event says what went wrong."""
    stream = frame(payload, b"".join(header(name, value) for name, value in headers.items()))
    (message,) = messages(EventStreamDecoder(), [stream])

    assert orjson.loads(message) == {":exception": {"type": error[0], "message": error[1]}}


def test_every_type_of_header_is_passed() -> None:
    """Headers of the other types are measured rightly, so that the strings after them are found."""
    others = [
        b"\x00",
        b"\x01",
        b"\x02a",
        b"\x03ab",
        b"\x04abcd",
        b"\x05abcdefgh",
        b"\x06\x00\x02ab",
        b"\x08abcdefgh",
        b"\x09" + b"u" * 16,
    ]

    assert read_headers(b"".join(b"\x01n" + other for other in others) + header("last", "ü")) == {
        "last": "ü"
    }


@pytest.mark.parametrize(
    "headers",
    [
        b"\x01",
        b"\x01n",
        b"\x01n\x07",
        b"\x01n\x07\x00\x05abc",
        b"\x01n\x0a",
        b"\x01n\x07\x00\x01\xff",
        b"\x01n\x05abc",
    ],
)
def test_damaged_headers_cost_one_message(headers: bytes) -> None:
    """Headers that cannot be read are a fault, and the next message is read."""
    decoder = EventStreamDecoder()

    assert len(messages(decoder, [frame(b"{}", headers) + CHUNK])) == 1
    assert decoder.faults == 1


def test_payload_that_is_no_json_costs_one_message() -> None:
    """A payload that would spoil the message it is put into is a fault."""
    decoder = EventStreamDecoder()

    assert len(messages(decoder, [event("chunk", b'{"a":1}}') + CHUNK])) == 1
    assert decoder.faults == 1


@pytest.mark.parametrize("at", [0, 5, 9, 20, len(CHUNK) - 20, len(CHUNK) - 1])
def test_damage_is_found_by_the_checksums(at: int) -> None:
    """One wrong bit anywhere ends the stream: earlier messages come out, then one WireError, then
    silence."""
    broken = bytearray(CHUNK)
    broken[at] ^= 1
    decoder = EventStreamDecoder()

    assert len(decoder.feed(METADATA + bytes(broken) + CHUNK)) == 1
    with pytest.raises(WireError):
        decoder.feed(CHUNK)
    assert decoder.feed(CHUNK) == []
    assert decoder.finish() == Rest()
    assert decoder.faults == 1


def test_damage_behind_the_last_message_is_said_at_the_end() -> None:
    """Damage found together with messages is raised by whatever call comes next."""
    decoder = EventStreamDecoder()

    assert len(decoder.feed(CHUNK + b"x" * 12)) == 1
    with pytest.raises(WireError):
        decoder.finish()
    with pytest.raises(WireError):
        EventStreamDecoder().feed(b"x" * 12)


@pytest.mark.parametrize(
    ("total", "headers"), [(15, 0), (16, 1), (2**32 - 1, 0), (2**20, 2**18), (0, 0)]
)
def test_impossible_lengths_end_the_stream_at_once(total: int, headers: int) -> None:
    """A length beyond the limits, or one that contradicts itself, is refused before anything is
    collected."""
    prelude = struct.pack(">II", total, headers)
    with pytest.raises(WireError):
        EventStreamDecoder().feed(prelude + struct.pack(">I", crc32(prelude)))


@given(
    st.lists(
        st.sampled_from([CHUNK, METADATA, event("x", b"no json"), frame(b"{}", b"\x01")]),
        max_size=4,
    ),
    st.binary(max_size=30),
    cuts,
)
def test_any_split_gives_the_same_messages(
    frames: list[bytes], noise: bytes, at: list[int]
) -> None:
    """However the stream is cut, the messages before any damage come out, and nothing raises but
    WireError."""
    stream = b"".join(frames) + noise

    assert messages(EventStreamDecoder(), split(stream, at)) == messages(
        EventStreamDecoder(), [stream]
    )
    assert len(messages(EventStreamDecoder(), [stream])) == sum(
        one in (CHUNK, METADATA) for one in frames
    )


def test_damaged_stream_is_not_held() -> None:
    """After the damage no byte is kept."""
    decoder = EventStreamDecoder()
    with pytest.raises(WireError):
        decoder.feed(b"\xff" * 100)
    tracemalloc.start()
    try:
        for _ in range(100):
            decoder.feed(b"x" * 2**16)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 2**18
