"""Another addon that a user may have loaded, before ours or after it; a test copies it to `before.py` or `after.py`.

A request's header `x-before` or `x-after` says what it does with the response's stream: set it to `true` or `false`, or to a
callable that turns the body into capitals (`capitals`). `x-kill` names the hook in which it kills the flow.
"""

from collections.abc import Callable
from pathlib import Path

from mitmproxy import http

HEADER = f"x-{Path(__file__).stem}"


def capitals(data: bytes) -> bytes:
    """A transformation that shows."""
    return data.upper()


STREAMS: dict[str, bool | Callable[[bytes], bytes]] = {"true": True, "false": False, "capitals": capitals}


def request(flow: http.HTTPFlow) -> None:
    """Kill it before it is sent."""
    if flow.request.headers.get("x-kill") == "request":
        flow.kill()


def responseheaders(flow: http.HTTPFlow) -> None:
    """Take the stream, or kill the flow."""
    assert flow.response is not None
    if (wish := flow.request.headers.get(HEADER)) is not None:
        flow.response.stream = STREAMS[wish]
    if flow.request.headers.get("x-kill") == "responseheaders":
        flow.kill()
