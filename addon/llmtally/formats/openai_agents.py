"""Agent sessions that run at OpenAI.
https://developers.openai.com/api/docs/guides/agents-api/sessions/events

SSE over the life of a session. A turn of the agent ends with `agent.session.turn.completed`,
`.failed` or `.cancelled` and the `usage` of that turn, which a later GET of the turn repeats. What
a session says of usage is the sum of its turns, and counts nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..record import ApiError, Reading
from .format import Format, RequestReading, Turn, api_error, mapping, text
from .openai_usage import read_error, with_usage

ENDED = frozenset({"completed", "failed", "cancelled"})


def find_turn(message: Any, from_client: bool) -> Turn | None:
    """Treat every turn that has ended as one response."""
    return None if from_client or not _ended_turn(mapping(message)) else Turn("", "end")


def _ended_turn(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """The turn that an event says has ended, or that a GET of it returned; empty if there is
    none."""
    turn = mapping(message.get("turn")) or message
    return (
        turn
        if turn.get("object") == "agent.session.turn" and text(turn.get("status")) in ENDED
        else {}
    )


def read_message(message: Any, reading: Reading) -> Reading:
    """Fold the end of one turn, or an error in place of the session."""
    message = mapping(message)
    turn = _ended_turn(message)
    if not turn:
        return reading._replace(error=read_error(message) or reading.error)
    status = turn.get("status")
    failed = api_error(turn.get("error")) or (ApiError("failed") if status == "failed" else None)
    reading = reading._replace(
        response_id=text(turn.get("id")) or reading.response_id,
        stopped_early=status == "cancelled",
        error=failed or reading.error,
        finished=True,
    )
    return with_usage(reading, message.get("usage") or turn.get("usage"))


def read_request(body: Mapping[str, Any]) -> RequestReading:
    """The model is the agent's, where the session is not of one that was made before."""
    agent = mapping(body.get("agent"))
    return RequestReading(
        model=text(agent.get("model")), service_tier=text(agent.get("service_tier"))
    )


OPENAI_AGENTS = Format(
    name="openai_agents",
    read=read_message,
    read_request=read_request,
    needles=(b'"agent.session.turn"',),
    turn=find_turn,
    multiple=True,
)
