"""DashScope's own API (Qwen). https://help.aliyun.com/zh/model-studio/dashscope-api-reference

A body, or SSE where every event has `output`, `usage` and `request_id`; the usage is that of the
answer so far. Input includes the cache, output the reasoning. On the WebSocket the same object is
the `payload`, beside a `header` that names the task.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..record import ApiError, Reading, Usage
from .format import (
    Format,
    RequestReading,
    Turn,
    api_error,
    count,
    described_error,
    items,
    mapping,
    miscounted,
    text,
    utf8_len,
)

STOPPED_EARLY = frozenset({"length", "content_filter"})
ENDED = frozenset({"task-finished", "task-failed"})


def read_message(message: Any, reading: Reading) -> Reading:
    """Fold a whole body, one event, one frame, or an error."""
    message = mapping(message)
    header, body = mapping(message.get("header")), mapping(message.get("payload")) or message
    if (error := _read_error(header, body)) is not None:
        return reading._replace(error=error)
    reading = reading._replace(
        response_id=text(body.get("request_id"))
        or text(header.get("task_id"))
        or reading.response_id,
        finished=reading.finished or header.get("event") == "task-finished",
    )
    return _with_usage(_with_stop(reading, mapping(body.get("output"))), body.get("usage"))


def _read_error(header: Mapping[str, Any], body: Mapping[str, Any]) -> ApiError | None:
    if kind := text(header.get("error_code")):
        return described_error(kind, header.get("error_message"))
    # `code` is also an empty string beside a good answer.
    return (
        api_error({"type": body["code"], "message": body.get("message")})
        if text(body.get("code"))
        else None
    )


def _with_stop(reading: Reading, output: Mapping[str, Any]) -> Reading:
    holders = [output, *(mapping(choice) for choice in items(output.get("choices")))]
    reasons = [
        reason
        for holder in holders
        if (reason := text(holder.get("finish_reason"))) and reason != "null"
    ]
    if not reasons:
        return reading
    return reading._replace(
        stop_reason=reasons[0], stopped_early=reasons[0] in STOPPED_EARLY, finished=True
    )


def _with_usage(reading: Reading, usage: Any) -> Reading:
    known = reading.usage or Usage()
    newer, consistent = read_usage(mapping(usage), known)
    return reading._replace(
        usage=known.updated(newer) if newer else reading.usage,
        cost_approximate=reading.cost_approximate or miscounted(usage) or not consistent,
    )


def read_usage(usage: Mapping[str, Any], known: Usage) -> tuple[Usage, bool]:
    """One usage object in buckets, and whether its arithmetic holds. `known`: what earlier events
    said."""
    inputs, outputs = (
        mapping(usage.get("input_tokens_details")),
        mapping(usage.get("output_tokens_details")),
    )
    cache = mapping(usage.get("prompt_tokens_details"))
    given, read, written = (
        count(usage.get("input_tokens")),
        count(cache.get("cached_tokens")),
        count(cache.get("cache_creation_input_tokens")),
    )
    if given is None and "output_tokens" not in usage:
        given = count(usage.get("total_tokens"))  # embeddings
    cached = sum(
        (n if n is not None else before) or 0
        for n, before in ((read, known.cache_read_tokens), (written, known.cache_write_tokens))
    )
    fresh = given - cached if given is not None else None
    images = count(inputs.get("image_tokens"))
    return Usage(
        input_tokens=max(fresh, 0) if fresh is not None else None,
        cache_read_tokens=read,
        cache_write_tokens=written,
        output_tokens=count(usage.get("output_tokens")),
        reasoning_tokens=count(outputs.get("reasoning_tokens")),
        input_audio_tokens=count(inputs.get("audio_tokens")),
        output_audio_tokens=count(outputs.get("audio_tokens")),
        input_image_tokens=images if images is not None else count(usage.get("image_tokens")),
    ), fresh is None or fresh >= 0


def find_turn(message: Any, from_client: bool) -> Turn | None:
    """The task a frame of the WebSocket belongs to; several can run on one connection."""
    header = mapping(mapping(message).get("header"))
    task = text(header.get("task_id"))
    if task is None:
        return None
    if from_client:
        return Turn(task, "request") if header.get("action") == "run-task" else None
    return Turn(task, "end" if text(header.get("event")) in ENDED else "read")


def read_request(body: Mapping[str, Any]) -> RequestReading:
    """The model; on the WebSocket it is in the payload. A header asks for the stream."""
    return RequestReading(
        model=text(body.get("model")) or text(mapping(body.get("payload")).get("model"))
    )


def content_length(message: Any) -> int:
    """Bytes of text in one event: the new text, or all so far, as the client asked; the counts
    beside it are exact."""
    message = mapping(message)
    output = mapping((mapping(message.get("payload")) or message).get("output"))
    length = utf8_len(output.get("text"))
    for choice in items(output.get("choices")):
        answer = mapping(mapping(choice).get("message"))
        length += utf8_len(answer.get("content")) + utf8_len(answer.get("reasoning_content"))
        length += sum(utf8_len(mapping(part).get("text")) for part in items(answer.get("content")))
    return length


DASHSCOPE = Format(
    name="dashscope",
    read=read_message,
    content=content_length,
    read_request=read_request,
    turn=find_turn,
    self_terminating=True,
)
