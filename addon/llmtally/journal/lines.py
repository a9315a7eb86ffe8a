"""What a line of a journal file is: the one answer for all who read one. What it says is decided by
`schema.read_line`.

A line ends with a newline. Empty lines hold nothing, and a byte order mark that an editor has put
at the beginning of a file belongs to no line. Of a line that is longer than `LINE_CAP` only the
beginning is read, so it is one damaged line, whatever its length.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

LINE_CAP = 2**20
"""Bytes of a line that is read. A record with every field at its cap is far shorter."""

READ_SIZE = 2**20
"""Bytes that are read at a time: few calls, little memory."""

UNREADABLE = (OSError, EOFError, zlib.error)
"""What reading a file may raise; the last two are a damaged compressed file's."""

_BOM = b"\xef\xbb\xbf"


def open_file(path: Path) -> BinaryIO:
    """A file of the journal, opened to read its lines, compressed or not. Raises OSError."""
    if path.suffix == ".gz":
        return cast("BinaryIO", gzip.open(path, "rb"))
    return path.open("rb", buffering=READ_SIZE)


def why_unreadable(error: BaseException) -> str:
    """The reason of one of `UNREADABLE` in a few words."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error)


class LineReader:
    """Reads the lines of one file; a second reading continues where the first one ended."""

    def __init__(self, offset: int = 0) -> None:
        """`offset`: begin after this many bytes, where a line must begin."""
        self.offset = offset
        """Bytes of the file that have been read."""
        self.number = 0
        """The line that was read last, counted from 1; empty lines count."""
        self._in_long_line = False
        """The rest of a line over the cap is still to be skipped."""

    def read(self, file: BinaryIO, *, growing: bool, end: int | None = None) -> Iterator[bytes]:
        """The lines that are not empty, up to `end` bytes of the file. In a `growing` file, a last
        line without a newline is still being written: it is left for the next reading."""
        file.seek(self.offset)
        while line := file.readline(_up_to(end, self.offset)):
            is_first, is_rest = self.offset == 0, self._in_long_line
            is_ended = line.endswith(b"\n")
            if growing and not is_ended and not is_rest and len(line) < LINE_CAP:
                return
            self.offset += len(line)
            self._in_long_line = not is_ended
            if is_rest:
                continue
            self.number += 1
            if is_first:
                line = line.removeprefix(_BOM)
            if line and not line.isspace():
                yield line


def _up_to(end: int | None, offset: int) -> int:
    return LINE_CAP if end is None else max(0, min(LINE_CAP, end - offset))
