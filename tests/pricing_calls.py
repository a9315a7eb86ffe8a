"""Calls to be priced, for the tests of prices."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from llmtally.record import Call, Usage

NOW = "2026-11-20T15:00:00+00:00"
"""A Friday after every date in the price data's past, off-peak at DeepSeek."""

MILLION = 1_000_000


def make_call(
    provider: str = "anthropic", model: str | None = None, usage: Usage | None = None, *, at: str = NOW, **fields: Any
) -> Call:
    """A settled call; one million tokens in and out unless told otherwise, so that its cost reads as the sum of two rates."""
    began = datetime.fromisoformat(at).timestamp()
    known: dict[str, Any] = {
        "timestamp": began,
        "request_id": "1",
        "provider": provider,
        "api": "api",
        "host": "api.example.com",
        "path": "/v1/messages",
        "transport": "json",
        "outcome": "complete",
        "coverage": "unpriced",
        "started": began,
        "ended": began,
        "model": model,
        "usage": Usage(input_tokens=MILLION, output_tokens=MILLION) if usage is None else usage,
    }
    return Call(**{**known, **fields})
