"""Anthropic Messages: `POST /v1/messages`. https://docs.anthropic.com/en/api/messages-streaming

`message_start` carries the input counts and a placeholder for the output; each `message_delta`
repeats the counts so far. The last one wins, as all are totals. Input counts exclude both caches.

Clones (Qwen, Kimi, vLLM) begin with the whole input and report only at the end how much of it was
cached (https://github.com/maximhq/bifrost/pull/5355), or end with a 0 for input or cache, which
does not replace an earlier count.

`usage.iterations`, when present, is the whole bill: compaction, the advisor and declined fallback
hops stand only there. `diagnostics.cache_miss_reason` says why the cache could not be read, where
the request asked for it (https://platform.claude.com/docs/en/build-with-claude/cache-diagnostics).

The same bodies come from AWS, Google, Azure and many gateways; on a WebSocket the same events are
frames.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ..record import ApiError, Part, Reading, Usage
from .copilot import with_copilot_usage
from .cost import read_cost_header, stated_cost
from .format import (
    MAX_ENTRIES,
    PARTS_CAP,
    Format,
    Turn,
    api_error,
    cache_missed,
    count,
    described_error,
    items,
    mapping,
    miscounted,
    server_tools,
    text,
    utf8_len,
)

STOPPED_EARLY = frozenset({"max_tokens", "model_context_window_exceeded", "refusal"})

_INPUTS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens")
_KINDS = {"advisor_message": "advisor", "fallback_message": "fallback"}

_EVENTS = frozenset(
    {
        "message",
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
        "error",
    }
)


def read_usage(usage: Mapping[str, Any]) -> Usage:
    """One usage object (top level or one iteration) in buckets."""
    creation = mapping(usage.get("cache_creation"))
    written = count(usage.get("cache_creation_input_tokens"))
    by_ttl = [count(creation.get(f"ephemeral_{ttl}_input_tokens")) for ttl in ("5m", "1h")]
    if written is None and any(n is not None for n in by_ttl):
        written = sum(n or 0 for n in by_ttl)
    return Usage(
        input_tokens=count(usage.get("input_tokens")),
        cache_read_tokens=count(usage.get("cache_read_input_tokens")),
        cache_write_tokens=written,
        cache_write_1h_tokens=by_ttl[1],
        output_tokens=count(usage.get("output_tokens")),
        reasoning_tokens=count(mapping(usage.get("output_tokens_details")).get("thinking_tokens")),
        server_tools=_server_tools(mapping(usage.get("server_tool_use"))),
    )


def _server_tools(requests: Mapping[str, Any]) -> dict[str, int] | None:
    return server_tools(
        (name.removesuffix("_requests"), count(value))
        for name, value in requests.items()
        if name.endswith("_requests")
    )


def read_message(message: Any, reading: Reading) -> Reading:
    """Fold a whole message, one stream event, an error, or a count-tokens answer."""
    message = mapping(message)
    match message.get("type"):
        case "message":
            return _read_body(message, reading, finished=True)
        case "message_start":
            return _read_body(mapping(message.get("message")), reading, finished=False)._replace(
                output_provisional=True
            )
        case "message_delta":
            return _read_delta(message, _with_stop(reading, mapping(message.get("delta"))))
        case "content_block_start":
            return _read_fallback(message, reading)
        case "message_stop":
            # Bedrock repeats the usage here
            return _read_delta(message, reading)._replace(finished=True)
        case "error":
            return reading._replace(error=api_error(message.get("error")) or ApiError("error"))
    if "usage" in message:
        return _read_body(message, reading, finished=True)
    if (error := api_error(message.get("error"))) is not None:
        return reading._replace(error=error)
    if count(message.get("input_tokens")) is not None:
        return reading._replace(counting_only=True)
    return reading


def _read_body(body: Mapping[str, Any], reading: Reading, *, finished: bool) -> Reading:
    reading = reading._replace(
        response_id=text(body.get("id")) or reading.response_id,
        model=text(body.get("model")) or reading.model,
        finished=finished or reading.finished,
    )
    reading = _with_usage(_with_stop(_with_diagnosis(reading, body), body), body.get("usage"))
    return _with_cost(reading, body) if finished else reading


def _with_diagnosis(reading: Reading, body: Mapping[str, Any]) -> Reading:
    miss = mapping(mapping(body.get("diagnostics")).get("cache_miss_reason"))
    return (
        cache_missed(reading, miss.get("type"), miss.get("cache_missed_input_tokens"))
        if miss
        else reading
    )


def _read_delta(message: Mapping[str, Any], reading: Reading) -> Reading:
    usage = message.get("usage")
    last = message.get("type") == "message_stop"
    if last and not mapping(usage).get("output_tokens"):
        usage = {**mapping(usage), "output_tokens": None}  # a 0 for what a delta has counted
    reading = _with_usage(reading, usage, may_split=not last)
    if count(mapping(usage).get("output_tokens")) is not None:
        reading = reading._replace(output_provisional=False)
    return _with_cost(reading, message)


def _with_cost(reading: Reading, holder: Mapping[str, Any]) -> Reading:
    """Fold the cost that a gateway states beside the final counts."""
    cost, partial = stated_cost(mapping(holder.get("usage")))
    if cost is not None:
        reading = reading._replace(cost_usd=cost, cost_approximate=partial)
    return with_copilot_usage(reading, holder.get("copilot_usage"))


def _read_fallback(message: Mapping[str, Any], reading: Reading) -> Reading:
    """Fold a content block that names the model to which the turn was handed on; `message_start`
    named the one asked for."""
    block = mapping(message.get("content_block"))
    if block.get("type") != "fallback":
        return reading
    served = text(mapping(block.get("to")).get("model"))
    return reading._replace(model=served or reading.model)


def _with_stop(reading: Reading, holder: Mapping[str, Any]) -> Reading:
    reason = text(holder.get("stop_reason"))
    if reason is None:
        return reading
    return reading._replace(
        stop_reason=reason, stopped_early=reason in STOPPED_EARLY, finished=True
    )


def _with_usage(reading: Reading, usage: Any, *, may_split: bool = True) -> Reading:
    """Fold one usage object: its counts over those of earlier events, unless iterations hold the
    whole bill."""
    if not usage:
        return reading
    approximate = reading.cost_approximate or miscounted(usage)
    usage = mapping(usage)
    old, new = reading.usage or Usage(), read_usage(usage)
    counts = _latest_counts(old, new)
    if may_split and (rest := _uncached_rest(old, new)) is not None:
        counts = counts._replace(input_tokens=rest)
        # A rest that had to be worked out is not the provider's word.
        approximate = approximate or rest != new.input_tokens
    model = reading.model
    parts = _read_iterations(usage, model) or reading.parts
    if parts:
        parts, exact = _with_long_writes(parts, counts)
        approximate = approximate or not exact
        counts = _sum_parts(parts, counts)
        model = _model_of_last_fallback(parts) or model
    return reading._replace(
        model=model,
        usage=counts or reading.usage,
        parts=parts if len(parts) > 1 else (),
        cost_approximate=approximate,
        service_tier=text(usage.get("service_tier")) or reading.service_tier,
        speed=text(usage.get("speed")) or reading.speed,
        inference_geo=text(usage.get("inference_geo")) or reading.inference_geo,
    )


def _latest_counts(old: Usage, new: Usage) -> Usage:
    """What a later event counts replaces what was counted, as all counts are totals; but a 0 for
    input or cache is a default of clones that repeat only the output, and replaces nothing."""
    kept = {
        name: before
        for name in _INPUTS
        if (before := getattr(old, name)) and getattr(new, name) == 0
    }
    latest = old.updated(new)
    return latest._replace(**kept) if kept else latest


def _uncached_rest(old: Usage, new: Usage) -> int | None:
    """The input that was not cached, if it has to be computed: clones report the whole input first,
    and only at the end how much of it was cached. None: there is nothing to compute."""
    whole, cached = old.input_tokens or 0, _cached(new)
    rest_is_told = bool(new.input_tokens)
    cache_was_told_before = bool(_cached(old))  # then the first count left it out already
    if rest_is_told or cache_was_told_before or not 0 < cached <= whole:
        return None
    return whole - cached


def _cached(usage: Usage) -> int:
    return (usage.cache_read_tokens or 0) + (usage.cache_write_tokens or 0)


def _read_iterations(usage: Mapping[str, Any], model: str | None) -> tuple[Part, ...]:
    """The entries of `iterations`, summed by kind and model, in order of first appearance."""
    sums: dict[tuple[str, str | None], Usage] = {}
    for entry in map(mapping, items(usage.get("iterations"))[:MAX_ENTRIES]):
        kind = text(entry.get("type")) or "message"
        key = (_KINDS.get(kind, kind), text(entry.get("model")) or model)
        if key not in sums and len(sums) == PARTS_CAP:
            key = next(reversed(sums))
        sums[key] = sums.get(key, Usage()) + read_usage(entry)
    return tuple(Part(kind, served, part) for (kind, served), part in sums.items())


def _with_long_writes(parts: tuple[Part, ...], top: Usage) -> tuple[tuple[Part, ...], bool]:
    """The parts with their 1-hour cache writes filled in, and whether it is certain which part has
    how many.

    Iterations may leave out for how long each of them wrote. Then only the top level separates
    1-hour writes, which cost 60% more, from 5-minute ones.
    """
    rooms = [
        (part.usage.cache_write_tokens or 0) - (part.usage.cache_write_1h_tokens or 0)
        for part in parts
    ]
    missing = (top.cache_write_1h_tokens or 0) - sum(
        part.usage.cache_write_1h_tokens or 0 for part in parts
    )
    if missing <= 0:
        return parts, True
    same_writes = (
        sum(part.usage.cache_write_tokens or 0 for part in parts) == top.cache_write_tokens
    )
    exact = same_writes and (missing == sum(rooms) or sum(room > 0 for room in rooms) == 1)
    filled = []
    for part, room in zip(parts, rooms, strict=True):
        more = max(0, min(room, missing))
        missing -= more
        known = part.usage.cache_write_1h_tokens
        usage = part.usage._replace(cache_write_1h_tokens=(known or 0) + more if more else known)
        filled.append(dataclasses.replace(part, usage=usage))
    return tuple(filled), exact


def _model_of_last_fallback(parts: tuple[Part, ...]) -> str | None:
    """The model that gave the answer, where the one asked for declined and handed the turn on."""
    return next(
        (part.model for part in reversed(parts) if part.kind == "fallback" and part.model), None
    )


def _sum_parts(parts: tuple[Part, ...], top: Usage) -> Usage:
    """The parts' sum, with what only the top level reports: thinking and server tools."""
    total = sum((part.usage for part in parts), Usage())
    return total._replace(
        reasoning_tokens=total.reasoning_tokens
        if total.reasoning_tokens is not None
        else top.reasoning_tokens,
        server_tools=top.server_tools,
    )


def content_length(message: Any) -> int:
    """Bytes of text, thinking, tool input or compaction summary in one `content_block_delta`."""
    delta = mapping(mapping(message).get("delta"))
    return sum(utf8_len(delta.get(key)) for key in ("text", "thinking", "partial_json", "content"))


def find_turn(message: Any, from_client: bool) -> Turn | None:
    """On a WebSocket: the client sends whole requests, the server the events of one message after
    the other."""
    message = mapping(message)
    if from_client:
        return Turn("", "request") if "messages" in message else None
    kind = text(message.get("type"))
    if kind not in _EVENTS:
        return None
    return Turn("", "end" if kind in ("message", "message_stop", "error") else "read")


def batch_turn(message: Any, from_client: bool) -> Turn | None:
    """One line of a batch's results, each of which is one response."""
    line = mapping(message)
    if "result" not in line:
        return None
    return Turn(text(line.get("custom_id")) or "", "end")


def read_batch_line(message: Any, reading: Reading) -> Reading:
    """`{"custom_id", "result": {"type": "succeeded", "message": {...}}}`, or an error in place of
    the results."""
    line = mapping(message)
    if "result" not in line:
        return read_message(message, reading)
    result = mapping(line["result"])
    if result.get("type") == "succeeded":
        return read_message(result.get("message"), reading)
    error = mapping(result.get("error"))
    failed = (
        api_error(error.get("error")) or api_error(error) or described_error(result.get("type"))
    )
    return reading._replace(error=failed, finished=True)


ANTHROPIC_MESSAGES = Format(
    name="anthropic_messages",
    read=read_message,
    needles=(b'"message_delta"', b'"message_stop"', b'"error"', b'"fallback"'),
    endings=(b'"message_stop"', b'"error"'),
    content=content_length,
    read_headers=read_cost_header,
    turn=find_turn,
    self_terminating=True,
)
ANTHROPIC_BATCH = Format(
    name="anthropic_batch", read=read_batch_line, turn=batch_turn, multiple=True
)
