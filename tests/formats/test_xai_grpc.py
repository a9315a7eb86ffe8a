"""xAI's gRPC API: what the captures of `tests/captures/xai_grpc` do not show."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostile_json import fold, holds, usage, values
from llmtally.formats.xai_grpc import XAI_GRPC, read_headers, read_usage
from llmtally.record import ApiError, Reading, WireError


def varint(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + varint(number >> 7)


def proto(*fields: tuple[int, int | bytes]) -> bytes:
    """A protobuf message with these fields."""
    return b"".join(
        varint(number << 3) + varint(value)
        if isinstance(value, int)
        else varint(number << 3 | 2) + varint(len(value)) + value
        for number, value in fields
    )


USAGE = proto((1, 20), (2, 100), (3, 150), (6, 30), (7, 60))
ANSWER = proto(
    (1, b"i"), (2, proto((1, 1), (3, proto((1, b"ab"))))), (5, b""), (6, b"m"), (9, USAGE), (15, 2)
)
CHUNK = proto(
    (1, b"i"),
    (2, proto((1, proto((1, b"ab"), (4, b"c"))), (3, 3))),
    (3, b""),
    (4, b"m"),
    (6, USAGE),
    (12, 2),
)

fields = st.lists(
    st.tuples(st.integers(1, 15), st.integers(0, 2**64 - 1) | st.binary(max_size=8)), max_size=6
).map(lambda parts: proto(*parts))
nested = st.lists(
    st.tuples(st.integers(1, 15), fields | st.integers(0, 2**64 - 1)), max_size=6
).map(lambda parts: proto(*parts))


@given(st.binary(max_size=60) | fields | nested | values)
def test_anything_is_survived(message: Any) -> None:
    """Whatever bytes or JSON come, nothing but `WireError` is raised and counts stay counts."""
    holds(XAI_GRPC, message)


@given(at=st.integers(0, len(CHUNK) - 1), byte=st.integers(0, 255))
def test_a_damaged_chunk_is_survived(at: int, byte: int) -> None:
    """One wrong byte in a real message does no harm."""
    holds(XAI_GRPC, CHUNK[:at] + bytes([byte]) + CHUNK[at + 1 :])


@pytest.mark.parametrize(
    ("message", "stop", "early"), [(ANSWER, "REASON_MAX_LEN", True), (CHUNK, "REASON_STOP", False)]
)
def test_both_messages_are_told_apart(message: bytes, stop: str, early: bool) -> None:
    """Field 6 is the model of an answer and the usage of a chunk."""
    reading = fold(XAI_GRPC, message)

    assert (reading.response_id, reading.model, reading.service_tier) == ("i", "m", "priority")
    assert (reading.stop_reason, reading.stopped_early, reading.finished) == (stop, early, True)
    assert usage(reading) == {
        "input_tokens": 40,
        "cache_read_tokens": 60,
        "output_tokens": 50,
        "reasoning_tokens": 30,
    }


def test_reasoning_inside_the_completion_is_not_added() -> None:
    """The total tells where it stands."""
    inside, consistent = read_usage(proto((1, 50), (2, 100), (3, 150), (6, 30)))

    assert (inside.output_tokens, inside.reasoning_tokens, consistent) == (50, 30, True)


def test_usage_without_counts_says_nothing() -> None:
    """An empty message is not a bill of 0."""
    assert fold(XAI_GRPC, proto((1, b"i"), (4, b"m"), (6, b""))).usage is None


def test_server_tools_packed_or_not() -> None:
    """Protobuf writes repeated numbers either way; unknown tools are left out."""
    packed, _ = read_usage(proto((2, 1), (9, bytes([1, 1, 2, 99]))))
    plain, _ = read_usage(proto((2, 1), (9, 1), (9, 2), (9, 1)))

    assert packed.server_tools == plain.server_tools == {"web_search": 2, "x_search": 1}


def test_the_stated_cost_is_in_ticks() -> None:
    """The stated cost is in ticks of 1e-10 USD."""
    assert fold(
        XAI_GRPC, proto((4, b"m"), (6, proto((2, 1), (11, 25_000_000))))
    ).cost_usd == pytest.approx(0.0025)


def test_a_message_cut_off_is_said() -> None:
    """Half a message is a `WireError`, and delivers nothing."""
    with pytest.raises(WireError):
        fold(XAI_GRPC, CHUNK[:-1])
    assert XAI_GRPC.content(CHUNK[:-1]) == 0


def test_content_is_text_and_reasoning_of_chunks() -> None:
    """An answer comes whole and needs no estimate."""
    assert (XAI_GRPC.content(CHUNK), XAI_GRPC.content(ANSWER), XAI_GRPC.content({})) == (3, 0, 0)


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ({}, None),
        ({"grpc-status": "0"}, None),
        (
            {"grpc-status": "8", "grpc-message": "slow down"},
            ApiError("RESOURCE_EXHAUSTED", "slow down"),
        ),
        (
            {"grpc-status": "16", "grpc-message": "no%20key%3A%20sk-abc"},
            ApiError("UNAUTHENTICATED", "no key: […]"),
        ),
        ({"grpc-status": "99"}, ApiError("grpc_99")),
    ],
)
def test_a_refusal_is_in_the_headers(headers: dict[str, str], error: ApiError | None) -> None:
    """gRPC answers 200 also to refuse: the headers tell."""
    assert read_headers(headers, Reading()).error == error
