"""llama.cpp's own `POST /completion`.
https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md

One body, or SSE; the last event has `stop: true`. `timings` counts the prompt without what was
cached (`prompt_n`, `cache_n`); `tokens_evaluated` is the whole prompt. `tokens_cached` is the size
of the slot's cache after the answer, not what was read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..record import Reading, Usage
from .format import Format, api_error, count, mapping, text, utf8_len

STOPPED_EARLY = frozenset({"limit"})


def read_message(message: Any, reading: Reading) -> Reading:
    """Fold a whole body, one chunk, or an error."""
    message = mapping(message)
    if (error := api_error(message.get("error"))) is not None:
        return reading._replace(error=error)
    usage = (reading.usage or Usage()).updated(read_usage(message))
    reading = reading._replace(
        model=text(message.get("model")) or reading.model, usage=usage or reading.usage
    )
    if message.get("stop") is not True:
        return reading
    reason = text(message.get("stop_type"))
    # servers before `stop_type`
    early = reason in STOPPED_EARLY or message.get("stopped_limit") is True
    return reading._replace(stop_reason=reason, stopped_early=early, finished=True)


def read_usage(message: Mapping[str, Any]) -> Usage:
    """The counts of one message in buckets."""
    timings = mapping(message.get("timings"))
    prompt, cached = count(timings.get("prompt_n")), count(timings.get("cache_n"))
    output = count(timings.get("predicted_n"))
    if prompt is None or cached is None:
        prompt, cached = count(message.get("tokens_evaluated")), None
    return Usage(
        input_tokens=prompt,
        cache_read_tokens=cached,
        output_tokens=output if output is not None else count(message.get("tokens_predicted")),
    )


def content_length(message: Any) -> int:
    """Bytes of text in one chunk."""
    return utf8_len(mapping(message).get("content"))


LLAMA_CPP = Format(
    name="llama_cpp",
    read=read_message,
    content=content_length,
    self_terminating=True,
)
