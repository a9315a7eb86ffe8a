"""Gemini Interactions: `POST /v1beta/interactions`. https://ai.google.dev/api/interactions-api

A whole `interaction`, or SSE events named in `event_type`; the last, `interaction.completed`, holds
the interaction with its `usage`, and running totals stand on the events before it. The input
includes the cache. Whether tool use stands inside the input, and thoughts inside the output,
follows from `total_tokens`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..record import COUNT_CAP, Reading, Usage
from .format import Format, count, items, mapping, miscounted, text, utf8_len
from .gemini import read_error

STOPPED_EARLY = frozenset({"incomplete", "budget_exceeded"})
UNDER_WAY = frozenset({"in_progress", "queued"})
ENDED = (
    frozenset({"completed", "failed", "cancelled", "requires_action", "requires_continuation"})
    | STOPPED_EARLY
)


def read_message(message: Any, reading: Reading) -> Reading:
    """Fold a whole interaction, one stream event, or an error."""
    message = mapping(message)
    if (error := read_error(message.get("error"))) is not None:
        return reading._replace(error=error)
    event = text(message.get("event_type"))
    if event is None:
        under_way = text(message.get("status")) in UNDER_WAY  # made in the background, and polled
        return _read_interaction(message, reading)._replace(pending=under_way)
    reading = _read_interaction(mapping(message.get("interaction")), reading)
    if event == "interaction.completed":
        reading = reading._replace(finished=True)
    for usage in _running_totals(message):
        reading = _with_usage(reading, usage)
    return _with_status(reading, message)


def _running_totals(event: Mapping[str, Any]) -> list[Any]:
    return [event.get("usage"), mapping(event.get("metadata")).get("total_usage")]


def _read_interaction(interaction: Mapping[str, Any], reading: Reading) -> Reading:
    reading = reading._replace(
        response_id=text(interaction.get("id")) or reading.response_id,
        model=text(interaction.get("model")) or reading.model,
        service_tier=text(interaction.get("service_tier")) or reading.service_tier,
    )
    return _with_status(_with_usage(reading, interaction.get("usage")), interaction)


def _with_status(reading: Reading, holder: Mapping[str, Any]) -> Reading:
    status = text(holder.get("status"))
    if status not in ENDED:
        return reading
    return reading._replace(
        stop_reason=status, stopped_early=status in STOPPED_EARLY, finished=True
    )


def _with_usage(reading: Reading, usage: Any) -> Reading:
    if not usage:
        return reading
    newer, consistent = read_usage(mapping(usage))
    merged = (reading.usage or Usage()).updated(newer)
    return reading._replace(
        usage=merged or reading.usage,
        cost_approximate=reading.cost_approximate or miscounted(usage) or not consistent,
    )


def read_usage(usage: Mapping[str, Any]) -> tuple[Usage, bool]:
    """One usage object in buckets, and whether its arithmetic holds."""
    names = ("input", "output", "thought", "tool_use", "cached")
    given, output, thought, tool_use, cached = (
        count(usage.get(f"total_{name}_tokens")) for name in names
    )
    total = count(usage.get("total_tokens"))
    extra_input, extra_output = _outside(given, output, thought or 0, tool_use or 0, total)
    fresh = given + extra_input - (cached or 0) if given is not None else None
    # A thought can be counted before there is any output.
    generated = (output or 0) + extra_output if output is not None or thought is not None else None
    inputs, outputs = (
        _by_modality(usage.get(f"{name}_tokens_by_modality")) for name in ("input", "output")
    )
    return Usage(
        input_tokens=max(fresh, 0) if fresh is not None else None,
        cache_read_tokens=cached,
        output_tokens=generated,
        reasoning_tokens=thought,
        input_audio_tokens=inputs.get("audio"),
        cache_read_audio_tokens=_by_modality(usage.get("cached_tokens_by_modality")).get("audio"),
        output_audio_tokens=outputs.get("audio"),
        input_image_tokens=inputs.get("image"),
        output_image_tokens=outputs.get("image"),
        server_tools=_server_tools(usage),
    ), fresh is None or fresh >= 0


def _outside(
    given: int | None, output: int | None, thought: int, tool_use: int, total: int | None
) -> tuple[int, int]:
    """What to add to input and output so that they meet the total: tool use and thoughts, one of
    them, or neither."""
    if given is not None and output is not None and total is not None:
        for extra in ((tool_use, thought), (0, thought), (tool_use, 0), (0, 0)):
            if given + output + sum(extra) == total:
                return extra
    return tool_use, thought


def _by_modality(details: Any) -> dict[str, int]:
    sums: dict[str, int] = {}
    for detail in items(details):
        modality, tokens = mapping(detail).get("modality"), count(mapping(detail).get("tokens"))
        if (
            isinstance(modality, str)
            and modality.lower() in ("audio", "image")
            and tokens is not None
        ):
            sums[modality.lower()] = min(sums.get(modality.lower(), 0) + tokens, COUNT_CAP)
    return sums


def _server_tools(usage: Mapping[str, Any]) -> dict[str, int] | None:
    searches = 0
    for entry in items(usage.get("grounding_tool_count")):
        if text(mapping(entry).get("type")) == "google_search":
            searches += count(mapping(entry).get("count")) or 0
    return {"web_search": min(searches, COUNT_CAP)} if searches else None


def content_length(message: Any) -> int:
    """Bytes of text, thought and tool arguments in one `step.delta`."""
    delta = mapping(mapping(message).get("delta"))
    arguments = delta.get("arguments")
    thought = mapping(delta.get("content")).get("text")
    return utf8_len(delta.get("text")) + utf8_len(thought) + utf8_len(arguments)


GEMINI_INTERACTIONS = Format(
    name="gemini_interactions",
    read=read_message,
    needles=(b'_tokens"', b'"interaction"', b'"status"', b'"error"'),
    content=content_length,
    self_terminating=True,
)
