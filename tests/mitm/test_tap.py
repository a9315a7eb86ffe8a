"""The client gets the very bytes, whatever a tap does with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from llmtally.mitm import tap as module
from llmtally.mitm.tap import BATCH, EARLY, EARLY_BATCH, RequestTap, Tap

CHUNK = b"data: {}\n\n"


class Reader:
    """Stands for a carrier: notes what it is sent."""

    def __init__(self, *, awaits_content: bool = False, fails: bool = False) -> None:
        self.awaits_content = awaits_content
        self.fails = fails
        self.fed: list[tuple[bytes, float]] = []

    def send(self, data: bytes, arrivals: list[tuple[int, float]], at: float) -> bool:
        if self.fails:
            raise RuntimeError("bug")
        start = 0
        for end, came in arrivals:
            self.fed.append((data[start:end], came))
            start = end
        if rest := data[start:]:
            self.fed.append((rest, at))
        return self.awaits_content


def make(reader: Reader, later: list[Callable[[], None]] | None = None, **options: Any) -> Tap:
    clock = iter(float(number) for number in range(1_000_000))
    queue = [] if later is None else later
    options = {"chained": None, **options}
    return Tap(
        reader.send,
        timed=reader.awaits_content,
        clock=lambda: next(clock),
        defer=queue.append,
        **options,
    )


def test_bytes_pass_and_are_read_in_batches() -> None:
    """The very same object is passed on, and nothing is read until a batch is full."""
    reader = Reader()
    tap = make(reader)
    tap.stream(CHUNK)  # the first finds that no time matters

    passed = [tap.stream(CHUNK) for _ in range(10)]

    assert all(chunk is CHUNK for chunk in passed)
    assert len(reader.fed) == 1
    tap.drain()
    assert b"".join(data for data, _ in reader.fed) == CHUNK * 11


def test_a_full_batch_is_read() -> None:
    """The bytes that wait in a tap are bounded."""
    reader = Reader()
    tap = make(reader)
    for _ in range(3 * BATCH // len(CHUNK)):
        tap.stream(CHUNK)

    assert 2 <= len(reader.fed) <= 4


def test_empty_chunks_do_not_pile_up() -> None:
    """HTTP/2 peers can send empty frames for ever."""
    reader = Reader()
    tap = make(reader)
    for _ in range(3 * BATCH):
        tap.stream(b"")

    assert tap._buffer.tell() == 0


def test_early_chunks_keep_their_times() -> None:
    """Until the first content each chunk is read with the time it came at."""
    later: list[Callable[[], None]] = []
    reader = Reader(awaits_content=True)
    tap = make(reader, later)
    for _ in range(3):
        tap.stream(CHUNK)

    assert (reader.fed, len(later)) == ([], 1)
    later.pop()()
    assert reader.fed == [(CHUNK, 0.0), (CHUNK, 1.0), (CHUNK, 2.0)]


def test_early_chunks_do_not_wait_for_long() -> None:
    """Where chunks come faster than the loop reads them, some are read at once, as content may be
    among them."""
    reader = Reader(awaits_content=True)
    tap = make(reader)
    for _ in range(EARLY_BATCH):
        tap.stream(CHUNK)

    assert len(reader.fed) == EARLY_BATCH


def test_content_that_never_comes_ends_the_timing() -> None:
    """A stream without content is read in batches, too, after `EARLY` chunks."""
    reader = Reader(awaits_content=True)
    tap = make(reader)
    for _ in range(EARLY + 1):
        tap.stream(CHUNK)
    before = len(reader.fed)
    for _ in range(100):
        tap.stream(CHUNK)

    assert len(reader.fed) - before <= EARLY + 2


def test_a_bug_leaves_the_client_alone(caplog: pytest.LogCaptureFixture) -> None:
    """An exception is logged once, and the bytes pass."""
    reader = Reader(fails=True)
    tap = make(reader)

    passed = [tap.stream(CHUNK) for _ in range(2 * BATCH // len(CHUNK))]

    assert set(passed) == {CHUNK}
    assert not tap.active
    assert caplog.text.count("RuntimeError: bug") == 1


def test_another_callable_decides_what_is_sent() -> None:
    """The client gets what the chained callable returns, the tally what the server sent."""
    reader = Reader()
    tap = make(reader, chained=bytes.upper)

    assert tap.stream(b"data: x\n\n") == b"DATA: X\n\n"
    tap.drain()
    assert reader.fed[0][0] == b"data: x\n\n"


def test_a_retired_tap_reads_nothing() -> None:
    """When another tap has taken over, this one only passes bytes on."""
    reader = Reader()
    tap = make(reader)
    tap.active = False

    assert tap.stream(CHUNK) is CHUNK
    tap.drain()
    assert reader.fed == []


def test_kept_bodies() -> None:
    """The whole body is there at the end, for those who asked for it."""
    tap = make(Reader(), keep=True)
    for _ in range(5):
        tap.stream(CHUNK)

    assert tap.kept == [CHUNK] * 5


class TestRequestTap:
    """A streamed request is copied as it passes, up to a cap."""

    def test_small(self) -> None:
        """The client's bytes pass, and the body can be read afterwards."""
        tap = RequestTap(None)

        assert [tap(b"ab"), tap(b"cd"), tap(b"")] == [b"ab", b"cd", b""]
        assert (tap.body(), tap.size) == (b"abcd", 4)

    def test_large(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Beyond the cap only the size is kept."""
        monkeypatch.setattr(module, "MAX_REQUEST_COPY", 3)
        tap = RequestTap(None)
        tap(b"ab")
        tap(b"cd")

        assert (tap.body(), tap.size) == (None, 4)

    def test_chained(self) -> None:
        """Another addon's callable still decides what is sent."""
        assert RequestTap(bytes.upper)(b"ab") == b"AB"
