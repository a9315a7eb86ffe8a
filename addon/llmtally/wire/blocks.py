"""Cuts a byte stream into blocks at a separator, and picks out the blocks that hold a needle.

Event streams and line framings are built on it, and it is the hot path of a proxied stream: nearly
all events of an answer carry a few letters of text, which nobody here reads. So blocks are not cut
and then looked at. `bytes.find` searches everything that was received for each needle, and only
the blocks around the hits are cut out; a block without a needle costs no Python at all.

The way of a chunk through `Blocks.feed`:

1. `_complete` appends it to the unfinished block and takes off all blocks that are whole now, as
   one string, the region.
2. `_select` finds the wanted blocks of a region (`_find`) and estimates how many others there were
   (`_count_skipped`).
3. If some needles matter only at the end of the stream (`endings`), regions wait in `_recent` until
   `END_WINDOW` bytes have followed them; then they are searched for the other needles. What waits
   when the stream ends is searched for all needles, by `finish`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from .messages import Rest

SAMPLE = 4 * 2**10
"""Bytes of a region in which skipped blocks are counted. Counting costs as much as searching, and
the count serves an estimate, so it is extrapolated from these to the rest of the region."""

END_WINDOW = 32 * 2**10
"""Bytes at the end of a stream that are searched for endings, at least. Two or three messages
follow an ending; this is a hundred of them, or a long one with all sources of an answer."""


class Blocks:
    """The blocks of a stream in order, without their separators; after `seek`, those with a needle.

    No needle may contain a part of the separator. Empty blocks are left out.
    """

    def __init__(self, separator: bytes, limit: int) -> None:
        """A block of more than `limit` bytes is dropped and counted as a fault."""
        self.faults = 0
        """Blocks dropped because they were too long."""
        self.skipped_events = 0
        """About how many blocks were skipped that were longer than the envelope."""
        self._skipped_bytes = 0
        """About how many bytes these had, separators included."""
        self._separator = separator
        self._limit = limit
        self._needles: tuple[bytes, ...] = ()
        self._endings: tuple[bytes, ...] = ()
        self._needles_anywhere: tuple[bytes, ...] = ()
        """The needles that are not endings."""
        self._envelope = 0
        """Bytes that a block has around its content, separator included."""
        self._unfinished = bytearray()
        """The block whose separator has not come; while dropping, its last bytes, which may be the
        beginning of a separator."""
        self._dropping = False
        """The unfinished block is too long and is being passed over."""
        self._recent: deque[bytes] = deque()
        """Regions that may be the end of the stream."""
        self._recent_bytes = 0

    @property
    def skipped_content(self) -> int:
        """About how many bytes the skipped blocks had within their envelopes."""
        return max(0, self._skipped_bytes - self.skipped_events * self._envelope)

    def seek(
        self, needles: tuple[bytes, ...], endings: tuple[bytes, ...] = (), envelope: int = 0
    ) -> None:
        """From now on give only blocks with a needle, and those with an ending only near the end.

        A skipped block that is no longer than `envelope` is not counted.
        """
        self._needles = needles
        self._endings = endings
        self._needles_anywhere = tuple(needle for needle in needles if needle not in endings)
        self._envelope = envelope

    def feed(self, data: bytes) -> list[bytes]:
        """The wanted blocks that `data` completes."""
        if self._dropping:
            data = self._drop(data)
        region = self._complete(data)
        if not self._endings:
            return self._select(region, self._needles)
        return self._hold(region)

    def finish(self) -> Rest:
        """The wanted blocks at the end of the stream, and the one that lacks its separator."""
        return Rest(self._select_recent(), self._take_unfinished())

    # Cutting

    def _complete(self, data: bytes) -> bytes:
        """The region: all blocks that are whole with `data`, separators included. Keeps what
        follows them. No byte is searched twice for the separator."""
        unfinished, width = self._unfinished, len(self._separator)
        if not unfinished:
            end = data.rfind(self._separator) + width
            if end >= width:
                unfinished += data[end:]
                return data[:end]
            unfinished += data
        else:
            searched = len(unfinished)
            unfinished += data
            end = unfinished.rfind(self._separator, max(searched - width + 1, 0)) + width
            if end >= width:
                region = bytes(memoryview(unfinished)[:end])
                del unfinished[:end]
                return region
        if len(unfinished) >= self._limit + width:
            self.faults += 1
            self._dropping = True
            self._keep_half_separator()
        return b""

    def _drop(self, data: bytes) -> bytes:
        """Pass over the rest of a block that is too long; returns what follows it."""
        self._unfinished += data
        at = self._unfinished.find(self._separator)
        if at < 0:
            self._keep_half_separator()
            return b""
        rest = bytes(self._unfinished[at + len(self._separator) :])
        self._unfinished.clear()
        self._dropping = False
        return rest

    def _keep_half_separator(self) -> None:
        """Forget the unfinished block but for the bytes that a separator may have begun with."""
        del self._unfinished[: len(self._unfinished) - len(self._separator) + 1]

    def _take_unfinished(self) -> bytes | None:
        block = b"" if self._dropping else bytes(self._unfinished)
        self._unfinished.clear()
        self._dropping = False
        if not block:
            return None
        if self._needles and not any(needle in block for needle in self._needles):
            if len(block) > self._envelope:
                self._skipped_bytes += len(block)
                self.skipped_events += 1
            return None
        return block

    # Waiting for the end

    def _hold(self, region: bytes) -> list[bytes]:
        """Let a region wait; returns the wanted blocks of those that are certainly not the end."""
        if region:
            self._recent.append(region)
            self._recent_bytes += len(region)
        blocks = []
        while self._recent and self._recent_bytes - len(self._recent[0]) >= END_WINDOW:
            older = self._recent.popleft()
            self._recent_bytes -= len(older)
            blocks += self._select(older, self._needles_anywhere)
        return blocks

    def _select_recent(self) -> list[bytes]:
        """The wanted blocks of all that waits: endings count in its last `END_WINDOW` bytes."""
        recent = b"".join(self._recent)
        self._recent.clear()
        self._recent_bytes = 0
        start = recent.rfind(self._separator, 0, max(len(recent) - END_WINDOW, 0))
        if start < 0:
            return self._select(recent, self._needles)
        start += len(self._separator)
        older = self._select(recent[:start], self._needles_anywhere)
        return older + self._select(recent[start:], self._needles)

    # Searching

    def _select(self, region: bytes, needles: Sequence[bytes]) -> list[bytes]:
        """The blocks of a region that hold one of `needles`; all if nothing is sought."""
        if not region:
            return []
        if not self._needles:
            blocks = [block for block in region.split(self._separator) if block]
        else:
            blocks = self._find(region, needles)
            self._count_skipped(region, blocks)
        if len(region) > self._limit:
            allowed = [block for block in blocks if len(block) <= self._limit]
            self.faults += len(blocks) - len(allowed)
            blocks = allowed
        return blocks

    def _find(self, region: bytes, needles: Sequence[bytes]) -> list[bytes]:
        """The blocks that hold one of `needles`. Each needle searches each byte once: the place of
        its next hit is kept until the blocks before it have been cut out."""
        hits = [(at, needle) for needle in needles if (at := region.find(needle)) >= 0]
        separator, width = self._separator, len(self._separator)
        blocks = []
        position = 0  # behind the last block that was cut out
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

    def _count_skipped(self, region: bytes, found: list[bytes]) -> None:
        """Count the blocks of a region that are longer than the envelope and are not among those
        found: exactly if the region is short, otherwise as a sample of it suggests."""
        size = sample = len(region)
        width, envelope = len(self._separator), self._envelope
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
        for block in found:
            if len(block) + width > envelope:
                number -= 1
                length -= len(block) + width
        self.skipped_events += max(number, 0)
        self._skipped_bytes += max(length, 0)
