"""Loaded into mitmdump: finds the usage in the plain way, by parsing every event and every body.
For orientation."""

import orjson
from mitmproxy import http

usages: list[object] = []


def responseheaders(flow: http.HTTPFlow) -> None:
    """Read event streams as they pass."""
    if flow.response is not None and flow.response.headers.get("content-type", "").startswith(
        "text/event-stream"
    ):
        flow.response.stream = parse


def parse(data: bytes) -> bytes:
    """Every event of a chunk."""
    events = (orjson.loads(line[6:]) for line in data.split(b"\n") if line.startswith(b"data: {"))
    usages.extend(event["usage"] for event in events if "usage" in event)
    return data


def response(flow: http.HTTPFlow) -> None:
    """Every whole body."""
    if flow.response is not None and flow.response.raw_content and flow.request.raw_content:
        usages.append(
            (
                orjson.loads(flow.request.raw_content)["model"],
                orjson.loads(flow.response.raw_content)["usage"],
            )
        )
