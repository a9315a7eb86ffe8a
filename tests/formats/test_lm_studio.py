"""LM Studio: what the captures of `tests/captures/lm_studio` do not show."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given

from hostile_json import damaged, fold, holds, usage, values
from llmtally.formats.lm_studio import LM_STUDIO

BODY: dict[str, Any] = {
    "model_instance_id": "m",
    "output": [],
    "stats": {"input_tokens": 5, "total_output_tokens": 3, "reasoning_output_tokens": 1},
    "response_id": "resp_1",
}
END = {"type": "chat.end", "result": BODY}
ERROR = {"type": "error", "error": {"type": "internal_error", "message": "m"}}


@given(damaged(BODY, END, ERROR) | values)
def test_any_json_is_survived(message: Any) -> None:
    """Whatever JSON comes, nothing is raised and counts stay counts."""
    holds(LM_STUDIO, message)


def test_the_last_event_is_the_body() -> None:
    """A stream's end says what a whole body says."""
    assert fold(LM_STUDIO, END) == fold(LM_STUDIO, BODY)
    assert usage(fold(LM_STUDIO, END)) == {
        "input_tokens": 5,
        "output_tokens": 3,
        "reasoning_tokens": 1,
    }


@pytest.mark.parametrize("event", [END, ERROR, {"type": "chat.start", "model_instance_id": "m"}])
def test_no_event_that_matters_is_passed_over(event: Any) -> None:
    """A needle is found in every event that can change the reading."""
    assert any(needle in orjson.dumps(event) for needle in LM_STUDIO.needles)


def test_content() -> None:
    """Text and reasoning count, in bytes; what a tool was given and gave is not generated text."""
    assert LM_STUDIO.content({"type": "message.delta", "content": "é"}) == 2
    assert LM_STUDIO.content({"type": "reasoning.delta", "content": "é"}) == 2
    assert LM_STUDIO.content({"type": "tool_call.result", "output": "é", "content": "é"}) == 0
