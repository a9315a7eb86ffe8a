"""The fake upstream and the bare clients themselves, through a mitmdump without the addon."""

from __future__ import annotations

import pytest

from upstream.answers import sse_answer
from upstream.client import Http2Client, post
from upstream.handler import Gate, Reply, Request
from upstream.proxy import Proxy, StartProxy
from upstream.server import Upstream

HOST = "api.example.com"


@pytest.fixture
def bare(start_proxy: StartProxy) -> Proxy:
    """A mitmdump that knows nothing of us."""
    return start_proxy(addon=None)


def test_both_http_versions_reach_the_fake_under_the_real_name(
    bare: Proxy, upstream: Upstream
) -> None:
    """A flow keeps its host, over TLS that verifies at both ends, in HTTP/1.1 and 2, and plain."""
    answer = sse_answer("a", "b")
    upstream.route(HOST, "/x", answer)
    _, http1 = post(bare, HOST, "/x", b"hello")
    with Http2Client(bare, HOST) as client:
        http2 = client.read_to_end(client.request("/x", b"hello"))
    _, plain = post(bare, HOST, "/x", b"hello", tls=False)

    assert http1 == http2 == plain == answer.body
    seen = [
        (served.request.http_version, served.request.scheme, served.request.body)
        for served in upstream.served
    ]
    assert seen == [("1.1", "https", b"hello"), ("2", "https", b"hello"), ("1.1", "http", b"hello")]
    bare.stop()


def test_the_upstream_sees_a_client_leave(start_proxy: StartProxy, upstream: Upstream) -> None:
    """A reset of the client's stream arrives at the handler's reply."""

    async def never(request: Request, reply: Reply) -> None:
        await reply.head(200, [("content-type", "text/plain"), ("content-length", "9")])
        await Gate().opened()

    upstream.route(HOST, "/never", never)
    bare = start_proxy(addon=None, options={"stream_large_bodies": "1"})
    with Http2Client(bare, HOST) as client:
        stream = client.request("/never", b"")
        client.read_head(stream)  # a reset that overtakes it would not always arrive
        client.cancel(stream)
        reply = upstream.served[0].reply
        assert reply is not None
        reply.gone.wait()
    bare.stop()
