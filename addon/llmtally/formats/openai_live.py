"""Live sessions, over WebSocket. https://platform.openai.com/docs/api-reference/live

The voice itself is billed by the second: `session.usage.updated` repeats the session's seconds so
far and counts no tokens. Tokens are spent by what it delegates to: Responses, whose events come as
`{"type": "response.event", "delegation_id", "event"}`, and decisions, as `{"type":
"decision.event", "event": {"decision"}}`.
"""

from __future__ import annotations

from typing import Any

from ..record import Reading
from . import openai_responses
from .format import Format, Turn, mapping, text

_DECISION_LANE = "decision"


def read_live(message: Any, reading: Reading) -> Reading:
    """Fold the event or decision inside."""
    event = mapping(mapping(message).get("event"))
    return openai_responses.read_response(event.get("decision", event), reading)


def content_length(message: Any) -> int:
    """Bytes of text that the event inside delivers."""
    return openai_responses.content_length(mapping(message).get("event"))


def socket_turn(message: Any, from_client: bool) -> Turn | None:
    """Delegated responses interleave, one lane each; a decision comes whole."""
    message = mapping(message)
    if from_client:
        return None
    if message.get("type") == "decision.event":
        return Turn(_DECISION_LANE, "end")
    if message.get("type") != "response.event":
        return None
    inner = openai_responses.socket_turn(message.get("event"), False)
    return (
        None
        if inner is None
        else Turn(text(message.get("delegation_id")) or inner.lane, inner.phase)
    )


OPENAI_LIVE = Format(
    name="openai_live",
    read=read_live,
    needles=(b'"response":', b'"error"', b'"decision":'),
    content=content_length,
    turn=socket_turn,
    self_terminating=True,
    counts_tokens=False,
)
