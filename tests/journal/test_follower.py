"""Following the journal: what is written is seen once, in order, whichever file it goes to."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from rich.cells import cell_len
from rich.console import Console

from calls import NOON, a_call, write
from llmtally.cli import main as cli
from llmtally.cli.tail_table import Rows
from llmtally.journal.follower import JournalFollower
from llmtally.record import ApiError, Attribution, Call, Usage
from llmtally.schema import to_line

DAY = 86400.0


def seen(follower: JournalFollower) -> list[str]:
    return [entry.request_id for _, entry in follower.poll() if isinstance(entry, Call)]


def test_each_call_is_seen_once(tmp_path: Path) -> None:
    """First what is there, then what comes."""
    write(tmp_path, [a_call(request_id="a"), a_call(request_id="b")])
    follower = JournalFollower(tmp_path)

    assert seen(follower) == ["a", "b"]
    assert seen(follower) == []
    write(tmp_path, [a_call(request_id="c")])
    assert seen(follower) == ["c"]


def test_the_next_day_is_followed(tmp_path: Path) -> None:
    """A new file is read from its beginning; yesterday's may still get what ended just before
    midnight."""
    write(tmp_path, [a_call(NOON - DAY, request_id="a"), a_call(request_id="b")])
    follower = JournalFollower(tmp_path)
    assert seen(follower) == ["a", "b"]

    write(tmp_path, [a_call(NOON + DAY, request_id="d"), a_call(request_id="c")])
    assert seen(follower) == ["c", "d"]


def test_old_files_are_left_alone(tmp_path: Path) -> None:
    """Following begins with the newest two days, however long the journal is."""
    write(
        tmp_path,
        [a_call(NOON - days * DAY, request_id=f"{days} days ago") for days in (30, 2, 1, 0)],
    )

    assert seen(JournalFollower(tmp_path)) == ["1 days ago", "0 days ago"]


def test_a_line_is_read_when_it_is_whole(tmp_path: Path) -> None:
    """Half a line is not read yet."""
    path = write(tmp_path, [a_call(request_id="a")]) / "usage-2026-11-20.jsonl"
    follower = JournalFollower(tmp_path)
    assert seen(follower) == ["a"]
    line = to_line(a_call(request_id="b"))
    with path.open("ab", buffering=0) as file:
        file.write(line[:50])
        assert seen(follower) == []
        file.write(line[50:])

    assert seen(follower) == ["b"]
    assert follower.damaged == 0


def test_a_damaged_line_is_counted(tmp_path: Path) -> None:
    """The calls around it are seen."""
    path = write(tmp_path, [a_call(request_id="a")]) / "usage-2026-11-20.jsonl"
    path.write_bytes(b"garbage\n\n" + path.read_bytes() + b"{}\n")
    follower = JournalFollower(tmp_path)

    assert (seen(follower), follower.damaged) == (["a"], 2)


@pytest.mark.parametrize(
    "replace", [Path.unlink, lambda path: path.write_bytes(b"")], ids=["deleted", "emptied"]
)
def test_a_file_that_begins_anew_is_read_anew(
    tmp_path: Path, replace: Callable[[Path], object]
) -> None:
    """Somebody who clears the journal does not blind us."""
    path = (
        write(tmp_path, [a_call(request_id="a"), a_call(request_id="b")]) / "usage-2026-11-20.jsonl"
    )
    follower = JournalFollower(tmp_path)
    assert seen(follower) == ["a", "b"]
    replace(path)
    assert seen(follower) == []

    write(tmp_path, [a_call(request_id="c")])
    assert seen(follower) == ["c"]


def test_the_journal_may_come_later(tmp_path: Path) -> None:
    """Whoever starts `tail` before the proxy sees the first call."""
    follower = JournalFollower(tmp_path / "journal")
    assert seen(follower) == []

    write(tmp_path / "journal", [a_call(request_id="a")])
    assert seen(follower) == ["a"]


def test_a_file_that_may_not_be_read_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its calls would be missing without a word; those of other files are seen."""
    write(tmp_path, [a_call(NOON - DAY, request_id="hidden"), a_call(request_id="seen")])
    hidden = tmp_path / "usage-2026-11-19.jsonl"
    opened = Path.open

    def refusing(path: Path, *arguments: Any, **named: Any) -> Any:
        if path == hidden:
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *arguments, **named)

    monkeypatch.setattr(Path, "open", refusing)
    follower = JournalFollower(tmp_path)

    assert seen(follower) == ["seen"]
    assert follower.unreadable == {hidden: "Permission denied"}


@contextmanager
def running(directory: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`llmtally tail`, as a user starts it."""
    command = [
        sys.executable,
        "-m",
        "llmtally",
        "tail",
        "--dir",
        str(directory),
        "--timezone",
        "UTC",
        *arguments,
    ]
    package = Path(cli.__file__).parents[2]
    with subprocess.Popen(
        command, cwd=package, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_call_appears_within_a_second(tmp_path: Path) -> None:
    """Also through a pipe, and only if it is meant."""
    write(tmp_path, [a_call(model="first")])
    with running(tmp_path, "--model", "first", "--model", "third") as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("2026-11-20 12:00:00 anthropic first | in 10 |")
        began = time.monotonic()
        write(tmp_path, [a_call(model="second"), a_call(model="third")])

        assert "third" in process.stdout.readline()
        assert time.monotonic() - began < 2


def test_json_is_the_record_itself(tmp_path: Path) -> None:
    """`--json` prints the line as it stands in the journal."""
    write(tmp_path, [a_call()])
    with running(tmp_path, "--json") as process:
        assert process.stdout is not None
        line = process.stdout.readline()

    assert line.encode() == to_line(a_call())
    assert json.loads(line)["model"] == "claude-opus-4-8"


@pytest.mark.parametrize(
    ("change", "row"),
    [
        ({}, "claude-opus-4-8           40     75%       5     $0.2500"),
        (
            {"billing": "subscription"},
            "claude-opus-4-8           40     75%       5     $0.2500  API value",
        ),
        (
            {"cost_usd": None, "coverage": "unpriced"},
            "claude-opus-4-8           40     75%       5    unpriced",
        ),
        (
            {"usage": Usage(), "cost_usd": None, "coverage": "no_usage"},
            "claude-opus-4-8            ?       -       ?    no price",
        ),
        (
            {"usage": Usage(7, output_tokens=5)},
            "claude-opus-4-8            7       -       5     $0.2500",
        ),
        (
            {"estimated": True, "outcome": "client_aborted"},
            "claude-opus-4-8           40     75%      ~5    ~$0.2500  client_abor…",
        ),
        (
            {"model": "\x1b[2J模型", "request_model": None},
            "\N{REPLACEMENT CHARACTER}[2J模型                  40     75%       5     $0.2500",
        ),
        (
            {"model": None, "request_model": "a" * 21},
            "aaaaaaaaaaaaaaaaaaa…      40     75%       5     $0.2500",
        ),
        ({"cost_usd": 1234567.5}, "claude-opus-4-8           40     75%       5  $1,234,567.50"),
        (
            {
                "coverage": "error",
                "outcome": "error",
                "error": ApiError("busy"),
                "usage": Usage(),
                "cost_usd": None,
            },
            "claude-opus-4-8            -       -       -           -  error: busy",
        ),
        (
            {"attribution": Attribution(request_class="auxiliary", retry=2)},
            "claude-opus-4-8           40     75%       5     $0.2500  auxiliary, …",
        ),
    ],
)
def test_a_row(change: dict[str, Any], row: str) -> None:
    """In 80 columns: unknown, unpriced, estimated, aborted and refused calls are marked; names are
    cut, numbers never."""
    assert rows(80, a_call(**change)) == [row]


def rows(width: int, *calls: Call) -> list[str]:
    """What they look like, without the titles and the time."""
    screen = Console(width=width, file=io.StringIO(), highlight=False)
    shown = Rows(screen, ZoneInfo("UTC"), NOON)
    for call in calls:
        shown.show(call)
    titles, *lines = str(screen.file.getvalue()).splitlines()  # type: ignore[attr-defined]
    assert titles.startswith("Time      Model")
    assert max(map(cell_len, lines)) <= width
    return [line.removeprefix("12:00:00  ") for line in lines]


def test_another_width_has_other_columns() -> None:
    """A window that is made larger gets new titles, and the rows that go with them."""
    screen = Console(width=80, file=io.StringIO(), highlight=False)
    shown = Rows(screen, ZoneInfo("UTC"), NOON)
    shown.show(a_call())
    screen.width = 160
    shown.show(a_call())

    lines = screen.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert ["Took" in line for line in lines] == [False, False, True, False]
    assert lines[3].split()[-3:] == ["claude-code", "s-1", "/home/me/shop"]


def test_ctrl_c_ends_it_quietly(tmp_path: Path) -> None:
    """Ctrl-C is the way to end the command, so it is not an error."""
    write(tmp_path, [a_call()])
    with running(tmp_path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, complaint = process.communicate(timeout=10)

    assert (process.returncode, complaint) == (0, "")
