"""The tap: a mitmproxy stream callable that hands on the very bytes it was given and lets an
exchange read them later.

It runs for every chunk of every stream, before the chunk goes on to the client, so it only copies
the chunk to a buffer. The bytes are read in batches: when `BATCH` of them wait, or when the flow
ends. Until the first content has been seen, chunks are read soon after they came, each with its
arrival time, because that gives the time to first token.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from typing import Any

from ..exchange import Exchange
from ..record import Call

logger = logging.getLogger(__name__)

BATCH = 64 * 2**10
"""Bytes that may wait unread: enough to make a batch worth it (some 400 events), read in well under
a millisecond."""

EARLY = 64
"""Chunks that are timed one by one at most; content in later ones gets the time of its batch."""

EARLY_BATCH = 16
"""Timed chunks that may wait, each for some microseconds: content begins within the first five or
ten of nearly all streams."""

MAX_REQUEST_COPY = 4 * 2**20
"""Bytes of a streamed request body that are kept, for its model and session; a larger one is only
measured."""


class Tap:
    """Reads the response body of one flow. `stream` is the callable for mitmproxy."""

    def __init__(
        self,
        exchange: Exchange,
        *,
        chained: Callable[[bytes], Any] | None,
        clock: Callable[[], float],
        defer: Callable[[Callable[[], None]], None],
        settle: Callable[[list[Call]], None],
        keep: bool = False,
    ) -> None:
        self.exchange = exchange
        self.chained = chained
        """Another addon's stream callable. The client gets what it returns."""
        self.active = True
        """False once another tap has taken over (an addon may still call this one from inside its
        own) or reading failed."""
        self.settle = settle
        self.kept: list[bytes] | None = [] if keep else None
        """All chunks, for `usage_keep_bodies`."""
        self._clock = clock
        self._defer = defer
        self._buffer = io.BytesIO()
        """Unread bytes, up to the buffer's position."""
        self._arrivals: list[tuple[int, float]] = []
        """Where chunks end in the buffer, and when they came, as long as their timing matters."""
        self._early = exchange.awaits_content
        self.stream = self._make_stream()

    def _make_stream(self) -> Callable[[bytes], Any]:
        """A closure, because its variables cost half of what attributes do, and this is the one
        function that runs per event."""
        write, take, chained = self._buffer.write, self._take, self.chained
        room = 0

        def stream(data: bytes) -> bytes:
            nonlocal room
            room -= write(data)
            if room < 0:
                room = take(data)
            return data

        def stream_chained(data: bytes) -> Any:
            stream(data)
            assert chained is not None
            return chained(data)

        return stream if chained is None else stream_chained

    def _take(self, data: bytes) -> int:
        """Do the work beyond copying a chunk. Returns how many more bytes may come before it must
        run again."""
        if self.kept is not None:
            self.kept.append(data)
        if self._early:
            self._arrivals.append((self._buffer.tell(), self._clock()))
            if len(self._arrivals) == 1:
                self._defer(self.drain)
            elif len(self._arrivals) >= EARLY_BATCH:
                self.drain()
        else:
            self.drain()
        return 0 if self._early or self.kept is not None else BATCH

    def drain(self) -> None:
        """Give the unread bytes to the exchange."""
        size, arrivals = self._buffer.tell(), self._arrivals
        with self._buffer.getbuffer() as written:
            data = bytes(written[:size])
        self._buffer.seek(0)
        self._arrivals = []
        if not data or not self.active:
            return
        try:
            calls = self._feed(data, arrivals)
        except Exception:  # the traffic is not ours: an error here must not become an outage
            self.active = False
            self.exchange.fail()
            logger.exception(
                "llmtally: reading a stream of %s failed; it goes on unread. This is a bug of "
                "llmtally.",
                self.exchange.request.host,
            )
        else:
            self.settle(calls)

    def _feed(self, data: bytes, arrivals: list[tuple[int, float]]) -> list[Call]:
        calls: list[Call] = []
        start = 0
        for end, at in arrivals:
            calls += self.exchange.feed(data[start:end], at)
            start = end
            if not self.exchange.awaits_content:
                break  # when later chunks came does not matter
        if rest := data[start:]:
            calls += self.exchange.feed(rest, self._clock())
        if self._early and (not self.exchange.awaits_content or self.exchange.pieces > EARLY):
            self._early = False
        return calls


class RequestTap:
    """Keeps a copy of a request body that mitmproxy streams, up to `MAX_REQUEST_COPY`."""

    def __init__(self, chained: Callable[[bytes], Any] | None) -> None:
        self.size = 0
        self._chained = chained
        self._chunks: list[bytes] = []

    def __call__(self, data: bytes) -> Any:
        """Keep a chunk, and hand it on."""
        self.size += len(data)
        if self.size <= MAX_REQUEST_COPY:
            self._chunks.append(data)
        else:
            self._chunks.clear()
        return data if self._chained is None else self._chained(data)

    def body(self) -> bytes | None:
        """The whole body; None if it was too large to keep."""
        return b"".join(self._chunks) if self.size <= MAX_REQUEST_COPY else None
