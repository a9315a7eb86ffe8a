"""Every capture in `tests/captures` gives its records, however its bytes arrive and whatever
content coding they are in."""

from __future__ import annotations

import dataclasses
import gzip
import json
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import brotli  # type: ignore[import-untyped]  # ships no types
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import wire_capture
from llmtally import formats
from llmtally.attribution import Attributor
from llmtally.exchange import Memory
from llmtally.providers import PROVIDERS
from wire_capture import (
    CAPTURES,
    HTTP_CAPTURES,
    ROOT,
    SOCKET_CAPTURES,
    comparable,
    expectation,
    expected,
    json_path,
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

COMPLETE = [path for path in (*HTTP_CAPTURES, *SOCKET_CAPTURES) if json_path(path).exists()]
"""Captures that have expected records; a test says which have none."""
RECORDS = {path: expected(path) for path in COMPLETE}


def name(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


http_captures = pytest.mark.parametrize(
    "path", [path for path in COMPLETE if path.suffix == ".http"], ids=name
)
socket_captures = pytest.mark.parametrize(
    "path", [path for path in COMPLETE if path.suffix == ".jsonl"], ids=name
)


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


@socket_captures
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
    assert any(record["provider"] == row for records in RECORDS.values() for record in records), (
        f"the row {row} of providers.py has no capture with its .json: save a request and its response as "
        f"tests/captures/<format>/{row}-<what>.http (CONTRIBUTING.md says how), then run "
        f"`python tests/wire_capture.py tests/captures/<format>/{row}-<what>.http --write`"
    )


@pytest.mark.parametrize("format_name", sorted(formats.BY_NAME))
def test_every_format_has_captures(format_name: str) -> None:
    """A format without captures is one nobody has tried; each has a folder of its name."""
    folder = CAPTURES / format_name

    assert folder.is_dir()
    assert list(folder.glob("*.http")) or list(folder.glob("*.ws.jsonl"))


def test_every_capture_has_its_records() -> None:
    """Every capture has its expected records, and no record is without its capture."""
    captures = (*HTTP_CAPTURES, *SOCKET_CAPTURES)
    missing = [path.relative_to(ROOT) for path in captures if path not in RECORDS]

    assert missing == [], "\n".join(
        f"run `python tests/wire_capture.py {path} --write`" for path in missing
    )
    assert set(CAPTURES.glob("*/*.json")) == set(map(json_path, captures))


@pytest.mark.parametrize("path", COMPLETE, ids=name)
def test_a_capture_could_be_written_today(path: Path) -> None:
    """Every capture stands in its format's folder, begins with its provider's name and holds no
    credential: what `--write` asks of a new one."""
    written = json.loads(expectation(path))

    assert (written if isinstance(written, list) else [written]) == RECORDS[path], (
        f"{json_path(path).relative_to(ROOT)} is not what the code reads: if the code is right, "
        f"run `python tests/wire_capture.py {path.relative_to(ROOT)} --write`"
    )


GOOD = """POST https://api.groq.com/openai/v1/chat/completions

{"model":"llama-4","messages":[{"role":"user","content":"Hi"}]}
HTTP/1.1 200 OK
content-type: application/json

{"id":"c1","model":"llama-4","usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}}
"""
KEY = "gsk_" + "Zk3vT9xQ1mB7" * 4


@pytest.fixture
def captures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of captures that has none."""
    monkeypatch.setattr(wire_capture, "CAPTURES", tmp_path)
    monkeypatch.setattr(wire_capture, "ROOT", tmp_path)
    (tmp_path / "openai_chat").mkdir()
    return tmp_path


def write(path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["wire_capture.py", str(path), "--write"])
    return wire_capture.main()


def test_write(captures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--write` puts the expected records beside a capture."""
    path = captures / "openai_chat" / "groq-body.http"
    path.write_text(GOOD)

    assert write(path, monkeypatch) == 0
    [record] = expected(path)
    assert (record["provider"], record["input_tokens"], record["output_tokens"]) == ("groq", 9, 3)


@pytest.mark.parametrize(
    ("name", "old", "new", "says"),
    [
        ("groq-body.http", "HTTP/1.1 200", "HTTP/2 200", "no line begins the response"),
        ("groq-body.http", "https://api.groq.com", "", "not the method and the full URL"),
        ("groq-body.http", 'json\n\n{"id', 'json\n{"id', "no blank line"),
        ("groq-body.http", "content-type: ", "content-type ", "is not a header line"),
        ("groq-body.http", "api.groq.com", "api.example.com", "has the host api.example.com"),
        ("groq-body.http", "chat/completions", "models", "providers.py takes POST"),
        ("grok-body.http", "", "", "begin with groq-"),
        ("groq-body.http", "chat/completions", "embeddings", "tests/captures/openai_embeddings/"),
        ("groq-body.http", "completions\n", "completions\nx-api-key: a\n", "in `x-api-key`"),
        ("groq-body.http", "completions", "completions?key=abc", "in `key`"),
        ("groq-body.http", '"llama-4"', '"llama-4","api_key":"abcdef"', "in `api_key`"),
        ("groq-body.http", "Hi", f"My key is {KEY}", "in line 3"),
        ("groq-body.ws.jsonl", "", "", "Its first line is like"),
    ],
)
def test_what_is_refused(
    name: str,
    old: str,
    new: str,
    says: str,
    captures: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A capture that cannot be used is refused in one sentence, and nothing is written."""
    path = captures / "openai_chat" / name
    path.write_text(GOOD.replace(old, new, 1))

    assert write(path, monkeypatch) == 1
    said = capsys.readouterr().err
    assert said.startswith("wire_capture: ")
    assert said.count("\n") == 1
    assert says in said
    assert not json_path(path).exists()
