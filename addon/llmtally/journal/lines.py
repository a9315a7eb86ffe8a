"""What a line of a journal file is: the one answer for all who read one.

A line ends with a newline. Empty lines hold nothing, and a byte order mark that an editor has put
at the beginning of a file belongs to no line. Of a line that is longer than `LINE_CAP` only the
beginning is read, so it is one damaged line, whatever its length.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

LINE_CAP = 2**20
"""Bytes of a line that is read. A record with every field at its cap is far shorter."""

_BOM = b"\xef\xbb\xbf"


class LineReader:
    """Reads the lines of one file; a second reading continues where the first one ended."""

    def __init__(self) -> None:
        self.offset = 0
        """Bytes of the file that have been read."""
        self.number = 0
        """The line that was read last, counted from 1; empty lines count."""
        self._in_long_line = False
        """The rest of a line over the cap is still to be skipped."""

    def read(self, file: BinaryIO, *, growing: bool) -> Iterator[bytes]:
        """The lines that are not empty. In a `growing` file, a last line without a newline is still
        being written: it is left for the next reading."""
        file.seek(self.offset)
        while line := file.readline(LINE_CAP):
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
