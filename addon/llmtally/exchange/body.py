"""The body of an HTTP response on its way to parsed messages: content coding, framing, JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..formats.format import no_content
from ..providers import Route
from ..record import WireError
from ..wire import framing, json_body
from ..wire.content_coding import ContentDecoder, content_decoder
from ..wire.messages import Framing
from .fold import needles_of
from .values import Response

EAGER_MESSAGES = 1_024
"""Messages parsed in the hope of content. Real streams begin within a dozen; small empty events
compress a thousand to one."""


CODED_PIECE = 4
"""Bytes that a piece of a compressed body (a message, a comment) has on the wire at least. Events
that a server flushes have 20 and more; 58 kB of small equal ones decode to half a million."""


class Body:
    """Gives messages as `(value, size)`: parsed, with the bytes each of them had.

    What cannot be read is counted in `response.faults`. The iterators that `feed`, `whole` and
    `finish` return have to be consumed before the next call.
    """

    def __init__(self, route: Route, response: Response, headers: Mapping[str, str]) -> None:
        self.messages = 0
        """Messages that were read."""
        self.ended = False
        """No more of the body will be read: it was read to its end, or was given up."""
        self._route = route
        self._response = response
        self._framing: Framing | None = framing.choose(
            headers.get("content-type", ""), hint="json_array" if route.streams_json else None
        )
        """None once the rest of the body cannot be read."""
        response.transport = self._framing.transport
        self._coding: ContentDecoder | None = None
        self._skimming = False
        try:
            if encoding := headers.get("content-encoding", ""):
                self._coding = content_decoder(encoding)
        except WireError:
            self._give_up()

    @property
    def coded(self) -> bool:
        """Whether the body has a content coding."""
        return self._coding is not None

    @property
    def awaits_content(self) -> bool:
        """Whether the next bytes may hold the first content."""
        return (
            self._framing is not None
            and self._route.format.content is not no_content
            and not self._skimming
        )

    @property
    def skipped_events(self) -> int:
        """About how many messages were skipped."""
        return self._framing.skipped_events if self._framing is not None else 0

    @property
    def skipped_content(self) -> int:
        """About how many bytes of content the skipped messages held."""
        return self._framing.skipped_content if self._framing is not None else 0

    def skim(self, around: int | None = None) -> None:
        """From now on skip messages that cannot matter. `around` is how many bytes the last message
        had beside its content, if it had content."""
        self._skimming = True
        if self._framing is not None and (needles := needles_of(self._route)):
            self._framing.seek(needles, self._route.format.endings, around)

    def feed(self, data: bytes) -> Iterator[tuple[Any, int]]:
        """The messages that `data`, as it was on the wire, completes."""
        self._response.size += len(data)
        if self._framing is None or self.ended:
            return
        try:
            for piece in self._coding.decode(data) if self._coding is not None else (data,):
                messages = self._framing.feed(piece)
                self._response.transport = self._framing.transport
                if self._coding is not None and self._framing.cut > self._allowed_pieces:
                    self._response.gap = True
                    self._give_up()
                    return
                for message in messages:
                    yield from self._parsed(message)
        except WireError:
            self._give_up()

    def whole(self, data: bytes) -> Iterator[tuple[Any, int]]:
        """The messages of a body that `data` holds whole; none if it has been read before."""
        if self.ended:
            return
        if self._is_one_json_text and len(data) <= json_body.MAX_BODY:
            try:
                value = self._parse(data)
            except json_body.TooLargeError:
                self._response.size = len(data)
                self._response.gap = True
                self._give_up()
                return
            except WireError:
                pass  # the label was wrong
            else:
                self.ended = True
                self._response.size = len(data)
                yield from self._given(value, len(data))
                return
        yield from self.feed(data)

    def finish(self) -> Iterator[tuple[Any, int]]:
        """The messages that only the end of the body completes."""
        if self._framing is None or self.ended:
            return
        self.ended = True
        try:
            messages, unfinished = self._framing.finish()
        except WireError as error:
            self._response.gap |= isinstance(error, json_body.TooLargeError)
            self._give_up()
            return
        self._response.transport = self._framing.transport
        for message in messages:
            yield from self._parsed(message)
        if unfinished is not None:
            yield from self._parsed(unfinished, cut_off=True)
        self._response.faults += self._framing.faults

    def fail(self) -> None:
        """Read no more of the body."""
        self._framing = None
        self.ended = True

    @property
    def _is_one_json_text(self) -> bool:
        """Whether the body is labelled as one JSON text and is not compressed."""
        return (
            self._framing is not None and self._framing.transport == "json" and self._coding is None
        )

    @property
    def _allowed_pieces(self) -> int:
        """How many pieces a compressed body may have, by what came of it on the wire."""
        return EAGER_MESSAGES + self._response.size // CODED_PIECE

    def _give_up(self) -> None:
        """The rest of a body that is damaged or too large can't be read; what was read before
        stands."""
        self._response.faults += 1
        self._framing = None

    def _parsed(self, message: bytes, *, cut_off: bool = False) -> Iterator[tuple[Any, int]]:
        """A message from the framing, if it can be parsed. An empty message, `[DONE]` and one that
        may be cut off are not counted as faults."""
        try:
            value = self._parse(message)
        except json_body.TooLargeError:
            self._response.faults += 1
            self._response.gap = True
            return
        except WireError:
            if message not in (b"", b"[DONE]") and not cut_off:
                self._response.faults += 1
            return
        yield from self._given(value, len(message))

    def _given(self, value: Any, size: int) -> Iterator[tuple[Any, int]]:
        """Each message of a JSON text: some servers send several in a list."""
        self.messages += 1
        if self.messages == EAGER_MESSAGES and not self._skimming:
            self.skim()
        for each in value if isinstance(value, list) else (value,):
            yield each, size

    def _parse(self, message: bytes) -> Any:
        """The message as its format reads it. What is read of a message stands where something else
        in it was passed over, unless the body has other responses, to which that fault would
        count."""
        fmt = self._route.format
        if self._response.transport == "grpc":
            value: Any = message
        elif fmt.multiple:
            value = json_body.load(message)
        else:
            value, missed = json_body.read(message)
            self._response.faults += missed
            self._response.gap |= missed
        return fmt.unwrap(value) if fmt.unwrap is not None else value
