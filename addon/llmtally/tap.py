"""The tap: a mitmproxy stream callable that hands on the very bytes it was given and lets an exchange read them later.

It runs for every chunk of every stream, before the chunk goes on to the client, so it does no more than keep a reference.
The bytes are read in batches: when `BATCH` of them wait, or when the flow ends. Only until the first content has been seen are
chunks read soon after they came, each with its own time, because that time is the time to first token.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from .exchange import Exchange
from .record import Call

logger = logging.getLogger(__name__)

BATCH = 64 * 2**10
"""Bytes that may wait unread: enough to make a batch worth it (some 400 events), read in well under a millisecond."""

EARLY = 64
"""Chunks timed one by one at most; content that comes later than that gets the time of its batch."""


class Tap:
    """One flow's stream callable."""

    __slots__ = (
        "_append",
        "_chunks",
        "_early",
        "_room",
        "_times",
        "active",
        "chained",
        "clock",
        "exchange",
        "kept",
        "later",
        "settle",
    )

    def __init__(
        self,
        exchange: Exchange,
        *,
        chained: Callable[[bytes], Any] | None,
        clock: Callable[[], float],
        later: Callable[[Callable[[], None]], None],
        settle: Callable[[list[Call]], None],
        keep: bool = False,
    ) -> None:
        self.exchange = exchange
        self.chained = chained
        """Another addon's callable; the client gets what it returns."""
        self.active = True
        """False once another tap has taken over: an addon may still call this one from inside its own callable."""
        self.clock = clock
        self.later = later
        self.settle = settle
        self.kept: list[bytes] | None = [] if keep else None
        """The whole body, for `usage_keep_bodies`."""
        self._chunks: list[bytes] = []
        self._append = self._chunks.append
        self._times: list[float] = []
        self._early = exchange.awaits_content
        self._room = BATCH

    def __call__(self, data: bytes) -> Any:
        """Take a chunk. Whatever goes wrong here, the client gets its bytes."""
        if self.active:
            self._append(data)
            room = self._room = self._room - len(data) - 1
            if self._early or room < 0 or self.kept is not None:
                self._slow(data)
        return data if self.chained is None else self.chained(data)

    def _slow(self, data: bytes) -> None:
        if self.kept is not None:
            self.kept.append(data)
        if self._early:
            self._times.append(self.clock())
            self.later(self.drain)
        if self._room < 0:
            self.drain()

    def drain(self) -> None:
        """Let the exchange read what waits."""
        chunks, times = self._chunks, self._times
        self._chunks, self._times, self._room = [], [], BATCH
        self._append = self._chunks.append
        if not chunks or not self.active:
            return
        try:
            calls = self._feed(chunks, times)
        except Exception:  # the traffic is not ours: an error here must not become an outage
            self.active = False
            logger.exception("llmtally: reading %s failed; this flow is no longer read", self.exchange.request.host)
        else:
            self.settle(calls)

    def _feed(self, chunks: list[bytes], times: list[float]) -> list[Call]:
        calls: list[Call] = []
        for chunk, at in zip(chunks, times, strict=False):
            calls += self.exchange.feed(chunk, at)
        if rest := chunks[len(times) :]:
            calls += self.exchange.feed(b"".join(rest), self.clock())
        if self._early and (not self.exchange.awaits_content or self.exchange.pieces > EARLY):
            self._early = False
        return calls
