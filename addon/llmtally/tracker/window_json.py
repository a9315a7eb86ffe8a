"""A limit window as JSON: a provider's, or the one assumed where no provider tells of any."""

from __future__ import annotations

from typing import Any

from ..record import rfc3339
from .current import ESTIMATE_KEY, Primary
from .prediction import Forecast, of_window, projected_utilization
from .scope import Scope
from .state import State, horizon_of
from .timeline import MINUTE, nearest_minute
from .totals import Totals, summed, to_json
from .windows import Window

WARNING_PCT = 80.0
"""A window that is fuller than this is warned of."""


def window_json(state: State, window: Window, now: float) -> dict[str, Any]:
    """One provider's window with what was seen within it; see `Tracker.usage`."""
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


def seen_json(seen: Totals) -> dict[str, Any]:
    """The members that say what went through the proxy within a window."""
    totals = to_json(seen)
    return {
        "tokens_in": seen.context_tokens,
        "tokens_out": seen.output_tokens,
        **{
            name: totals[name]
            for name in (
                "calls",
                "total_tokens",
                "cost_usd",
                "spent_usd",
                "api_value_usd",
                "unpriced",
            )
        },
    }


def times_json(started_at: float | None, resets_at: float | None, now: float) -> dict[str, Any]:
    """The members that say when a window began and when it ends."""
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


def primary_json(primary: Primary, now: float) -> dict[str, Any]:
    """The window that the page shows first."""
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


def estimate_json(primary: Primary, seen: Totals, now: float) -> list[dict[str, Any]]:
    """The assumed window in the shape of a provider's."""
    if primary.started_at is None:
        return []
    unknown = (
        "name",
        "utilization",
        "status",
        "limit",
        "remaining",
        "projected_utilization",
        "read_at",
    )
    times = times_json(primary.started_at, primary.resets_at, now)
    return [
        {
            **primary_json(primary, now),
            **dict.fromkeys(unknown),
            "representative": False,
            "warning": False,
            "prediction": Forecast(ESTIMATE_KEY).to_json(),
            "counted_from": times["started_at"],
            **seen_json(seen),
        }
    ]
