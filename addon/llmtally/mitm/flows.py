"""Reads from mitmproxy's flows what the tally wants to know."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qsl

from mitmproxy import connection, http
from mitmproxy.flow import Error
from mitmproxy.net.http import url
from mitmproxy.proxy.mode_specs import ReverseMode

from ..exchange import Ending
from ..providers import Method
from ..tally.observations import Head

MAX_QUERY = 32
"""Query parameters looked at; real calls have up to three."""

KILLED = Error.KILLED_MESSAGE


def head_of(flow: http.HTTPFlow, method: Method) -> Head:
    """The head of a flow's request, as the tally takes it."""
    headers = lower_headers(flow.request.headers)
    # A path may be any bytes; a record is UTF-8.
    path, _, query = flow.request.path.encode("utf-8", "replace").decode().partition("?")
    peer = flow.client_conn.peername
    return Head(
        flow.id,
        method,
        host_of(flow, headers),
        path,
        headers,
        flow.request.timestamp_start,
        dict(parse_qsl(query)[:MAX_QUERY]) if query else {},
        flow.client_conn.id,
        peer[:2] if peer is not None else None,
    )


def method_of(request: http.Request) -> Method | None:
    """The method as the provider table has it; None for methods that are never answered with
    usage."""
    if request.method == "POST":
        return "POST"
    if request.method != "GET":
        return None
    return "SOCKET" if request.headers.get("upgrade", "").lower() == "websocket" else "GET"


def host_of(flow: http.HTTPFlow, headers: Mapping[str, str]) -> str:
    """The host the client meant, lower case. In reverse mode that is the target: the client only
    knows the proxy."""
    request, mode = flow.request, flow.client_conn.proxy_mode
    if isinstance(mode, ReverseMode):
        return mode.address[0].lower().rstrip(".")
    authority = request.authority if request.is_http2 or request.is_http3 else ""
    if authority := authority or headers.get("host", ""):
        return _host_in(authority)
    return (request.host or flow.client_conn.sni or "").lower().rstrip(".")


@functools.lru_cache(maxsize=1024)
def _host_in(authority: str) -> str:
    """The host in an authority, as mitmproxy's `pretty_host` reads it. Cached, because that takes
    longer than anything else that is done when a request begins."""
    return url.parse_authority(authority, check=False)[0].lower().rstrip(".")


def ending_of(flow: http.HTTPFlow) -> Ending:
    """Which side broke a flow: the one whose connection is closed; on HTTP/2, where both stay open,
    CANCEL is the client's."""
    if flow.client_conn.state is connection.ConnectionState.CLOSED:
        return "client_aborted"
    if (
        flow.server_conn.state is connection.ConnectionState.CLOSED
        and flow.server_conn.timestamp_start is not None
    ):
        return "upstream_aborted"
    message = flow.error.msg if flow.error is not None else ""
    return "client_aborted" if "CANCEL" in message or message == KILLED else "upstream_aborted"


def lower_headers(headers: http.Headers) -> dict[str, str]:
    """Header names in lower case; repeated ones joined as RFC 9110 section 5.3 says."""
    fields = headers.fields
    lowered = {name.lower().decode("latin-1"): value.decode("latin-1") for name, value in fields}
    return lowered if len(lowered) == len(fields) else _joined(fields)


def _joined(fields: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for raw_name, raw_value in fields:
        name, value = raw_name.lower().decode("latin-1"), raw_value.decode("latin-1")
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined
