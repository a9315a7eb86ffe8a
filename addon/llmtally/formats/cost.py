"""The cost that a response states, in USD. It takes precedence over every price list, even if it is
0.

A number in `usage.cost` is OpenRouter's, LiteLLM's and other gateways', an object there is
Perplexity's; xAI counts ticks. LiteLLM states the cost of a whole answer in a header:
https://docs.litellm.ai/docs/proxy/response_headers
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..record import Reading
from .format import mapping, number, text

TICKS_PER_USD = 1e10
"""xAI: one tick of `cost_in_usd_ticks` is 1e-10 USD."""


def read_cost_header(headers: Mapping[str, str], reading: Reading) -> Reading:
    """Fold the header that a LiteLLM proxy sends, whichever API it speaks."""
    cost = number(headers.get("x-litellm-response-cost"))
    return reading if cost is None else reading._replace(cost_usd=cost)


def stated_cost(usage: Mapping[str, Any]) -> tuple[float | None, bool]:
    """The cost that a usage object states, and whether it is known to leave something out."""
    ticks = number(usage.get("cost_in_usd_ticks"))
    if ticks is not None:
        return ticks / TICKS_PER_USD, False
    cost = usage.get("cost")
    if isinstance(cost, dict):
        return _perplexity_cost(cost), False
    charged = number(cost)
    if charged is None:
        return number(usage.get("estimated_cost")), False  # DeepInfra
    if usage.get("is_byok") is not True:
        return charged, False
    # With the user's key for the upstream (BYOK) OpenRouter's `cost` is only its fee; the upstream
    # bills the tokens.
    upstream = number(mapping(usage.get("cost_details")).get("upstream_inference_cost"))
    return charged + (upstream or 0), upstream is None


def _perplexity_cost(cost: Mapping[str, Any]) -> float | None:
    """Every chunk but the last carries a skeleton of zeros; only the last has `request_cost`."""
    total = number(cost.get("total_cost"))
    if text(cost.get("currency")) not in (None, "USD") or (
        not total and "request_cost" not in cost
    ):
        return None
    return total
