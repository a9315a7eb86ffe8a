"""One JSON text a line: `application/x-ndjson` (Ollama), JSONL (batch results).
https://github.com/ndjson/ndjson-spec

    {"message": {"content": "Hi"}, "done": false}
    {"done": true, "prompt_eval_count": 29, "eval_count": 3}

Lines end in LF or CRLF. Blank lines are ignored. The last line may lack its end.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..record import Transport
from .blocks import Blocks
from .messages import Rest

MAX_LINE = 32 * 2**20
"""Bytes of one line. A line of batch results is a whole response, which may hold images as
base64."""

_SEPARATOR = b"\n"


class NdjsonDecoder:
    """Gives the lines that are not blank."""

    transport: Transport = "ndjson"

    def __init__(self) -> None:
        self.cut = 0
        self._blocks = Blocks(_SEPARATOR, MAX_LINE)

    @property
    def faults(self) -> int:
        """Lines dropped because they were too long."""
        return self._blocks.faults

    @property
    def skipped_events(self) -> int:
        """About how many lines were skipped."""
        return self._blocks.skipped_events

    @property
    def skipped_content(self) -> int:
        """About how many bytes of content the skipped lines held."""
        return self._blocks.skipped_content

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes."""
        lines = self._blocks.feed(data)
        self.cut += len(lines)
        return _strip(lines)

    def seek(
        self,
        needles: tuple[bytes, ...],
        endings: tuple[bytes, ...] = (),
        around: int | None = None,
        /,
    ) -> None:
        """From now on give only lines that hold one of the needles."""
        envelope = 0 if around is None else max(0, around + len(_SEPARATOR))
        self._blocks.seek(needles, endings, envelope)

    def finish(self) -> Rest:
        """The lines held back, and a last one that lacks its end."""
        messages, unfinished = self._blocks.finish()
        return Rest(_strip(messages), (unfinished or b"").strip() or None)


def _strip(lines: Sequence[bytes]) -> list[bytes]:
    return [stripped for line in lines if (stripped := line.strip())]
