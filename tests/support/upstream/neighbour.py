"""Another addon that a user may have loaded, before ours or after it; a test copies it to
`before.py` or `after.py`.

A request's header `x-before` or `x-after` says what it does with the response's stream: set it to
`true` or `false`, or to a callable that turns the body into capitals (`capitals`). `x-kill` says
when it kills the flow: in the hook `request` or `responseheaders`, or at the first chunk of the
`stream`.
"""

import functools
from collections.abc import Callable
from pathlib import Path

from mitmproxy import http

HEADER = f"x-{Path(__file__).stem}"


def capitals(data: bytes) -> bytes:
    """A transformation that shows."""
    return data.upper()


STREAMS: dict[str, bool | Callable[[bytes], bytes]] = {
    "true": True,
    "false": False,
    "capitals": capitals,
}


def request(flow: http.HTTPFlow) -> None:
    """Kill it before it is sent."""
    if flow.request.headers.get("x-kill") == "request":
        flow.kill()


def responseheaders(flow: http.HTTPFlow) -> None:
    """Take the stream, or kill the flow."""
    assert flow.response is not None
    if (wish := flow.request.headers.get(HEADER)) is not None:
        flow.response.stream = STREAMS[wish]
    match flow.request.headers.get("x-kill"):
        case "responseheaders":
            flow.kill()
        case "stream":
            flow.response.stream = functools.partial(kill_and_pass, flow)


def kill_and_pass(flow: http.HTTPFlow, data: bytes) -> bytes:
    """A stream callable that has seen enough."""
    if flow.killable:
        flow.kill()
    return data
