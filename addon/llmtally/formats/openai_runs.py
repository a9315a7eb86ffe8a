"""Runs of the Assistants API. https://platform.openai.com/docs/api-reference/runs

A `thread.run` object has `usage` once it is over: from the POST's stream as `thread.run.completed`,
else from a later GET. Run steps repeat shares of it and are not read.
"""

from __future__ import annotations

from typing import Any

from ..record import Reading
from .format import Format, api_error, items, mapping, text, utf8_len
from .openai_usage import read_error, with_usage

_UNDERWAY = frozenset({"queued", "in_progress", "cancelling", "requires_action"})
_STOPPED_EARLY = frozenset({"incomplete", "cancelled", "expired"})


def read_run(message: Any, reading: Reading) -> Reading:
    """Fold a run, or an error; its steps and messages are passed over."""
    message = mapping(message)
    if message.get("object") != "thread.run":
        error = read_error(message)
        return reading if error is None else reading._replace(error=error, finished=True)
    status = text(message.get("status"))
    underway = status in _UNDERWAY
    reading = reading._replace(
        response_id=text(message.get("id")) or reading.response_id,
        model=text(message.get("model")) or reading.model,
        pending=underway,
        # A run that waits for tool outputs ends this stream and continues in another.
        finished=not underway or status == "requires_action",
        stop_reason=text(mapping(message.get("incomplete_details")).get("reason")),
        stopped_early=status in _STOPPED_EARLY,
        error=api_error(message.get("last_error")),
    )
    return with_usage(reading, message.get("usage"))


def content_length(message: Any) -> int:
    """Bytes of text in one `thread.message.delta`."""
    pieces = items(mapping(mapping(message).get("delta")).get("content"))
    return sum(utf8_len(mapping(mapping(piece).get("text")).get("value")) for piece in pieces)


OPENAI_RUNS = Format(
    name="openai_runs",
    read=read_run,
    needles=(b'"thread.run"', b'"error"'),
    content=content_length,
    self_terminating=True,
)
