"""Bedrock InvokeModel: `POST /model/{id}/invoke` and `invoke-with-response-stream`.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html
Bodies are the model's own JSON; a stream is an AWS event stream of `chunk` messages with that JSON
in base64. Beside it AWS counts in its own words, cache excluded from the input: in headers of a
whole body, and in the last chunk of a stream under `amazon-bedrock-invocationMetrics`. What the
model itself says goes first; theirs fills the gaps and is never added.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
from collections.abc import Mapping
from typing import Any

from ..record import Reading, Usage, WireError
from ..wire import json_body
from . import anthropic_messages, bedrock_converse, cohere, openai_chat
from .format import Format, RequestReading, count, items, mapping, read_json_request, text, utf8_len

METRICS = "amazon-bedrock-invocationMetrics"

STOPPED_EARLY = frozenset(
    {"length", "LENGTH", "CONTENT_FILTERED", "CONTENT_FILTER", "RAG_QUERY_WHEN_RAG_DISABLED"}
)
"""Stop reasons of Llama and Mistral, then Titan's."""

_CONVERSE = frozenset(
    {
        "messageStart",
        "contentBlockDelta",
        "messageStop",
        "metadata",
        "stopReason",
        bedrock_converse.EXCEPTION,
    }
)
_COHERE = frozenset({"event_type", "generation_id", "response_id"})


def unwrap(message: Any) -> Any:
    """The model's JSON out of a `chunk`; anything else as it is. Raises WireError."""
    chunk = mapping(message).get("chunk")
    if not isinstance(chunk, dict):
        return message
    try:
        return json_body.load(base64.b64decode(chunk.get("bytes", ""), validate=True))
    except (TypeError, ValueError, binascii.Error) as error:
        raise WireError("chunk is not JSON in base64") from error


def read_message(message: Any, reading: Reading) -> Reading:
    """Fold a whole body, one stream event, or an error, of any model."""
    message = mapping(message)
    if (error := bedrock_converse.read_error(message, reading)) is not None:
        return reading._replace(error=error)
    reading = _read_native(message, reading)
    metrics = mapping(message.get(METRICS))
    return _fill_gaps(reading, _read_counts(metrics, _METRIC_NAMES)) if metrics else reading


def _read_native(message: Mapping[str, Any], reading: Reading) -> Reading:
    if "type" in message:
        return anthropic_messages.read_message(message, reading)
    if not _CONVERSE.isdisjoint(message):  # Amazon Nova
        return bedrock_converse.read_message(message, reading)
    if not _COHERE.isdisjoint(message):
        return cohere.read_message(message, reading)
    if "choices" in message:  # DeepSeek, Qwen, gpt-oss, newer Mistral
        return openai_chat.read_chat(message, reading)
    return _read_titan(_read_llama(message, reading), message)


def _read_llama(message: Mapping[str, Any], reading: Reading) -> Reading:
    """Meta's flat counts, and the stop reasons that Meta and older Mistral models share. The prompt
    count is on the first chunk."""
    usage = Usage(
        input_tokens=count(message.get("prompt_token_count")),
        output_tokens=count(message.get("generation_token_count")),
    )
    outputs = [message, *(mapping(output) for output in items(message.get("outputs")))]
    return _with_stop(
        _with_usage(reading, usage), [output.get("stop_reason") for output in outputs]
    )


def _read_titan(reading: Reading, message: Mapping[str, Any]) -> Reading:
    """Titan counts by result in a body, in total in a stream."""
    results = [mapping(result) for result in items(message.get("results"))]
    counts = [n for result in results if (n := count(result.get("tokenCount"))) is not None]
    usage = Usage(
        input_tokens=count(message.get("inputTextTokenCount")),
        output_tokens=count(sum(counts))
        if counts
        else count(message.get("totalOutputTextTokenCount")),
    )
    return _with_stop(
        _with_usage(reading, usage),
        [holder.get("completionReason") for holder in (message, *results)],
    )


def _with_usage(reading: Reading, newer: Usage) -> Reading:
    return reading._replace(usage=(reading.usage or Usage()).updated(newer)) if newer else reading


def _with_stop(reading: Reading, reasons: list[Any]) -> Reading:
    reason = next((found for value in reasons if (found := text(value))), None)
    if reason is None:
        return reading
    return reading._replace(
        stop_reason=reason, stopped_early=reason in STOPPED_EARLY, finished=True
    )


def _fill_gaps(reading: Reading, counted: Usage) -> Reading:
    """Fold AWS's counts, which end every stream: they fill in what the model's own leave open."""
    usage = counted.updated(reading.usage or Usage())
    if reading.output_provisional and counted.output_tokens is not None:
        usage = usage._replace(output_tokens=counted.output_tokens)
        reading = reading._replace(output_provisional=False)
    return reading._replace(usage=usage or reading.usage, finished=True)


_METRIC_NAMES = (
    "inputTokenCount",
    "cacheReadInputTokenCount",
    "cacheWriteInputTokenCount",
    "outputTokenCount",
)
_HEADER_NAMES = tuple(
    f"x-amzn-bedrock-{name}-token-count"
    for name in ("input", "cache-read-input", "cache-write-input", "output")
)


def _read_counts(holder: Mapping[str, Any], names: tuple[str, ...]) -> Usage:
    given, read, written, output = (count(holder.get(name)) for name in names)
    return Usage(
        input_tokens=given, cache_read_tokens=read, cache_write_tokens=written, output_tokens=output
    )


def read_headers(headers: Mapping[str, str], reading: Reading) -> Reading:
    """The counts of a whole body, the tier that served, and the type of an error."""
    reading = bedrock_converse.read_headers(headers, reading)
    usage = _read_counts(headers, _HEADER_NAMES)
    return reading._replace(
        usage=usage or reading.usage,
        service_tier=text(headers.get("x-amzn-bedrock-service-tier")) or reading.service_tier,
    )


def read_request(body: Mapping[str, Any]) -> RequestReading:
    """The path names the model; the body is the model's own."""
    return dataclasses.replace(read_json_request(body), model=None)


def content_length(message: Any) -> int:
    """Bytes of generated text in one chunk, of any model."""
    message = mapping(message)
    if "type" in message:
        return anthropic_messages.content_length(message)
    if "contentBlockDelta" in message:
        return bedrock_converse.content_length(message)
    if "event_type" in message:
        return cohere.content_length(message)
    if "choices" in message:
        return openai_chat.content_length(message)
    outputs = [message, *(mapping(output) for output in items(message.get("outputs")))]
    return sum(
        utf8_len(holder.get(key))
        for holder in outputs
        for key in ("generation", "outputText", "text")
    )


BEDROCK_INVOKE = Format(
    name="bedrock_invoke",
    read=read_message,
    content=content_length,
    read_request=read_request,
    read_headers=read_headers,
    unwrap=unwrap,
    self_terminating=True,
)
