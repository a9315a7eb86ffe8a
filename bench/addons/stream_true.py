"""Loaded into mitmdump: streams event streams, as anyone must who puts mitmproxy before an LLM. The
baseline."""

from mitmproxy import http


def responseheaders(flow: http.HTTPFlow) -> None:
    """Let event streams pass."""
    if flow.response is not None and flow.response.headers.get("content-type", "").startswith(
        "text/event-stream"
    ):
        flow.response.stream = True
