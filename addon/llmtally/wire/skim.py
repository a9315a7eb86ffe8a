"""How a body is skimmed: what its framing is told to look for, and what it says of all that it
passed over."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Skim:
    """Shared by who reads a body and the framing that cuts it; either may look or change its part
    at any time."""

    needles: tuple[bytes, ...] = ()
    """Told: messages that hold none of them may be skipped, if there are any. Framings that cannot
    skip cheaply ignore this."""
    endings: tuple[bytes, ...] = ()
    """Told: those of the needles that matter only among the last messages, so that no others need
    be searched for them."""
    ended: bool = False
    """Told: all has been fed. What was held back, because endings might be in it, is due with a
    last, empty feed."""
    envelope: int = 0
    """Told: bytes that a message has around its content. What is skipped and no longer than this
    (pings, comments) has nothing in it and is not counted."""
    faults: int = 0
    """Messages dropped because they were too long or damaged."""
    skipped_bytes: int = 0
    """Bytes of the messages skipped for want of a needle, ends of lines included."""
    skipped_events: int = 0
    """About how many messages were skipped: both are extrapolated where much is skipped at once."""
    overhead: int = 0
    """Bytes that stood around the last message given."""
