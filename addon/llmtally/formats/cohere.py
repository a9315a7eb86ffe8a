"""Cohere: chat in both versions, embed, rerank. https://docs.cohere.com/reference/chat

v2 sends a body or SSE typed in `type`, with `usage` at the `message-end`; v1 a body or NDJSON typed
in `event_type`, with `meta` in the `stream-end`. `tokens` is what went through the model, cache
included; `billed_units`, often less, is what is charged. No answer names its model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..record import Reading, Usage
from .format import Format, api_error, count, mapping, miscounted, text, utf8_len

STOPPED_EARLY = frozenset(
    {"MAX_TOKENS", "ERROR", "ERROR_TOXIC", "ERROR_LIMIT", "USER_CANCEL", "TIMEOUT"}
)


def read_message(message: Any, reading: Reading) -> Reading:
    """Fold a whole body, one stream event of either version, or an error."""
    message = mapping(message)
    match message.get("type") or message.get("event_type"):
        case "message-start":
            return reading._replace(response_id=text(message.get("id")) or reading.response_id)
        case "message-end":
            return _read_body(mapping(message.get("delta")), reading)
        case "stream-end":
            return _read_body(mapping(message.get("response")), _with_stop(reading, message))
        case str():
            return reading
    refusal = message.get("message")
    if isinstance(refusal, str) and "meta" not in message:
        return reading._replace(error=api_error({"message": refusal}))
    return _read_body(message, reading)


def _read_body(body: Mapping[str, Any], reading: Reading) -> Reading:
    reading = _with_stop(reading, body)._replace(
        response_id=next(
            (
                found
                for key in ("id", "response_id", "generation_id")
                if (found := text(body.get(key)))
            ),
            reading.response_id,
        ),
        error=api_error(body.get("error")) or reading.error,
        finished=True,
    )
    spent = body.get("usage") or body.get("meta")
    usage, consistent = read_usage(mapping(spent))
    inexact = miscounted(spent) or not (consistent and _billed_as_counted(mapping(spent)))
    return reading._replace(
        usage=usage or reading.usage, cost_approximate=reading.cost_approximate or inexact
    )


def _with_stop(reading: Reading, holder: Mapping[str, Any]) -> Reading:
    reason = text(holder.get("finish_reason"))
    if reason is None:
        return reading
    return reading._replace(
        stop_reason=reason, stopped_early=reason in STOPPED_EARLY, finished=True
    )


def read_usage(spent: Mapping[str, Any]) -> tuple[Usage, bool]:
    """`usage` (v2) or `meta` (v1) in buckets, and whether its arithmetic holds. Embeddings have
    billed units only."""
    billed = mapping(spent.get("billed_units"))
    counted = mapping(spent.get("tokens")) or billed
    given, cached, images = (
        count(counted.get("input_tokens")),
        count(spent.get("cached_tokens")),
        count(counted.get("image_tokens")),
    )
    searches = count(billed.get("search_units"))
    fresh = (
        (given or 0) + (images or 0) - (cached or 0)
        if given is not None or images is not None
        else None
    )
    return Usage(
        input_tokens=max(fresh, 0) if fresh is not None else None,
        cache_read_tokens=cached,
        output_tokens=count(counted.get("output_tokens")),
        input_image_tokens=images,
        server_tools={"search_unit": searches} if searches else None,
    ), fresh is None or fresh >= 0


def _billed_as_counted(spent: Mapping[str, Any]) -> bool:
    billed, counted = mapping(spent.get("billed_units")), mapping(spent.get("tokens"))
    return (
        not billed
        or not counted
        or all(
            count(billed.get(key)) == count(counted.get(key))
            for key in ("input_tokens", "output_tokens")
        )
    )


def content_length(message: Any) -> int:
    """Bytes of text, thinking and tool arguments in one stream event of either version."""
    message = mapping(message)
    if message.get("event_type") == "text-generation":
        return utf8_len(message.get("text"))
    delta = mapping(mapping(message.get("delta")).get("message"))
    content, tool = (
        mapping(delta.get("content")),
        mapping(mapping(delta.get("tool_calls")).get("function")),
    )
    plan = delta.get("tool_plan")
    return (
        utf8_len(content.get("text"))
        + utf8_len(content.get("thinking"))
        + utf8_len(plan)
        + utf8_len(tool.get("arguments"))
    )


COHERE_CHAT = Format(
    name="cohere_chat",
    read=read_message,
    needles=(b'_tokens"', b'"finish_reason"', b'"error"'),
    content=content_length,
    self_terminating=True,
)
