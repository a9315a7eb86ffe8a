"""The limits a user has set for the 5-hour window (`usage_limits`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

SOURCE = "configured_limit"


@dataclass(frozen=True, slots=True)
class ConfiguredLimits:
    """The user's limits. A limit that is None is not set."""

    output_tokens: float | None = None
    total_tokens: float | None = None
    messages: float | None = None
    """The limit on the number of calls."""
    cost_usd: float | None = None
    tokens: float | None = None
    """The older limit `tokens`, on all tokens."""

    @classmethod
    def parse(cls, settings: Sequence[str]) -> ConfiguredLimits:
        """Read `["output_tokens=500000", "cost_usd=10"]`; 0 means none. Raises ValueError that
        names the cure."""
        known = [field.name for field in fields(cls)]
        limits: dict[str, float | None] = {}
        for setting in settings:
            name, _, text = setting.partition("=")
            name = name.strip()
            if name not in known:
                raise ValueError(
                    f"{setting!r}: no such limit. Write it as name=number with one of "
                    f"{', '.join(known)}."
                )
            try:
                amount = float(text.replace("_", ""))
            except ValueError:
                amount = -1.0
            if not 0 <= amount < math.inf:
                raise ValueError(
                    f"{setting!r}: a limit is a number, 0 or more, e.g. {name}=100000."
                )
            limits[name] = amount or None
        return cls(**limits)


def percent_of(used: float | None, limit: float | None) -> float | None:
    """How much of a limit is used, in percent, at most 100."""
    if not limit or used is None:
        return None
    return min(100.0, 100 * used / limit)
