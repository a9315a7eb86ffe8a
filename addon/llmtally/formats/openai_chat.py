"""Chat Completions and legacy completions, in every dialect.
https://platform.openai.com/docs/api-reference/chat

`usage` stands on the whole body, or on one of the last chunks of a stream: with `choices: []`, on
the chunk that has the `finish_reason`, or on every chunk with the counts so far. It repeats, so the
last one wins. Elsewhere some say it too: Groq in `x_groq.usage`, Moonshot in `choices[0].usage`,
llama.cpp in `timings`, Fireworks in headers and `perf_metrics`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ..record import Part, Reading
from . import anthropic_messages
from .copilot import with_copilot_usage
from .cost import read_cost_header
from .format import MAX_ENTRIES, PARTS_CAP, Format, count, items, mapping, text, utf8_len
from .openai_usage import read_error, read_usage, with_usage

STOPPED_EARLY = frozenset(
    {
        "length",
        "content_filter",
        "error",
        "model_length",
        "max_tokens",
        "insufficient_system_resource",
    }
)
"""OpenAI's two; OpenRouter and Mistral; Mistral; gateways before Anthropic; DeepSeek under load."""

_ANTHROPIC_EVENTS = frozenset(
    {"message", "message_start", "message_delta", "message_stop", "content_block_start"}
)


def read_chat(message: Any, reading: Reading) -> Reading:
    """Fold a whole completion, one chunk, or an error."""
    message = mapping(message)
    if text(message.get("type")) in _ANTHROPIC_EVENTS:
        # Copilot and other gateways pass Claude's answer on as it is.
        return anthropic_messages.read_message(message, reading)
    if (error := read_error(message)) is not None:
        reading = reading._replace(error=error)
    choices = [mapping(choice) for choice in items(message.get("choices"))]
    reading = reading._replace(
        response_id=text(message.get("id")) or reading.response_id,
        model=text(message.get("model")) or reading.model,
        service_tier=text(message.get("service_tier")) or reading.service_tier,
    )
    return _with_counts(_with_ends(reading, message, choices), message, choices)


def _with_ends(
    reading: Reading, message: Mapping[str, Any], choices: list[Mapping[str, Any]]
) -> Reading:
    for choice in choices:
        if (reason := text(choice.get("finish_reason"))) is not None:
            reading = reading._replace(
                stop_reason=reason, stopped_early=reason in STOPPED_EARLY, finished=True
            )
    # The trailing chunk with the usage has no choice left in it; a whole body has messages, not
    # deltas.
    if (mapping(message.get("usage")) and not choices) or any(
        "message" in choice for choice in choices
    ):
        reading = reading._replace(finished=True)
    return reading


def _with_counts(
    reading: Reading, message: Mapping[str, Any], choices: list[Mapping[str, Any]]
) -> Reading:
    """Fold every place that holds counts, the least telling first: later ones win."""
    groq = mapping(message.get("x_groq"))
    usages = [
        _llama_cpp_usage(mapping(message.get("timings"))),
        _fireworks_usage(mapping(message.get("perf_metrics")), prefix=""),
        groq.get("usage"),
        *(choice.get("usage") for choice in choices),
        message.get("usage"),
    ]
    for usage in usages:
        reading = with_usage(reading, usage)
    reading = with_copilot_usage(reading, message.get("copilot_usage"))
    breakdown = mapping(message.get("usage_breakdown")) or mapping(groq.get("usage_breakdown"))
    return reading._replace(parts=_read_breakdown(breakdown) or reading.parts)


def _read_breakdown(breakdown: Mapping[str, Any]) -> tuple[Part, ...]:
    """Groq's compound systems: which model did which part of the whole."""
    parts: list[Part] = []
    for entry in map(mapping, items(breakdown.get("models"))[:MAX_ENTRIES]):
        usage, _ = read_usage(mapping(entry.get("usage")))
        if len(parts) < PARTS_CAP:
            parts.append(Part("message", text(entry.get("model")), usage))
        else:
            parts[-1] = dataclasses.replace(parts[-1], usage=parts[-1].usage + usage)
    return tuple(parts) if len(parts) > 1 else ()


def _llama_cpp_usage(timings: Mapping[str, Any]) -> Mapping[str, Any]:
    """llama.cpp's `prompt_n` leaves the cached part of the prompt out."""
    cached, prompt = count(timings.get("cache_n")), count(timings.get("prompt_n"))
    if prompt is None:
        return {}
    return {
        "prompt_tokens": prompt + (cached or 0),
        "completion_tokens": timings.get("predicted_n"),
        "cached_tokens": cached,
    }


def _fireworks_usage(values: Mapping[str, Any], *, prefix: str) -> Mapping[str, Any]:
    """Fireworks states these as decimal strings, prompt and cached part; the output is only in
    `usage`."""
    prompt, cached = (
        count(values.get(prefix + "prompt-tokens")),
        count(values.get(prefix + "cached-prompt-tokens")),
    )
    return (
        {}
        if prompt is None or cached is None
        else {"prompt_tokens": prompt, "cached_tokens": cached}
    )


def read_headers(headers: Mapping[str, str], reading: Reading) -> Reading:
    """Fold a proxy's stated cost, and the cache reads that Fireworks' bodies may leave out."""
    return with_usage(
        read_cost_header(headers, reading), _fireworks_usage(headers, prefix="fireworks-")
    )


def content_length(message: Any) -> int:
    """Bytes of text, reasoning and tool arguments in one chunk."""
    message = mapping(message)
    if message.get("type") == "content_block_delta":
        return anthropic_messages.content_length(message)
    return sum(_choice_length(mapping(choice)) for choice in items(message.get("choices")))


def _choice_length(choice: Mapping[str, Any]) -> int:
    delta = mapping(choice.get("delta"))
    length = (
        utf8_len(choice.get("text"))
        + _text_length(delta.get("content"))
        + utf8_len(delta.get("refusal"))
    )
    # vLLM and OpenRouter send both names with the same text.
    length += utf8_len(delta.get("reasoning_content")) or utf8_len(delta.get("reasoning"))
    length += utf8_len(mapping(delta.get("audio")).get("transcript"))
    for call in items(delta.get("tool_calls")):
        length += utf8_len(mapping(mapping(call).get("function")).get("arguments"))
    return length + utf8_len(mapping(delta.get("function_call")).get("arguments"))


def _text_length(content: Any) -> int:
    """A string, or Mistral's list of pieces: `{"type": "text", "text"}`, `{"type": "thinking",
    "thinking": [pieces]}`."""
    if isinstance(content, str):
        return utf8_len(content)
    length = 0
    for piece in items(content):
        length += utf8_len(mapping(piece).get("text"))
        length += sum(
            utf8_len(mapping(thought).get("text"))
            for thought in items(mapping(piece).get("thinking"))
        )
    return length


# `error"` is the end of Mistral's event type `conversation.response.error` too.
_ENDINGS = (b'error"', b'"finish_reason":"', b'"finish_reason": "')
_NEEDLES = (b'_tokens"', *_ENDINGS)

OPENAI_CHAT = Format(
    name="openai_chat",
    read=read_chat,
    read_headers=read_headers,
    needles=_NEEDLES,
    endings=_ENDINGS,
    content=content_length,
    self_terminating=True,
)
OPENAI_CHAT_MINIMAX = dataclasses.replace(
    OPENAI_CHAT, needles=(*_NEEDLES, b'"base_resp"'), endings=(*_ENDINGS, b'"base_resp"')
)
"""MiniMax says in `base_resp` what goes wrong in the middle of a stream, which ends it. The others
need not search for that."""
OPENAI_COMPLETIONS = dataclasses.replace(OPENAI_CHAT, name="openai_completions")
