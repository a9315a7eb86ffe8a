"""Interactions: what the captures of `tests/captures/gemini_interactions` do not show."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from hostile_json import damaged, fold, holds, usage, values
from llmtally.formats.gemini_interactions import GEMINI_INTERACTIONS

USAGE: dict[str, Any] = {
    "total_input_tokens": 100,
    "total_cached_tokens": 10,
    "total_output_tokens": 20,
    "total_thought_tokens": 5,
    "total_tool_use_tokens": 7,
    "total_tokens": 132,
    "input_tokens_by_modality": [
        {"modality": "audio", "tokens": 3},
        {"modality": "IMAGE", "tokens": 2},
    ],
    "grounding_tool_count": [{"type": "google_search", "count": 2}],
}
WHOLE = {"id": "i", "model": "m", "status": "completed", "usage": USAGE}
DELTA = {
    "event_type": "step.delta",
    "delta": {"type": "text", "text": "Hi", "arguments": "{}", "content": {"text": "t"}},
    "metadata": {"total_usage": USAGE},
}


@given(
    damaged(
        WHOLE,
        DELTA,
        {"event_type": "interaction.completed", "interaction": WHOLE},
        {"error": {"code": "c"}},
    )
    | values
)
def test_any_json_is_survived(message: Any) -> None:
    """Whatever JSON comes, nothing is raised and counts stay counts."""
    holds(GEMINI_INTERACTIONS, message)


@pytest.mark.parametrize(
    ("total", "input_tokens", "output_tokens"),
    [(132, 97, 25), (127, 97, 20), (125, 90, 25), (120, 90, 20), (None, 97, 25), (999, 97, 25)],
)
def test_the_total_tells_what_stands_outside(
    total: int | None, input_tokens: int, output_tokens: int
) -> None:
    """Tool use and thoughts are added only as far as the total has them; without a clue as Gemini
    does it elsewhere."""
    read = usage(fold(GEMINI_INTERACTIONS, {**WHOLE, "usage": {**USAGE, "total_tokens": total}}))

    assert (read["input_tokens"], read["output_tokens"], read["cache_read_tokens"]) == (
        input_tokens,
        output_tokens,
        10,
    )


def test_running_totals_are_not_added() -> None:
    """Every event repeats the sum so far."""
    assert usage(fold(GEMINI_INTERACTIONS, DELTA, DELTA)) == usage(fold(GEMINI_INTERACTIONS, DELTA))


@pytest.mark.parametrize(
    ("status", "pending"),
    [("in_progress", True), ("queued", True), ("completed", False), ("failed", False)],
)
def test_only_a_polled_interaction_can_be_pending(status: str, pending: bool) -> None:
    """A whole body that is under way is not yet a call; the same status in a stream's event is its
    beginning."""
    assert fold(GEMINI_INTERACTIONS, {"id": "i", "status": status}).pending is pending
    assert not fold(
        GEMINI_INTERACTIONS,
        {"event_type": "interaction.created", "interaction": {"id": "i", "status": status}},
    ).pending


def test_modalities_are_subsets() -> None:
    """Audio and images within the input are counted, in upper or lower case."""
    read = usage(fold(GEMINI_INTERACTIONS, WHOLE))

    assert (read["input_audio_tokens"], read["input_image_tokens"], read["server_tools"]) == (
        3,
        2,
        {"web_search": 2},
    )


def test_content_is_text_thought_and_arguments() -> None:
    """Two bytes of text, one of thought, two of arguments."""
    assert GEMINI_INTERACTIONS.content(DELTA) == 5
