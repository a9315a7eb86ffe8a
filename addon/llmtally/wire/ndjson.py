"""One JSON text a line: `application/x-ndjson` (Ollama), JSONL (batch results).
https://github.com/ndjson/ndjson-spec

    {"message": {"content": "Hi"}, "done": false}
    {"done": true, "prompt_eval_count": 29, "eval_count": 3}

Lines end in LF or CRLF; blank ones are ignored; the last one may lack its end.
"""

from __future__ import annotations

from .blocks import Blocks
from .skim import Skim

MAX_LINE = 32 * 2**20
"""Bytes of one line. A line of batch results is a whole response, which may hold images as
base64."""


class NdjsonDecoder:
    """The lines; with needles, those that hold one of them."""

    def __init__(self, skim: Skim | None = None) -> None:
        self.skim = skim or Skim()
        self.skim.overhead = 1  # the end of the line
        self._blocks = Blocks(b"\n", MAX_LINE, self.skim)

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes."""
        return _strip(self._blocks.feed(data))

    def flush(self) -> list[bytes]:
        """The unfinished last line."""
        return _strip(self._blocks.flush())


def _strip(lines: list[bytes]) -> list[bytes]:
    return [stripped for line in lines if (stripped := line.strip())]
