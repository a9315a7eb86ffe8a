"""Every capture in `tests/wire` gives its records, however its bytes arrive and whatever content
coding they are in."""

from __future__ import annotations

import dataclasses
import gzip
import zlib
from collections.abc import Callable
from pathlib import Path

import brotli  # type: ignore[import-untyped]  # ships no types
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmtally import formats
from llmtally.attribution import Attributor
from llmtally.exchange import Memory
from llmtally.providers import PROVIDERS
from wire_capture import (
    CAPTURES,
    HTTP_CAPTURES,
    SOCKET_CAPTURES,
    comparable,
    expected,
    load_http,
    load_socket,
    run,
    run_buffered,
    split,
)

CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.compress,
}

RECORDS = {path: expected(path) for path in (*HTTP_CAPTURES, *SOCKET_CAPTURES)}


def name(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


http_captures = pytest.mark.parametrize("path", HTTP_CAPTURES, ids=name)


@http_captures
def test_whole(path: Path) -> None:
    """A body fed whole gives the expected records."""
    assert comparable(run(load_http(path))) == RECORDS[path]


@http_captures
def test_buffered(path: Path) -> None:
    """A body that was not streamed gives the same records, whatever its label says."""
    capture = load_http(path)
    mislabelled = dataclasses.replace(
        capture, response_headers={**capture.response_headers, "content-type": "application/json"}
    )

    assert comparable(run_buffered(capture)) == RECORDS[path]
    assert comparable(run_buffered(mislabelled)) == comparable(run(mislabelled))


@pytest.mark.parametrize("path", SOCKET_CAPTURES, ids=name)
def test_socket(path: Path) -> None:
    """A socket's messages give the expected records."""
    assert comparable(run(load_socket(path))) == RECORDS[path]


@http_captures
def test_byte_by_byte(path: Path) -> None:
    """Where the bytes are cut does not matter, be it everywhere."""
    capture = load_http(path)

    assert (
        comparable(run(capture, (capture.body[at : at + 1] for at in range(len(capture.body)))))
        == RECORDS[path]
    )


@http_captures
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(cuts=st.lists(st.integers(min_value=0, max_value=1 << 20), max_size=12))
def test_any_split(path: Path, cuts: list[int]) -> None:
    """Where the bytes are cut does not matter."""
    capture = load_http(path)

    assert comparable(run(capture, split(capture.body, cuts))) == RECORDS[path]


@http_captures
@pytest.mark.parametrize("coding", CODINGS)
def test_compressed(path: Path, coding: str) -> None:
    """A content coding around the body changes nothing, also when its bytes come one by one."""
    capture = load_http(path)
    if "content-encoding" in capture.response_headers:
        assert capture.response_headers["content-encoding"] != ""
        return
    body = CODINGS[coding](capture.body)
    coded = dataclasses.replace(
        capture,
        body=body,
        response_headers={**capture.response_headers, "content-encoding": coding},
    )

    assert comparable(run(coded)) == RECORDS[path]
    assert comparable(run(coded, (body[at : at + 1] for at in range(len(body))))) == RECORDS[path]


@http_captures
@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(length=st.integers(min_value=0, max_value=1 << 20))
def test_truncated(path: Path, length: int) -> None:
    """A body cut off anywhere still settles, and never claims more than the whole one."""
    capture = load_http(path)
    cut = dataclasses.replace(
        capture, body=capture.body[: length % (len(capture.body) + 1)], ending="upstream_aborted"
    )
    calls = comparable(run(cut))

    assert len(calls) <= max(1, len(RECORDS[path]))
    for call, whole in zip(calls, RECORDS[path], strict=False):
        if not call.get("estimated") and "output_tokens" in whole:
            assert call.get("output_tokens", 0) <= whole["output_tokens"]


@http_captures
def test_never_more_than_one_record_per_response(path: Path) -> None:
    """The same response seen twice is counted once: polled or downloaded again, or at a gateway and
    its upstream."""
    memory, capture = Memory(Attributor(b"key")), load_http(path)
    first = comparable(run(capture, memory=memory))
    again = comparable(
        run(capture, memory=memory, seen_at=None if capture.method == "GET" else "gateway.example")
    )

    assert first == RECORDS[path]
    assert [
        record
        for record in again
        if record.get("response_id") and record["coverage"] in ("priced", "unpriced")
    ] == []


@pytest.mark.parametrize("row", [row.name for row in PROVIDERS])
def test_every_provider_has_a_capture(row: str) -> None:
    """A row without a capture is a row nobody has tried."""
    assert any(record["provider"] == row for records in RECORDS.values() for record in records)


@pytest.mark.parametrize("format_name", sorted(formats.BY_NAME))
def test_every_format_has_captures(format_name: str) -> None:
    """A format without captures is one nobody has tried; each has a folder of its name."""
    folder = CAPTURES / format_name

    assert folder.is_dir()
    assert list(folder.glob("*.http")) or list(folder.glob("*.ws.jsonl"))


def test_no_stray_expectations() -> None:
    """Every expected record belongs to a capture."""
    captures = {
        path.parent / path.name.removesuffix(".http").removesuffix(".ws.jsonl") for path in RECORDS
    }

    assert {path.with_suffix("") for path in CAPTURES.glob("*/*.json")} == captures
