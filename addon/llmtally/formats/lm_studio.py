"""LM Studio's own API: `POST /api/v1/chat`. https://lmstudio.ai/docs/developer/rest/chat

A body, or SSE typed in `type` whose last event, `chat.end`, holds the same body as its `result`.
`stats` counts the whole prompt and all output, reasoning included; the model is named as the
instance that was loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..record import Reading, Usage
from .format import Format, api_error, count, mapping, miscounted, text, utf8_len

DELTAS = frozenset({"message.delta", "reasoning.delta"})


def read_message(message: Any, reading: Reading) -> Reading:
    """Fold a whole body, one event, or an error; after an error in a stream the `chat.end` still
    comes."""
    message = mapping(message)
    if (error := api_error(message.get("error"))) is not None:
        return reading._replace(error=error)
    kind = text(message.get("type"))
    body = mapping(message.get("result")) if kind == "chat.end" else message
    reading = reading._replace(
        response_id=text(body.get("response_id")) or reading.response_id,
        model=text(body.get("model_instance_id")) or reading.model,
        finished=reading.finished or kind in (None, "chat.end"),
    )
    stats = body.get("stats")
    usage = read_usage(mapping(stats))
    return reading._replace(
        usage=usage or reading.usage,
        cost_approximate=reading.cost_approximate or miscounted(stats),
    )


def read_usage(stats: Mapping[str, Any]) -> Usage:
    """The counts of one `stats` object, in buckets."""
    return Usage(
        input_tokens=count(stats.get("input_tokens")),
        output_tokens=count(stats.get("total_output_tokens")),
        reasoning_tokens=count(stats.get("reasoning_output_tokens")),
    )


def content_length(message: Any) -> int:
    """Bytes of text or reasoning in one event."""
    message = mapping(message)
    return utf8_len(message.get("content")) if text(message.get("type")) in DELTAS else 0


LM_STUDIO = Format(
    name="lm_studio",
    read=read_message,
    needles=(b'"stats"', b'"error"', b'"model_instance_id"'),
    content=content_length,
    self_terminating=True,
)
