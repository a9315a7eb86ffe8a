"""A limit window as JSON: a provider's, or the assumed one if no provider reports any."""

from __future__ import annotations

from typing import TypedDict

from ..record import rfc3339
from .current import ESTIMATE_KEY, Primary
from .prediction import Forecast, ForecastJson, of_window, projected_utilization
from .scope import Scope
from .state import State, horizon_of
from .timeline import MINUTE, nearest_minute
from .totals import Totals, summed, to_json
from .windows import Confidence, Window

WARNING_PCT = 80.0
"""Percent: a fuller window causes a warning."""


class TimesJson(TypedDict):
    """When a window began and when it ends, RFC 3339; null: not known."""

    started_at: str | None
    resets_at: str | None
    reset_in_ms: int | None


class SeenJson(TypedDict):
    """What was seen of a window's use."""

    tokens_in: int
    """All input, cached or not."""
    tokens_out: int
    calls: int
    total_tokens: int | None
    cost_usd: float | None
    spent_usd: float
    api_value_usd: float
    unpriced: int


class PrimaryJson(TimesJson):
    """The 5-hour window in force."""

    key: str
    source: str
    """`provider_native`, or `local_estimate` if no provider reports one."""
    confidence: Confidence
    utilization: float | None
    """Percent used, as the provider reports it."""
    provider: str | None
    account_key: str | None


class WindowJson(TimesJson, SeenJson):
    """One limit window: what its provider reports, what was seen within it, and a forecast."""

    key: str
    name: str | None
    provider: str | None
    account_key: str | None
    source: str
    confidence: Confidence
    utilization: float | None
    status: str | None
    representative: bool
    limit: float | None
    remaining: float | None
    warning: bool
    """Whether it is fuller than `WARNING_PCT`."""
    projected_utilization: float | None
    """Predicted percent at the reset, if usage continues like this."""
    prediction: ForecastJson
    read_at: str | None
    """When its provider last reported it."""
    counted_from: str | None
    """Since when calls are counted in it."""


def window_json(state: State, window: Window, now: float) -> WindowJson:
    """One provider's window with what was seen within it."""
    since = nearest_minute(max(window.counted_from, horizon_of(now) * MINUTE))
    seen = summed(
        timeline.since(since)
        for key, timeline in state.models.items(Scope.only(window.account))
        if key.provider == window.provider and window.covers(key.model)
    )
    return {
        "key": window.key,
        "name": window.name,
        "provider": window.provider,
        "account_key": window.account,
        "source": window.source,
        "confidence": window.confidence,
        "utilization": window.utilization,
        "status": window.status,
        "representative": window.representative,
        "limit": window.limit,
        "remaining": window.remaining,
        "warning": window.utilization is not None and window.utilization > WARNING_PCT,
        "projected_utilization": projected_utilization(window, now),
        "prediction": of_window(window, now).to_json(),
        "read_at": rfc3339(window.read_at),
        **times_json(window.started_at, window.resets_at, now),
        "counted_from": rfc3339(since * MINUTE),
        **seen_json(seen),
    }


def seen_json(seen: Totals) -> SeenJson:
    """What was seen within a window."""
    totals = to_json(seen)
    return {
        "tokens_in": seen.context_tokens,
        "tokens_out": seen.output_tokens,
        "calls": totals["calls"],
        "total_tokens": totals["total_tokens"],
        "cost_usd": totals["cost_usd"],
        "spent_usd": totals["spent_usd"],
        "api_value_usd": totals["api_value_usd"],
        "unpriced": totals["unpriced"],
    }


def times_json(started_at: float | None, resets_at: float | None, now: float) -> TimesJson:
    """A window's times, from epoch seconds."""
    return {
        "started_at": None if started_at is None else rfc3339(started_at),
        "resets_at": None if resets_at is None else rfc3339(resets_at),
        "reset_in_ms": None if resets_at is None else round((resets_at - now) * 1000),
    }


def window_order(window: Window) -> tuple[bool, float, str, str]:
    """Plans before rate limits, short before long."""
    return (
        window.source != "provider_native",
        window.window_seconds or float("inf"),
        window.key,
        f"{window.name} {window.provider} {window.account}",
    )


def primary_json(primary: Primary, now: float) -> PrimaryJson:
    """The 5-hour window in force."""
    native = primary.native
    return {
        "key": ESTIMATE_KEY,
        **times_json(primary.started_at, primary.resets_at, now),
        "source": "local_estimate" if native is None else native.source,
        "confidence": "low" if native is None else native.confidence,
        "utilization": None if native is None else native.utilization,
        "provider": None if native is None else native.provider,
        "account_key": None if native is None else native.account,
    }


def estimate_json(primary: Primary, seen: Totals, now: float) -> list[WindowJson]:
    """The assumed window in the form of a provider's; None if it holds no call."""
    if primary.started_at is None:
        return []
    times = times_json(primary.started_at, primary.resets_at, now)
    return [
        {
            **primary_json(primary, now),
            "name": None,
            "status": None,
            "representative": False,
            "limit": None,
            "remaining": None,
            "warning": False,
            "projected_utilization": None,
            "prediction": Forecast(ESTIMATE_KEY).to_json(),
            "read_at": None,
            "counted_from": times["started_at"],
            **seen_json(seen),
        }
    ]
