"""Agent sessions: what the captures of `tests/captures/openai_agents` do not show."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from hostile_json import damaged, fold, holds, usage, values
from llmtally.formats.format import RequestReading, Turn
from llmtally.formats.openai_agents import OPENAI_AGENTS, find_turn, read_request
from llmtally.record import ApiError

SPENT = {
    "input_tokens": 9,
    "input_tokens_details": {"cached_tokens": 4},
    "output_tokens": 2,
    "total_tokens": 11,
}
TURN: dict[str, Any] = {
    "object": "agent.session.turn",
    "id": "turn_1",
    "status": "completed",
    "usage": SPENT,
}
EVENT: dict[str, Any] = {"type": "agent.session.turn.completed", "turn": TURN, "usage": SPENT}


@given(
    damaged(
        TURN,
        EVENT,
        {**EVENT, "turn": {**TURN, "status": "failed", "error": {"code": "c", "message": "m"}}},
    )
    | values
)
def test_any_json_is_survived(message: Any) -> None:
    """Whatever JSON comes, nothing is raised and counts stay counts."""
    holds(OPENAI_AGENTS, message)


def test_only_turns_that_ended_are_calls() -> None:
    """Turns that have begun, what a session sums up and a page of past turns count nothing."""
    assert find_turn(EVENT, False) == find_turn(TURN, False) == Turn("", "end")
    assert find_turn(EVENT, True) is None
    assert find_turn({**EVENT, "turn": {**TURN, "status": "in_progress"}}, False) is None
    assert (
        find_turn(
            {"type": "agent.session.idle", "session": {"object": "agent.session", "usage": SPENT}},
            False,
        )
        is None
    )
    assert find_turn({"object": "list", "data": [TURN]}, False) is None


@pytest.mark.parametrize("message", [EVENT, TURN, {**EVENT, "usage": None}])
def test_event_and_turn_say_the_same(message: Any) -> None:
    """The usage stands on the event, on the turn, or on both."""
    reading = fold(OPENAI_AGENTS, message)

    assert usage(reading) == {"input_tokens": 5, "cache_read_tokens": 4, "output_tokens": 2}
    assert reading.response_id == "turn_1"


def test_a_failed_turn_is_an_error() -> None:
    """Also where it does not say of which kind."""
    assert fold(OPENAI_AGENTS, {**TURN, "status": "failed"}).error == ApiError("failed")


def test_the_model_is_the_agents() -> None:
    """A session asks for an agent, which has the model; or names one that was made before."""
    assert read_request({"agent": {"model": "m", "service_tier": "flex"}}) == RequestReading(
        "m", "flex"
    )
    assert read_request({"agent_id": "agent_1"}) == RequestReading()
