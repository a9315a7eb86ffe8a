"""xAI's gRPC API: `xai_api.Chat/GetCompletion` and `GetCompletionChunk`.
https://github.com/xai-org/xai-proto

Messages are protobuf, read by field number. A whole answer and a chunk differ in their numbers: a
chunk has its time in field 3, an answer in 5. `SamplingUsage` counts the answer so far; its prompt
includes the cache, its completion leaves reasoning out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from ..record import COUNT_CAP, TEXT_CAP, Reading, Usage, WireError
from ..wire.grpc import fields
from .cost import TICKS_PER_USD
from .format import Format, api_error, described_error, mapping


@dataclass(frozen=True, slots=True)
class Shape:
    """Field numbers of one of the two messages, from the descriptors in xai-sdk."""

    model: int
    usage: int
    service_tier: int
    finish_reason: int
    """Field number within an output, like the next."""
    content: int


ANSWER = Shape(model=6, usage=9, service_tier=15, finish_reason=1, content=3)
CHUNK = Shape(model=4, usage=6, service_tier=12, finish_reason=3, content=1)
CHUNK_ONLY = (3, 4)
"""`created` and `model` of a chunk; an answer has neither number."""
ID, OUTPUTS = 1, 2
CONTENT, REASONING_CONTENT = 1, 4
"""Field numbers within the content of an output."""

FINISH_REASONS = {
    1: "REASON_MAX_LEN",
    2: "REASON_MAX_CONTEXT",
    3: "REASON_STOP",
    4: "REASON_TOOL_CALLS",
    5: "REASON_TIME_LIMIT",
}
STOPPED_EARLY = frozenset({1, 2, 5})
SERVICE_TIERS = {1: "default", 2: "priority"}
SERVER_TOOLS = {
    1: "web_search",
    2: "x_search",
    3: "code_execution",
    4: "view_image",
    5: "view_x_video",
    6: "collections_search",
    7: "mcp",
    8: "attachment_search",
    10: "image_search",
    11: "image_generation",
}
STATUS_NAMES = {
    "1": "CANCELLED",
    "3": "INVALID_ARGUMENT",
    "4": "DEADLINE_EXCEEDED",
    "5": "NOT_FOUND",
    "7": "PERMISSION_DENIED",
    "8": "RESOURCE_EXHAUSTED",
    "13": "INTERNAL",
    "14": "UNAVAILABLE",
    "16": "UNAUTHENTICATED",
}
"""https://grpc.io/docs/guides/status-codes/; the rest keep their number."""


def read_message(message: Any, reading: Reading) -> Reading:
    """Fold an answer or a chunk (bytes), or a proxy's error (JSON). Raises WireError."""
    if not isinstance(message, bytes):
        error = api_error(mapping(message).get("error"))
        return reading._replace(error=error) if error is not None else reading
    shape = _shape(message)
    for number, value in fields(message):
        if number == OUTPUTS:
            reading = _with_stop(reading, value, shape)
        elif number == ID:
            reading = reading._replace(response_id=_text(value) or reading.response_id)
        elif number == shape.model:
            reading = reading._replace(model=_text(value) or reading.model)
        elif number == shape.usage:
            reading = _with_usage(reading, value)
        elif number == shape.service_tier and isinstance(value, int):
            reading = reading._replace(service_tier=SERVICE_TIERS.get(value, reading.service_tier))
    return reading


def _shape(message: bytes) -> Shape:
    return CHUNK if any(number in CHUNK_ONLY for number, _ in fields(message)) else ANSWER


def _with_stop(reading: Reading, output: int | bytes, shape: Shape) -> Reading:
    reason = _numbers(output).get(shape.finish_reason)
    if not reason:
        return reading
    name = FINISH_REASONS.get(reason, str(reason)[:TEXT_CAP])
    return reading._replace(stop_reason=name, stopped_early=reason in STOPPED_EARLY, finished=True)


def _with_usage(reading: Reading, value: int | bytes) -> Reading:
    usage, consistent = read_usage(value)
    ticks = _numbers(value).get(11, 0)
    return reading._replace(
        usage=(reading.usage or Usage()).updated(usage) if usage else reading.usage,
        cost_usd=ticks / TICKS_PER_USD if 0 < ticks <= COUNT_CAP else reading.cost_usd,
        cost_approximate=reading.cost_approximate or not consistent,
    )


def read_usage(value: int | bytes) -> tuple[Usage, bool]:
    """One `SamplingUsage` in buckets, and whether its arithmetic holds. Protobuf leaves a 0 out:
    absent is 0 here."""
    numbers = _numbers(value)
    completion, prompt, total, images, reasoning, cached = (
        _count(numbers.get(n, 0)) for n in (1, 2, 3, 5, 6, 7)
    )
    if not prompt and not total:
        return Usage(), True
    inside = total == prompt + completion
    return Usage(
        input_tokens=max(prompt - cached, 0),
        cache_read_tokens=cached,
        output_tokens=completion if inside else completion + reasoning,
        reasoning_tokens=reasoning,
        input_image_tokens=images or None,
        server_tools=_server_tools(value),
    ), prompt >= cached


def _server_tools(value: int | bytes) -> Mapping[str, int] | None:
    """Field 9 repeats a tool's number for each call; packed, it is one run of them."""
    calls: dict[str, int] = {}
    for number, tools in fields(value) if isinstance(value, bytes) else ():
        if number == 9:
            for tool in tools if isinstance(tools, bytes) else (tools,):
                if name := SERVER_TOOLS.get(tool):
                    calls[name] = calls.get(name, 0) + 1
    return calls or None


def _numbers(value: int | bytes) -> dict[int, int]:
    """The numeric fields of a message."""
    return (
        {number: n for number, n in fields(value) if isinstance(n, int)}
        if isinstance(value, bytes)
        else {}
    )


def _count(value: int) -> int:
    return value if 0 <= value <= COUNT_CAP else 0


def _text(value: int | bytes) -> str | None:
    return (
        value[: 4 * TEXT_CAP].decode("utf-8", "replace")[:TEXT_CAP] or None
        if isinstance(value, bytes)
        else None
    )


def read_headers(headers: Mapping[str, str], reading: Reading) -> Reading:
    """Fold the status of a refused call. A call that fails later has it in the trailers, which are
    not seen here."""
    status = headers.get("grpc-status", "0")
    if status == "0":
        return reading
    error = described_error(
        STATUS_NAMES.get(status, f"grpc_{status[:8]}"), unquote(headers.get("grpc-message", ""))
    )
    return reading._replace(error=error)


def content_length(message: Any) -> int:
    """Bytes of text and reasoning in one chunk; 0 for what is not protobuf, which `read_message`
    reports."""
    try:
        if not isinstance(message, bytes) or _shape(message) is not CHUNK:
            return 0
        deltas = [
            delta
            for output in _within(message, OUTPUTS)
            for delta in _within(output, CHUNK.content)
        ]
        return sum(
            len(piece)
            for delta in deltas
            for number in (CONTENT, REASONING_CONTENT)
            for piece in _within(delta, number)
        )
    except WireError:
        return 0


def _within(message: bytes, wanted: int) -> list[bytes]:
    return [
        value for number, value in fields(message) if number == wanted and isinstance(value, bytes)
    ]


XAI_GRPC = Format(
    name="xai_grpc",
    read=read_message,
    content=content_length,
    read_headers=read_headers,
    self_terminating=True,
)
