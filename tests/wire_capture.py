"""Captures of real-looking traffic: how they are stored, and how one is fed through the core.

`NAME.http` holds one request and its response, `NAME.ws.jsonl` the messages of one socket,
`NAME.json` the expected records: `python tests/wire_capture.py FILE --write` writes them.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "addon"))

from llmtally.attribution import Attributor  # noqa: E402  it is a script, too
from llmtally.exchange import Ending, Exchange, Memory, RequestHead  # noqa: E402
from llmtally.providers import UNKNOWN, Method, Route, RouteTable  # noqa: E402
from llmtally.record import Call  # noqa: E402
from llmtally.redact import holds_known_key, looks_like_key  # noqa: E402
from llmtally.schema import to_record  # noqa: E402

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
"""Fields that have separate captures in the tests of attribution and limits."""

START = 1_790_000_000.0

_CREDENTIAL_NAME = re.compile(
    r"^(?:proxy-)?authorization$|cookie|secret|api[-_]?key|^key$"
    r"|(?:^|access|auth|id|refresh|security|session)[-_]?token$",
    re.IGNORECASE,
)
"""Names of headers, query parameters and JSON members that carry a credential."""
_JSON_TEXT = re.compile(r'"(\w{1,40})"\s*:\s*"([^"\\\n]{6,})"')
_WORD = re.compile(r"[\w.+/=-]{16,}")
_KEY_PREFIX = re.compile(r"^[a-z]{2,6}[-_]", re.IGNORECASE)
_BASE64_JSON = re.compile(r"^eyJ[\w+/=-]*$")


class CaptureError(ValueError):
    """A capture cannot be used as it is; the message says what to do about it."""


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


def load(path: Path) -> Capture:
    """Read a capture of either kind. Raises CaptureError."""
    return load_http(path) if path.suffix == ".http" else load_socket(path)


def load_http(path: Path) -> Capture:
    """Read `NAME.http`. Raises CaptureError."""
    request, found, response = path.read_bytes().partition(b"\nHTTP/1.1 ")
    if not found:
        raise CaptureError(f"{path.name}: no line begins the response as `HTTP/1.1 200 OK` does")
    head, _, request_body = request.partition(b"\n\n")
    line, *header_lines = head.decode().splitlines() or [""]
    asked = re.fullmatch(r"(GET|POST) (https?://[^/\s]+/\S*)( HTTP/[\d.]+)?", line)
    if asked is None:
        raise CaptureError(
            f"{path.name}: the first line is {line[:80]!r}, not the method and the full URL, "
            "`POST https://host/path`"
        )
    headers = _headers(path, header_lines)
    ending = headers.pop(":ending", "complete")
    ends = [(at, mark) for mark in (b"\n\n", b"\r\n\r\n") if (at := response.find(mark)) >= 0]
    if not ends:
        raise CaptureError(f"{path.name}: no blank line follows the response's headers")
    response_head, _, body = response.partition(min(ends)[1])
    status_line, *response_lines = response_head.decode().splitlines()
    return Capture(
        method=cast("Method", asked[1]),
        url=asked[2],
        request_headers=headers,
        request_body=request_body.removesuffix(b"\n"),
        status=int(status_line.split(" ")[0]),
        response_headers=_headers(path, response_lines),
        body=body,
        ending=_ending(ending),
    )


def load_socket(path: Path) -> Capture:
    """Read `NAME.ws.jsonl`. Raises CaptureError."""
    try:
        head, *lines = (json.loads(line) for line in path.read_text().splitlines() if line)
        url = head["url"]
        frames = tuple(
            (
                line["from"] == "client",
                line["text"].encode() if "text" in line else base64.b64decode(line["binary"]),
            )
            for line in lines
        )
    except (ValueError, TypeError, KeyError) as error:
        raise CaptureError(
            f"{path.name} cannot be read: {error!r}. Its first line is like "
            '`{"url": "wss://host/path"}`, each further one like `{"from": "server", "text": "x"}`'
        ) from error
    headers = {name.lower(): value for name, value in head.get("headers", {}).items()}
    return Capture(
        "SOCKET",
        url,
        headers,
        b"",
        101,
        {},
        b"",
        _ending(head.get("ending", "complete")),
        frames,
    )


def json_path(path: Path) -> Path:
    """The file of a capture's expected records."""
    return path.with_name(path.name.removesuffix(".http").removesuffix(".ws.jsonl") + ".json")


def expected(path: Path) -> list[dict[str, Any]]:
    """The records a capture must give."""
    records = json.loads(json_path(path).read_text())
    return records if isinstance(records, list) else [records]


def _headers(path: Path, lines: Iterable[str]) -> dict[str, str]:
    headers = {}
    for line in filter(None, lines):
        name, colon, value = line.rpartition(": ") if line.startswith(":") else line.partition(": ")
        if not colon:
            raise CaptureError(
                f"{path.name}: {line[:80]!r} is not a header line, `name: value`; is the blank "
                "line missing that comes before a body?"
            )
        headers[name.lower()] = value
    return headers


def _ending(name: str) -> Ending:
    return cast(
        "Ending",
        {"connection_lost": "upstream_aborted", "killed": "client_aborted"}.get(name, name),
    )


def route_of(capture: Capture) -> Route:
    """The row and format that take a capture's request. Raises CaptureError."""
    route = RouteTable().route(capture.method, capture.host, capture.path)
    if route is None:
        raise CaptureError(
            f"no row of addon/llmtally/providers.py takes {capture.method} {capture.url}: add one, "
            "or add the path to the endpoints of the row that has this host"
        )
    return route


def open_exchange(
    capture: Capture, memory: Memory | None = None, seen_at: str | None = None
) -> Exchange:
    """The exchange of a capture, up to and including its response head; `seen_at`: at another host
    than its own."""
    route = route_of(capture)
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


def expectation(path: Path) -> str:
    """The text of a capture's `NAME.json` as the code would write it today. Raises
    CaptureError."""
    capture = load(path)
    route = route_of(capture)
    if route.provider is UNKNOWN and not path.name.startswith(f"{UNKNOWN.name}-"):
        raise CaptureError(
            f"no row of addon/llmtally/providers.py has the host {capture.host}: add one, or name "
            f"the file {UNKNOWN.name}-<what> if the host is meant to have none"
        )
    if not path.name.startswith(f"{route.provider.name}-"):
        raise CaptureError(
            f"this is a request to {route.provider.name}: let the file's name begin with "
            f"{route.provider.name}-"
        )
    if path.parent != CAPTURES / route.format.name:
        raise CaptureError(
            f"this request is read as {route.format.name}: move the file to "
            f"tests/captures/{route.format.name}/"
        )
    if forgotten := credentials_in(path):
        raise CaptureError(
            f"{path.name} looks as if it held a credential, in {', '.join(forgotten)}: take it out"
        )
    records = _in_known_order(comparable(run(capture)), path)
    return json.dumps(records[0] if len(records) == 1 else records, indent=2) + "\n"


def _in_known_order(records: list[dict[str, Any]], path: Path) -> list[dict[str, Any]]:
    """The records with their fields in the order of the file that is there, new ones last."""
    known = expected(path) if json_path(path).exists() else []
    ordered: list[dict[str, Any]] = []
    for at, record in enumerate(records):
        old = known[at] if at < len(known) else {}
        names = [*(name for name in old if name in record), *record]
        ordered.append({name: record[name] for name in names})
    return ordered


def credentials_in(path: Path) -> list[str]:
    """The places in a capture that look as if somebody forgot to take a credential out."""
    capture = load(path)
    text = path.read_text("utf-8", "replace")
    named = [
        *capture.request_headers.items(),
        *capture.response_headers.items(),
        *parse_qsl(urlsplit(capture.url).query),
        *_JSON_TEXT.findall(text),
    ]
    return [
        *(f"`{name}`" for name, _ in named if _CREDENTIAL_NAME.search(name)),
        *(
            f"line {number}"
            for number, line in enumerate(text.splitlines(), 1)
            if any(map(_is_key, _WORD.findall(line)))
        ),
    ]


def _is_key(word: str) -> bool:
    """Whether a word begins as issued keys do and continues as if at random: `pplx-embed-v1` is a
    model, and JSON in Base64 begins as JSON web tokens do, which have dots."""
    return (
        holds_known_key(word)
        and looks_like_key(_KEY_PREFIX.sub("", word))
        and not _BASE64_JSON.match(word)
    )


def main() -> int:
    """Show or write the records of the captures that the command line names."""
    parser = argparse.ArgumentParser(description="Shows the records that captures give.")
    parser.add_argument("files", nargs="+", type=Path, help="tests/captures/FORMAT/NAME.http")
    parser.add_argument("--write", action="store_true", help="write them to NAME.json, too")
    arguments = parser.parse_args()
    for path in map(Path.resolve, arguments.files):
        try:
            text = expectation(path)
        except (CaptureError, OSError) as error:
            print(f"wire_capture: {error}.", file=sys.stderr)
            return 1
        print(text, end="")
        if arguments.write:
            json_path(path).write_text(text)
            print(
                f"wire_capture: wrote {json_path(path).relative_to(ROOT)}. It holds what the code "
                "read: compare each count with the response.",
                file=sys.stderr,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
