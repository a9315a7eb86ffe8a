"""llama.cpp: what the captures of `tests/captures/llama_cpp` do not show."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from hostile_json import damaged, fold, holds, usage, values
from llmtally.formats.llama_cpp import LLAMA_CPP

LAST: dict[str, Any] = {
    "content": "é",
    "stop": True,
    "model": "m",
    "stop_type": "eos",
    "tokens_evaluated": 40,
    "tokens_predicted": 3,
    "tokens_cached": 42,
    "timings": {"cache_n": 30, "prompt_n": 10, "predicted_n": 3},
}


@given(damaged(LAST, {"error": {"type": "t", "message": "m"}}) | values)
def test_any_json_is_survived(message: Any) -> None:
    """Whatever JSON comes, nothing is raised and counts stay counts."""
    holds(LLAMA_CPP, message)


def test_timings_split_the_prompt() -> None:
    """`prompt_n` leaves out what `cache_n` counts; `tokens_cached` does not count cache reads."""
    assert usage(fold(LLAMA_CPP, LAST)) == {
        "input_tokens": 10,
        "cache_read_tokens": 30,
        "output_tokens": 3,
    }


@pytest.mark.parametrize("timings", [None, {"prompt_n": 10, "predicted_n": 3}])
def test_without_a_split_all_is_input(timings: Any) -> None:
    """Older servers do not say what was cached; the whole prompt is then what is known."""
    assert usage(fold(LLAMA_CPP, {**LAST, "timings": timings})) == {
        "input_tokens": 40,
        "output_tokens": 3,
    }


@pytest.mark.parametrize(
    ("end", "early"),
    [
        ({"stop_type": "limit"}, True),
        ({"stop_type": "word"}, False),
        ({"stopped_limit": True}, True),
    ],
)
def test_early_stops(end: dict[str, Any], early: bool) -> None:
    """A limit of tokens, by its new and its old name."""
    assert fold(LLAMA_CPP, {"stop": True, **end}).stopped_early is early


def test_content() -> None:
    """The text of a line counts, here two bytes."""
    assert LLAMA_CPP.content(LAST) == 2
