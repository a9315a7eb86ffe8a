"""GitHub Copilot's own account of a call."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from hostile_json import values
from llmtally.formats.copilot import read_split, with_copilot_usage
from llmtally.record import Part, Reading, Usage

SPLIT = {
    "token_details": [
        {"token_type": "input", "token_count": 30},
        {"token_type": "input", "token_count": 10},
        {"token_type": "cache_write", "token_count": 50},
        {"token_type": "output", "token_count": 9},
    ]
}
LUMPED = Reading(
    usage=Usage(input_tokens=90, output_tokens=8, reasoning_tokens=4), cost_approximate=True
)


def test_split_goes_before_the_lumped_prompt() -> None:
    """Copilot's own disjoint counts win, entries of one type are added, reasoning stays from
    `usage`."""
    reading = with_copilot_usage(LUMPED, SPLIT)

    assert reading.usage == Usage(
        input_tokens=40, cache_write_tokens=50, output_tokens=9, reasoning_tokens=4
    )
    assert not reading.cost_approximate
    assert not read_split({"token_details": []})


@pytest.mark.parametrize(
    "damage",
    [{"token_type": None}, {"token_type": "video"}, {"token_count": "many"}, {"token_count": None}],
)
def test_half_a_split_is_none(damage: dict[str, Any]) -> None:
    """What was written to the cache must not be counted there and in the lumped prompt."""
    first, *rest = SPLIT["token_details"]
    reading = with_copilot_usage(LUMPED, {"token_details": [{**first, **damage}, *rest]})

    assert reading.usage == LUMPED.usage
    assert reading.cost_approximate


def test_parts_keep_their_sum() -> None:
    """A split is not reported by model, so the parts of a call that has some stay its sum."""
    whole = Usage(input_tokens=90, output_tokens=8)
    reading = Reading(
        usage=whole, parts=(Part("message", "a", whole), Part("advisor", "b", Usage()))
    )

    assert with_copilot_usage(reading, SPLIT) == reading


@pytest.mark.parametrize(("nano_aiu", "usd"), [(2_500_000_000, 0.025), (0, 0.0)])
def test_credits_are_money(nano_aiu: int, usd: float) -> None:
    """A credit is a cent, and a model that costs none is free."""
    assert with_copilot_usage(LUMPED, {"total_nano_aiu": nano_aiu}) == LUMPED._replace(
        cost_usd=usd, cost_approximate=False
    )


@pytest.mark.parametrize(
    "nothing",
    [None, {}, [], "x", {"total_nano_aiu": None}, {"total_nano_aiu": -1}, {"token_details": {}}],
)
def test_what_says_nothing_changes_nothing(nothing: Any) -> None:
    """Without a split or credits the usage stands."""
    assert with_copilot_usage(LUMPED, nothing) == LUMPED


@given(values)
def test_anything_may_stand_there(anything: Any) -> None:
    """Whatever the object contains is read or skipped."""
    with_copilot_usage(LUMPED, {"token_details": anything, "total_nano_aiu": anything})
