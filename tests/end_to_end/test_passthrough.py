"""Transparency: bytes out are the bytes in, at once and in order, whatever the addon does or fails
to do."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from upstream.answers import EVENTSTREAM, NDJSON, SSE, anthropic_events, flushed, sse_answer
from upstream.client import Http1Client, Http2Client, WebSocketClient
from upstream.handler import Answer, Gate, Reply, Request, Socket
from upstream.proxy import ADDON, FAULTS, SCRIPTS, Proxy, StartProxy
from upstream.server import Upstream
from wire_capture import HTTP_CAPTURES, SOCKET_CAPTURES, Capture, load_http, load_socket

PIECE = 700
"""Bytes a chunk when a capture is served: most events and many characters are cut somewhere."""

HOST = "api.anthropic.com"
PATH = "/v1/messages"


@pytest.fixture(scope="module")
def passing(
    request: pytest.FixtureRequest,
    shared_upstream: Upstream,
    confdir: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Proxy]:
    """A mitmdump with the addon as it is (`reading`), or with an exchange that raises: on every
    call (`broken`) or in one method."""
    directory = tmp_path_factory.mktemp(request.param)
    if request.param == "reading":
        proxy = Proxy(shared_upstream, confdir, directory)
        yield proxy
        proxy.stop()
        return
    env = {
        "ADDON_DIR": str(ADDON.parent),
        **({} if request.param == "broken" else {"BROKEN": request.param}),
    }
    script = SCRIPTS / "broken_core.py"
    proxy = Proxy(shared_upstream, confdir, directory, before=[script], env=env)
    yield proxy
    proxy.stop(faults=[fault for fault in FAULTS if fault != "Traceback"])
    assert "RuntimeError: the core is broken" in proxy.log
    assert {record["coverage"] for record in proxy.journal()} <= {"unparsed"}


whatever_happens = pytest.mark.parametrize("passing", ["reading", "broken"], indirect=True)
while_streaming = pytest.mark.parametrize("passing", ["reading", "feed"], indirect=True)
"""An addon that fails before it knows of a stream leaves mitmproxy to buffer it; one that fails
later must not hold it up."""


def digest(body: bytes) -> str:
    """A hash, to compare two bodies by."""
    return hashlib.sha256(body).hexdigest()


def serve(upstream: Upstream, capture: Capture) -> str:
    """Have the upstream serve a capture; returns its path with the query."""
    content_type = capture.response_headers.get("content-type", "")
    others = tuple(
        (name, value) for name, value in capture.response_headers.items() if name != "content-type"
    )
    answer = Answer(cut(capture.body), content_type, capture.status, others, chunked=True)
    upstream.route(capture.host, ".*", answer)
    return capture.url.partition(urlsplit(capture.url).netloc)[2]


def cut(body: bytes) -> tuple[bytes, ...]:
    """Cut a body into pieces."""
    return tuple(body[start : start + PIECE] for start in range(0, len(body), PIECE))


@whatever_happens
@pytest.mark.parametrize("path", HTTP_CAPTURES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_capture_over_http1(passing: Proxy, upstream: Upstream, path: Path) -> None:
    """Status, headers and body of every capture arrive as they were served, and its request as it
    was sent."""
    capture = load_http(path)
    target = serve(upstream, capture)
    parts = urlsplit(capture.url)

    with Http1Client(passing, parts.netloc, tls=parts.scheme == "https") as client:
        response = client.request(
            capture.method, target, capture.request_body, capture.request_headers
        )
        body = response.read()

    assert digest(body) == digest(capture.body)
    assert response.status == capture.status
    assert (
        capture.response_headers.items()
        <= {name.lower(): value for name, value in response.getheaders()}.items()
    )
    assert digest(upstream.served[0].request.body) == digest(capture.request_body)
    assert upstream.served[0].request.path == target


@whatever_happens
@pytest.mark.parametrize(
    "path",
    [path for path in HTTP_CAPTURES if load_http(path).url.startswith("https:")],
    ids=lambda path: f"{path.parent.name}-{path.stem}",
)
def test_every_capture_over_http2(passing: Proxy, upstream: Upstream, path: Path) -> None:
    """They also do over HTTP/2."""
    capture = load_http(path)
    target = serve(upstream, capture)

    with Http2Client(passing, capture.host) as client:
        stream = client.request(
            target, capture.request_body, capture.request_headers.items(), method=capture.method
        )
        body = client.read_to_end(stream)

    assert client.ended[stream] == "end"
    assert digest(body) == digest(capture.body)
    assert {":status": str(capture.status), **capture.response_headers}.items() <= client.headers[
        stream
    ].items()
    assert digest(upstream.served[0].request.body) == digest(capture.request_body)


@whatever_happens
@pytest.mark.parametrize(
    "path", SOCKET_CAPTURES, ids=lambda path: f"{path.parent.name}-{path.name.partition('.')[0]}"
)
def test_every_socket_capture(passing: Proxy, upstream: Upstream, path: Path) -> None:
    """Messages of a WebSocket arrive whole, in order, in both directions."""
    capture = load_socket(path)
    received: list[bytes] = []
    sent = [data for from_client, data in capture.frames if from_client]
    finished = Gate()

    async def replay(request: Request, websocket: Socket) -> None:
        await websocket.accept()
        for from_client, data in capture.frames:
            if from_client:
                received.append(as_bytes(await websocket.receive()))
            else:
                await websocket.send(data.decode())
        finished.open()
        await websocket.close()

    upstream.route_socket(capture.host, ".*", replay)
    with WebSocketClient(passing, capture.host, capture.path) as client:
        for from_client, data in capture.frames:
            if from_client:
                client.send(data.decode())
            else:
                assert as_bytes(client.receive()) == data
        finished.wait()
        assert client.receive() is None
    assert received == sent


def as_bytes(message: str | bytes | None) -> bytes:
    """A message as bytes, whether text or binary."""
    assert message is not None
    return message.encode() if isinstance(message, str) else message


@while_streaming
@pytest.mark.parametrize("http2", [False, True], ids=["http1", "http2"])
@pytest.mark.parametrize("content_type", [SSE, NDJSON, EVENTSTREAM])
def test_each_piece_arrives_before_the_next_is_sent(
    passing: Proxy, upstream: Upstream, content_type: str, http2: bool
) -> None:
    """Nothing is held back: the server sends a piece only once the client has the one before."""
    pieces = [f'data: {{"type": "ping", "n": {n}}}\n\n'.encode() for n in range(6)]
    arrived = [Gate() for _ in pieces]

    async def wait_for_the_client(request: Request, reply: Reply) -> None:
        await reply.head(200, [("content-type", content_type)])
        for piece, gate in zip(pieces, arrived, strict=True):
            await reply.send(piece)
            await gate.opened()
        await reply.end()

    upstream.route(HOST, PATH, wait_for_the_client)
    if http2:
        with Http2Client(passing, HOST) as client:
            stream = client.request(PATH, b"{}")
            for number, gate in enumerate(arrived, 1):
                assert client.read_until(stream, len(b"".join(pieces[:number]))) == b"".join(
                    pieces[:number]
                )
                gate.open()
            assert client.read_to_end(stream) == b"".join(pieces)
        return
    with Http1Client(passing, HOST) as client1:
        response = client1.request("POST", PATH, b"{}")
        for piece, gate in zip(pieces, arrived, strict=True):
            assert response.read(len(piece)) == piece
            gate.open()
        assert response.read() == b""


@while_streaming
def test_trailers_and_empty_frames_pass(passing: Proxy, upstream: Upstream) -> None:
    """HTTP/2's oddities pass: an empty DATA frame in the middle does not end the body, and trailers
    follow the body."""

    async def odd(request: Request, reply: Reply) -> None:
        await reply.head(200, [("content-type", SSE)])
        for piece in (b"data: 1\n\n", b"", b"data: 2\n\n"):
            await reply.send(piece)
        await reply.end([("x-trailer", "yes")])

    upstream.route(HOST, PATH, odd)
    with Http2Client(passing, HOST) as client:
        stream = client.request(PATH, b"{}")
        assert client.read_to_end(stream) == b"data: 1\n\ndata: 2\n\n"
    assert client.headers[stream]["x-trailer"] == "yes"


@while_streaming
@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_content_codings_stay_on(passing: Proxy, upstream: Upstream, coding: str) -> None:
    """A compressed stream arrives as it was compressed."""
    answer = stream_answer("msg-coded", coding)
    upstream.route(HOST, PATH, answer)
    with Http1Client(passing, HOST) as client:
        response = client.request("POST", PATH, b"{}")
        assert digest(response.read()) == digest(answer.body)
        assert response.getheader("content-encoding") == coding


USAGE = {"input_tokens": 12, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}


def stream_answer(message_id: str, coding: str | None = None) -> Answer:
    """An Anthropic stream, in a content coding if one is given."""
    answer = sse_answer(*anthropic_events(message_id, "claude-opus-4-8", USAGE, 410, ("Hel", "lo")))
    if coding is None:
        return answer
    return Answer(
        flushed(coding, answer.chunks), SSE, headers=(("content-encoding", coding),), chunked=True
    )


WISHES: tuple[dict[str, str], ...] = (
    {},
    {"before": "true"},
    {"before": "false"},
    {"before": "capitals"},
    {"after": "true"},
    {"after": "false"},
)
BOTH = (
    {"after": "capitals"},
    {"before": "capitals", "after": "true"},
    {"before": "true", "after": "capitals"},
)


def test_other_addons_keep_their_stream(
    start_proxy: StartProxy, upstream: Upstream, tmp_path: Path
) -> None:
    """Another addon's stream callable does its work, before ours or after it, and the call is still
    counted once."""
    scripts = {
        place: Path(shutil.copy(SCRIPTS / "neighbour.py", tmp_path / f"{place}.py"))
        for place in ("before", "after")
    }
    proxy = start_proxy(before=[scripts["before"]], after=[scripts["after"]])

    for number, wishes in enumerate(WISHES + BOTH):
        answer = stream_answer(f"msg-{number}")
        upstream.route(HOST, PATH, answer)
        body = ask_with(proxy, wishes)
        # mitmproxy has one slot for a stream: what the later addon sets replaces the earlier one's,
        # with us or without us.
        capitals = (wishes.get("after") or wishes.get("before")) == "capitals"
        assert body == (answer.body.upper() if capitals else answer.body), wishes

    counted = [
        (record["response_id"], record["output_tokens"])
        for record in proxy.records(len(WISHES + BOTH))
    ]
    assert sorted(counted) == [(f"msg-{number}", 410) for number in range(len(WISHES + BOTH))]
    proxy.stop()


def ask_with(proxy: Proxy, wishes: Mapping[str, str]) -> bytes:
    """Send a request that tells the other addons what to do; returns the body that comes back."""
    headers = {f"x-{place}": wish for place, wish in wishes.items()}
    with Http1Client(proxy, HOST) as client:
        return client.request("POST", PATH, b"{}", headers).read()
