"""An addon for mitmdump that only lets event streams pass, which any proxy in front of an LLM has
to do: the baseline."""

from mitmproxy import http


def responseheaders(flow: http.HTTPFlow) -> None:
    """Pass event streams on as they come."""
    if flow.response is not None and flow.response.headers.get("content-type", "").startswith(
        "text/event-stream"
    ):
        flow.response.stream = True
