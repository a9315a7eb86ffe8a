"""Managed agents: what the captures of `tests/captures/anthropic_sessions` do not show."""

from __future__ import annotations

from typing import Any

from hypothesis import given

from hostile_json import damaged, fold, holds, usage, values
from llmtally.formats.anthropic_sessions import ANTHROPIC_SESSIONS, find_turn
from llmtally.formats.format import Turn
from llmtally.record import ApiError

END: dict[str, Any] = {
    "type": "span.model_request_end",
    "id": "e",
    "model_request_start_id": "s",
    "is_error": False,
    "model_usage": {
        "input_tokens": 1,
        "cache_read_input_tokens": 2,
        "cache_creation_input_tokens": 3,
        "output_tokens": 4,
        "speed": "fast",
    },
}


@given(damaged(END) | values)
def test_any_json_is_survived(message: Any) -> None:
    """Whatever JSON comes, nothing is raised and counts stay counts."""
    holds(ANTHROPIC_SESSIONS, message)


def test_only_model_requests_are_calls() -> None:
    """The session's running sum, and a listing of past events, count nothing again."""
    assert find_turn(END, False) == Turn("s", "end")
    assert find_turn({"type": "session.usage", "usage": END["model_usage"]}, False) is None
    assert find_turn({"data": [END]}, False) is None


def test_counts_are_those_of_messages() -> None:
    """The input excludes both caches."""
    reading = fold(ANTHROPIC_SESSIONS, END)

    assert usage(reading) == {
        "input_tokens": 1,
        "cache_read_tokens": 2,
        "cache_write_tokens": 3,
        "output_tokens": 4,
    }
    assert (reading.response_id, reading.speed, reading.error) == ("e", "fast", None)
    assert fold(ANTHROPIC_SESSIONS, {**END, "is_error": True}).error == ApiError("error")
