"""Loaded into mitmdump: has the addon's hooks and does nothing in them. What this costs, every
addon costs."""

from collections.abc import Sequence

from mitmproxy import flow, http


def requestheaders(flow: http.HTTPFlow) -> None:
    """Nothing."""


def responseheaders(flow: http.HTTPFlow) -> None:
    """Let event streams pass, through a callable."""
    if flow.response is not None and flow.response.headers.get("content-type", "").startswith(
        "text/event-stream"
    ):
        flow.response.stream = lambda data: data


def update(flows: Sequence[flow.Flow]) -> None:
    """Nothing."""


def response(flow: http.HTTPFlow) -> None:
    """Nothing."""
