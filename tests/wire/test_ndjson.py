"""`wire/ndjson.py`: lines, any line end, any split."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtally.wire import ndjson
from llmtally.wire.ndjson import NdjsonDecoder
from splits import cuts, every_byte, messages, split

NEEDLES = (b'"done":true', b"error")

streams = st.lists(
    st.sampled_from(
        [
            b"\n",
            b"\n",
            b"\r\n",
            b'{"a":1}',
            b'{"done":true}',
            b'{"done":',
            b"true}",
            b'{"error":"x"}',
            b" ",
            b"\xe2\x80\xa8",
            b"\xff",
        ]
    ),
    max_size=30,
).map(b"".join)


def reference(stream: bytes, needles: tuple[bytes, ...] = ()) -> list[bytes]:
    """Every line that is not blank."""
    lines = [line.strip() for line in stream.split(b"\n") if line.strip()]
    return [line for line in lines if not needles or any(needle in line for needle in needles)]


def test_lines_are_messages() -> None:
    """LF and CRLF end a line, blank lines are ignored, and the last line may lack its end."""
    stream = b'{"a":1}\n\r\n{"b":2}\r\n  \n{"c":3}'

    assert messages(NdjsonDecoder(), [stream]) == [b'{"a":1}', b'{"b":2}', b'{"c":3}']
    assert messages(NdjsonDecoder(), every_byte(stream)) == [b'{"a":1}', b'{"b":2}', b'{"c":3}']


@given(streams | st.binary(max_size=200), cuts)
def test_any_split_gives_the_same_lines(stream: bytes, at: list[int]) -> None:
    """However the stream is cut, all lines come out, in order, and nothing raises."""
    assert reference(stream) == messages(NdjsonDecoder(), split(stream, at))


@given(streams, cuts)
def test_needles_select_among_the_same_lines(stream: bytes, at: list[int]) -> None:
    """With needles the lines are exactly those that hold one of them."""
    decoder = NdjsonDecoder()
    decoder.seek(NEEDLES)

    assert reference(stream, NEEDLES) == messages(decoder, split(stream, at))


def test_skipped_is_counted() -> None:
    """Skipped lines are counted with their ends."""
    decoder = NdjsonDecoder()
    decoder.seek(NEEDLES)
    decoder.feed(b'{"a":1}\n' * 5 + b'{"done":true}\n')

    assert (decoder.skipped_content, decoder.skipped_events) == (40, 5)


def test_endless_line_takes_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line beyond the cap is a fault and is not held; the line after it is found."""
    monkeypatch.setattr(ndjson, "MAX_LINE", 2**20)
    decoder = NdjsonDecoder()
    piece = b"x" * 2**16
    tracemalloc.start()
    try:
        for _ in range(100):
            assert decoder.feed(piece) == []
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 3 * 2**20
    assert decoder.feed(b"x\n{}\n") == [b"{}"]
    assert decoder.faults == 1
