"""A short run of `scripts/soak`: every call is counted exactly, also when mitmdump ends or is
killed. It asserts nothing that depends on how fast the machine is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

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
