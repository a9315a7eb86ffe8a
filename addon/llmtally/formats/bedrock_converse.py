"""Bedrock Converse: `POST /model/{id}/converse` and `converse-stream`.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
One body, or an AWS event stream whose messages arrive here as `{event type: payload}`. `usage`
stands in the body, or in the stream's very last event, `metadata`. Input excludes both caches; the
path alone names the model, unless a router chose it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..record import ApiError, Reading, Usage
from .format import (
    Format,
    RequestReading,
    api_error,
    count,
    described_error,
    items,
    mapping,
    miscounted,
    text,
    utf8_len,
)

STOPPED_EARLY = frozenset(
    {
        "max_tokens",
        "guardrail_intervened",
        "content_filtered",
        "malformed_model_output",
        "malformed_tool_use",
        "model_context_window_exceeded",
    }
)
EXCEPTION = ":exception"
"""Key under which the framing hands on an event stream's exception: `{"type", "message"}`."""


def read_message(message: Any, reading: Reading) -> Reading:
    """Fold a whole body, one stream event, an error, or a count-tokens answer."""
    message = mapping(message)
    if (error := read_error(message, reading)) is not None:
        return reading._replace(error=error)
    if "messageStop" in message:
        return _with_stop(reading, mapping(message["messageStop"]))
    if "metadata" in message:
        return _read_body(mapping(message["metadata"]), reading)
    if "usage" in message or "stopReason" in message:
        return _read_body(message, _with_stop(reading, message))
    if count(message.get("inputTokens")) is not None:
        return reading._replace(counting_only=True)
    return reading


def read_error(message: Mapping[str, Any], reading: Reading) -> ApiError | None:
    """An exception in the stream, or the body of a failed request, whose type only a header
    names."""
    if EXCEPTION in message:
        return api_error(message[EXCEPTION]) or ApiError("error")
    refusal = message.get("message") or message.get("Message")
    if isinstance(refusal, str) and "type" not in message:
        return api_error(
            {"type": reading.error.type if reading.error else "error", "message": refusal}
        )
    return None


def read_headers(headers: Mapping[str, str], reading: Reading) -> Reading:
    """The type of an error: `ThrottlingException:http://...`."""
    kind = text(headers.get("x-amzn-errortype", "").partition(":")[0])
    return reading._replace(error=described_error(kind)) if kind else reading


def _with_stop(reading: Reading, holder: Mapping[str, Any]) -> Reading:
    reason = text(holder.get("stopReason"))
    if reason is None:
        return reading
    return reading._replace(stop_reason=reason, stopped_early=reason in STOPPED_EARLY)


def _read_body(body: Mapping[str, Any], reading: Reading) -> Reading:
    router = mapping(mapping(body.get("trace")).get("promptRouter"))
    usage = (reading.usage or Usage()).updated(read_usage(mapping(body.get("usage"))))
    return reading._replace(
        model=text(router.get("invokedModelId")) or reading.model,
        usage=usage or reading.usage,
        cost_approximate=reading.cost_approximate or miscounted(body.get("usage")),
        service_tier=text(mapping(body.get("serviceTier")).get("type")) or reading.service_tier,
        finished=True,
    )


def read_usage(usage: Mapping[str, Any]) -> Usage:
    """One `TokenUsage` in buckets. Amazon's own models name the caches `...TokenCount`."""
    return Usage(
        input_tokens=count(usage.get("inputTokens")),
        cache_read_tokens=_either(usage, "cacheReadInputTokens", "cacheReadInputTokenCount"),
        cache_write_tokens=_either(usage, "cacheWriteInputTokens", "cacheWriteInputTokenCount"),
        cache_write_1h_tokens=_written_for_1h(usage.get("cacheDetails")),
        output_tokens=count(usage.get("outputTokens")),
    )


def _either(usage: Mapping[str, Any], *names: str) -> int | None:
    return next((n for name in names if (n := count(usage.get(name))) is not None), None)


def _written_for_1h(details: Any) -> int | None:
    counts = [
        count(mapping(detail).get("inputTokens")) or 0
        for detail in items(details)
        if mapping(detail).get("ttl") == "1h"
    ]
    return count(sum(counts)) if counts else None


def read_request(body: Mapping[str, Any]) -> RequestReading:
    """The path names model and streaming; the body at most a tier."""
    return RequestReading(service_tier=text(mapping(body.get("serviceTier")).get("type")))


def content_length(message: Any) -> int:
    """Bytes of text, reasoning or tool input in one `contentBlockDelta`."""
    delta = mapping(mapping(mapping(message).get("contentBlockDelta")).get("delta"))
    reasoning, tool = mapping(delta.get("reasoningContent")), mapping(delta.get("toolUse"))
    return (
        utf8_len(delta.get("text")) + utf8_len(reasoning.get("text")) + utf8_len(tool.get("input"))
    )


BEDROCK_CONVERSE = Format(
    name="bedrock_converse",
    read=read_message,
    content=content_length,
    read_request=read_request,
    read_headers=read_headers,
    self_terminating=True,
)
