"""Ollama's own API: `/api/chat`, `/api/generate`, `/api/embed`. https://docs.ollama.com/api

NDJSON unless the request says `stream: false`; the counts stand on the last line, the one with
`done: true`. The prompt count includes what was cached, and servers that do not count a cached
prompt leave it out or say 0: unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..record import Reading, Usage
from .format import Format, api_error, count, items, mapping, miscounted, text, utf8_len
from .gemini import json_len

STOPPED_EARLY = frozenset({"length"})
NOT_GENERATING = frozenset({"load", "unload"})
"""An empty prompt only loads a model into memory, or takes it out."""


def read_message(message: Any, reading: Reading) -> Reading:
    """Fold one line, a whole body, or an error."""
    message = mapping(message)
    if (error := api_error(message.get("error"))) is not None:
        return reading._replace(error=error)
    reading = reading._replace(model=text(message.get("model")) or reading.model)
    if message.get("done") is not True and "embeddings" not in message:
        return reading
    reason = text(message.get("done_reason"))
    usage, consistent = read_usage(message)
    return reading._replace(
        usage=usage or reading.usage,
        cost_approximate=reading.cost_approximate or not consistent,
        stop_reason=reason,
        stopped_early=reason in STOPPED_EARLY,
        finished=True,
        counting_only=reason in NOT_GENERATING,
    )


def read_usage(message: Mapping[str, Any]) -> tuple[Usage, bool]:
    """The counts of the last line in buckets, and whether their arithmetic holds."""
    prompt = count(message.get("prompt_eval_count")) or None
    cached = count(message.get("prompt_eval_cached_count"))
    fresh = prompt - (cached or 0) if prompt is not None else None
    return Usage(
        input_tokens=max(fresh, 0) if fresh is not None else None,
        cache_read_tokens=cached if prompt is not None else None,
        output_tokens=count(message.get("eval_count")),
    ), (fresh is None or fresh >= 0) and not miscounted(message, depth=0)


def content_length(message: Any) -> int:
    """Bytes of text, thinking and tool arguments in one line of `chat` or `generate`."""
    message = mapping(message)
    chat = mapping(message.get("message"))
    length = sum(utf8_len(message.get(key)) for key in ("response", "thinking"))
    length += sum(utf8_len(chat.get(key)) for key in ("content", "thinking"))
    return length + sum(
        json_len(mapping(mapping(mapping(call).get("function")).get("arguments")))
        for call in items(chat.get("tool_calls"))
    )


OLLAMA = Format(
    name="ollama",
    read=read_message,
    needles=(b'_duration"', b'"done_reason"', b'"error"'),
    content=content_length,
    self_terminating=True,
)
