"""A short run of `scripts/soak`: every call is counted exactly, also when mitmdump ends or is
killed. It asserts nothing that depends on how fast the machine is."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from soak import calls
from soak.ledger import Ledger, Tail

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")


def soak(directory: Path, *arguments: str) -> dict[str, Any]:
    """The tables of one run, by title; each goal must have been met."""
    path = directory / "soak.json"
    done = subprocess.run(
        [sys.executable, "-m", "soak", *arguments, "--json", str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {section["title"]: section for section in json.loads(path.read_text())["sections"]}


def test_the_ledger_sees_each_fault(tmp_path: Path) -> None:
    """A record that is doubled, has another count, is of no call, is damaged or is missing is
    found; one that is as it should be is not."""
    right, wrong, missing = (calls.held(number) for number in range(3))
    ledger = Ledger(Tail(tmp_path))
    for call in (right, wrong, missing):
        ledger.begin(call)
        ledger.end(call.number)
    lines = [
        {"response_id": "msg_soak-0", **right.fields},
        {"response_id": "msg_soak-0", **right.fields},
        {"response_id": "msg_soak-1", **wrong.fields, "input_tokens": 9_999},
        {"response_id": "msg_soak-7", **right.fields},
        {"response_id": "msg_another"},
        {"kind": "quota"},
    ]
    journal = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    (tmp_path / "usage-2026-11-20.jsonl").write_bytes(journal + b'{"cut": \n' + b'{"unfinished')
    ledger.follow()

    assert (ledger.written, ledger.doubled, ledger.wrong) == (1, 1, 1)
    assert (ledger.strange, ledger.damaged, dict(ledger.others)) == (2, 1, {"quota": 1})
    assert (list(ledger.open), ledger.older_than(-1, time.time())) == ([2], [2])
    assert ledger.tail.torn() == 1


def test_every_call_is_counted_exactly_once(tmp_path: Path) -> None:
    """Of calls of all formats, lengths and endings, the journal has each once, with its counts and
    its ending, and the page says the same."""
    sections = soak(tmp_path, "run", "--calls", "300", "--concurrency", "4")

    records = {row["records"]: row["number"] for row in sections["Records"]["rows"]}
    assert records.pop("as they were") >= 300
    assert set(records.values()) == {0}


def test_a_death_loses_nothing_older_and_damages_nothing(tmp_path: Path) -> None:
    """After kill -9 the journal has every call that ended more than two seconds before, each line
    is whole, and a restart shows what the journal says; SIGTERM settles what is in flight."""
    arguments = ["--events", "kill-proxy,terminate", "--times", "3", "--concurrency", "2"]
    arguments += ["--allowed", "2", "--under-load", "4", "--streams", "20"]
    sections = soak(tmp_path, "crash", *arguments)

    rows = sections["Deaths and troubles"]["rows"]
    assert [row["trials"] for row in rows] == [2, 1]
    assert {(row["lost"], row["bad"], row["torn"], row["page differs"]) for row in rows} == {
        (0, 0, 0, 0)
    }
