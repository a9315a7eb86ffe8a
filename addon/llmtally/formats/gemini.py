"""Gemini generateContent, on the Gemini API, Vertex and Code Assist.
https://ai.google.dev/api/generate-content

`usageMetadata` stands on every chunk and is cumulative; early chunks may hold no counts. The prompt
includes the cache; thoughts and the prompts of tools stand beside candidates and prompt: total =
prompt + tool use + candidates + thoughts. Code Assist puts each answer into an envelope,
`{"response": {...}, "traceId": "..."}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from ..record import COUNT_CAP, ApiError, Reading, Usage
from .cost import read_cost_header
from .format import (
    Format,
    RequestReading,
    api_error,
    count,
    items,
    mapping,
    miscounted,
    text,
    utf8_len,
)

NOT_EARLY = frozenset({"STOP", "FINISH_REASON_UNSPECIFIED", "CONTINUATION"})
"""Every other finish reason (length, filters, malformed calls) cut the answer short; Google keeps
adding such."""


def read_message(message: Any, reading: Reading) -> Reading:
    """Fold a whole answer, one chunk, an error, an embedding, or a count-tokens answer."""
    # a stream's error may come inside an array, also as a whole body
    if isinstance(message, list):
        for element in message:
            reading = read_message(element, reading) if isinstance(element, dict) else reading
        return reading
    message = mapping(message)
    if (error := read_error(message.get("error"))) is not None:
        return reading._replace(error=error)
    metadata = message.get("usageMetadata")
    if not metadata and count(message.get("totalTokens")) is not None:
        return reading._replace(counting_only=True)
    reading = reading._replace(
        response_id=text(message.get("responseId")) or reading.response_id,
        model=text(message.get("modelVersion")) or reading.model,
        finished=reading.finished or "embedding" in message or "embeddings" in message,
    )
    reading = _with_stop(reading, message)
    return with_usage(reading, metadata, _web_searches(message))


def read_error(value: Any) -> ApiError | None:
    """Google names an error in `status` (`RESOURCE_EXHAUSTED`); `code` only repeats the HTTP
    status."""
    error = mapping(value)
    return api_error(
        {**error, "type": error.get("status") or error.get("code")} if error else value
    )


def _with_stop(reading: Reading, message: Mapping[str, Any]) -> Reading:
    reasons = (
        text(mapping(candidate).get("finishReason"))
        for candidate in items(message.get("candidates"))
    )
    reason = next((reason for reason in reasons if reason), None)
    if reason is not None:
        return reading._replace(
            stop_reason=reason, stopped_early=reason not in NOT_EARLY, finished=True
        )
    if (reason := text(mapping(message.get("promptFeedback")).get("blockReason"))) is not None:
        return reading._replace(stop_reason=reason, stopped_early=True, finished=True)
    return reading


def _web_searches(message: Mapping[str, Any]) -> int:
    """Different queries that Google Search was asked for this answer."""
    queries: set[str] = set()
    for candidate in items(message.get("candidates")):
        grounding = mapping(mapping(candidate).get("groundingMetadata"))
        queries.update(
            query for query in items(grounding.get("webSearchQueries")) if isinstance(query, str)
        )
    return len(queries)


def with_usage(reading: Reading, metadata: Any, web_searches: int = 0) -> Reading:
    """Fold one `usageMetadata`, and the searches seen beside it."""
    if not metadata and not web_searches:
        return reading
    inexact, metadata = miscounted(metadata), mapping(metadata)
    before = reading.usage or Usage()
    newer, consistent = read_usage(metadata, before, ended=reading.finished)
    searches = max(web_searches, (before.server_tools or {}).get("web_search", 0))
    if searches:
        newer = newer._replace(server_tools={"web_search": searches})
    usage = before.updated(newer)
    # What a search put into the prompt is not charged as tokens; what other tools put there is not
    # reported separately.
    free_tool_use = bool(searches and count(metadata.get("toolUsePromptTokenCount")))
    return reading._replace(
        usage=usage or reading.usage,
        service_tier=text(metadata.get("serviceTier"))
        or text(metadata.get("trafficType"))
        or reading.service_tier,
        cost_approximate=reading.cost_approximate or free_tool_use or inexact or not consistent,
    )


def read_usage(metadata: Mapping[str, Any], before: Usage, *, ended: bool) -> tuple[Usage, bool]:
    """One `usageMetadata` in buckets, and whether its arithmetic holds. `before`: what earlier
    chunks said."""
    prompt = count(metadata.get("promptTokenCount"))
    tool_use = count(metadata.get("toolUsePromptTokenCount")) or 0
    cached = count(metadata.get("cachedContentTokenCount"))
    fresh: int | None = None
    if prompt is not None:
        fresh = (
            prompt + tool_use - ((cached if cached is not None else before.cache_read_tokens) or 0)
        )
    elif cached is not None and before.input_tokens is not None:
        fresh = before.input_tokens + (before.cache_read_tokens or 0) - cached
    thoughts = count(metadata.get("thoughtsTokenCount"))
    prompts = _details(
        metadata, "promptTokensDetails", "promptTokenDetails", "toolUsePromptTokensDetails"
    )
    outputs = _details(metadata, "candidatesTokensDetails", "responseTokensDetails")
    usage = Usage(
        input_tokens=max(fresh, 0) if fresh is not None else None,
        cache_read_tokens=cached,
        output_tokens=_output(metadata, prompt, tool_use, before, ended=ended),
        reasoning_tokens=thoughts,
        input_audio_tokens=prompts.get("AUDIO"),
        cache_read_audio_tokens=_details(metadata, "cacheTokensDetails").get("AUDIO"),
        output_audio_tokens=outputs.get("AUDIO"),
        input_image_tokens=prompts.get("IMAGE"),
        output_image_tokens=outputs.get("IMAGE"),
    )
    return usage, fresh is None or fresh >= 0


def _output(
    metadata: Mapping[str, Any], prompt: int | None, tool_use: int, before: Usage, *, ended: bool
) -> int | None:
    """Candidates and thoughts. Where neither is stated (a blocked prompt), they follow from the
    total of an ended answer."""
    total = count(metadata.get("totalTokenCount"))
    thoughts = count(metadata.get("thoughtsTokenCount"))
    candidates = count(metadata.get("candidatesTokenCount"))
    if candidates is None:  # the Live API's name
        candidates = count(metadata.get("responseTokenCount"))
    if candidates is None and thoughts is None:
        return (
            max(total - prompt - tool_use, 0)
            if ended and total is not None and prompt is not None
            else None
        )
    if (
        candidates is not None
        and thoughts
        and prompt is not None
        and prompt + tool_use + candidates == total
    ):
        return candidates  # some servers count thoughts as candidates
    if candidates is None:
        candidates = max((before.output_tokens or 0) - (before.reasoning_tokens or 0), 0)
    return candidates + (thoughts if thoughts is not None else before.reasoning_tokens or 0)


def _details(metadata: Mapping[str, Any], *names: str) -> dict[str, int]:
    """Tokens by modality. The details can add up to less than the count that they are for, so they
    are only subsets."""
    sums: dict[str, int] = {}
    for name in names:
        for detail in items(metadata.get(name)):
            modality, tokens = (
                mapping(detail).get("modality"),
                count(mapping(detail).get("tokenCount")),
            )
            if modality in ("AUDIO", "IMAGE") and tokens is not None:
                sums[modality] = min(sums.get(modality, 0) + tokens, COUNT_CAP)
    return sums


def read_headers(headers: Mapping[str, str], reading: Reading) -> Reading:
    """The tier that served, on the Gemini API, and a proxy's stated cost."""
    tier = text(headers.get("x-gemini-service-tier"))
    return read_cost_header(headers, reading._replace(service_tier=tier or reading.service_tier))


def read_request(body: Mapping[str, Any]) -> RequestReading:
    """The path names model and streaming, except on Code Assist, whose body is an envelope with the
    model."""
    inner = mapping(body.get("request")) or body
    return RequestReading(
        model=text(body.get("model")), service_tier=text(inner.get("serviceTier"))
    )


def unwrap(message: Any) -> Any:
    """Take off Code Assist's envelope; its trace id is used if the answer has no id."""
    if not isinstance(message, dict) or not isinstance(response := message.get("response"), dict):
        return message
    return {**response, "responseId": response.get("responseId") or message.get("traceId")}


def content_length(message: Any) -> int:
    """Bytes of the text, code and function arguments in one chunk."""
    parts = (
        part
        for candidate in items(mapping(message).get("candidates"))
        for part in items(mapping(mapping(candidate).get("content")).get("parts"))
    )
    return sum(part_length(part) for part in parts)


def part_length(part: Any) -> int:
    """Bytes of text, code and function arguments in one content part."""
    part = mapping(part)
    args = mapping(mapping(part.get("functionCall")).get("args"))
    code = mapping(part.get("executableCode")).get("code")
    return utf8_len(part.get("text")) + utf8_len(code) + json_len(args)


def json_len(arguments: Mapping[str, Any]) -> int:
    """Bytes of a tool's arguments where the wire holds them as an object, as JSON would write
    them."""
    try:
        return len(orjson.dumps(arguments)) if arguments else 0
    # what our parser reads can be written; what others made, perhaps not
    except orjson.JSONEncodeError:
        return 0


GEMINI_GENERATE = Format(
    name="gemini_generate",
    read=read_message,
    content=content_length,
    read_request=read_request,
    read_headers=read_headers,
    unwrap=unwrap,
    self_terminating=True,
)
