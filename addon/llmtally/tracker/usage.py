"""The live view as JSON: what `/api/usage` answers, assembled from the state without walking calls.

Amounts are integers within and floats of USD here. What the wire did not say is null. Every part of it can be asked for one
account or over all of them.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..record import rfc3339
from .ledger import OTHER
from .limits import SOURCE, ConfiguredLimits, percent_of
from .prediction import BURN_SECONDS, BurnRate, Forecast, Span, first, of_configured, of_window, projected_utilization
from .session_json import row_json
from .sessions import Session
from .state import ESTIMATE_SECONDS, FacetKey, ModelKey, State, horizon_of
from .timeline import MINUTE, day_start, first_minute_within, minute_of, nearest_minute
from .totals import UNKNOWN, Totals, plus, summed, to_json, usd
from .windows import CREDIT_KEYS, Window

ESTIMATE_KEY = "5h"
"""The window that configured limits are for, and that stands in front."""

WARNING_PCT = 80.0
"""A window that is fuller than this is warned of."""

TOP = 50
"""Names in any breakdown; what is beyond is summed as `other`."""

TOP_SESSIONS = 20


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose usage is asked for."""

    account: str | None = None
    every: bool = True

    @classmethod
    def of(cls, account: str | None) -> Scope:
        """`None`: all accounts; `unknown`: calls that showed no credential."""
        if account is None:
            return cls()
        return cls(None if account == UNKNOWN else account, every=False)


@dataclass(frozen=True, slots=True)
class Primary:
    """The 5-hour window in force: a provider's, or the one assumed."""

    native: Window | None = None
    started_at: float | None = None
    """None: nothing was called in it."""
    resets_at: float | None = None

    @property
    def span(self) -> Span | None:
        """Its beginning and end."""
        if self.started_at is None or self.resets_at is None:
            return None
        return Span(self.started_at, self.resets_at)

    @property
    def first_minute(self) -> int | None:
        """From which minute on calls are counted in it."""
        if self.started_at is None:
            return None
        return minute_of(self.started_at) if self.native is None else nearest_minute(self.started_at)


def primary_window(state: State, scope: Scope, now: float) -> Primary:
    """The provider's 5-hour window heard of last; without one, the 5 hours from the oldest call of the last 5 hours."""
    native = [
        window
        for window in state.windows.live(now, scope.account, every=scope.every)
        if window.key == ESTIMATE_KEY and window.source == "provider_native" and window.started_at is not None
    ]
    if native:
        newest = max(native, key=lambda window: window.read_at)
        return Primary(newest, newest.started_at, newest.resets_at)
    oldest = state.oldest_within_estimate(now, scope.account, every=scope.every)
    if oldest is None:
        return Primary()
    oldest = min(oldest, now)
    return Primary(None, oldest, oldest + ESTIMATE_SECONDS)


def burn_rate(state: State, scope: Scope, now: float) -> BurnRate:
    """The rate of the last hour."""
    since = first_minute_within(now, BURN_SECONDS)
    observed = 0.0 if state.first_call is None else now - max(state.first_call, since * MINUTE)
    return BurnRate.of(total_since(state, scope, since), observed)


def total_since(state: State, scope: Scope, minute: int) -> Totals:
    """All that was spent from a minute on."""
    return summed(timeline.since(minute) for _, timeline in state.models.items(scope.account, every=scope.every))


def usage_json(state: State, limits: ConfiguredLimits, now: float, account: str | None, *, restoring: bool) -> dict[str, Any]:
    """What `/api/usage` answers; its shape is told at `Tracker.usage`."""
    state.advance(now)
    scope = Scope.of(account)
    primary = primary_window(state, scope, now)
    window_minute = primary.first_minute
    burn = burn_rate(state, scope, now)
    in_window = Totals() if window_minute is None else total_since(state, scope, window_minute)
    live = sorted(state.windows.live(now, scope.account, every=scope.every), key=_window_order)
    windows = [window for window in live if window.key not in CREDIT_KEYS]
    forecasts = [*_configured_forecasts(limits, in_window, burn, primary.span, now), *(of_window(each, now) for each in windows)]
    windows_json = [window_json(state, window, now) for window in windows]
    if not any(window.source == "provider_native" for window in windows) and primary.native is None:
        windows_json += _estimate_json(primary, in_window, now)
    current = _current_json(limits, in_window)
    coverage = coverage_since(state, scope, day_start(now))
    today = breakdown_json(state, scope, day_start(now))
    return {
        "generated_at": rfc3339(now),
        "restoring": restoring,
        "account": account,
        "accounts": _accounts_json(state, now),
        "window": _primary_json(primary, now),
        "windows": windows_json,
        "extra_usage": [window_json(state, window, now) for window in live if window.key in CREDIT_KEYS],
        "current": current,
        "burn_rate": burn.to_json(),
        "predictions": _predictions_json(forecasts),
        "per_model": {} if window_minute is None else per_model_json(state, scope, window_minute),
        "top_sessions": sessions_json(state, scope, now, primary, rank="cost", limit=TOP_SESSIONS),
        "sessions": {
            "known": sum(1 for _ in state.sessions.of(scope.account, every=scope.every)),
            "other": to_json(state.sessions.others(scope.account, every=scope.every)),
        },
        "coverage": coverage,
        "today": today,
        "last_hour": breakdown_json(state, scope, first_minute_within(now, BURN_SECONDS)),
        "week": breakdown_json(state, scope, horizon_of(now)),
        "since_start": to_json(state.counters.totals),
        "problems": _problems(today, coverage, windows_json, current),
    }


def status_json(state: State, now: float, sessions: int) -> dict[str, Any]:
    """The few figures of a status line; its shape is told at `Tracker.status`."""
    state.advance(now)
    scope = Scope()
    primary = primary_window(state, scope, now)
    live = sorted(state.windows.live(now, None, every=True), key=_window_order)
    rows = sessions_json(state, scope, now, primary, rank="updated_at", limit=sessions)
    return {
        "generated_at": rfc3339(now),
        "today": to_json(total_since(state, scope, day_start(now))),
        "coverage": coverage_since(state, scope, day_start(now)),
        "burn_rate": burn_rate(state, scope, now).to_json(),
        "windows": [
            {
                **{name: getattr(window, name) for name in ("key", "name", "provider", "source", "utilization")},
                **_times_json(window.started_at, window.resets_at, now),
            }
            for window in live
            if window.key not in CREDIT_KEYS
        ],
        "sessions": {row["session_id"]: {name: value for name, value in row.items() if name in _STATUS_OF_SESSION} for row in rows},
    }


_STATUS_OF_SESSION = frozenset(
    {
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


def coverage_since(state: State, scope: Scope, minute: int) -> dict[str, int]:
    """Responses by bucket of coverage. Those of no known account count for all of them together only."""
    counts: dict[str, int] = {}
    for day, buckets in state.coverage.items():
        for (account, bucket), count in buckets.items():
            if day >= minute and (scope.every or account == scope.account):
                counts[bucket] = counts.get(bucket, 0) + count
    return counts


def breakdown_json(state: State, scope: Scope, minute: int) -> dict[str, Any]:
    """Totals from a minute on: `{<totals>, per_model, per_client, per_project, per_class, per_outcome}`, each by name."""
    models = _grouped(state.models.items(scope.account, every=scope.every), minute, lambda key: f"{key.provider}/{key.model}")
    facets = [
        (key, totals)
        for key, timeline in state.facets.items(scope.account, every=scope.every)
        if any(totals := timeline.since(minute))
    ]
    return {
        **to_json(summed(models.values())),
        "per_model": _named_json(models),
        **{name: _named_json(_facet_sums(facets, place)) for name, place in _FACETS.items()},
    }


_FACETS = {
    f"per_{name}": FacetKey._fields.index(field)
    for name, field in {"client": "client", "project": "project", "class": "request_class", "outcome": "outcome"}.items()
}


def _grouped(timelines: Iterable[tuple[ModelKey, Any]], minute: int, name_of: Callable[[ModelKey], str]) -> dict[str, Totals]:
    sums: dict[str, Totals] = {}
    for key, timeline in timelines:
        if any(totals := timeline.since(minute)):
            name = name_of(key)
            sums[name] = plus(sums[name], totals) if name in sums else totals
    return sums


def _facet_sums(facets: Iterable[tuple[FacetKey, Totals]], place: int) -> dict[str, Totals]:
    sums: dict[str, Totals] = {}
    for key, totals in facets:
        name = key[place] or UNKNOWN
        sums[name] = plus(sums[name], totals) if name in sums else totals
    return sums


def _named_json(sums: Mapping[str, Totals]) -> dict[str, Any]:
    """The names that cost most, the others summed."""
    top = heapq.nlargest(TOP, sums.items(), key=_weight)
    named = dict(top)
    if rest := [totals for name, totals in sums.items() if name not in named]:
        named[OTHER] = plus(named.get(OTHER, Totals()), summed(rest))
    return {name: to_json(totals) for name, totals in named.items()}


def _weight(item: tuple[Any, Totals]) -> tuple[int, int, int]:
    totals = item[1]
    return totals.cost, totals.total_tokens, totals.calls


def per_model_json(state: State, scope: Scope, minute: int) -> dict[str, Any]:
    """By `provider/model`, and by `provider/model@account` where several accounts used the same model."""
    rows = [
        (key, totals)
        for key, timeline in state.models.items(scope.account, every=scope.every)
        if any(totals := timeline.since(minute))
    ]
    users: dict[tuple[str, str], int] = {}
    for key, _ in rows:
        users[key.provider, key.model] = users.get((key.provider, key.model), 0) + 1
    answer = {}
    for key, totals in heapq.nlargest(TOP, rows, key=_weight):
        name = f"{key.provider}/{key.model}"
        if users[key.provider, key.model] > 1:
            name += f"@{key.account or UNKNOWN}"
        answer[name] = {
            "provider": key.provider,
            "account_key": key.account,
            "model": key.model,
            **to_json(totals),
            "source": state.cost_sources.get(key),
        }
    return answer


def sessions_json(state: State, scope: Scope, now: float, primary: Primary, *, rank: str, limit: int) -> list[dict[str, Any]]:
    """The first sessions by `cost` or by `updated_at`, in rows."""
    whole = _window_total(state, scope, primary)
    return [
        _session_row(session, now, primary, whole) for session in state.sessions.most(rank, limit, scope.account, every=scope.every)
    ]


def session_json(state: State, session: Session, now: float, primary: Primary, scope: Scope) -> dict[str, Any]:
    """One session's row."""
    return _session_row(session, now, primary, _window_total(state, scope, primary))


def _session_row(session: Session, now: float, primary: Primary, whole: Totals) -> dict[str, Any]:
    shares = primary.native is None or primary.native.account == session.account
    return row_json(session, today=day_start(now), window=primary.first_minute, window_total=whole if shares else Totals())


def _window_total(state: State, scope: Scope, primary: Primary) -> Totals:
    """What the account whose window it is has spent in it; all accounts in the scope, where it is assumed."""
    if primary.first_minute is None:
        return Totals()
    owner = scope if primary.native is None else Scope(primary.native.account, every=False)
    return total_since(state, owner, primary.first_minute)


def window_json(state: State, window: Window, now: float) -> dict[str, Any]:
    """One provider's window with what was seen within it; see `Tracker.usage`."""
    since = nearest_minute(max(window.counted_from, horizon_of(now) * MINUTE))
    seen = summed(
        timeline.since(since)
        for key, timeline in state.models.items(window.account, every=False)
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
        **_times_json(window.started_at, window.resets_at, now),
        "counted_from": rfc3339(since * MINUTE),
        **_seen_json(seen),
    }


def _seen_json(seen: Totals) -> dict[str, Any]:
    totals = to_json(seen)
    return {
        "tokens_in": seen.context_tokens,
        "tokens_out": seen.output_tokens,
        **{name: totals[name] for name in ("calls", "total_tokens", "cost_usd", "spent_usd", "api_value_usd", "unpriced")},
    }


def _times_json(started_at: float | None, resets_at: float | None, now: float) -> dict[str, Any]:
    return {
        "started_at": None if started_at is None else rfc3339(started_at),
        "resets_at": None if resets_at is None else rfc3339(resets_at),
        "reset_in_ms": None if resets_at is None else round((resets_at - now) * 1000),
    }


def _window_order(window: Window) -> tuple[bool, float, str, str]:
    """Plans before rate limits, short before long."""
    return (
        window.source != "provider_native",
        window.window_seconds or float("inf"),
        window.key,
        f"{window.name} {window.provider} {window.account}",
    )


def _primary_json(primary: Primary, now: float) -> dict[str, Any]:
    native = primary.native
    return {
        "key": ESTIMATE_KEY,
        **_times_json(primary.started_at, primary.resets_at, now),
        "source": "local_estimate" if native is None else native.source,
        "confidence": "low" if native is None else native.confidence,
        "utilization": None if native is None else native.utilization,
        "provider": None if native is None else native.provider,
        "account_key": None if native is None else native.account,
    }


def _estimate_json(primary: Primary, seen: Totals, now: float) -> list[dict[str, Any]]:
    """The assumed window in the shape of a provider's."""
    if primary.started_at is None:
        return []
    unknown = ("name", "utilization", "status", "limit", "remaining", "projected_utilization", "read_at")
    times = _times_json(primary.started_at, primary.resets_at, now)
    return [
        {
            **_primary_json(primary, now),
            **dict.fromkeys(unknown),
            "representative": False,
            "warning": False,
            "prediction": Forecast(ESTIMATE_KEY).to_json(),
            "counted_from": times["started_at"],
            **_seen_json(seen),
        }
    ]


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
    current |= _limit_json("output_token_limit", "output_token_limit_pct", totals.output_tokens, limits.output_tokens)
    current |= _limit_json("total_token_limit", "total_token_limit_pct", totals.total_tokens, limits.total_tokens)
    current |= _limit_json("message_limit", "message_pct", totals.calls, limits.messages)
    cost = _limit_json("cost_limit", "cost_pct", usd(totals.cost), limits.cost_usd)
    current |= {"cost_limit_usd": cost.pop("cost_limit"), **cost}
    if limits.tokens or not limits.output_tokens:
        return current | _limit_json("token_limit", "token_pct", totals.total_tokens, limits.tokens or limits.total_tokens)
    return current | _limit_json("token_limit", "token_pct", totals.output_tokens, limits.output_tokens)


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
            "providers": sorted({key.provider for key, _ in state.models.items(account, every=False)}),
            "today": to_json(total_since(state, Scope(account, every=False), today)),
            "updated_at": rfc3339(updated_at),
        }
        for account, updated_at in reversed(state.accounts.items())
    ]


def _problems(
    today: Mapping[str, Any], coverage: Mapping[str, int], windows: Iterable[Mapping[str, Any]], current: Mapping[str, Any]
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
        {"kind": "window", "subject": window["name"] or window["key"], "count": None, "pct": window["utilization"]}
        for window in windows
        if window["warning"]
    ]
    names = {
        "output_token_limit_pct": "output tokens",
        "total_token_limit_pct": "total tokens",
        "message_pct": "calls",
        "cost_pct": "cost",
    }
    problems += [
        {"kind": "configured_limit", "subject": subject, "count": None, "pct": current[field]}
        for field, subject in names.items()
        if (current[field] or 0) > WARNING_PCT
    ]
    return problems
