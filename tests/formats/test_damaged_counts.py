"""Something else where a count should stand: whatever capture it befalls, no number that follows
from it looks exact."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llmtally.formats.format import COUNT_NAMES
from llmtally.record import TOKEN_FIELDS
from wire_capture import HTTP_CAPTURES, comparable, load_http, run

NO_COUNTS = ('"many"', "-1", "0.5", "true", "[1]", "{}", "NaN", "1e400", "9" * 40, '"\\ud83d"')

COUNT = re.compile(rb'"(\w+)":\s?(\d+(?:\.0)?)(?=[,}\s])')


def names(body: bytes) -> list[str]:
    """The names of all counts in a body."""
    return sorted(
        {name.decode() for name, _ in COUNT.findall(body) if name.decode().endswith(COUNT_NAMES)}
    )


def damaged(body: bytes) -> Iterator[tuple[str, bytes]]:
    """The body with every count of one name replaced, for each name and each value that is not a
    count."""
    for name in names(body):
        pieces = re.split(rb'(?<="%s":)\s?\d+(?:\.0)?(?=[,}\s])' % name.encode(), body)
        for no_count in NO_COUNTS:
            yield f"{name}: {no_count}", no_count.encode().join(pieces)


def looks_exact(record: dict[str, Any]) -> bool:
    """Whether nothing in a record says that its counts may be wrong, or that they do not matter
    because the cost is known."""
    doubted = (
        record.get("cost_approximate")
        or record.get("estimated")
        or record["coverage"] == "unparsed"
    )
    return (
        not doubted
        and record["outcome"] not in ("error", "upstream_aborted")
        and record["cost_usd"] is None
    )


def test_counts_are_found_to_be_damaged() -> None:
    """The captures hold about a thousand."""
    assert sum(len(names(load_http(path).body)) for path in HTTP_CAPTURES) > 900


@pytest.mark.parametrize("path", HTTP_CAPTURES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_no_count_is_derived_from_what_is_none(path: Path) -> None:
    """Each count of a record is as it was, gone, or doubted."""
    capture = load_http(path)
    whole = {record.get("response_id"): record for record in comparable(run(capture))}
    for what, body in damaged(capture.body):
        for record in comparable(run(dataclasses.replace(capture, body=body))):
            if looks_exact(record):
                before = whole[record.get("response_id")]
                changed = {
                    name: record[name]
                    for name in TOKEN_FIELDS
                    if name in record and record[name] != before.get(name)
                }
                assert not changed, f"{what} in {json.dumps(record)}"
