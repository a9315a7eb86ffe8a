"""The tap: a mitmproxy stream callable that hands on the very bytes it was given and lets the tally
read them later.

It runs for every chunk of every stream, before the chunk goes on to the client, so it only copies
the chunk to a buffer. The bytes are sent on in batches: when `BATCH` of them wait, or when the flow
ends. Until the first content has been seen, chunks are sent on soon after they came, each with its
arrival time, because that gives the time to first token.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from typing import Any, TypeAlias

logger = logging.getLogger(__name__)

Send: TypeAlias = Callable[[bytes, list[tuple[int, float]], float], bool]
"""Takes bytes, where the first pieces in them end and when those came, and when the rest was there.
Returns whether the times of the next pieces matter."""

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
    """Copies the response body of one flow. `stream` is the callable for mitmproxy."""

    def __init__(
        self,
        send: Send,
        *,
        timed: bool,
        chained: Callable[[bytes], Any] | None,
        clock: Callable[[], float],
        defer: Callable[[Callable[[], None]], None],
        keep: bool = False,
    ) -> None:
        """`timed`: the times of the first chunks matter."""
        self.chained = chained
        """Another addon's stream callable. The client gets what it returns."""
        self.active = True
        """False once another tap has taken over (an addon may still call this one from inside its
        own) or sending failed."""
        self.send = send
        self.kept: list[bytes] | None = [] if keep else None
        """All chunks, for `usage_keep_bodies`."""
        self._clock = clock
        self._defer = defer
        self._buffer = io.BytesIO()
        """Bytes not sent on yet, up to the buffer's position."""
        self._arrivals: list[tuple[int, float]] = []
        """Where chunks end in the buffer, and when they came, as long as their timing matters."""
        self._early = timed
        self._pieces = 0
        """Chunks that were timed."""
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
        """Send on the bytes that wait."""
        size, arrivals = self._buffer.tell(), self._arrivals
        if not size and not arrivals:  # as of most taps, each time the link asks them all
            return
        with self._buffer.getbuffer() as written:
            data = bytes(written[:size])
        self._buffer.seek(0)
        self._arrivals = []
        if not data or not self.active:
            return
        self._pieces += len(arrivals)
        try:
            self._early = self.send(data, arrivals, self._clock()) and self._pieces <= EARLY
        except Exception:  # the traffic is not ours: an error here must not become an outage
            self.active = False
            logger.exception(
                "llmtally: reading a stream failed; it goes on unread. This is a bug of llmtally."
            )


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
