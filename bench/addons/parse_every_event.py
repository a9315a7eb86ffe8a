"""An addon for mitmdump that finds the usage in the plain way, by parsing every event and every
body. It is measured for comparison."""

import orjson
from mitmproxy import http

usages: list[object] = []


def responseheaders(flow: http.HTTPFlow) -> None:
    """Parse event streams as they pass."""
    if flow.response is not None and flow.response.headers.get("content-type", "").startswith(
        "text/event-stream"
    ):
        flow.response.stream = parse


def parse(data: bytes) -> bytes:
    """Keep the usage of every event in a chunk."""
    events = (orjson.loads(line[6:]) for line in data.split(b"\n") if line.startswith(b"data: {"))
    usages.extend(event["usage"] for event in events if "usage" in event)
    return data


def response(flow: http.HTTPFlow) -> None:
    """Keep the usage of a whole body."""
    if flow.response is not None and flow.response.raw_content and flow.request.raw_content:
        usages.append(
            (
                orjson.loads(flow.request.raw_content)["model"],
                orjson.loads(flow.response.raw_content)["usage"],
            )
        )
