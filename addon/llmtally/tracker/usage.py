"""The live view as JSON: what `/api/usage` answers, assembled from the state without walking calls.

Amounts are integers within and floats of USD here. What the wire did not say is null. Every part of
it can be asked for one account or over all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..record import IN_USE, rfc3339
from .breakdown import breakdown_json, per_model_json
from .budgets import SOURCE, ConfiguredLimits, percent_of
from .current import burn_rate, coverage_since, primary_window, total_since
from .prediction import BURN_SECONDS, BurnRate, Forecast, Span, first, of_configured, of_window
from .scope import Scope
from .session_json import sessions_json
from .state import State, horizon_of
from .timeline import day_start, first_minute_within
from .totals import UNKNOWN, Totals, to_json, usd
from .window_json import (
    WARNING_PCT,
    estimate_json,
    primary_json,
    times_json,
    window_json,
    window_order,
)
from .windows import CREDIT_KEYS

TOP_SESSIONS = 20


def usage_json(
    state: State,
    limits: ConfiguredLimits,
    now: float,
    account: str | None,
    *,
    restoring: bool,
    since_start: Totals,
) -> dict[str, Any]:
    """What `/api/usage` answers; its shape is told at `Tracker.usage`."""
    state.advance(now)
    scope = Scope.of(account)
    primary = primary_window(state, scope, now)
    window_minute = primary.first_minute
    burn = burn_rate(state, scope, now)
    in_window = Totals() if window_minute is None else total_since(state, scope, window_minute)
    live = sorted(state.windows.live(now, scope), key=window_order)
    windows = [window for window in live if window.key not in CREDIT_KEYS]
    forecasts = [
        *_configured_forecasts(limits, in_window, burn, primary.span, now),
        *(of_window(each, now) for each in windows),
    ]
    windows_json = [window_json(state, window, now) for window in windows]
    if not any(window.source == "provider_native" for window in windows) and primary.native is None:
        windows_json += estimate_json(primary, in_window, now)
    current = _current_json(limits, in_window)
    coverage = coverage_since(state, scope, day_start(now))
    today = breakdown_json(state, scope, day_start(now))
    beyond_plan = [window_json(state, window, now) for window in live if window.key in CREDIT_KEYS]
    return {
        "generated_at": rfc3339(now),
        "restoring": restoring,
        "account": account,
        "accounts": _accounts_json(state, now),
        "window": primary_json(primary, now),
        "windows": windows_json,
        "extra_usage": beyond_plan,
        "current": current,
        "burn_rate": burn.to_json(),
        "predictions": _predictions_json(forecasts),
        "per_model": {} if window_minute is None else per_model_json(state, scope, window_minute),
        "top_sessions": sessions_json(state, scope, now, primary, rank="cost", limit=TOP_SESSIONS),
        "sessions": {
            "known": len(state.sessions.of(scope)),
            "other": to_json(state.sessions.others(scope)),
        },
        "coverage": coverage,
        "today": today,
        "last_hour": breakdown_json(state, scope, first_minute_within(now, BURN_SECONDS)),
        "week": breakdown_json(state, scope, horizon_of(now)),
        "since_start": to_json(since_start),
        "problems": [*_problems(today, coverage, windows_json, current), *_paid_extra(beyond_plan)],
    }


def status_json(state: State, now: float, sessions: int) -> dict[str, Any]:
    """The few figures of a status line; its shape is told at `Tracker.status`."""
    state.advance(now)
    scope = Scope()
    primary = primary_window(state, scope, now)
    live = sorted(state.windows.live(now, scope), key=window_order)
    rows = sessions_json(state, scope, now, primary, rank="updated_at", limit=sessions)
    return {
        "generated_at": rfc3339(now),
        "today": to_json(total_since(state, scope, day_start(now))),
        "coverage": coverage_since(state, scope, day_start(now)),
        "burn_rate": burn_rate(state, scope, now).to_json(),
        "windows": [
            {
                **{
                    name: getattr(window, name)
                    for name in ("key", "name", "provider", "source", "utilization")
                },
                "account_key": window.account,
                "prediction": of_window(window, now).to_json(),
                **times_json(window.started_at, window.resets_at, now),
            }
            for window in live
            if window.key not in CREDIT_KEYS
        ],
        # A session that went on under another account stands there for each: the newest has the
        # last word.
        "sessions": {
            row["session_id"]: {
                name: value for name, value in row.items() if name in _STATUS_OF_SESSION
            }
            for row in reversed(rows)
        },
    }


_STATUS_OF_SESSION = frozenset(
    {
        "account_key",
        "client",
        "model",
        "calls",
        "total_tokens",
        "cost_usd",
        "spent_usd",
        "api_value_usd",
        "cache_hit_pct",
        "unpriced",
        "updated_at",
    }
)


def _current_json(limits: ConfiguredLimits, totals: Totals) -> dict[str, Any]:
    """The 5-hour window's sums against the configured limits."""
    full = to_json(totals)
    current: dict[str, Any] = {
        "total_cost_usd": full["cost_usd"],
        "spent_usd": full["spent_usd"],
        "api_value_usd": full["api_value_usd"],
        "total_tokens": full["total_tokens"],
        "total_output_tokens": full["output_tokens"],
        "total_calls": full["calls"],
        "unpriced": full["unpriced"],
        "uncounted": full["uncounted"],
    }
    current |= _limit_json(
        "output_token_limit", "output_token_limit_pct", totals.output_tokens, limits.output_tokens
    )
    current |= _limit_json(
        "total_token_limit", "total_token_limit_pct", totals.total_tokens, limits.total_tokens
    )
    current |= _limit_json("message_limit", "message_pct", totals.calls, limits.messages)
    cost = _limit_json("cost_limit", "cost_pct", usd(totals.cost), limits.cost_usd)
    current |= {"cost_limit_usd": cost.pop("cost_limit"), **cost}
    if limits.tokens or not limits.output_tokens:
        return current | _limit_json(
            "token_limit", "token_pct", totals.total_tokens, limits.tokens or limits.total_tokens
        )
    return current | _limit_json(
        "token_limit", "token_pct", totals.output_tokens, limits.output_tokens
    )


def _limit_json(name: str, percent_name: str, used: float, limit: float | None) -> dict[str, Any]:
    return {
        name: limit or None,
        percent_name: percent_of(used, limit),
        f"{name}_source": SOURCE if limit else None,
    }


def _configured_forecasts(
    limits: ConfiguredLimits, totals: Totals, burn: BurnRate, span: Span | None, now: float
) -> list[Forecast]:
    elapsed_minutes = 0.0 if span is None else max(0.0, now - span.started_at) / 60
    calls_per_minute = totals.calls / elapsed_minutes if elapsed_minutes else 0.0
    quantities = (
        ("output_tokens", totals.output_tokens, limits.output_tokens, burn.output_tokens),
        ("total_tokens", totals.total_tokens, limits.total_tokens, burn.tokens),
        ("messages", totals.calls, limits.messages, calls_per_minute),
        ("cost", usd(totals.cost), limits.cost_usd, burn.cost_usd),
        ("tokens", totals.total_tokens, limits.tokens, burn.tokens),
    )
    return [
        of_configured(kind, used=used, limit=limit, per_minute=per_minute, span=span, now=now)
        for kind, used, limit, per_minute in quantities
        if limit
    ]


def _predictions_json(forecasts: list[Forecast]) -> dict[str, Any]:
    winner = first(forecasts)
    if winner is None:
        answer: dict[str, Any] = {"time_to_limit_ms": None, "safe": None, "limit_kind": None}
    else:
        answer = winner.to_json()
        if winner.time_to_limit_ms is None:
            answer["limit_kind"] = None
    return {**answer, "limits": [forecast.to_json() for forecast in forecasts]}


def _accounts_json(state: State, now: float) -> list[dict[str, Any]]:
    today = day_start(now)
    return [
        {
            "account_key": account,
            "select": account or UNKNOWN,
            "providers": sorted(
                {key.provider for key, _ in state.models.items(Scope.only(account))}
            ),
            "today": to_json(total_since(state, Scope.only(account), today)),
            "updated_at": rfc3339(updated_at),
        }
        for account, updated_at in reversed(state.accounts.items())
    ]


def _problems(
    today: Mapping[str, Any],
    coverage: Mapping[str, int],
    windows: Iterable[Mapping[str, Any]],
    current: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """What needs a person: `{kind, subject, count, pct}`."""
    problems = [
        {"kind": "unpriced_model", "subject": model, "count": totals["unpriced"], "pct": None}
        for model, totals in today["per_model"].items()
        if totals["unpriced"]
    ]
    problems += [
        {"kind": bucket, "subject": None, "count": coverage[bucket], "pct": None}
        for bucket in ("unparsed", "bypassed")
        if coverage.get(bucket)
    ]
    problems += [
        {
            "kind": "window",
            "subject": window["name"] or window["key"],
            "count": None,
            "pct": window["utilization"],
        }
        for window in windows
        if window["warning"]
    ]
    names = {
        "output_token_limit_pct": "output tokens",
        "total_token_limit_pct": "total tokens",
        "message_pct": "calls",
        "cost_pct": "cost",
    }
    if current["token_limit"] not in (current["output_token_limit"], current["total_token_limit"]):
        names["token_pct"] = "tokens"  # noqa: S105  of a model: the untyped limit, set by itself
    problems += [
        {"kind": "configured_limit", "subject": subject, "count": None, "pct": current[field]}
        for field, subject in names.items()
        if (current[field] or 0) > WARNING_PCT
    ]
    return problems


def _paid_extra(beyond_plan: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Credit beyond a plan that pays for calls now: what was the plan's has become a bill."""
    return [
        {
            "kind": "extra_usage",
            "subject": credit["provider"],
            "count": None,
            "pct": credit["utilization"],
        }
        for credit in beyond_plan
        if credit["status"] == IN_USE
    ]
