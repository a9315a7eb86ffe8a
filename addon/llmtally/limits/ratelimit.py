"""The `x-ratelimit-*` headers of OpenAI and its many cousins.
https://platform.openai.com/docs/guides/rate-limits

`x-ratelimit-{limit,remaining,reset}-{requests,tokens}`. What the words count differs: Groq's
requests are a day's, Cerebras and Mistral say the period (`-requests-day`, `-req-minute`), Together
and OpenRouter have no unit at all (`x-ratelimit-limit`). Realtime sends the event `{"type":
"rate_limits.updated", "rate_limits": [{"name", "limit", "remaining", "reset_seconds"}]}`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..formats.format import items, mapping, number
from ..record import LimitReading
from .values import (
    DAY,
    HOUR,
    MINUTE,
    WEEK,
    counted,
    label,
    percent,
    reset_number,
    reset_time,
    truth,
    word,
)

_FIELD = re.compile(r"x-(ratelimit|tokenlimit)-(limit|remaining|reset)(?:-(.+))?")
_UNITLESS = {"ratelimit": "requests", "tokenlimit": "tokens"}

# Windows whose header says something else than our key:
# https://docs.fireworks.ai/guides/quotas_usage/rate-limits
_KEYS = {"tokens-prompt": "input_tokens", "tokens-generated": "output_tokens"}

_PERIODS = {"second": 1.0, "minute": MINUTE, "hour": HOUR, "day": DAY}

# Providers whose headers leave the period out but whose documentation says it:
# https://console.groq.com/docs/rate-limits  https://docs.together.ai/docs/rate-limits
_PROVIDER_WINDOWS = {
    ("groq", "requests"): ("requests_day", DAY),
    ("groq", "tokens"): ("tokens_minute", MINUTE),
    ("together", "requests"): ("requests", 1.0),
    ("together", "tokens"): ("tokens", 1.0),
}

_BUDGET_SECONDS = {"daily": DAY, "weekly": WEEK}


def place(name: str) -> tuple[str, str] | None:
    """The window and field that a header is for; `x-ratelimit-over-limit` is about all windows."""
    if found := _FIELD.fullmatch(name):
        return found[3] or _UNITLESS[found[1]], found[2]
    return ("", "over-limit") if name == "x-ratelimit-over-limit" else None


def read_headers(
    windows: Mapping[str, Mapping[str, str]], provider: str, now: float
) -> Iterator[LimitReading]:
    """Read every window that the headers name, under the key of what it counts."""
    over = truth(windows.get("", {}).get("over-limit"))
    for window, fields in windows.items():
        key, seconds = _PROVIDER_WINDOWS.get((provider, window)) or _window(window)
        reading = key and counted(
            key,
            limit=fields.get("limit"),
            remaining=fields.get("remaining"),
            resets_at=reset_time(fields.get("reset", ""), now=now),
            window_seconds=seconds,
            status="over_limit" if over else None,
        )
        if reading:
            yield reading


def read_event(event: Mapping[str, Any], now: float) -> Iterator[LimitReading]:
    """Read an event `rate_limits.updated` of Realtime."""
    for entry in items(event.get("rate_limits")):
        entry = mapping(entry)
        key = word(entry.get("name"))
        reading = key and counted(
            key,
            limit=entry.get("limit"),
            remaining=entry.get("remaining"),
            resets_at=reset_number(number(entry.get("reset_seconds")), now=now),
        )
        if reading:
            yield reading


def read_key_answer(body: Any, _now: float) -> Iterator[LimitReading]:
    """Read an answer of OpenRouter's `GET /api/v1/key`: the key's budget in USD."""
    key = mapping(mapping(body).get("data")) or mapping(body)
    limit, remaining = number(key.get("limit")), number(key.get("limit_remaining"))
    if not limit:
        return
    period = label(key.get("limit_reset"))
    yield LimitReading(
        key="credits",
        source="provider_native",
        utilization=None if remaining is None else percent(1 - remaining / limit),
        limit=limit,
        remaining=remaining,
        window_seconds=_BUDGET_SECONDS.get(period) if period else None,
        name=period,
    )


@functools.lru_cache(maxsize=256)
def _window(window: str) -> tuple[str | None, float | None]:
    """The key and length of a window by the word in its headers: `req-minute` is `requests_minute`,
    a minute long."""
    key = _KEYS.get(window) or window.replace("-", "_")
    if key.startswith("req_"):
        key = f"requests_{key.removeprefix('req_')}"
    return word(key), _PERIODS.get(key.rpartition("_")[2])
