"""The journal on real files: modes, days, two processes, kills, full disks, and reading back what
they leave."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls import numbered_call
from llmtally import journal
from llmtally.journal import LINE_CAP, DamageReport, Journal, days, read, read_file, read_records
from llmtally.journal.day_file import DayFile
from llmtally.journal.follower import JournalFollower
from llmtally.record import ApiError, Attribution, Call, LimitReading, NotCounted, Part, Usage
from llmtally.schema import RecordError, from_line, to_line, to_record

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp()
FILE = "usage-2026-11-20.jsonl"


def ids(calls: Iterator[Call]) -> list[str]:
    return [call.request_id for call in calls]


def numbered(count: int) -> list[str]:
    return [f"flow-{n}" for n in range(count)]


def open_files() -> int:
    """How many file descriptors this process has."""
    return sum(1 for _ in Path("/dev/fd").iterdir())


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.005)


class Troubles(list[str]):
    """What a journal reported to `on_trouble`."""

    def __call__(self, message: str) -> None:
        self.append(message)


@pytest.fixture
def troubles() -> Troubles:
    return Troubles()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "usage"


@pytest.fixture
def writing(directory: Path, troubles: Troubles) -> Iterator[Journal]:
    """A journal that retries at once."""
    opened = Journal(directory, on_trouble=troubles, retry_seconds=0.01)
    yield opened
    opened.close()


def test_what_was_appended_is_read_back(
    writing: Journal, directory: Path, troubles: Troubles
) -> None:
    """A call comes back from the journal as it went in, in the order of writing."""
    full = numbered_call(1)._replace(
        error=ApiError("overloaded_error", "busy"),
        parts=(Part("message", "claude-opus-5-5", Usage(output_tokens=2), 0.25),),
        attribution=Attribution(client="claude-code", session="s"),
        limits=(LimitReading("5h", "provider_native", utilization=12.5),),
    )
    calls = [numbered_call(0), full, numbered_call(2)]
    for call in calls:
        writing.append(call)

    assert writing.flush(5)
    assert list(read(directory)) == calls
    assert list(read_records(directory)) == [to_record(call) for call in calls]
    assert (writing.healthy, writing.waiting, writing.lost, writing.errors, troubles) == (
        True,
        0,
        0,
        0,
        [],
    )


def test_only_the_owner_may_look(directory: Path, troubles: Troubles) -> None:
    """The directory is made 0700 and its files 0600, whatever the umask."""
    before = os.umask(0)
    try:
        opened = Journal(directory, on_trouble=troubles)
        opened.append(numbered_call())
        opened.close()
    finally:
        os.umask(before)

    assert directory.stat().st_mode & 0o777 == 0o700
    assert (directory / FILE).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("holds", "mode_after"),
    [
        pytest.param(None, 0o700, id="empty"),
        pytest.param("usage-2026-11-19.jsonl", 0o700, id="an older journal"),
        pytest.param("thesis.tex", 0o755, id="somebody's project"),
    ],
)
def test_an_open_directory_of_ours_is_closed(
    holds: str | None, mode_after: int, directory: Path, writing: Journal
) -> None:
    """A directory that others can read is closed to them, unless it serves another purpose too."""
    directory.mkdir()
    directory.chmod(0o755)
    if holds:
        (directory / holds).touch()
    writing.append(numbered_call())

    assert writing.flush(5)
    assert directory.stat().st_mode & 0o777 == mode_after


def test_the_day_is_that_of_the_end(writing: Journal, directory: Path) -> None:
    """A call that began before midnight UTC and ended after it stands in the new day's file."""
    midnight = datetime(2026, 11, 21, tzinfo=UTC).timestamp()
    writing.append(numbered_call(0, midnight - 0.001))
    writing.append(numbered_call(1, midnight))

    assert writing.flush(5)
    assert sorted(path.name for path in directory.iterdir()) == [FILE, "usage-2026-11-21.jsonl"]
    assert ids(read(directory, since=date(2026, 11, 21))) == ["flow-1"]
    assert ids(read(directory, until=date(2026, 11, 20))) == ["flow-0"]
    assert ids(read(directory)) == ["flow-0", "flow-1"]


def test_other_files_are_no_days(directory: Path) -> None:
    """Files that are not named for a day, and a directory that is missing, hold no calls."""
    assert list(read(directory)) == []
    directory.mkdir()
    for name in ("usage-old.jsonl", "usage-2026-11-20.jsonl.bak", "notes.jsonl"):
        (directory / name).write_bytes(to_line(numbered_call()))

    assert list(read(directory)) == []


def test_a_cut_off_last_line_is_skipped_and_said(directory: Path) -> None:
    """What a kill left of the last record is reported with its place, and the records before it are
    read."""
    directory.mkdir()
    (directory / FILE).write_bytes(to_line(numbered_call(0)) + to_line(numbered_call(1))[:-40])
    damage = DamageReport()

    assert ids(read(directory, damage=damage)) == ["flow-0"]
    assert damage.count == 1
    assert [str(each) for each in damage.first] == [f"{FILE} line 2: cut off"]


def test_a_cut_off_line_does_not_swallow_the_next_record(writing: Journal, directory: Path) -> None:
    """Another process may die in the middle of a line at any time, also while this one has the file
    open."""
    for number in range(3):
        writing.append(numbered_call(number))
        assert writing.flush(5)
        with (directory / FILE).open("ab") as other:
            other.write(b'{"schema":1,"times')
    damage = DamageReport()

    assert ids(read(directory, damage=damage)) == numbered(3)
    assert damage.count == 3


def test_a_record_that_lacks_only_its_newline_counts_once(
    writing: Journal, directory: Path
) -> None:
    """A whole record at the end of the file is read, and the next one does not run into it."""
    directory.mkdir()
    (directory / FILE).write_bytes(to_line(numbered_call(0)).rstrip())
    assert ids(read(directory)) == ["flow-0"]
    writing.append(numbered_call(1))

    assert writing.flush(5)
    assert ids(read(directory)) == numbered(2)


def test_a_write_that_lacks_only_the_newline_is_not_repeated(
    writing: Journal, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full one byte too early leaves a whole record; writing it again would count
    the call twice."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, line: write(fd, line[:-1]))
    writing.append(numbered_call(0))
    assert writing.flush(5)
    monkeypatch.undo()
    writing.append(numbered_call(1))

    assert writing.flush(5)
    assert ids(read(directory)) == numbered(2)


@pytest.mark.parametrize("missing", [0, 1, 2, 150, 10_000])
def test_a_disk_that_fills_up_in_the_middle_of_several_records(
    writing: Journal, directory: Path, monkeypatch: pytest.MonkeyPatch, missing: int
) -> None:
    """What comes together is written together; where the disk takes only a part of it, no record is
    lost or counted twice."""
    write, sizes = os.write, list[int]()

    def fills_up_once(fd: int, lines: bytes) -> int:
        sizes.append(len(lines))
        return write(fd, lines[:-missing] if missing and len(sizes) == 1 else lines)

    monkeypatch.setattr(os, "write", fills_up_once)
    for number in range(4):
        writing.append(numbered_call(number))

    assert writing.flush(5)
    assert ids(read(directory)) == numbered(4)
    assert len(sizes) == (1 if missing < 2 else 2)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"rubbish\n", "not JSON"),
        (b"\x00" * 4096 + b"\n", "not JSON"),
        (
            b'{"x":' + b"[" * 100_000 + b"\n",
            "nested too deeply",
        ),
        (b"[]\n", "not a record of schema 1: Expected `object`, got `array`"),
        (b'{"schema": 2}\n', "not a record of schema 1: Invalid enum value 2 - at `$.schema`"),
        (b'{"schema": 1}\n', "not a record of schema 1: Object missing required field `timestamp`"),
        (
            to_line(numbered_call()).replace(b'"schema":1,', b""),
            "not a record of schema 1: Object missing required field `schema`",
        ),
        (to_line(numbered_call()._replace(model="m" * 2 * LINE_CAP)), "cut off"),
    ],
    ids=[
        "rubbish",
        "zeros after a power cut",
        "deep nesting",
        "array",
        "another schema",
        "fields missing",
        "no schema",
        "over the cap",
    ],
)
def test_a_damaged_line_is_skipped_and_said(line: bytes, reason: str, directory: Path) -> None:
    """Whatever a line holds, it is named with its number and the lines around it are read."""
    directory.mkdir()
    (directory / FILE).write_bytes(
        to_line(numbered_call(0)) + b"\n" + line + to_line(numbered_call(1))
    )
    damage = DamageReport()

    assert ids(read(directory, damage=damage)) == numbered(2)
    assert [(each.line, each.reason) for each in damage.first] == [(3, reason)]


def test_damage_is_counted_but_not_hoarded(directory: Path) -> None:
    """A file of rubbish does not fill the memory with reports on it."""
    directory.mkdir()
    (directory / FILE).write_bytes(b"rubbish\n" * 10_000)
    damage = DamageReport()

    assert list(read(directory, damage=damage)) == []
    assert (damage.count, len(damage.first)) == (10_000, journal.DAMAGE_KEPT)


def test_a_file_that_cannot_be_opened_is_said(directory: Path) -> None:
    """A day that cannot be read does not keep the other days from being read."""
    directory.mkdir()
    (directory / FILE).mkdir()
    (directory / "usage-2026-11-21.jsonl").write_bytes(to_line(numbered_call(0)))
    damage = DamageReport()

    assert ids(read(directory, damage=damage)) == ["flow-0"]
    assert [str(each) for each in damage.first] == [f"{FILE}: Is a directory"]


fields = st.sampled_from(
    [*to_record(numbered_call()), "error", "parts", "limits", "project", "kind", "key"]
)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["", "text", "0001-01-01", "9999-12-31T23:59:59-23:59"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(fields, inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(fields, json_values))
def test_a_record_with_wrong_fields_is_read_or_refused(changes: dict[str, object]) -> None:
    """No field of a record edited by hand can stop the reading of the others."""
    record = to_record(numbered_call()) | changes
    with suppress(RecordError):
        from_line(json.dumps(record).encode())


@given(st.binary(max_size=200))
def test_any_bytes_can_be_read(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """No content of a file raises, and a record after it is found."""
    directory = tmp_path_factory.mktemp("usage")
    (directory / FILE).write_bytes(content + b"\n" + to_line(numbered_call(0)))

    assert ids(read(directory)) == ["flow-0"]


def test_an_unwritable_directory_is_said_once_and_made_good(
    tmp_path: Path, directory: Path, writing: Journal, troubles: Troubles
) -> None:
    """Records wait while nothing can be written, and all of them are written in order when it can
    be again."""
    directory.write_text("a file where the directory should be")
    for number in range(50):
        writing.append(numbered_call(number))
    eventually(lambda: writing.errors > 3)

    assert not writing.healthy
    assert writing.waiting == 50
    assert len(troubles) == 1
    assert str(directory) in troubles[0]

    directory.unlink()

    assert writing.flush(5)
    eventually(lambda: writing.healthy)
    assert ids(read(directory)) == numbered(50)
    assert troubles[1:] == [f"The journal in {directory} is written again: no records were lost."]


def test_what_does_not_fit_the_queue_is_lost_and_said(directory: Path, troubles: Troubles) -> None:
    """The queue is bounded; what came when it was full is counted, and the count is said when
    writing works again."""
    directory.write_text("a file where the directory should be")
    opened = Journal(
        directory,
        on_trouble=troubles,
        retry_seconds=0.01,
        queue_cap=sum(len(to_line(numbered_call(n))) for n in range(10)),
    )
    for number in range(17):
        opened.append(numbered_call(number))

    assert (opened.waiting, opened.lost) == (10, 7)

    directory.unlink()

    assert opened.flush(5)
    eventually(lambda: opened.healthy)
    for number in range(10):
        opened.append(numbered_call(number))
    opened.close()
    assert ids(read(directory)) == 2 * numbered(10)
    assert len(troubles) == 2
    assert troubles[1].endswith("is written again: 7 records were lost.")


def test_closing_without_a_disk_says_what_is_lost(directory: Path, troubles: Troubles) -> None:
    """A journal that is closed while it cannot write gives up at once, and says how much is
    gone."""
    directory.write_text("a file where the directory should be")
    opened = Journal(directory, on_trouble=troubles, retry_seconds=60)
    opened.append(numbered_call(0))
    opened.append(numbered_call(1))
    eventually(lambda: not opened.healthy)
    begun = time.monotonic()
    opened.close()
    opened.close()

    assert time.monotonic() - begun < 1.5
    assert opened.lost == 2
    assert len(troubles) == 2
    assert troubles[1].endswith("2 records were lost.")


def test_nobody_waits_for_a_disk_that_hangs(
    directory: Path, troubles: Troubles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a write that does not return, `append` and `close` still do."""
    disk_answers = threading.Event()
    monkeypatch.setattr(DayFile, "write", lambda *_: disk_answers.wait(10))
    opened = Journal(directory, on_trouble=troubles, queue_cap=2 * len(to_line(numbered_call())))
    begun = time.monotonic()
    for _ in range(5):
        opened.append(numbered_call())
    appended = time.monotonic()
    opened.close()
    closed = time.monotonic()
    disk_answers.set()

    assert appended - begun < 0.5
    assert closed - appended < 1.5  # a busy machine adds to it
    assert opened.lost == 5


def test_closing_writes_what_waits(directory: Path, troubles: Troubles) -> None:
    """What was appended before `close` is in the file after it; what comes later is counted as lost
    and does not raise."""
    opened = Journal(directory, on_trouble=troubles)
    for number in range(500):
        opened.append(numbered_call(number))
    opened.close()
    opened.append(numbered_call(500))

    assert ids(read(directory)) == numbered(500)
    assert opened.lost == 1
    assert len(troubles) == 1


def test_a_record_without_json_is_said_and_the_next_is_written(
    writing: Journal, directory: Path, troubles: Troubles
) -> None:
    """A lone surrogate (a header that is not UTF-8) and a time that does not exist cannot be
    written as JSON; neither stops the journal."""
    writing.append(numbered_call()._replace(model="\udcff"))
    writing.append(numbered_call()._replace(ended=float("inf")))
    writing.append(numbered_call(0))

    assert writing.flush(5)
    assert ids(read(directory)) == ["flow-0"]
    assert (writing.lost, writing.errors, len(troubles)) == (2, 2, 2)


def test_a_deleted_file_is_made_again(writing: Journal, directory: Path) -> None:
    """Records are not written to a file that somebody deleted, nor to a directory that is gone."""
    writing.append(numbered_call(0))
    assert writing.flush(5)
    (directory / FILE).unlink()
    directory.rmdir()
    writing.append(numbered_call(1))

    assert writing.flush(5)
    assert ids(read(directory)) == ["flow-1"]


def _renamed(path: Path) -> None:
    path.rename(path.with_suffix(".jsonl.1"))


def _directory_renamed(path: Path) -> None:
    path.parent.rename(path.parent.with_name(f"old{time.monotonic_ns()}"))


def _replaced(path: Path) -> None:
    path.with_suffix(".new").touch()
    path.with_suffix(".new").rename(path)


def _directory_replaced(path: Path) -> None:
    _directory_renamed(path)
    path.parent.mkdir()
    path.touch()


@pytest.mark.parametrize(
    "happens", [Path.unlink, _renamed, _replaced, _directory_renamed, _directory_replaced]
)
def test_the_next_record_is_where_readers_look(
    happens: Callable[[Path], None], writing: Journal, directory: Path
) -> None:
    """The day's file is the file of that name, for the writer and for who follows it, whatever was
    done to the one before."""
    follower = JournalFollower(directory)
    seen = []
    for number in range(3):
        writing.append(numbered_call(number))
        assert writing.flush(5)
        if number != 1:  # the second one is read after its file has another name
            seen += [call.request_id for _, call in follower.poll() if isinstance(call, Call)]
        if number:
            happens(directory / FILE)
    writing.append(numbered_call(3))
    assert writing.flush(5)
    seen += [call.request_id for _, call in follower.poll() if isinstance(call, Call)]

    assert [call.request_id for call in read(directory)] == ["flow-3"]
    assert set(seen) >= {"flow-0", "flow-3"}
    if happens is not Path.unlink:
        assert seen == ["flow-0", "flow-1", "flow-2", "flow-3"]


def test_a_clock_that_jumps_loses_and_moves_nothing(writing: Journal, directory: Path) -> None:
    """A week ahead and back: each call is in the file of its own day, is seen by who follows, and
    is in the sums."""
    follower = JournalFollower(directory)
    ends = [NOON, NOON + 7 * 86400, NOON - 7 * 86400, NOON + 1]
    seen = []
    for number, ended in enumerate(ends):
        writing.append(numbered_call(number, ended))
        assert writing.flush(5)
        seen += [call.ended for _, call in follower.poll() if isinstance(call, Call)]

    assert seen == ends
    assert [(day.isoformat(), path.name) for day, path in days(directory)] == [
        (f"2026-11-{day}", f"usage-2026-11-{day}.jsonl") for day in (13, 20, 27)
    ]
    assert sorted(call.ended for call in read(directory)) == sorted(ends)


def test_what_is_lost_is_written_down(directory: Path, troubles: Troubles) -> None:
    """How many records and why, as soon as the disk works again: a restart knows of them."""
    directory.parent.mkdir(exist_ok=True)
    directory.touch()  # no directory
    size = len(to_line(numbered_call()))
    opened = Journal(directory, on_trouble=troubles, queue_cap=size + 1, retry_seconds=0.05)
    for number in range(4):
        opened.append(numbered_call(number))
    directory.unlink()
    assert opened.flush(5)
    assert opened.append(numbered_call()._replace(model="\ud800")) is None
    opened.close()
    entries = [
        entry for _, path in days(directory) for entry in read_file(path, DamageReport()) if entry
    ]
    lost = [entry for entry in entries if isinstance(entry, NotCounted)]

    assert [(entry.kind, entry.count) for entry in lost] == [("lost", 3), ("lost", 1)]
    assert all(entry.reason for entry in lost)
    assert opened.lost == 4


def test_a_planted_link_is_not_followed(
    writing: Journal, directory: Path, tmp_path: Path, troubles: Troubles
) -> None:
    """A symlink under the journal's name does not lead records elsewhere."""
    directory.mkdir()
    target = tmp_path / "target"
    target.touch()
    (directory / FILE).symlink_to(target)
    writing.append(numbered_call())
    eventually(lambda: not writing.healthy)

    assert target.read_bytes() == b""
    assert len(troubles) == 1


def test_writes_are_synced_in_time(
    directory: Path, troubles: Troubles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A written record is synced after the interval, without another record having to come."""
    synced = threading.Event()
    monkeypatch.setattr(os, "fsync", lambda _: synced.set())
    opened = Journal(directory, on_trouble=troubles, sync_seconds=0.05)
    opened.append(numbered_call())

    assert synced.wait(5)
    opened.close()


def test_closing_syncs(
    directory: Path, troubles: Troubles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clean stop leaves nothing that a power cut could undo."""
    synced = threading.Event()
    monkeypatch.setattr(os, "fsync", lambda _: synced.set())
    opened = Journal(directory, on_trouble=troubles, sync_seconds=60)
    opened.append(numbered_call())
    opened.close()

    assert synced.is_set()


def test_a_failed_sync_is_trouble(
    directory: Path, troubles: Troubles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that reports an error late is reported, and the journal recovers with the next
    record."""

    def fail(_: int) -> None:
        monkeypatch.undo()
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    opened = Journal(directory, on_trouble=troubles, sync_seconds=0.01, retry_seconds=0.01)
    opened.append(numbered_call(0))
    eventually(lambda: not opened.healthy)
    opened.append(numbered_call(1))
    eventually(lambda: opened.healthy)
    opened.close()

    assert "Input/output error" in troubles[0]
    assert ids(read(directory)) == numbered(2)


def test_days_are_synced_and_closed(
    directory: Path, troubles: Troubles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file whose day is over is synced and closed, so that a proxy that runs for a year holds one
    file open."""
    opened_before = open_files()
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    opened = Journal(directory, on_trouble=troubles)
    for day in range(10):
        opened.append(numbered_call(day, NOON + 86_400 * day))
    assert opened.flush(5)

    assert open_files() == opened_before + 1
    opened.close()
    assert open_files() == opened_before
    assert len(synced) == 10
    assert ids(read(directory)) == numbered(10)


def test_a_write_goes_to_the_end_wherever_that_has_moved(
    writing: Journal, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process may append at any moment, also between our look at the file's end and our
    write."""
    look = os.pread

    def look_and_be_overtaken(fd: int, size: int, offset: int) -> bytes:
        seen = look(fd, size, offset)
        with (directory / FILE).open("ab") as other:
            other.write(to_line(numbered_call(1)))
        return seen

    writing.append(numbered_call(0))
    assert writing.flush(5)
    monkeypatch.setattr(os, "pread", look_and_be_overtaken)
    writing.append(numbered_call(2))

    assert writing.flush(5)
    assert ids(read(directory)) == numbered(3)


def start(directory: Path, body: str) -> subprocess.Popen[bytes]:
    """Start a separate process with a journal `opened` in `directory`."""
    script = f"""
        import resource, sys, time
        from pathlib import Path
        from calls import numbered_call
        from llmtally.journal import Journal
        opened = Journal(Path({str(directory)!r}), on_trouble=print, retry_seconds=0.01)
    """
    command = [sys.executable, "-c", textwrap.dedent(script) + textwrap.dedent(body)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    )


def test_two_processes_share_a_directory(directory: Path) -> None:
    """Two proxies that write at the same time lose no record and damage none."""
    body = """
        for number in range(2000):
            opened.append(numbered_call(number))
        opened.close()
        sys.exit(opened.lost)
    """
    both = [start(directory, body) for _ in range(2)]
    assert [process.communicate(timeout=60) and process.returncode for process in both] == [0, 0]
    damage = DamageReport()

    assert sorted(ids(read(directory, damage=damage))) == sorted(2 * numbered(2000))
    assert damage.count == 0


def test_what_was_written_survives_a_kill(writing: Journal, directory: Path) -> None:
    """After `kill -9` all that was written is read, and a process that shares the directory loses
    nothing."""
    body = """
        number = 0
        while True:
            opened.append(numbered_call(number))
            opened.flush(5)
            number += 1
            print(number, flush=True)
    """
    victim = start(directory, body)
    assert victim.stdout is not None
    for number in range(300):
        victim.stdout.readline()
        writing.append(numbered_call(number))
    victim.send_signal(signal.SIGKILL)
    said = 300 + victim.stdout.read().count(b"\n")
    victim.wait(10)
    victim.stdout.close()
    writing.append(numbered_call(300))
    assert writing.flush(5)
    damage = DamageReport()
    found = ids(read(directory, damage=damage))

    assert said + 301 <= len(found) <= said + 302
    assert set(numbered(301)) <= set(found)
    assert damage.count <= 1


def test_a_full_disk_tears_at_most_one_line(directory: Path) -> None:
    """A write that ends in the middle of a record is repeated whole when there is room: every
    record is there once."""
    body = """
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
        for number in range(100):
            opened.append(numbered_call(number))
        while opened.errors < 3:
            time.sleep(0.01)
        assert 0 < opened.waiting < 100
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert opened.flush(5)
        opened.close()
        sys.exit(opened.lost)
    """
    process = start(directory, body)
    said = process.communicate(timeout=60)[0].splitlines()
    damage = DamageReport()

    assert process.returncode == 0
    assert len(said) == 2
    assert ids(read(directory, damage=damage)) == numbered(100)
    assert damage.count <= 1
