"""Cohere: what the captures of `tests/captures/cohere_chat` do not show."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from hostile_json import damaged, fold, holds, usage, values
from llmtally.formats.cohere import COHERE_CHAT, STOPPED_EARLY

SPENT = {
    "billed_units": {"input_tokens": 5, "output_tokens": 2},
    "tokens": {"input_tokens": 9, "output_tokens": 2},
    "cached_tokens": 4,
}
SAMPLES = (
    {"id": "i", "finish_reason": "COMPLETE", "usage": SPENT},
    {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": SPENT, "error": "e"}},
    {
        "event_type": "stream-end",
        "finish_reason": "COMPLETE",
        "response": {"response_id": "i", "meta": SPENT},
    },
    {"event_type": "text-generation", "text": "ab"},
    {
        "type": "content-delta",
        "delta": {"message": {"content": {"text": "ab", "thinking": "c"}, "tool_plan": "d"}},
    },
    {
        "type": "tool-call-delta",
        "delta": {"message": {"tool_calls": {"function": {"arguments": "{}"}}}},
    },
    {"message": "invalid api token"},
)


@given(damaged(*SAMPLES) | values)
def test_any_json_is_survived(message: Any) -> None:
    """Whatever JSON comes, nothing is raised and counts stay counts."""
    holds(COHERE_CHAT, message)


@pytest.mark.parametrize("sample", SAMPLES[:3])
def test_what_went_through_the_model_is_counted(sample: dict[str, Any]) -> None:
    """`tokens`, with the cache taken out, in every place; that another number is billed makes the
    price inexact."""
    reading = fold(COHERE_CHAT, sample)

    assert usage(reading) == {"input_tokens": 5, "cache_read_tokens": 4, "output_tokens": 2}
    assert reading.cost_approximate


def test_a_bill_that_agrees_is_exact() -> None:
    """Equal numbers leave no doubt about the price."""
    spent = {"billed_units": SPENT["billed_units"], "tokens": SPENT["billed_units"]}

    assert not fold(COHERE_CHAT, {"usage": spent}).cost_approximate


@pytest.mark.parametrize(
    ("reason", "early"),
    [
        ("COMPLETE", False),
        ("TOOL_CALL", False),
        *((reason, True) for reason in sorted(STOPPED_EARLY)),
    ],
)
def test_early_stops(reason: str, early: bool) -> None:
    """Length, errors and the user's own cancelling are early."""
    assert fold(COHERE_CHAT, {"finish_reason": reason}).stopped_early is early


@pytest.mark.parametrize(("sample", "length"), [(SAMPLES[3], 2), (SAMPLES[4], 4), (SAMPLES[5], 2)])
def test_content(sample: dict[str, Any], length: int) -> None:
    """Text, thinking, plan and tool arguments of both versions."""
    assert COHERE_CHAT.content(sample) == length
