"""Responses, over HTTP and WebSocket, and decisions.
https://platform.openai.com/docs/api-reference/responses

A whole body is a `response` object; a stream or socket sends events that hold one under `response`,
with `usage` filled in only on the terminal event: `response.completed`, `.incomplete` or `.failed`.
What hosted tools used stands beside `usage`, in `tool_usage`; why the cache was missed, for a
client that asked, in `prompt_cache_diagnostics`
(https://developers.openai.com/api/docs/guides/prompt-caching/diagnostics). On a socket each
`response.create` of the client is answered by one such sequence; `stream_id` names its lane.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ..record import ApiError, Part, Reading, Usage
from .copilot import with_copilot_usage
from .cost import read_cost_header
from .format import (
    Format,
    RequestReading,
    Turn,
    api_error,
    cache_missed,
    count,
    items,
    mapping,
    miscounted,
    read_json_request,
    text,
    utf8_len,
)
from .openai_usage import read_usage, with_usage

TERMINAL = frozenset(
    {
        "response.completed",
        "response.incomplete",
        "response.failed",
        "response.cancelled",
        "response.done",
    }
)
"""OpenAI's three; Realtime's one, which Azure and gateways send here too; a cancelled background
response."""

_UNDERWAY = frozenset({"queued", "in_progress"})
_SOCKET_AGED = "websocket_connection_limit_reached"
"""The socket's hour is over: no response failed, the client connects again."""


def read_response(message: Any, reading: Reading) -> Reading:
    """Fold a whole response, one event, an error, or a count of input tokens."""
    message = mapping(message)
    kind = text(message.get("type"))
    if kind == "error":
        failed = (
            api_error(message.get("error"))
            or api_error({**message, "type": None})
            or ApiError("error")
        )
        return reading._replace(error=failed, finished=True)
    if isinstance(response := message.get("response"), dict):
        reading = _read_object(response, reading, message.get("copilot_usage"))
        return reading._replace(finished=True) if kind in TERMINAL else reading
    if kind is not None:
        return reading
    if message.get("object") == "response.input_tokens":
        return reading._replace(counting_only=True)
    underway = text(message.get("status")) in _UNDERWAY
    reading = _read_object(message, reading, None)
    return reading._replace(pending=underway, finished=not underway)


def _read_object(response: Mapping[str, Any], reading: Reading, copilot: Any) -> Reading:
    error = api_error(response.get("error"))
    status = response.get("status")
    if error is None and status == "failed":
        error = ApiError("failed")
    reason = text(mapping(response.get("incomplete_details")).get("reason")) or (
        "cancelled" if status == "cancelled" else None
    )
    reading = reading._replace(
        response_id=text(response.get("id")) or reading.response_id,
        model=text(response.get("model")) or reading.model,
        service_tier=text(response.get("service_tier")) or reading.service_tier,
        stop_reason=reason or reading.stop_reason,
        stopped_early=reason is not None or status == "incomplete" or reading.stopped_early,
        error=error or reading.error,
    )
    diagnosis = mapping(response.get("prompt_cache_diagnostics"))
    if diagnosis.get("type") == "cache_miss":
        reading = cache_missed(
            reading, diagnosis.get("reason"), diagnosis.get("cache_missed_tokens")
        )
    usage, copilot = response.get("usage"), response.get("copilot_usage") or copilot
    if not usage and not copilot:
        return reading
    if reading.parts:
        reading = reading._replace(usage=reading.parts[0].usage, parts=())
    return _with_tools(with_copilot_usage(with_usage(reading, usage), copilot), response)


def _with_tools(reading: Reading, response: Mapping[str, Any]) -> Reading:
    """Add what hosted tools were billed: images as a part under the image model, searches by the
    call."""
    tool_usage, base = mapping(response.get("tool_usage")), reading.usage or Usage()
    searches = count(mapping(tool_usage.get("web_search")).get("num_requests"))
    if "web_search" not in tool_usage and not base.server_tools:
        searches = sum(_is_search(mapping(item)) for item in items(response.get("output")))
    if searches:
        base = base._replace(server_tools={**(base.server_tools or {}), "web_search": searches})
    image, doubtful = read_usage(mapping(tool_usage.get("image_gen")))
    if doubtful or miscounted(tool_usage.get("image_gen")):
        reading = reading._replace(cost_approximate=True)
    if not image.total_tokens:
        return reading._replace(usage=base or None)
    parts = (
        Part("message", reading.model, base._replace(server_tools=None)),
        Part("image_generation", _image_model(response), image),
    )
    return reading._replace(usage=base + image, parts=parts)


def _is_search(item: Mapping[str, Any]) -> bool:
    """A search that is billed: opening a page and finding in it are calls of the same tool, but
    free."""
    return (
        item.get("type") == "web_search_call"
        and mapping(item.get("action")).get("type", "search") == "search"
    )


def _image_model(response: Mapping[str, Any]) -> str | None:
    tools = (mapping(tool) for tool in items(response.get("tools")))
    return next(
        (text(tool.get("model")) for tool in tools if tool.get("type") == "image_generation"), None
    )


def read_headers(headers: Mapping[str, str], reading: Reading) -> Reading:
    """Fold the model that served, which the ChatGPT backend's trimmed events do not name, and a
    proxy's stated cost."""
    return read_cost_header(
        headers, reading._replace(model=text(headers.get("openai-model")) or reading.model)
    )


def read_request(body: Mapping[str, Any]) -> RequestReading:
    """A request's body, or a client's `response.create`."""
    return dataclasses.replace(read_json_request(body), warmup=body.get("generate") is False)


def content_length(message: Any) -> int:
    """Bytes of text, reasoning or tool input in one `response.*.delta` event."""
    message = mapping(message)
    kind = text(message.get("type")) or ""
    return utf8_len(message.get("delta")) if kind.endswith(".delta") else 0


def socket_turn(message: Any, from_client: bool) -> Turn | None:
    """Where a frame belongs. A steered response ends `incomplete`, and its successor begins without
    being asked for."""
    message = mapping(message)
    kind, lane = text(message.get("type")), text(message.get("stream_id")) or ""
    if from_client:
        return Turn(lane, "request") if kind == "response.create" else None
    if kind == "error":
        aged = _SOCKET_AGED in (message.get("code"), mapping(message.get("error")).get("code"))
        return None if aged else Turn(lane, "close")
    if kind is None or not kind.startswith("response."):
        return None
    return Turn(lane, "end" if kind in TERMINAL else "read")


OPENAI_RESPONSES = Format(
    name="openai_responses",
    read=read_response,
    read_request=read_request,
    read_headers=read_headers,
    # Every event that can hold usage, an error or a model has a `response` object or is an error.
    needles=(b'"response":', b'"error"'),
    endings=(b'"error"',),
    content=content_length,
    turn=socket_turn,
    self_terminating=True,
)
