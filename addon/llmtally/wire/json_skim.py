"""Reads JSON that is too large or too dense to become a tree of Python objects: of it only the
members that matter, as far as they are small enough.

A megabyte of `[{},{},{},...` becomes 35 MB of objects in 40 ms, and 60 MB of it 2.5 GB in seconds,
in which no other thread runs. msgspec finds where members begin and end at some 3 ms a megabyte and
makes no object for what it passes over. Members and elements are parsed from the smallest to the
largest, until the allowance is used up, because counts are small and stand beside what is large.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from ..record import WireError

MAX_VALUES = 2**17
"""Values of one message that become a tree: 10 ms and 30 MB, whatever they are. It is what 1 MB
holds at twice the density of real answers: of 2,400 recorded ones, those over 1 kB have at most 61
values a kilobyte."""

MAX_TEXT = 8 * 2**20
"""Bytes of one message, without its long strings and arrays of numbers, that become a tree. Text
may take four times as much in memory. The longest contexts, a million tokens, have about 4 MB."""

MAX_SKIMMED = 4 * 2**20
"""Bytes of one message, likewise, that are skimmed: one with nothing but members that do not matter
takes 15 ms a megabyte. An answer of 10,000 tokens with five alternatives for each has 4 MB."""

MAX_SCANNED = 4 * MAX_SKIMMED
"""Bytes scanned for one message, all levels together: what lies six levels deep is scanned six
times, at 2 to 4 ms a megabyte."""

MAX_DEPTH = 6
"""Levels that are skimmed. Tokens' alternatives are in the fifth: `response.output[].content[]`."""

MAX_ELEMENTS = 64
"""Elements looked at of an array that is skimmed: choices, candidates, parts of a message. Real
ones have a few."""

CONTAINERS = frozenset(
    {
        "choices",
        "candidates",
        "output",
        "outputs",
        "predictions",
        "message",
        "content",
        "delta",
        "parts",
        "serverContent",
        "modelTurn",
        "response",
        "result",
        "body",
        "payload",
        "interaction",
        "session",
        "decision",
        "event",
        "request",
        "messages",
        "contents",
        "input",
    }
)
"""Members that hold answers or requests: they are skimmed where they are too dense. All others are
read whole or not at all, so that no part of a usage object is taken for all of it."""

MEMBERS = (
    *sorted(CONTAINERS),
    "id",
    "object",
    "type",
    "event_type",
    "model",
    "modelVersion",
    "model_instance_id",
    "invokedModelId",
    "model_usage",
    "responseId",
    "response_id",
    "request_id",
    "generation_id",
    "task_id",
    "custom_id",
    "stream_id",
    "item_id",
    "model_request_start_id",
    "traceId",
    "status",
    "status_code",
    "status_details",
    "service_tier",
    "serviceTier",
    "speed",
    "stop",
    "stop_reason",
    "stop_type",
    "stopReason",
    "stopped_limit",
    "finish_reason",
    "finishReason",
    "finished",
    "done",
    "done_reason",
    "completionReason",
    "incomplete_details",
    "promptFeedback",
    "last_error",
    "error",
    "error_code",
    "error_message",
    "error_type",
    "is_error",
    "code",
    "Message",
    "detail",
    "base_resp",
    ":exception",
    "results",
    "content_block",
    "turnComplete",
    "chunk",
    "bytes",
    "generation",
    "header",
    "action",
    "trace",
    "turn",
    "usage",
    "usageMetadata",
    "usage_breakdown",
    "usage_info",
    "total_usage",
    "tool_usage",
    "copilot_usage",
    "copilot_quota_snapshots",
    "billed_units",
    "meta",
    "metadata",
    "metrics",
    "stats",
    "statistics",
    "timings",
    "perf_metrics",
    "diagnostics",
    "x_groq",
    "cost",
    "cost_in_usd_ticks",
    "estimated_cost",
    "request_cost",
    "is_byok",
    "amazon-bedrock-invocationMetrics",
    "prompt_token_count",
    "generation_token_count",
    "inputTextTokenCount",
    "tokenCount",
    "token_count",
    "prompt_eval_count",
    "prompt_eval_cached_count",
    "eval_count",
    "tokens_evaluated",
    "tokens_predicted",
    "input_tokens",
    "total_tokens",
    "totalTokens",
    "inputTokens",
    "groundingMetadata",
    "grounding_tool_count",
    "server_side_tool_usage_details",
    "system",
    "tools",
    "generate",
    "conversation",
    "conversation_id",
    "session_id",
    "prompt_cache_key",
    "previous_response_id",
    "role",
    "text",
    "headers",
    "rate_limits",
    "additional_rate_limits",
    "to",
    "prompt_cache_diagnostics",
    "messageStart",
    "messageStop",
    "contentBlockStart",
    "contentBlockDelta",
    "contentBlockStop",
    "svg_usage",
    "delegation_id",
    "embedding",
    "embeddings",
    "toolCall",
    "reason",
    "data",
    "tokens_cached",
)
"""Names of the members that formats, limits and attribution look at outside of the objects that
hold the counts. A name that is missing here is missed only in a message that is skimmed; a test
skims all captures."""

_NAMES = {f"member_{at}": name for at, name in enumerate(MEMBERS)}
_PLACES = tuple(f"element_{at}" for at in range(MAX_ELEMENTS + 1))


def _slots(fields: Iterable[str]) -> list[tuple[str, Any, Any]]:
    return [(field, msgspec.Raw | msgspec.UnsetType, msgspec.UNSET) for field in fields]


# What has no field in these is passed over by the decoder, and takes no memory.
_decode_object = msgspec.json.Decoder(
    msgspec.defstruct("SkimmedObject", _slots(_NAMES), rename=_NAMES)
).decode
_decode_array = msgspec.json.Decoder(
    msgspec.defstruct("SkimmedArray", _slots(_PLACES), array_like=True)
).decode


_check = msgspec.json.Decoder(msgspec.Raw).decode


def check(text: bytes) -> None:
    """Raise WireError if a text is not JSON. Makes no tree."""
    try:
        _check(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise WireError(f"not JSON: {error}") from error


class Skimmer:
    """Reads one message."""

    def __init__(self, parse: Callable[[bytes], Any]) -> None:
        """`parse` makes a tree of a text."""
        self.missed = False
        """Something that may matter was passed over."""
        self._parse = parse
        self._values = MAX_VALUES
        self._text = MAX_TEXT
        self._scanned = MAX_SCANNED

    def read(self, text: bytes, depth: int = MAX_DEPTH) -> Any:
        """The value of a JSON text, of which `depth` levels may be skimmed; None where it is passed
        over. Raises WireError for what is not JSON."""
        values = count_values(text, self._values)
        if len(text) <= self._text and values <= self._values:
            self._text -= len(text)
            self._values -= values
            return self._parse(text)
        if not depth or len(text) > min(MAX_SKIMMED, self._scanned):
            self.missed = True
            return None
        self._scanned -= len(text)
        try:
            if text.startswith(b"{"):
                members = dict(zip(MEMBERS, _set_fields(_decode_object(text)), strict=True))
                return self._read_members(members, depth)
            if text.startswith(b"["):
                return self._read_elements(_set_fields(_decode_array(text)), depth)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise WireError(f"not JSON: {error}") from error
        self.missed = True
        return None

    def _read_members(self, members: dict[str, bytes | None], depth: int) -> dict[str, Any]:
        found = [(name, text) for name, text in members.items() if text is not None]
        found.sort(key=lambda member: len(member[1]))
        return {
            name: self.read(text, depth - 1 if name in CONTAINERS else 0) for name, text in found
        }

    def _read_elements(self, elements: list[bytes | None], depth: int) -> list[Any]:
        found = [text for text in elements if text is not None]
        self.missed |= len(found) > MAX_ELEMENTS
        del found[MAX_ELEMENTS:]
        values: list[Any] = [None] * len(found)
        for at in sorted(range(len(found)), key=lambda at: len(found[at])):
            values[at] = self.read(found[at], depth - 1)
        return values


def count_values(text: bytes, most: int) -> int:
    """How many values a JSON text may hold: never fewer than it does; if that is more than `most`,
    punctuation within strings is left out where it can be told apart cheaply."""
    values = _count_punctuation(text)
    if values <= most:
        return values
    plain = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    if plain.count(b'"') > 4 * most:  # a value has at most four, two of them around its name
        return values
    return _count_punctuation(b"".join(plain.split(b'"')[::2]))


def _count_punctuation(text: bytes) -> int:
    """What stands between values, or begins some."""
    return text.count(b",") + text.count(b"[") + text.count(b"{")


def _set_fields(found: Any) -> list[bytes | None]:
    values = msgspec.structs.astuple(found)
    return [None if value is msgspec.UNSET else bytes(value) for value in values]
