"""Costs that responses state, in the words of each gateway and provider."""

from __future__ import annotations

from typing import Any

import pytest

from llmtally.formats.cost import read_cost_header, stated_cost
from llmtally.record import Reading


@pytest.mark.parametrize(
    ("usage", "cost", "approximate"),
    [
        ({"cost": 0}, 0.0, False),
        ({"cost": 0.25}, 0.25, False),
        ({"cost": None}, None, False),
        (
            {"cost": 0.01, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.5}},
            0.51,
            False,
        ),
        ({"cost": 0.01, "is_byok": True}, 0.01, True),
        (
            {"cost": 0.01, "is_byok": False, "cost_details": {"upstream_inference_cost": 0.5}},
            0.01,
            False,
        ),
        ({"cost_in_usd_ticks": 25_000_000_000}, 2.5, False),
        ({"estimated_cost": 0.125}, 0.125, False),
        ({"cost": {"total_cost": 0.0, "input_tokens_cost": 0.0}}, None, False),
        ({"cost": {"total_cost": 0.0, "request_cost": 0.0}}, 0.0, False),
        ({"cost": {"total_cost": 0.75}}, 0.75, False),
        ({"cost": {"total_cost": 0.75, "currency": "EUR"}}, None, False),
    ],
)
def test_stated_cost(usage: dict[str, Any], cost: float | None, approximate: bool) -> None:
    """What each dialect's cost field means in USD, and when it leaves something out."""
    assert stated_cost(usage) == (cost, approximate)


def test_cost_header() -> None:
    """LiteLLM's header is a stated cost, unless it is not a number."""
    assert read_cost_header({"x-litellm-response-cost": "0.0021"}, Reading()).cost_usd == 0.0021
    assert read_cost_header({"x-litellm-response-cost": "None"}, Reading()).cost_usd is None
