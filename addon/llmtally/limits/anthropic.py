"""Limits as Anthropic reports them. https://docs.anthropic.com/en/api/rate-limits

API keys: `anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-{limit,remaining,reset}`
(RFC 3339), with separate pools under `anthropic-priority-` and `anthropic-fast-`. Subscriptions:
`anthropic-ratelimit-unified-{5h,7d,7d_opus,overage...}-{status,reset,utilization}`; utilization is
a fraction that may exceed 1, resets are epoch seconds. `overage-in-use: true` on an answer says
that extra usage, beyond the plan, pays for it. `GET /api/oauth/usage` reports the same in percent
and ISO 8601, and extra usage in cents.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..formats.format import items, mapping, number
from ..record import IN_USE, LimitReading
from .values import (
    HOUR,
    WEEK,
    counted,
    label,
    percent,
    reset_time,
    reset_value,
    truth,
    window_length,
    word,
)

_COUNTED = re.compile(r"anthropic-(?:ratelimit-|(?=priority-|fast-))(.+)-(limit|remaining|reset)")
_UNIFIED = re.compile(
    r"anthropic-ratelimit-unified-(?:(.+)-)?(status|reset|utilization|surpassed-threshold|representative-claim|in-use)"
)

# What headers call `5h`, bodies and claims call `five_hour`. Bodies also hold code names of things
# unreleased: not in this list.
_WINDOW_KEYS = {
    "five_hour": "5h",
    "seven_day": "7d",
    "seven_day_opus": "7d_opus",
    "seven_day_sonnet": "7d_sonnet",
    "seven_day_oauth_apps": "7d_oauth_apps",
    "seven_day_cowork": "7d_cowork",
    "seven_day_overage_included": "7d_oi",
}
_GROUP_SECONDS = {"session": 5 * HOUR, "weekly": WEEK}


def place_counted(name: str) -> tuple[str, str] | None:
    """The window and field that a header of an API key, of Priority Tier or of fast mode is for."""
    found = _COUNTED.fullmatch(name)
    return (found[1], found[2]) if found else None


def read_counted(
    windows: Mapping[str, Mapping[str, str]], _provider: str, now: float
) -> Iterator[LimitReading]:
    """Read the classic limits of an API key, of Priority Tier and of fast mode."""
    for window, fields in windows.items():
        key = word(window.replace("-", "_"))
        reading = key and counted(
            key,
            limit=fields.get("limit"),
            remaining=fields.get("remaining"),
            resets_at=reset_time(fields.get("reset", ""), now=now),
        )
        if reading:
            yield reading


def place_unified(name: str) -> tuple[str, str] | None:
    """The window and field that a subscription's header is for; the window is empty where the
    header is about all of them."""
    found = _UNIFIED.fullmatch(name)
    return (found[1] or "", found[2]) if found else None


def read_unified(
    windows: Mapping[str, Mapping[str, str]], _provider: str, now: float
) -> Iterator[LimitReading]:
    """Read the windows of a subscription, whatever they are called; the one that binds first is
    marked."""
    overall = windows.get("", {})
    claim = _claimed_key(overall.get("representative-claim"))
    named = {window: fields for window, fields in windows.items() if window}
    if "status" in overall and (claim or not named):
        named.setdefault(claim or "unified", overall)
    for window, fields in named.items():
        key = word(window)
        used = number(fields.get("utilization"))
        status = IN_USE if truth(fields.get("in-use")) else word(fields.get("status"))
        if status is None and number(fields.get("surpassed-threshold")) is not None:
            status = "allowed_warning"
        if key is None or (used is None and status is None):
            continue
        yield LimitReading(
            key=key,
            source="provider_native",
            utilization=None if used is None else percent(used),
            resets_at=reset_time(fields.get("reset", ""), now=now),
            window_seconds=window_length(key),
            status=status,
            representative=key == claim,
        )


def read_usage_answer(body: Any, now: float) -> Iterator[LimitReading]:
    """Read an answer of `GET /api/oauth/usage`: the list `limits` if it has one, else the named
    windows, and extra usage."""
    body = mapping(body)
    listed = [
        reading
        for entry in items(body.get("limits"))
        if (reading := _read_listed(mapping(entry), now))
    ]
    yield from listed or _read_named(body, now)
    yield from _read_extra_usage(mapping(body.get("extra_usage")))


def _claimed_key(claim: str | None) -> str | None:
    return _WINDOW_KEYS.get(claim, word(claim)) if claim else None


def _read_named(body: Mapping[str, Any], now: float) -> Iterator[LimitReading]:
    for field, key in _WINDOW_KEYS.items():
        window = mapping(body.get(field))
        used = number(window.get("utilization"))
        if used is not None:
            yield LimitReading(
                key=key,
                source="provider_native",
                utilization=used,
                resets_at=reset_value(window.get("resets_at"), now=now),
                window_seconds=window_length(key),
            )


def _read_listed(entry: Mapping[str, Any], now: float) -> LimitReading | None:
    scope = mapping(entry.get("scope"))
    name = label(mapping(scope.get("model")).get("display_name")) or label(scope.get("surface"))
    key = _listed_key(entry.get("kind"), name)
    used = number(entry.get("percent"))
    if key is None or used is None:
        return None
    group = word(entry.get("group"))
    return LimitReading(
        key=key,
        source="provider_native",
        utilization=used,
        resets_at=reset_value(entry.get("resets_at"), now=now),
        window_seconds=_GROUP_SECONDS.get(group) if group else window_length(key),
        status=word(entry.get("severity")),
        name=name,
    )


def _listed_key(kind: Any, scope: str | None) -> str | None:
    """The key that the headers use for the same window, so that both are one window to the
    tracker."""
    match kind:
        case "session":
            return "5h"
        case "weekly_all":
            return "7d"
        case "weekly_scoped" if scope:
            return word(f"7d_{scope}")
    return word(kind)


def _read_extra_usage(extra: Mapping[str, Any]) -> Iterator[LimitReading]:
    """Read paid use beyond the plan. The wire says cents, the window whole units of the
    currency."""
    places = number(extra.get("decimal_places"))
    scale = 10 ** int(min(2 if places is None else places, 6))
    limit, used = number(extra.get("monthly_limit")), number(extra.get("used_credits"))
    utilization = number(extra.get("utilization"))
    if limit is None and utilization is None:
        return
    yield LimitReading(
        key="overage",
        source="provider_native",
        utilization=percent(used / limit)
        if utilization is None and limit and used is not None
        else utilization,
        limit=None if limit is None else limit / scale,
        remaining=None if limit is None or used is None else max(0.0, limit - used) / scale,
        status="allowed"
        if truth(extra.get("is_enabled"))
        else word(extra.get("disabled_reason")) or "disabled",
        name=label(extra.get("currency")),
    )
