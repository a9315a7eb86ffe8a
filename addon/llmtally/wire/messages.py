"""The interface of all framings: how they are fed, and what they return."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from ..record import Transport


class Rest(NamedTuple):
    """What a framing returns when the body ends."""

    messages: Sequence[bytes] = ()
    """Whole messages that were held back until the end was known."""
    unfinished: bytes | None = None
    """A last message without an end mark: it may be whole or cut off."""


class Framing(Protocol):
    """Cuts the decoded bytes of a body into messages: JSON texts, or protobuf for gRPC.

    Raises WireError where the rest of a body cannot be cut, and ignores that rest from then on.
    """

    @property
    def transport(self) -> Transport:
        """The name of this framing."""

    @property
    def faults(self) -> int:
        """Messages dropped because they were too long or damaged."""

    @property
    def cut(self) -> int:
        """Pieces that were cut out of the body, whatever they held: each takes some work. 0 for
        framings that give one message."""

    @property
    def skipped_events(self) -> int:
        """About how many messages were skipped because they held no needle."""

    @property
    def skipped_content(self) -> int:
        """About how many bytes of content the skipped messages held."""

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that `data` completes, in order."""

    def seek(
        self,
        needles: tuple[bytes, ...],
        endings: tuple[bytes, ...] = (),
        around: int | None = None,
        /,
    ) -> None:
        """From now on give only messages that hold one of the needles; none: give all again.

        `endings` are those needles that matter only among the last messages of the body. `around`
        is how many bytes the message given last had beside its content: a skipped message is taken
        to have as many, and one that is no longer than that (a ping, a comment) to have no content.
        Framings that cannot skip cheaply still give all messages.
        """

    def finish(self) -> Rest:
        """End the body and return what is left of it."""
