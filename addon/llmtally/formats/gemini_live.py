"""Gemini Live: the BidiGenerateContent WebSocket. https://ai.google.dev/api/live

JSON frames. The client's first, `setup`, names the model. The server's `usageMetadata` stands
beside any other member or alone, and counts the running turn: the last one of a turn wins, turns
add up. `serverContent.turnComplete` ends a turn.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..record import Reading
from .format import Format, RequestReading, Turn, items, mapping, text, utf8_len
from .gemini import part_length, read_error, with_usage

LANE = ""
"""A socket holds one conversation, and its turns follow one another."""

SERVER_MEMBERS = ("usageMetadata", "serverContent", "toolCall", "error")
"""What concerns a turn; the rest is about the session (`setupComplete`, `goAway`,
`sessionResumptionUpdate`...)."""


def read_message(message: Any, reading: Reading) -> Reading:
    """Fold one frame that the server sent."""
    message = mapping(message)
    if (error := read_error(message.get("error"))) is not None:
        return reading._replace(error=error)
    if _ends_turn(message):
        reading = reading._replace(finished=True)
    return with_usage(
        reading, message.get("usageMetadata"), _web_searches(mapping(message.get("serverContent")))
    )


def _ends_turn(message: Mapping[str, Any]) -> bool:
    """A tool call that comes with usage ends a turn too: the answer to it is billed as a separate
    turn."""
    if mapping(message.get("serverContent")).get("turnComplete") is True or "error" in message:
        return True
    return "toolCall" in message and bool(mapping(message.get("usageMetadata")))


def _web_searches(content: Mapping[str, Any]) -> int:
    queries = items(mapping(content.get("groundingMetadata")).get("webSearchQueries"))
    return len({query for query in queries if isinstance(query, str)})


def find_turn(message: Any, from_client: bool) -> Turn | None:
    """Turns are the server's to begin and to end; the client's frames only feed them."""
    message = mapping(message)
    if from_client or not any(name in message for name in SERVER_MEMBERS):
        return None
    if not _ends_turn(message):
        return Turn(LANE, "read")
    # Some models say that a turn is complete after the tool call that ended it.
    return Turn(LANE, "end" if "usageMetadata" in message or "error" in message else "close")


def read_session(message: Any) -> Mapping[str, RequestReading]:
    """The model of all turns, from `setup`, without the collection it is in (`models/`,
    `projects/.../models/`)."""
    model = text(mapping(mapping(message).get("setup")).get("model"))
    return {LANE: RequestReading(model=model.rpartition("/")[2] or None)} if model else {}


def content_length(message: Any) -> int:
    """Bytes of text and transcript in one frame; sound has no text to estimate tokens from."""
    content = mapping(mapping(message).get("serverContent"))
    parts = items(mapping(content.get("modelTurn")).get("parts"))
    return sum(part_length(part) for part in parts) + utf8_len(
        mapping(content.get("outputTranscription")).get("text")
    )


GEMINI_LIVE = Format(
    name="gemini_live",
    read=read_message,
    content=content_length,
    turn=find_turn,
    read_session=read_session,
    self_terminating=True,
)
