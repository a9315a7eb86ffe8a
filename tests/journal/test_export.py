"""The journal in one file for other tools."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from calls import a_call
from llmtally.journal import Journal
from llmtally.journal.export import export
from llmtally.record import LimitReading
from llmtally.schema import FIELDS


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    directory = tmp_path / "journal"
    writing = Journal(directory, on_trouble=lambda text: None)
    writing.append(
        a_call()._replace(
            model="=HYPERLINK()", limits=(LimitReading("5h", "provider_native", utilization=1.5),)
        )
    )
    writing.append(a_call())
    writing.close()
    return directory


def test_csv(journal: Path, tmp_path: Path) -> None:
    """One column a field, nested values as JSON, and nothing a spreadsheet would run."""
    target = tmp_path / "calls.csv"

    assert export(journal, str(target)) == 2

    rows = list(csv.DictReader(target.read_text(encoding="utf-8").splitlines()))
    assert list(rows[0]) == list(FIELDS)
    assert rows[0]["model"] == "'=HYPERLINK()"
    assert json.loads(rows[0]["limits"])[0]["utilization"] == 1.5
    assert rows[1]["output_tokens"] == "5"


def test_json(journal: Path, tmp_path: Path) -> None:
    """The records as they stand in the journal."""
    target = tmp_path / "calls.json"

    assert export(journal, str(target)) == 2

    lines = [
        json.loads(line)
        for file in journal.glob("usage-*.jsonl")
        for line in file.read_text().splitlines()
    ]
    assert json.loads(target.read_text()) == lines
    assert target.stat().st_mode & 0o777 == 0o600


def test_nothing(tmp_path: Path) -> None:
    """An empty journal is an empty file of its kind."""
    assert export(tmp_path, str(tmp_path / "none.json")) == 0
    assert json.loads((tmp_path / "none.json").read_text()) == []
    assert export(tmp_path, str(tmp_path / "none.csv")) == 0
