"""Tells apart the clients of `llmtally run` by what they send for the proxy alone, and lets that go no further."""

from __future__ import annotations

from mitmproxy import http

from ..runs import HEADER, Runs


class RunHooks:
    """Reads the header with CONNECT, and with each request over plain HTTP."""

    name = "llmtally-runs"

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    def http_connect(self, flow: http.HTTPFlow) -> None:
        """A client asks for a tunnel."""
        self._take(flow)

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """A client asks for a page through the proxy."""
        if flow.live:
            self._take(flow)

    def _take(self, flow: http.HTTPFlow) -> None:
        if self._runs.authorised(flow.client_conn.id, flow.request.headers.get(HEADER)):
            del flow.request.headers[HEADER]
