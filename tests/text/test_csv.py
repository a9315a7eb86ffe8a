"""No cell of a CSV file is run by a spreadsheet, whichever command wrote it."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from calls import a_call, write
from llmtally.journal.export import export
from llmtally.text.tables import as_csv


@pytest.mark.parametrize("begins", ["=", "+", "-", "@", "\t=", "\r=", "\n="])
def test_no_formula(tmp_path: Path, begins: str) -> None:
    """A name that begins like a formula is escaped; one that has such a character within is left as
    it is."""
    name = f"{begins}1+1"
    target = tmp_path / "calls.csv"
    export(write(tmp_path / "journal", [a_call(model=name), a_call(model="a-b")]), str(target))
    with target.open(newline="", encoding="utf-8") as file:
        exported = [row["model"] for row in csv.DictReader(file)]
    [[reported]] = list(csv.reader(io.StringIO(as_csv(["model"], [[name]]), newline="")))[1:]

    assert exported == [f"'{name}", "a-b"]
    assert reported[0] in "'\N{REPLACEMENT CHARACTER}"
