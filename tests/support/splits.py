"""Cutting a byte string into pieces, as a network does, and feeding the pieces to a decoder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hypothesis import strategies as st

from llmtally.record import WireError
from llmtally.wire.content_coding import ContentDecoder
from llmtally.wire.messages import Framing

cuts = st.lists(st.integers(min_value=0, max_value=400), max_size=8)
"""Positions at which to cut."""


def split(data: bytes, at: Iterable[int]) -> Iterator[bytes]:
    """The pieces between the cuts, empty ones too."""
    start = 0
    for end in sorted(min(position, len(data)) for position in at):
        yield data[start:end]
        start = end
    yield data[start:]


def every_byte(data: bytes) -> list[bytes]:
    """Split data into pieces of one byte."""
    return [data[at : at + 1] for at in range(len(data))]


def messages(framing: Framing, pieces: Iterable[bytes]) -> list[bytes]:
    """All messages of a body; a WireError is passed over, as whatever is fed after it must be."""
    found = []
    for piece in pieces:
        try:
            found += framing.feed(piece)
        except WireError:
            continue
    try:
        return found + rest(framing)
    except WireError:
        return found


def rest(framing: Framing) -> list[bytes]:
    """What the end of a body brings out, an unfinished message included."""
    whole, unfinished = framing.finish()
    return [*whole, *([unfinished] if unfinished is not None else [])]


def decoded(decoder: ContentDecoder, pieces: Iterable[bytes]) -> bytes:
    """Everything the pieces decode to. Raises WireError."""
    return b"".join(out for piece in pieces for out in decoder.decode(piece))
