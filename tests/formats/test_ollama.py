"""Ollama: what the captures of `tests/captures/ollama` do not show."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given

from hostile_json import damaged, fold, holds, usage, values
from llmtally.formats.ollama import OLLAMA

LAST = {
    "model": "m",
    "done": True,
    "done_reason": "stop",
    "total_duration": 9,
    "prompt_eval_count": 9,
    "prompt_eval_cached_count": 4,
    "eval_count": 3,
}
LINE = {
    "model": "m",
    "done": False,
    "message": {
        "content": "é",
        "thinking": "a",
        "tool_calls": [{"function": {"arguments": {"a": 1}}}],
    },
}


@given(
    damaged(
        LAST,
        LINE,
        {"error": "e"},
        {"model": "m", "embeddings": [], "prompt_eval_count": 1},
        {"response": "a"},
    )
    | values
)
def test_any_json_is_survived(message: Any) -> None:
    """Whatever JSON comes, nothing is raised and counts stay counts."""
    holds(OLLAMA, message)


@pytest.mark.parametrize(("prompt", "cached"), [(None, None), (0, None), (0, 0), (None, 4)])
def test_a_prompt_that_was_not_counted_is_unknown(prompt: int | None, cached: int | None) -> None:
    """Servers leave a cached prompt out or say 0: neither is a count."""
    assert usage(
        fold(OLLAMA, {**LAST, "prompt_eval_count": prompt, "prompt_eval_cached_count": cached})
    ) == {"output_tokens": 3}


def test_the_cached_part_is_within_the_prompt() -> None:
    """Fresh input is the rest, also when that is nothing."""
    assert usage(fold(OLLAMA, LAST)) == {
        "input_tokens": 5,
        "cache_read_tokens": 4,
        "output_tokens": 3,
    }
    assert usage(fold(OLLAMA, {**LAST, "prompt_eval_cached_count": 9}))["input_tokens"] == 0


def test_counts_before_the_last_line_are_not_read() -> None:
    """Only `done: true` makes them final."""
    assert fold(OLLAMA, {**LAST, "done": False}).usage is None


def test_the_last_line_always_holds_a_needle() -> None:
    """Old servers give no reason, newer ones no count for a cached prompt; a duration is always
    there."""
    for keys in (("done", "total_duration"), ("done", "done_reason"), ("error",)):
        line = orjson.dumps(dict.fromkeys(keys, 1))
        assert any(needle in line for needle in OLLAMA.needles)
    assert not any(needle in orjson.dumps(LINE) for needle in OLLAMA.needles)


def test_content_is_text_thinking_and_arguments() -> None:
    """Text, thinking and arguments count: two bytes, one, and seven."""
    assert OLLAMA.content(LINE) == 2 + 1 + len('{"a":1}')
    assert OLLAMA.content({"response": "ab", "thinking": "c"}) == 3
