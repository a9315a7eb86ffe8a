"""Event streams, `text/event-stream`.
https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream

    : a comment
    event: message_start
    data: {"type": "message_start", ...}

A blank line dispatches the event; only its data buffer (the `data` lines joined by a newline) is of
use here. Two deliberate departures from the standard, both because providers do it: an unfinished
event at the end of the stream is delivered, and a block without `data` that begins like JSON is
delivered as it stands (Gemini's errors in the middle of a stream).
"""

from __future__ import annotations

from collections.abc import Sequence

from ..record import Transport
from .blocks import Blocks
from .messages import Rest

MAX_EVENT = 32 * 2**20
"""Bytes of one event. Generated images ride in events as base64, and the usage follows at the end
of the same event."""

_BOM = b"\xef\xbb\xbf"
_SEPARATOR = b"\n\n"


class SseDecoder:
    """Gives the data buffers of the dispatched events; needles are sought in their raw text."""

    transport: Transport = "sse"

    def __init__(self) -> None:
        self.cut = 0
        self._blocks = Blocks(_SEPARATOR, MAX_EVENT)
        self._head: bytes | None = b""
        """What may become a byte order mark; None once that is decided."""
        self._after_cr = False
        """The last byte was a CR: an LF that follows belongs to the same line end."""
        self._overhead = 0
        """Bytes of the event given last that were not its data buffer."""

    @property
    def faults(self) -> int:
        """Events dropped because they were too long."""
        return self._blocks.faults

    @property
    def skipped_events(self) -> int:
        """About how many events were skipped."""
        return self._blocks.skipped_events

    @property
    def skipped_content(self) -> int:
        """About how many bytes of content the skipped events held."""
        return self._blocks.skipped_content

    def feed(self, data: bytes) -> list[bytes]:
        """The data buffers of the events that `data` completes."""
        if self._head is not None:
            data = self._skip_bom(data)
        if self._after_cr and data:
            self._after_cr = False
            data = data.removeprefix(b"\n")
        if b"\r" in data:
            self._after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return self._data_buffers(self._blocks.feed(data))

    def seek(
        self,
        needles: tuple[bytes, ...],
        endings: tuple[bytes, ...] = (),
        around: int | None = None,
        /,
    ) -> None:
        """From now on give only events that hold one of the needles."""
        envelope = 0 if around is None else max(0, around + self._overhead)
        self._blocks.seek(needles, endings, envelope)

    def finish(self) -> Rest:
        """The data buffers of events held back, and that of an unfinished last event."""
        messages, unfinished = self._blocks.finish()
        return Rest(
            self._data_buffers(messages),
            _data_buffer(unfinished) if unfinished is not None else None,
        )

    def _skip_bom(self, data: bytes) -> bytes:
        data = (self._head or b"") + data
        if len(data) < len(_BOM) and _BOM.startswith(data):
            self._head = data
            return b""
        self._head = None
        return data.removeprefix(_BOM)

    def _data_buffers(self, blocks: Sequence[bytes]) -> list[bytes]:
        self.cut += len(blocks)
        buffers = []
        for block in blocks:
            if (data := _data_buffer(block)) is not None:
                buffers.append(data)
                self._overhead = len(block) + len(_SEPARATOR) - len(data)
        return buffers


def _data_buffer(block: bytes) -> bytes | None:
    """The values of the `data` fields, joined; None where there is no such field."""
    values = []
    for line in block.split(b"\n"):
        if line.startswith(b"data:"):
            values.append(line[6:] if line.startswith(b"data: ") else line[5:])
        elif line == b"data":
            values.append(b"")
    if values:
        return b"\n".join(values)
    bare = block.strip()
    return bare if bare.startswith((b"{", b"[")) else None
