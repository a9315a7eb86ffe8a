"""All readers of a journal mean the same by a line, whatever the file holds."""

from __future__ import annotations

import asyncio
import gzip
import io
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls import NOON, a_call
from llmtally.journal import DamageReport, outdone, read, read_records
from llmtally.journal.follower import JournalFollower
from llmtally.journal.lines import LINE_CAP, LineReader
from llmtally.record import Call
from llmtally.report import Database
from llmtally.report.filters import Filter
from llmtally.schema import to_line
from llmtally.tally.sink import Sink
from llmtally.tracker.totals import usd

FILE = "usage-2026-11-20.jsonl"
BOM = b"\xef\xbb\xbf"
LINE = to_line(a_call())
LONG = b'{"schema":1,"model":"' + b"x" * 2 * LINE_CAP + b'"}\n'
TORN = LINE[:50]


def with_output(value: bytes) -> bytes:
    """A record with another number of output tokens."""
    return LINE.replace(b'"output_tokens":5', b'"output_tokens":' + value)


QUOTA = (
    b'{"kind":"quota","timestamp":"2026-11-20T11:00:00.000Z","provider":"anthropic",'
    b'"limits":[{"key":"5h","source":"provider_native","utilization":42.0}]}\n'
)
BYPASSED = b'{"kind":"bypassed","timestamp":"2026-11-20T11:00:00.000Z","count":3}\n'

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
    "a count as text": (LINE + with_output(b'"12"') + LINE, 2, 1),
    "a count of 400 digits": (LINE + with_output(b"1" * 400) + LINE, 2, 1),
    "a count beyond 64 bits": (LINE + with_output(b"9223372036854775808") + LINE, 2, 1),
    "counts that are no whole number": (with_output(b"1.5") + with_output(b"true") + LINE, 1, 2),
    "a cost of no finite value": (LINE.replace(b"0.25", b"1e400") + LINE, 1, 1),
    "a part that is none": (LINE[:-2] + b',"parts":[{"kind":5}]}\n' + LINE, 1, 1),
    "a record of 2 MiB": (LINE[:-2] + b',"x":"' + b"x" * 2 * LINE_CAP + b'"}\n' + LINE, 1, 1),
    "times in no zone": (LINE.replace(b'Z"', b'"') + LINE, 1, 1),
    "a missing field": (LINE.replace(b'"provider"', b'"pro"') + LINE, 1, 1),
    "a field of a later version": (LINE[:-2] + b',"later":{"a":[1]}}\n' + LINE, 2, 0),
    "another schema": (LINE.replace(b'"schema":1', b'"schema":2') + LINE, 1, 1),
    "known kinds": (QUOTA + LINE + BYPASSED + LINE, 2, 0),
    "unknown kinds": (b'{"kind":"later","status":"x","ended":5}\n' + LINE, 1, 0),
    "a kind with a schema": (b'{"kind":"later","schema":1}\n' + LINE, 1, 1),
    "a damaged line of a known kind": (BYPASSED.replace(b"3", b'"3"') + LINE, 1, 1),
    "a kind that is none": (b'{"kind":5}\n' + LINE, 1, 1),
    "all of it": (
        BOM + LINE + LONG + b"\n" + b"\0" * 8 + b"\n" + LINE + b"rubbish\n" + BOM + LINE + TORN,
        2,
        5,
    ),
}
"""By what is in the file: the file, its calls, its damaged lines."""


Seen = tuple[int, int, int, float]
"""What a reader makes of a journal: calls, damaged lines, output tokens, dollars."""


def summed(calls: list[Call], damaged: int) -> Seen:
    """What `read` and the follower make of it."""
    tokens = sum(call.usage.output_tokens or 0 for call in calls)
    return len(calls), damaged, tokens, sum(call.cost_usd or 0 for call in calls)


def by_reading(directory: Path) -> Seen:
    damage = DamageReport()
    return summed(list(read(directory, damage=damage)), damage.count)


def by_records(directory: Path) -> Seen:
    damage = DamageReport()
    records = list(read_records(directory, damage=damage))
    tokens = sum(record.get("output_tokens", 0) for record in records)
    return len(records), damage.count, tokens, sum(record["cost_usd"] or 0 for record in records)


def by_report(name: str, directory: Path) -> Seen:
    with Database(directory) as database:
        report = database.report(name, Filter(), None)
    totals = report.totals
    return totals.calls, report.damage.count, totals.output_tokens, usd(totals.cost)


def by_sql(directory: Path) -> Seen:
    with Database(directory) as database:
        query = "SELECT count(*), coalesce(sum(output_tokens), 0), coalesce(sum(cost_usd), 0)"
        answer = database.sql(f"{query} FROM calls")
    [(calls, tokens, cost)] = answer.rows
    return calls, answer.damage.count, tokens, cost


def by_following(directory: Path) -> Seen:
    """Once the last line has its end, as the writer makes it before its next line."""
    follower = JournalFollower(directory)
    calls = [entry for _, entry in follower.poll() if isinstance(entry, Call)]
    for path in directory.glob("*.jsonl"):
        with path.open("ab") as file:
            file.write(b"\n")
    calls += [entry for _, entry in follower.poll() if isinstance(entry, Call)]
    return summed(calls, follower.damaged)


def by_restart(directory: Path) -> Seen:
    alerts: list[str] = []

    async def state() -> Seen:
        sink = Sink(directory, clock=lambda: NOON + 60, alert=alerts.append)
        await sink.restore(lambda call: None)
        totals = sink.tracker.usage(NOON + 60)["week"]
        sink.close()
        damaged = int(alerts[0].split()[0]) if alerts else 0
        return totals["calls"], damaged, totals["output_tokens"] or 0, totals["cost_usd"] or 0.0

    return asyncio.run(state())


READERS: dict[str, Callable[[Path], Seen]] = {
    "read": by_reading,
    "records": by_records,
    "report": partial(by_report, "client"),
    "report by model": partial(by_report, "model"),
    "sql": by_sql,
    "restart": by_restart,
    "follower": by_following,  # the last one, as it ends the last line
}


@pytest.mark.parametrize(("content", "calls", "damaged"), HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("name", [FILE, f"{FILE}.gz"])
def test_all_readers_agree(
    tmp_path: Path, name: str, content: bytes, calls: int, damaged: int
) -> None:
    """As many calls, as many damaged lines, the same sums, compressed or not."""
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    expected = (calls, damaged, 5 * calls, 0.25 * calls)

    assert {reader: see(tmp_path) for reader, see in READERS.items()} == dict.fromkeys(
        READERS, expected
    )


def test_damaged_lines_have_the_same_numbers(tmp_path: Path) -> None:
    """Whoever names them."""
    (tmp_path / FILE).write_bytes(HOSTILE["all of it"][0])
    of_calls, of_records = DamageReport(), DamageReport()
    assert len(list(read(tmp_path, damage=of_calls)))
    assert len(list(read_records(tmp_path, damage=of_records)))
    with Database(tmp_path) as database:
        of_report = database.report("client", Filter(), None).damage

    assert of_calls == of_records == of_report


def test_a_compressed_file_that_is_cut_off(tmp_path: Path) -> None:
    """What can be read of it counts, and it is named."""
    lines = b"".join(to_line(a_call(request_id=str(number))) for number in range(2000))
    whole = gzip.compress(lines)
    (tmp_path / f"{FILE}.gz").write_bytes(whole[: len(whole) // 2])
    seen = {reader: see(tmp_path) for reader, see in READERS.items() if reader != "follower"}

    [(calls, damaged, *_)] = set(seen.values())
    assert 0 < calls < 2000
    assert damaged == 1


def test_beside_a_plain_file_a_compressed_one_does_not_count(tmp_path: Path) -> None:
    """A call is not counted twice where somebody compressed a copy."""
    (tmp_path / FILE).write_bytes(LINE)
    (tmp_path / f"{FILE}.gz").write_bytes(gzip.compress(LINE + LINE))

    assert {see(tmp_path)[0] for see in READERS.values()} == {1}
    assert outdone(tmp_path) == [tmp_path / f"{FILE}.gz"]


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
