"""One JSON text a line: `application/x-ndjson` (Ollama), JSONL (batch results). https://github.com/ndjson/ndjson-spec

    {"message": {"content": "Hi"}, "done": false}
    {"done": true, "prompt_eval_count": 29, "eval_count": 3}

Lines end in LF or CRLF; blank ones are ignored; the last one may lack its end.
"""

from __future__ import annotations

from .blocks import Blocks

MAX_LINE = 32 * 2**20
"""Bytes of one line. A line of batch results is a whole response, which may hold images as base64."""


class NdjsonDecoder:
    """The lines; with needles, those that hold one of them."""

    def __init__(self, needles: tuple[bytes, ...] = ()) -> None:
        self._blocks = Blocks(b"\n", MAX_LINE, needles)

    @property
    def needles(self) -> tuple[bytes, ...]:
        """Lines that hold none of these are skipped; may be changed between feeds. They hold no line ends."""
        return self._blocks.needles

    @needles.setter
    def needles(self, needles: tuple[bytes, ...]) -> None:
        self._blocks.needles = needles

    @property
    def envelope(self) -> int:
        """As `Framing.envelope`."""
        return self._blocks.envelope

    @envelope.setter
    def envelope(self, envelope: int) -> None:
        self._blocks.envelope = envelope

    @property
    def faults(self) -> int:
        """Lines dropped because they were longer than `MAX_LINE`."""
        return self._blocks.faults

    @property
    def skipped_bytes(self) -> int:
        """Bytes of the skipped lines that are longer than the envelope, with their ends."""
        return self._blocks.skipped_bytes

    overhead = 1
    """Bytes that stood around the last line given: its end."""

    @property
    def skipped_events(self) -> int:
        """About how many lines longer than the envelope were skipped. See `Blocks.skipped_blocks`."""
        return self._blocks.skipped_blocks

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes."""
        return _strip(self._blocks.feed(data))

    def flush(self) -> list[bytes]:
        """The unfinished last line."""
        return _strip(self._blocks.flush())


def _strip(lines: list[bytes]) -> list[bytes]:
    return [stripped for line in lines if (stripped := line.strip())]
