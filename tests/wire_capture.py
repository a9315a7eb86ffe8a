"""Captures of real-looking traffic: how they are stored, and how one is fed through the core.

`NAME.http` holds one request and its response, `NAME.ws.jsonl` the messages of one socket,
`NAME.json` the expected records.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

from llmtally.attribution import Attributor
from llmtally.exchange import Ending, Exchange, Memory, RequestHead
from llmtally.providers import Method, RouteTable
from llmtally.record import Call
from llmtally.schema import to_record

CAPTURES = Path(__file__).parent / "captures"
HTTP_CAPTURES = sorted(CAPTURES.glob("*/*.http"))
SOCKET_CAPTURES = sorted(CAPTURES.glob("*/*.ws.jsonl"))

UNSTABLE = {
    "schema",
    "timestamp",
    "started",
    "ended",
    "request_id",
    "duration_ms",
    "ttft_ms",
    "request_bytes",
    "response_bytes",
}
"""Fields that depend on the moment and on the framing of the feed."""
ELSEWHERE = {
    *(
        "client",
        "client_version",
        "session",
        "session_source",
        "agent",
        "parent_agent",
        "agent_type",
        "request_class",
        "project",
    ),
    *("account", "retry", "limits"),
}
"""Fields with captures of their own in the tests of attribution and limits."""

START = 1_790_000_000.0


@dataclass(frozen=True)
class Capture:
    """One request and its response, or one socket."""

    method: Method
    url: str
    request_headers: dict[str, str]
    request_body: bytes
    status: int
    response_headers: dict[str, str]
    body: bytes
    ending: Ending
    frames: tuple[tuple[bool, bytes], ...] = field(default=())
    """`(from_client, message)`"""

    @property
    def host(self) -> str:
        """The host the request went to."""
        return urlsplit(self.url).hostname or ""

    @property
    def path(self) -> str:
        """The path without its query."""
        return urlsplit(self.url).path


def load_http(path: Path) -> Capture:
    """Read `NAME.http`."""
    raw = path.read_bytes()
    split = raw.index(b"\nHTTP/1.1 ") + 1
    request, response = raw[:split], raw[split:]
    head, _, request_body = request.partition(b"\n\n")
    line, *header_lines = head.decode().splitlines()
    method, url = line.split(" ")[:2]
    headers = _headers(header_lines)
    ending = headers.pop(":ending", "complete")
    ends = [(at, mark) for mark in (b"\n\n", b"\r\n\r\n") if (at := response.find(mark)) >= 0]
    response_head, _, body = response.partition(min(ends)[1])
    status_line, *response_lines = response_head.decode().splitlines()
    return Capture(
        method=cast("Method", method),
        url=url,
        request_headers=headers,
        request_body=request_body.removesuffix(b"\n"),
        status=int(status_line.split(" ")[1]),
        response_headers=_headers(response_lines),
        body=body,
        ending=_ending(ending),
    )


def load_socket(path: Path) -> Capture:
    """Read `NAME.ws.jsonl`."""
    head, *lines = (json.loads(line) for line in path.read_text().splitlines() if line)
    frames = tuple(
        (
            line["from"] == "client",
            line["text"].encode() if "text" in line else base64.b64decode(line["binary"]),
        )
        for line in lines
    )
    headers = {name.lower(): value for name, value in head.get("headers", {}).items()}
    return Capture(
        "SOCKET",
        head["url"],
        headers,
        b"",
        101,
        {},
        b"",
        _ending(head.get("ending", "complete")),
        frames,
    )


def expected(path: Path) -> list[dict[str, Any]]:
    """The records a capture must give."""
    stem = path.name.removesuffix(".http").removesuffix(".ws.jsonl")
    records = json.loads((path.parent / f"{stem}.json").read_text())
    return records if isinstance(records, list) else [records]


def _headers(lines: Iterable[str]) -> dict[str, str]:
    pairs = (
        line.rpartition(": ") if line.startswith(":") else line.partition(": ")
        for line in lines
        if line
    )
    return {name.lower(): value for name, _, value in pairs}


def _ending(name: str) -> Ending:
    return cast(
        "Ending",
        {"connection_lost": "upstream_aborted", "killed": "client_aborted"}.get(name, name),
    )


def open_exchange(
    capture: Capture, memory: Memory | None = None, seen_at: str | None = None
) -> Exchange:
    """The exchange of a capture, up to and including its response head; `seen_at`: at another host
    than its own."""
    route = RouteTable().route(capture.method, capture.host, capture.path)
    assert route is not None, f"no row of the provider table takes {capture.method} {capture.url}"
    head = RequestHead(
        id="flow",
        method=capture.method,
        host=seen_at or capture.host,
        path=capture.path,
        headers=capture.request_headers,
        timestamp=START,
        query=dict(parse_qsl(urlsplit(capture.url).query)),
    )
    exchange = Exchange(route, head, memory or Memory(Attributor(b"key")))
    exchange.request_sent(capture.request_body or None, len(capture.request_body), START)
    exchange.response_started(capture.status, capture.response_headers, START + 0.1)
    return exchange


def run(
    capture: Capture,
    pieces: Iterable[bytes] | None = None,
    memory: Memory | None = None,
    seen_at: str | None = None,
) -> list[Call]:
    """Feed a capture, its body in the given pieces, and give its calls."""
    exchange = open_exchange(capture, memory, seen_at)
    calls: list[Call] = []
    for number, (from_client, message) in enumerate(capture.frames):
        calls += exchange.frame(message, from_client=from_client, at=START + 1 + number)
    for piece in pieces if pieces is not None else (capture.body,):
        calls += exchange.feed(piece, START + 1)
    return calls + exchange.end(capture.ending, START + 1_000)


def run_buffered(capture: Capture) -> list[Call]:
    """Hand a capture's body over as mitmproxy does where it was not streamed, and give its
    calls."""
    exchange = open_exchange(capture)
    return exchange.whole(capture.body, START + 1) + exchange.end(capture.ending, START + 1_000)


def comparable(calls: Iterable[Call]) -> list[dict[str, Any]]:
    """The records without what depends on the moment or is tested elsewhere, as JSON gives them
    back."""
    records = (
        to_record(call) for call in calls if call.coverage != "duplicate" and not call.pending
    )
    return [
        json.loads(json.dumps({k: v for k, v in record.items() if k not in UNSTABLE | ELSEWHERE}))
        for record in records
    ]


def split(body: bytes, cuts: Iterable[int]) -> Iterator[bytes]:
    """The body cut at the given places."""
    start = 0
    for cut in sorted({cut % (len(body) + 1) for cut in cuts}):
        yield body[start:cut]
        start = cut
    yield body[start:]
