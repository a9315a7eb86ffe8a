"""Anthropic managed agents: `GET /v1/sessions/{id}/events/stream`. anthropic-sdk-python
`types/beta/sessions`

SSE over the life of a session. Each `span.model_request_end` has the `model_usage` of one model
request, in the words of the Messages API but without a model. `session.usage` and what else carries
usage is the running sum over those and counts nothing.
"""

from __future__ import annotations

from typing import Any

from ..record import ApiError, Reading
from .anthropic_messages import read_usage
from .format import Format, Turn, mapping, miscounted, text

REQUEST_END = "span.model_request_end"


def find_turn(message: Any, from_client: bool) -> Turn | None:
    """Treat every model request of the session as one response."""
    message = mapping(message)
    if from_client or message.get("type") != REQUEST_END:
        return None
    return Turn(text(message.get("model_request_start_id")) or "", "end")


def read_message(message: Any, reading: Reading) -> Reading:
    """Fold the end of one model request; its own id makes the same event seen again a duplicate."""
    message = mapping(message)
    usage = mapping(message.get("model_usage"))
    counted = read_usage(usage)
    return reading._replace(
        response_id=text(message.get("id")) or reading.response_id,
        usage=counted or reading.usage,
        cost_approximate=miscounted(message.get("model_usage")),
        speed=text(usage.get("speed")) or reading.speed,
        error=ApiError("error") if message.get("is_error") is True else reading.error,
        finished=True,
    )


ANTHROPIC_SESSIONS = Format(
    name="anthropic_sessions",
    read=read_message,
    needles=(b'"model_usage"',),
    turn=find_turn,
    multiple=True,
)
