"""`wire/sse.py` and the search of `wire/blocks.py`, against a plain implementation of the
standard."""

from __future__ import annotations

import re
import time
import tracemalloc
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtally.wire import blocks, sse
from llmtally.wire.sse import SseDecoder
from splits import cuts, every_byte, messages, rest, split

BOM = b"\xef\xbb\xbf"
NEEDLES = (b'"usage"', b"err")

LINE_ENDS = [b"\n", b"\n", b"\n\n", b"\r", b"\r\n"]
FIELDS = [b"data:", b"data: ", b"data", b"data:  two", b"event: e", b"id", b":", b": c"]
VALUES = [
    b" ",
    b"x",
    b'{"usage": 1}',
    b'{"error": 1}',
    b'"usa',
    b'ge"',
    b"[1]",
    b"\xe2\x80\xa8",
    b"\xc2\x85",
    b"\x0b",
    b"\xff",
    BOM,
]
streams = st.lists(st.sampled_from([*LINE_ENDS, *FIELDS, *VALUES]), max_size=40).map(b"".join)


def reference(stream: bytes, needles: tuple[bytes, ...] = ()) -> list[bytes]:
    """Line by line as the standard says, with our two departures."""
    *lines, last = re.split(rb"\r\n|\r|\n", stream.removeprefix(BOM))
    blocks: list[list[bytes]] = [[]]
    for line in lines:
        if line:
            blocks[-1].append(line)
        else:
            blocks.append([])
    if last:
        blocks[-1].append(last)
    events = []
    for block in blocks:
        raw = b"\n".join(block)
        if needles and not any(needle in raw for needle in needles):
            continue
        fields = [line.partition(b":") for line in block]
        data = [value.removeprefix(b" ") for name, _, value in fields if name == b"data"]
        if data:
            events.append(b"\n".join(data))
        elif raw.strip().startswith((b"{", b"[")):
            events.append(raw.strip())
    return events


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: YHOO\ndata: +2\ndata: 10\n\n", [b"YHOO\n+2\n10"]),
        (
            (
                b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  "
                b"third event\n\n"
            ),
            [b"first event", b"second event", b" third event"],
        ),
        (b"data\n\ndata\ndata\n\ndata:\n\n", [b"", b"\n", b""]),
        (b"data:test\n\ndata: test\n\n", [b"test", b"test"]),
        (b"event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\n", [b"73857293", b"2153"]),
        (b"id: 1\n\nretry: 10\n\n\n\n", []),
    ],
)
def test_examples_of_the_standard(stream: bytes, events: list[bytes]) -> None:
    """The events are those the standard names for its own examples."""
    assert events == messages(SseDecoder(), [stream])


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (BOM + b"data: a\n\n", [b"a"]),
        (BOM + BOM + b"data: a\n\ndata: b\n\n", [b"b"]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"]),
        (b"data: a\r\rdata: b\r\r", [b"a", b"b"]),
        (b"data: a\r\n\ndata: b\n\r\ndata: c\r\n\r", [b"a", b"b", b"c"]),
        (b"data: a\xe2\x80\xa8b\n\n", [b"a\xe2\x80\xa8b"]),
        (b"\n\n\ndata: a\n\n\n\ndata: b\n\n", [b"a", b"b"]),
        (b"database: a\n data: b\ndat\n\n", []),
        (b'data: a\n\ndata: {"usage": 1}', [b"a", b'{"usage": 1}']),
        (
            b'data: a\n\n{\n  "error": {\n    "code": 429\n  }\n}\n\n',
            [b"a", b'{\n  "error": {\n    "code": 429\n  }\n}'],
        ),
        (b'{\r\n"error": 1}\r\n', [b'{\n"error": 1}']),
        (b"", []),
        (BOM[:2], []),
    ],
)
def test_line_ends_marks_and_departures(stream: bytes, events: list[bytes]) -> None:
    """Every line end, one byte order mark, an unfinished event and bare JSON are read alike, whole
    and byte by byte."""
    assert events == messages(SseDecoder(), [stream])
    assert events == messages(SseDecoder(), every_byte(stream))


@given(streams, cuts)
def test_any_split_gives_the_events_of_the_standard(stream: bytes, at: list[int]) -> None:
    """However the stream is cut, all events come out, in order."""
    assert reference(stream) == messages(SseDecoder(), split(stream, at))


@given(streams, cuts)
def test_needles_select_among_the_same_events(stream: bytes, at: list[int]) -> None:
    """With needles the events are exactly those whose text holds one of them, however the stream is
    cut."""
    assert reference(stream, NEEDLES) == messages(seeking(NEEDLES), split(stream, at))


@given(st.binary(max_size=200), cuts)
def test_arbitrary_bytes_never_raise(stream: bytes, at: list[int]) -> None:
    """No bytes make the decoder raise."""
    assert reference(stream) == messages(SseDecoder(), split(stream, at))


def test_event_is_given_with_the_byte_that_ends_it() -> None:
    """An event is not held back until the next one: not even where a CR may be half a line end."""
    decoder = SseDecoder()

    assert decoder.feed(b"data: a\r\n") == []
    assert decoder.feed(b"\r") == [b"a"]
    assert decoder.feed(b"\n") == []
    assert decoder.feed(b"data: b\n\n") == [b"b"]


def test_needles_may_change_in_the_middle() -> None:
    """Needles apply to the events that are completed after they were set."""
    decoder = SseDecoder()
    found = decoder.feed(b"data: a\n\ndata: b")
    decoder.seek(NEEDLES)
    found += decoder.feed(b'\n\ndata: "usage"\n\n')
    decoder.seek(())
    found += decoder.feed(b"data: c\n\n")

    assert found == [b"a", b'"usage"', b"c"]
    assert decoder.skipped_events == 1


def seeking(*sought: Any) -> SseDecoder:
    decoder = SseDecoder()
    decoder.seek(*sought)
    return decoder


def with_endings(pieces: Iterable[bytes]) -> list[bytes]:
    decoder = seeking(NEEDLES, (b"err",))
    found = [event for piece in pieces for event in decoder.feed(piece)]
    return found + rest(decoder)


@pytest.mark.parametrize("feed", [7, 1_000, 60_000, 10**6])
def test_endings_are_found_among_the_last_events(feed: int) -> None:
    """Far from the end nothing is searched for them; what else is looked for is found anywhere, and
    all in order."""
    events = [b'data: {"delta":%d}\n\n' % number for number in range(10_000)]
    for number, found in (
        (10, b"err 1"),
        (20, b'"usage"1'),
        (9_980, b'"usage"2'),
        (9_990, b"err 2"),
        (9_995, b'"usage"3'),
    ):
        events[number] = b"data: " + found + b"\n\n"
    stream = b"".join(events)

    assert with_endings(stream[at : at + feed] for at in range(0, len(stream), feed)) == [
        *(b'"usage"1', b'"usage"2', b"err 2", b'"usage"3'),
    ]


@given(streams, cuts, st.sampled_from([0, 20, 1_000]))
def test_endings_in_any_split(stream: bytes, at: list[int], last: int) -> None:
    """However the stream is cut, all other needles are found, in order, and among the last events
    the endings, too."""
    everything, certain = reference(stream, NEEDLES), reference(stream, NEEDLES[:1])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(blocks, "END_WINDOW", last)
        found = with_endings(split(stream, at))

    assert is_within(certain, found)
    assert is_within(found, everything)
    assert found == everything or len(stream) > last


def is_within(few: list[bytes], many: list[bytes]) -> bool:
    """Whether all of the few are among the many, in their order."""
    rest = iter(many)
    return all(event in rest for event in few)


def test_skipped_is_counted() -> None:
    """Bytes of skipped events are exact, also for an unfinished one; in small feeds their number is
    too."""
    decoder = seeking(NEEDLES)
    for _ in range(10):
        decoder.feed(b"data: abc\n\n" * 3 + b'data: "usage"\n\n')
    decoder.feed(b"data: unfinished")
    decoder.finish()

    assert decoder.skipped_content == 10 * 3 * 11 + 16
    assert decoder.skipped_events == 31


def test_skipped_number_of_a_large_feed_is_close() -> None:
    """In large feeds the number of skipped events is extrapolated, within a few percent for even
    events."""
    decoder = seeking(NEEDLES)
    for start in range(0, 10_000, 1000):
        decoder.feed(b"".join(b'data: {"token": %d}\n\n' % n for n in range(start, start + 1000)))

    assert decoder.skipped_content == sum(
        len(b'data: {"token": %d}\n\n' % n) for n in range(10_000)
    )
    assert decoder.skipped_events == pytest.approx(10_000, rel=0.03)


@pytest.mark.parametrize("feed", [1, 2, 7, 400, 5000])
def test_pings_and_comments_are_not_counted(feed: int) -> None:
    """An event no longer than the envelope has no content: it counts neither as bytes nor as an
    event, however many come."""
    decoder = seeking(NEEDLES, (), 40)
    delta = b"data: " + b"x" * 92 + b"\n\n"
    stream = [
        delta,
        b": ping\n\n",
        b'data: {"type": "ping"}\n\n',
        b"\n\n",
        b'data: "usage"\n\n',
        delta + b"data: 1\n\n",
    ] * 1000
    for start in range(0, len(stream), feed):
        decoder.feed(b"".join(stream[start : start + feed]))
    decoder.feed(b": unfinished")
    decoder.finish()

    assert decoder.skipped_events == pytest.approx(2000, rel=0.01 if feed > 100 else 0)
    assert decoder.skipped_content == pytest.approx(
        2000 * (100 - 40), rel=0.01 if feed > 100 else 0
    )


@pytest.mark.parametrize("needles", [(), NEEDLES])
@pytest.mark.parametrize("width", [1, 7, 64, 10_000])
def test_event_beyond_the_cap_is_dropped_alone(
    monkeypatch: pytest.MonkeyPatch, needles: tuple[bytes, ...], width: int
) -> None:
    """A too long event is a fault; the events before and after it come out, however the stream is
    cut."""
    monkeypatch.setattr(sse, "MAX_EVENT", 100)
    exact = b"data: err " + b"x" * 90
    stream = (
        b"data: err 1\n\n" + b"data: err " + b"x" * 91 + b"\n\n" + exact + b"\n\ndata: err 2\n\n"
    )
    decoder = seeking(needles)
    found = messages(decoder, [stream[at : at + width] for at in range(0, len(stream), width)])

    assert found == [b"err 1", exact[6:], b"err 2"]
    assert decoder.faults == 1


def test_endless_event_takes_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream without a line end never holds more than the cap, and an event after it is found."""
    monkeypatch.setattr(sse, "MAX_EVENT", 2**20)
    decoder = SseDecoder()
    piece = b"x" * 2**16
    tracemalloc.start()
    try:
        for _ in range(200):
            assert decoder.feed(piece) == []
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 3 * 2**20
    assert decoder.faults == 1
    assert decoder.feed(b"\n\ndata: a\n\n") == [b"a"]


def test_growing_event_is_not_searched_again() -> None:
    """8 MiB of one event in pieces of 64 bytes: a decoder that rescans what it holds takes
    minutes."""
    decoder = seeking(NEEDLES)
    began = time.process_time()
    decoder.feed(b'data: {"usage": "')
    for _ in range(2**17):
        decoder.feed(b"x" * 64)
    found = decoder.feed(b'"}\n\n')

    assert [len(event) for event in found] == [2**23 + len(b'{"usage": ""}')]
    assert time.process_time() - began < 10
