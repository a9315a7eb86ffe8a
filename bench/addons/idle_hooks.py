"""An addon for mitmdump that has the same hooks as ours and does nothing in them: it costs what any
addon costs."""

from collections.abc import Sequence

from mitmproxy import flow, http


def requestheaders(flow: http.HTTPFlow) -> None:
    """Do nothing with the request."""


def responseheaders(flow: http.HTTPFlow) -> None:
    """Pass event streams on, through a callable."""
    if flow.response is not None and flow.response.headers.get("content-type", "").startswith(
        "text/event-stream"
    ):
        flow.response.stream = lambda data: data


def update(flows: Sequence[flow.Flow]) -> None:
    """Do nothing with changed flows."""


def response(flow: http.HTTPFlow) -> None:
    """Do nothing with the response."""
