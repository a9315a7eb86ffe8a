"""All readers of a journal mean the same by a line, whatever the file holds."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls import a_call
from llmtally.journal import DamageReport, read, read_records
from llmtally.journal.follower import JournalFollower
from llmtally.journal.lines import LINE_CAP, LineReader
from llmtally.report import Database
from llmtally.report.filters import Filter
from llmtally.schema import to_line

FILE = "usage-2026-11-20.jsonl"
BOM = b"\xef\xbb\xbf"
LINE = to_line(a_call())
LONG = b'{"schema":1,"model":"' + b"x" * 2 * LINE_CAP + b'"}\n'
TORN = LINE[:50]

HOSTILE = {
    "a line of 2 MiB": (LINE + LONG + LINE, 2, 1),
    "a line of 2 MiB at the end, torn": (LINE + LONG[:-1], 1, 1),
    "a torn last line": (LINE + TORN, 1, 1),
    "a last line that lacks only its newline": (LINE + LINE[:-1], 2, 0),
    "a byte order mark": (BOM + LINE + LINE, 2, 0),
    "nothing but a byte order mark": (BOM, 0, 0),
    "a byte order mark in the middle": (LINE + BOM + LINE, 1, 1),
    "empty lines": (b"\n\n \t\r\n" + LINE + b"\n", 1, 0),
    "lines of another system": (LINE[:-1] + b"\r\n" + LINE, 2, 0),
    "a line of NUL bytes": (LINE + b"\0" * 4096 + b"\n" + LINE, 2, 1),
    "NUL bytes before a record": (LINE + b"\0" * 8 + LINE + LINE, 2, 1),
    "all of it": (
        BOM + LINE + LONG + b"\n" + b"\0" * 8 + b"\n" + LINE + b"rubbish\n" + BOM + LINE + TORN,
        2,
        5,
    ),
}
"""By what is in the file: the file, its calls, its damaged lines."""


@pytest.mark.parametrize(("content", "calls", "damaged"), HOSTILE.values(), ids=HOSTILE.keys())
def test_all_readers_agree(tmp_path: Path, content: bytes, calls: int, damaged: int) -> None:
    """The calls, the records, the report, and the follower once the last line has its end: as many
    calls, and as many damaged lines."""
    path = tmp_path / FILE
    path.write_bytes(content)
    of_calls, of_records = DamageReport(), DamageReport()

    assert (len(list(read(tmp_path, damage=of_calls))), of_calls.count) == (calls, damaged)
    assert (len(list(read_records(tmp_path, damage=of_records))), of_records.count) == (
        calls,
        damaged,
    )
    assert [each.line for each in of_calls.first] == [each.line for each in of_records.first]
    with Database(tmp_path) as database:
        report = database.report("client", Filter(), None)
    assert (report.totals.calls, report.damage.count) == (calls, damaged)

    follower = JournalFollower(tmp_path)
    seen = len(list(follower.poll()))
    with path.open("ab") as file:  # as the writer does it before its next line
        file.write(b"\n")
    seen += len(list(follower.poll()))
    assert (seen, follower.damaged) == (calls, damaged)


def test_a_torn_line_waits_for_its_end(tmp_path: Path) -> None:
    """To one who follows, a line is neither a call nor damaged before its newline is there."""
    (tmp_path / FILE).write_bytes(LINE + TORN)
    follower = JournalFollower(tmp_path)

    assert (len(list(follower.poll())), follower.damaged) == (1, 0)


@given(
    pieces=st.lists(
        st.binary(max_size=8)
        | st.sampled_from([b"\n", b"\r\n", b" ", BOM, b"x" * LINE_CAP, b"y" * (LINE_CAP - 1)]),
        max_size=12,
    )
)
def test_lines_are_the_same_however_a_file_grows(pieces: list[bytes]) -> None:
    """Read piece by piece as they are written, or all at once: the same lines, the same numbers."""
    whole = LineReader()
    expected = [
        (whole.number, line)
        for line in whole.read(io.BytesIO(b"".join(pieces) + b"\n"), growing=False)
    ]
    reader = LineReader()
    found = []
    content = b""
    for piece in [*pieces, b"\n"]:
        content += piece
        found += [(reader.number, line) for line in reader.read(io.BytesIO(content), growing=True)]

    assert found == expected
    assert reader.offset == len(content)
