"""How GitHub Copilot bills a call, which it states beside the `usage` in each of its three
dialects.

`copilot_usage`: `{"token_details": [{"token_type", "token_count", "cost_per_batch", "batch_size"}],
"total_nano_aiu"}`. The split is disjoint and goes before `usage`, which on chat takes fresh input
and what was written to the cache together.
"""

from __future__ import annotations

from typing import Any

from ..record import COUNT_CAP, Reading, Usage
from .format import count, items, mapping, miscounted, number, text

NANO_AIU_PER_USD = 1e11
"""1e9 nano-AIU are one AI credit, which is $0.01:
https://docs.github.com/billing/concepts/product-billing/github-copilot-billing"""

_BUCKETS = {kind: f"{kind}_tokens" for kind in ("input", "cache_read", "cache_write", "output")}


def with_copilot_usage(reading: Reading, copilot: Any) -> Reading:
    """Replace what `usage` said with the split and the credits, which are exact."""
    split, cost = read_split(copilot), _read_cost(copilot)
    if miscounted(copilot):
        reading = reading._replace(cost_approximate=True)
    if split and not reading.parts:
        reading = reading._replace(
            usage=(reading.usage or Usage()).updated(split), cost_approximate=False
        )
    return reading if cost is None else reading._replace(cost_usd=cost, cost_approximate=False)


def read_split(copilot: Any) -> Usage:
    """The counts in buckets; nothing if one of them cannot be read, for half a split laid over
    `usage` counts twice."""
    sums: dict[str, Any] = {}
    for entry in items(mapping(copilot).get("token_details")):
        bucket, n = (
            _BUCKETS.get(text(mapping(entry).get("token_type")) or ""),
            count(mapping(entry).get("token_count")),
        )
        if bucket is None or n is None:
            return Usage()
        sums[bucket] = min(sums.get(bucket, 0) + n, COUNT_CAP)
    return Usage(**sums)


def _read_cost(copilot: Any) -> float | None:
    """AI credits in USD: what a plan includes is worth that much, beyond it that much is billed."""
    nano = number(mapping(copilot).get("total_nano_aiu"))
    return None if nano is None else nano / NANO_AIU_PER_USD
