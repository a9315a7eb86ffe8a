"""Cuts an endless byte stream into blocks at a separator, and picks out the blocks that matter.

What the event stream and the line framings share. This is the hot path of a proxied stream: with
`needles` set, blocks are found by searching for the needles over everything that was received, so
that a block without one costs no Python at all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from .skim import Skim

SAMPLE = 4 * 2**10
"""Bytes of a feed in which skipped blocks are counted: counting costs as much as searching, and the
count serves an estimate."""

LAST = 32 * 2**10
"""Bytes at the end of a stream that are searched for endings, at least: a hundred messages, or a
long one with all sources of an answer. Two or three follow an ending."""


class Blocks:
    """Blocks of a stream that hold any of the needles (all of them, if there are none), in order,
    without their separator.

    No needle holds a part of the separator. What is skipped is counted with separators, over
    `SAMPLE` bytes of each feed exactly.
    """

    def __init__(self, separator: bytes, limit: int, skim: Skim) -> None:
        self._skim = skim
        self._separator = separator
        self._limit = limit
        self._tail = bytearray()
        """The unfinished block; while dropping, only what may be the beginning of a separator."""
        self._dropping = False
        self._held: deque[bytes] = deque()
        """Whole blocks that may turn out to be the last ones."""
        self._held_bytes = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The wanted blocks that `data` completes."""
        if self._dropping:
            data = self._drop(data)
        region = self._take_finished(data)
        if not self._skim.endings:
            return self._select(region, self._skim.needles)
        blocks = self._hold(region)
        return blocks + self._select_last() if self._skim.ended else blocks

    def flush(self) -> list[bytes]:
        """The unfinished last block, if it is wanted."""
        rest = b"" if self._dropping else bytes(self._tail)
        self._tail.clear()
        self._dropping = False
        if not rest:
            return []
        skim = self._skim
        if skim.needles and not any(needle in rest for needle in skim.needles):
            if len(rest) > skim.envelope:
                skim.skipped_bytes += len(rest)
                skim.skipped_events += 1
            return []
        return [rest]

    def _take_finished(self, data: bytes) -> bytes:
        """All blocks that are whole now, separators included; what follows them is kept. No byte is
        searched twice."""
        tail, width = self._tail, len(self._separator)
        if not tail:
            end = data.rfind(self._separator) + width
            if end >= width:
                tail += data[end:]
                return data[:end]
            tail += data
        else:
            known = len(tail)
            tail += data
            end = tail.rfind(self._separator, max(known - width + 1, 0)) + width
            if end >= width:
                region = bytes(memoryview(tail)[:end])
                del tail[:end]
                return region
        if len(tail) >= self._limit + width:
            self._skim.faults += 1
            self._dropping = True
            self._forget()
        return b""

    def _hold(self, region: bytes) -> list[bytes]:
        """Hold back whole blocks; the wanted ones of those that are followed by so many that they
        are not the last."""
        if region:
            self._held.append(region)
            self._held_bytes += len(region)
        blocks = []
        while self._held and self._held_bytes - len(self._held[0]) >= LAST:
            older = self._held.popleft()
            self._held_bytes -= len(older)
            blocks += self._select_older(older)
        return blocks

    def _select_last(self) -> list[bytes]:
        held = b"".join(self._held)
        self._held.clear()
        self._held_bytes = 0
        end = held.rfind(self._separator, 0, max(len(held) - LAST, 0)) + len(self._separator)
        if end < len(self._separator):
            return self._select(held, self._skim.needles)
        return self._select_older(held[:end]) + self._select(held[end:], self._skim.needles)

    def _select_older(self, region: bytes) -> list[bytes]:
        return self._select(
            region, [needle for needle in self._skim.needles if needle not in self._skim.endings]
        )

    def _drop(self, data: bytes) -> bytes:
        """Pass over the rest of a block that is too long; returns what follows it."""
        self._tail += data
        at = self._tail.find(self._separator)
        if at < 0:
            self._forget()
            return b""
        rest = bytes(self._tail[at + len(self._separator) :])
        self._tail.clear()
        self._dropping = False
        return rest

    def _forget(self) -> None:
        del self._tail[: len(self._tail) - len(self._separator) + 1]

    def _select(self, region: bytes, needles: Iterable[bytes]) -> list[bytes]:
        if not region:
            return []
        if not self._skim.needles:
            blocks = [block for block in region.split(self._separator) if block]
        else:
            blocks = self._find(region, needles)
            self._count_skipped(region, blocks)
        if len(region) > self._limit:
            whole = [block for block in blocks if len(block) <= self._limit]
            self._skim.faults += len(blocks) - len(whole)
            blocks = whole
        return blocks

    def _find(self, region: bytes, needles: Iterable[bytes]) -> list[bytes]:
        """The blocks that hold a needle. Each needle searches each byte once."""
        hits = [(at, needle) for needle in needles if (at := region.find(needle)) >= 0]
        separator, width = self._separator, len(self._separator)
        blocks = []
        position = 0
        while hits:
            first = min(hits)[0]
            before = region.rfind(separator, position, first)
            end = region.find(separator, first)
            blocks.append(region[position if before < 0 else before + width : end])
            position = end + width
            hits = [
                (at, needle)
                for hit, needle in hits
                if (at := hit if hit >= position else region.find(needle, position)) >= 0
            ]
        return blocks

    def _count_skipped(self, region: bytes, blocks: list[bytes]) -> None:
        size = sample = len(region)
        width, envelope = len(self._separator), self._skim.envelope
        if size > SAMPLE and (end := region.rfind(self._separator, 0, SAMPLE)) >= 0:
            sample = end + width
        if sample > SAMPLE:  # a long block: what is shorter beside it matters little
            number, length = region.count(self._separator), size
        else:
            lengths = [
                n
                for n in map(len, region[: sample - width].split(self._separator))
                if n + width > envelope
            ]
            number, length = len(lengths), sum(lengths) + len(lengths) * width
        if sample < size:
            number, length = round(number * size / sample), round(length * size / sample)
        for block in blocks:
            if len(block) + width > envelope:
                number -= 1
                length -= len(block) + width
        self._skim.skipped_events += max(number, 0)
        self._skim.skipped_bytes += max(length, 0)
