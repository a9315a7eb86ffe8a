"""Exports the journal's records for other tools: as CSV with a column per field, or as a JSON
array."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from ..schema import FIELDS
from ..text.csv import escape_formula
from . import read_records

CSV = ".csv"
JSON = ".json"


def export(directory: Path, target: str) -> int:
    """Write all records to `target`, as CSV or JSON by its ending, and return how many. Only the
    owner can read the file. Raises OSError."""
    records = read_records(directory)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    if target.endswith(CSV):
        with os.fdopen(descriptor, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, FIELDS, extrasaction="ignore")
            writer.writeheader()
            count = 0
            for record in records:
                writer.writerow(_flat(record))
                count += 1
            return count
    with os.fdopen(descriptor, "wb") as binary:
        return _write_array(binary, records)


def _write_array(file: BinaryIO, records: Iterator[dict[str, Any]]) -> int:
    count = 0
    file.write(b"[")
    for record in records:
        file.write((b",\n" if count else b"\n") + orjson.dumps(record))
        count += 1
    file.write(b"\n]\n")
    return count


def _flat(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record as cells: nested values as JSON, and text escaped that would be a formula."""
    return {name: _cell(value) for name, value in record.items()}


def _cell(value: Any) -> Any:
    if isinstance(value, dict | list):
        return orjson.dumps(value).decode()
    return escape_formula(value) if isinstance(value, str) else value
