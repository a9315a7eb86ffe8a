"""Every way a call can end, through a real mitmdump: one record each, with what arrived until
then."""

from __future__ import annotations

import http.client
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from upstream.answers import SSE, anthropic_events, flushed, json_answer, sse, sse_answer
from upstream.client import Http1Client, Http2Client, WebSocketClient, post
from upstream.handler import Answer, Gate, Reply, Request, Socket
from upstream.proxy import SCRIPTS, Proxy, Record, StartProxy
from upstream.server import Upstream

HOST = "api.anthropic.com"
PATH = "/v1/messages"
MODEL = "claude-opus-4-8"
USAGE = {"input_tokens": 12, "cache_creation_input_tokens": 5, "cache_read_input_tokens": 7}
TEXT = "four" * 5
"""20 bytes, which are estimated at 5 tokens."""

BROKEN_OFF = (http.client.HTTPException, OSError)
"""What the standard library's client raises where a response is cut off."""

Break = Callable[[Reply], None]


def events(message_id: str) -> tuple[bytes, ...]:
    """A whole stream; its first three events end with `TEXT`."""
    return sse(*anthropic_events(message_id, MODEL, USAGE, 410, (TEXT,)))


def facts(record: Record) -> tuple[object, ...]:
    """The fields of a record that an ending decides."""
    return (
        record["outcome"],
        record.get("output_tokens"),
        record.get("estimated", False),
        record.get("reported_output_tokens"),
    )


COMPLETE = ("complete", 410, False, None)
CLIENT_ABORTED = ("client_aborted", 5, True, 1)
UPSTREAM_ABORTED = ("upstream_aborted", 5, True, 1)


class Broken:
    """A handler that sends the stream's beginning, waits for the test, and then breaks off in some
    way."""

    def __init__(self, message_id: str, breaks: Break = Reply.abort) -> None:
        self.go_on = Gate()
        self.begun = events(message_id)[:3]
        self.size = len(b"".join(self.begun))
        self._breaks = breaks

    async def __call__(self, request: Request, reply: Reply) -> None:
        """Answer the request and end it in this way."""
        await reply.head(200, [("content-type", SSE)])
        for event in self.begun:
            await reply.send(event)
        await self.go_on.opened()
        self._breaks(reply)


def read_beginning(client: Http1Client, size: int) -> bytes:
    """Ask, and read what comes before the break."""
    return client.request("POST", PATH, b"{}").read(size)


def test_http1_client_leaves(proxy: Proxy, upstream: Upstream) -> None:
    """A client that closes its connection is charged for what arrived, and the upstream request is
    cancelled."""
    stream = Broken("msg-http1-client")
    upstream.route(HOST, PATH, stream)
    with Http1Client(proxy, HOST) as client:
        assert read_beginning(client, stream.size) == b"".join(stream.begun)

    assert facts(proxy.record()) == CLIENT_ABORTED
    reply = upstream.served[0].reply
    assert reply is not None
    reply.gone.wait()


@pytest.mark.parametrize(
    "leave",
    [lambda client, number: client.cancel(number), lambda client, _: client.close()],
    ids=["cancel", "close"],
)
def test_http2_client_leaves(
    proxy: Proxy,
    upstream: Upstream,
    leave: Callable[[Http2Client, int], None],
    request: pytest.FixtureRequest,
) -> None:
    """The same in HTTP/2, by resetting the stream or by closing the connection."""
    stream = Broken(f"msg-http2-{request.node.callspec.id}")
    upstream.route(HOST, PATH, stream)
    with Http2Client(proxy, HOST) as client:
        number = client.request(PATH, b"{}")
        assert client.read_until(number, stream.size) == b"".join(stream.begun)
        leave(client, number)

        assert facts(proxy.record()) == CLIENT_ABORTED


@pytest.mark.parametrize("breaks", [Reply.abort, Reply.drop], ids=["reset", "close"])
@pytest.mark.parametrize("http2", [False, True], ids=["http1", "http2"])
def test_upstream_breaks_off(
    proxy: Proxy, upstream: Upstream, breaks: Break, http2: bool, request: pytest.FixtureRequest
) -> None:
    """A server that breaks off is distinguished from a client that leaves, and the client sees the
    break."""
    stream = Broken(f"msg-upstream-{request.node.callspec.id}", breaks)
    upstream.route(HOST, PATH, stream)
    if http2:
        with Http2Client(proxy, HOST) as client:
            number = client.request(PATH, b"{}")
            client.read_until(number, stream.size)
            stream.go_on.open()
            assert client.read_to_end(number) == b"".join(stream.begun)
            assert client.ended[number] == "reset"
    else:
        with Http1Client(proxy, HOST) as client1:
            response = client1.request("POST", PATH, b"{}")
            assert response.read(stream.size) == b"".join(stream.begun)
            stream.go_on.open()
            with pytest.raises(BROKEN_OFF):
                response.read()

    assert facts(proxy.record()) == UPSTREAM_ABORTED


@pytest.mark.parametrize("breaks", [Reply.abort, Reply.drop], ids=["reset", "close"])
def test_upstream_lost_before_its_answer(proxy: Proxy, upstream: Upstream, breaks: Break) -> None:
    """A connection lost before the response head is an error without tokens."""

    async def lost(request: Request, reply: Reply) -> None:
        breaks(reply)

    upstream.route(HOST, PATH, lost)
    status, _ = post(proxy, HOST, PATH)

    record = proxy.record()
    assert status == 502
    assert (record["outcome"], record["coverage"], record["error"]["type"]) == (
        "upstream_aborted",
        "no_usage",
        "connection",
    )
    assert "status" not in record
    assert not {name for name in record if name.endswith("_tokens")}


def test_http_error(proxy: Proxy, upstream: Upstream) -> None:
    """A refusal is recorded with its status and the provider's words."""
    body = {"type": "error", "error": {"type": "rate_limit_error", "message": "Too fast"}}
    upstream.route(HOST, PATH, json_answer(body, status=429))
    post(proxy, HOST, PATH)

    record = proxy.record()
    assert (record["status"], record["outcome"], record["coverage"]) == (429, "error", "error")
    assert record["error"] == {"type": "rate_limit_error", "message": "Too fast"}


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_compressed_stream(proxy: Proxy, upstream: Upstream, coding: str) -> None:
    """A stream in any content coding is read as it comes, and cut off it gives what had arrived."""
    whole = flushed(coding, events(f"msg-{coding}"))
    cut_off = flushed(coding, events(f"msg-{coding}-cut"))[:3]
    encoded = (("content-encoding", coding),)

    async def break_off(request: Request, reply: Reply) -> None:
        await reply.head(200, [("content-type", SSE), *encoded])
        for piece in cut_off:
            await reply.send(piece)
        await arrived.opened()
        reply.abort()

    upstream.route(HOST, PATH, Answer(whole, SSE, headers=encoded, chunked=True))
    post(proxy, HOST, PATH)
    arrived = Gate()
    upstream.route(HOST, PATH, break_off)
    with Http1Client(proxy, HOST) as client:
        read_beginning(client, len(b"".join(cut_off)))
        arrived.open()
        complete, aborted = proxy.records(2)

    assert facts(complete) == COMPLETE
    assert facts(aborted) == UPSTREAM_ABORTED
    assert [complete["response_bytes"], aborted["response_bytes"]] == [
        len(b"".join(whole)),
        len(b"".join(cut_off)),
    ]


def test_http2_streams_interleave(proxy: Proxy, upstream: Upstream) -> None:
    """Streams that take turns on one connection, one of them cancelled, are counted each for
    itself."""
    count = 5
    turns = [[Gate() for _ in events("")] for _ in range(count)]

    async def take_turns(request: Request, reply: Reply) -> None:
        number = request.json()["number"]
        await reply.head(200, [("content-type", SSE)])
        for event, turn in zip(events(f"msg-interleaved-{number}"), turns[number], strict=True):
            await turn.opened()
            await reply.send(event)
        await reply.end()

    upstream.route(HOST, PATH, take_turns)
    with Http2Client(proxy, HOST) as client:
        streams = [
            client.request(PATH, f'{{"number": {number}}}'.encode()) for number in range(count)
        ]
        for step in range(len(events(""))):
            for number, stream in enumerate(streams):
                if number == 0 and step == 3:
                    client.cancel(stream)
                if number > 0 or step < 3:
                    turns[number][step].open()
                    client.read_until(
                        stream, len(b"".join(events(f"msg-interleaved-{number}")[: step + 1]))
                    )
        for stream in streams[1:]:
            client.read_to_end(stream)
        records = {record["response_id"]: facts(record) for record in proxy.records(count)}

    assert records == {
        "msg-interleaved-0": CLIENT_ABORTED,
        **{f"msg-interleaved-{number}": COMPLETE for number in range(1, count)},
    }


def test_killed_flows(start_proxy: StartProxy, upstream: Upstream, tmp_path: Path) -> None:
    """A flow that another addon kills counts what passed; mitmproxy stops no stream that has
    begun."""
    script = Path(shutil.copy(SCRIPTS / "neighbour.py", tmp_path / "after.py"))
    proxy = start_proxy(after=[script])
    upstream.route(
        HOST, PATH, sse_answer(*anthropic_events("msg-killed", MODEL, USAGE, 410, (TEXT,)))
    )
    for moment in ("request", "responseheaders", "stream"):
        with Http1Client(proxy, HOST) as client, pytest.raises(BROKEN_OFF):
            client.request("POST", PATH, b"{}", {"x-kill": moment}).read()

    unsent, at_head, within = proxy.records(3)
    assert len(upstream.served) == 2
    assert facts(unsent) == facts(at_head) == ("client_aborted", None, False, None)
    assert facts(within) == COMPLETE
    proxy.stop()


@pytest.mark.parametrize("limit", ["1", "1m"])
def test_stream_large_bodies(start_proxy: StartProxy, upstream: Upstream, limit: str) -> None:
    """Bodies that mitmproxy was told to stream, request and response, are read like any other."""
    proxy = start_proxy(options={"stream_large_bodies": limit})
    answer = json_answer(
        {
            "id": "msg-large",
            "type": "message",
            "model": MODEL,
            "usage": {**USAGE, "output_tokens": 410},
        }
    )
    upstream.route(HOST, PATH, answer)
    request = f'{{"model": "{MODEL}", "max_tokens": 1, "messages": []}}'.encode()
    _, body = post(proxy, HOST, PATH, request)

    record = proxy.record()
    assert body == answer.body
    assert facts(record) == COMPLETE
    assert (record["request_model"], record["request_bytes"], record["response_bytes"]) == (
        MODEL,
        len(request),
        len(answer.body),
    )
    proxy.stop()


SOCKET_HOST = "api.openai.com"
SOCKET_PATH = "/v1/responses"
CREATED = (
    '{"type": "response.created", "response": {"id": "%s", "model": "gpt-5.4", "status": '
    '"in_progress", "usage": null}}'
)
DELTA = '{"type": "response.output_text.delta", "delta": "Hello"}'
COMPLETED = (
    '{"type": "response.completed", "response": {"id": "%s", "model": "gpt-5.4", "status": '
    '"completed",'
    ' "usage": {"input_tokens": 9, "output_tokens": 4, "total_tokens": 13}}}'
)
CREATE = '{"type": "response.create", "model": "gpt-5.4", "input": "Hi"}'


@pytest.mark.parametrize("who", ["client", "upstream"])
def test_socket_breaks_off(proxy: Proxy, upstream: Upstream, who: str) -> None:
    """A socket lost without a close frame (1006) ends the turn under way; the turns before it
    stand."""
    first, second = f"resp-{who}-1", f"resp-{who}-2"
    lost = Gate()

    async def two_turns(request: Request, websocket: Socket) -> None:
        await websocket.accept()
        await websocket.receive()
        for message in (CREATED % first, DELTA, COMPLETED % first):
            await websocket.send(message)
        await websocket.receive()
        for message in (CREATED % second, DELTA):
            await websocket.send(message)
        await lost.opened()
        if who == "upstream":
            websocket.abort()
        else:
            assert await websocket.receive() is None

    upstream.route_socket(SOCKET_HOST, SOCKET_PATH, two_turns)
    with WebSocketClient(proxy, SOCKET_HOST, SOCKET_PATH) as client:
        client.send(CREATE)
        assert [client.receive() for _ in range(3)] == [CREATED % first, DELTA, COMPLETED % first]
        client.send(CREATE)
        assert [client.receive() for _ in range(2)] == [CREATED % second, DELTA]
        if who == "client":
            client.abort()
        lost.open()
        done, broken = proxy.records(2)

    assert (done["response_id"], done["outcome"], done["total_tokens"]) == (first, "complete", 13)
    assert (broken["response_id"], broken["outcome"]) == (second, f"{who}_aborted")
    assert "total_tokens" not in broken
