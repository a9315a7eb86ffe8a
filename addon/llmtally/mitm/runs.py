"""Reads which `llmtally run` a client belongs to from the header that it sends to the proxy, and
removes that header."""

from __future__ import annotations

from mitmproxy import http

from ..attribution.run_tag import HEADER, Runs

_RAW_HEADER = HEADER.encode()


class RunHooks:
    """Reads and removes the header of each CONNECT, and of each request over plain HTTP."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    def http_connect(self, flow: http.HTTPFlow) -> None:
        """A client asks for a tunnel."""
        self._take(flow)

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """The head of a request has come."""
        if flow.live:
            self._take(flow)

    def _take(self, flow: http.HTTPFlow) -> None:
        headers = flow.request.headers
        # `in headers` would ask mitmproxy, which takes four times as long; hardly any request has
        # this one.
        if _RAW_HEADER in [name.lower() for name, _ in headers.fields] and self._runs.authorised(
            flow.client_conn.id, headers.get(HEADER)
        ):
            del headers[HEADER]
