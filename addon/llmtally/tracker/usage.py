"""The live view as JSON, as `/api/usage` returns it. It is made of sums, so no single call is read.

Amounts are integers inside the tracker, and floats of USD here. What the wire did not say is null.
Every part of it can be asked for one account or over all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import TypedDict

from ..record import IN_USE, rfc3339
from ..system.parts import Parts
from .breakdown import BreakdownJson, ModelJson, breakdown_json, per_model_json
from .budgets import SOURCE, ConfiguredLimits, percent_of
from .current import Primary, burn_rate, coverage_since, primary_window, total_since
from .prediction import (
    BURN_SECONDS,
    BurnRate,
    BurnRateJson,
    Forecast,
    ForecastJson,
    Span,
    first,
    of_configured,
    of_window,
)
from .scope import Scope
from .session_json import SessionJson, sessions_json
from .state import CAPS, State, horizon_of
from .timeline import day_start, first_minute_within
from .totals import UNKNOWN, Totals, TotalsJson, to_json, usd
from .window_json import (
    WARNING_PCT,
    PrimaryJson,
    TimesJson,
    WindowJson,
    estimate_json,
    primary_json,
    times_json,
    window_json,
    window_order,
)
from .windows import CREDIT_KEYS, Window, Windows

NOTHING = breakdown_json(State(CAPS, Windows(lambda _: None, CAPS.windows)), Scope(), 0)
"""What was spent where there was no call."""

TOP_SESSIONS = 20
"""Sessions in the answer; `/api/sessions` has more."""


class AccountJson(TypedDict):
    """An account that was active, and what it spent today."""

    account_key: str | None
    select: str
    """The value of the parameter `account` that selects it."""
    providers: list[str]
    today: TotalsJson
    updated_at: str


class CurrentJson(TypedDict):
    """The 5-hour window's sums against the configured limits. For a limit that is not set, the
    limit, its percentage and its source are null."""

    total_cost_usd: float | None
    spent_usd: float
    api_value_usd: float
    total_tokens: int | None
    total_output_tokens: int | None
    total_calls: int
    unpriced: int
    uncounted: int
    output_token_limit: float | None
    output_token_limit_pct: float | None
    output_token_limit_source: str | None
    total_token_limit: float | None
    total_token_limit_pct: float | None
    total_token_limit_source: str | None
    message_limit: float | None
    message_pct: float | None
    message_limit_source: str | None
    cost_limit_usd: float | None
    cost_pct: float | None
    cost_limit_source: str | None
    token_limit: float | None
    """The untyped limit; a typed one where it is not set."""
    token_pct: float | None
    token_limit_source: str | None


class PredictionsJson(ForecastJson):
    """The limit that will be reached first, and each one's forecast."""

    limits: list[ForecastJson]


class ProblemJson(TypedDict):
    """Something that a person should look at."""

    kind: str
    """`unpriced_model`, `unparsed`, `bypassed`, `window`, `configured_limit`, `extra_usage`,
    `left_out` (a part of this answer could not be made); the page adds `journal`."""
    subject: str | None
    """The model, window, limit or provider."""
    count: int | None
    """How many calls it affects."""
    pct: float | None
    """How full the limit is, in percent."""


class KnownSessionsJson(TypedDict):
    """How many sessions are kept, and what all others spent."""

    known: int
    other: TotalsJson
    """What the sessions spent that are no longer kept separately."""


class UsageJson(TypedDict):
    """The live view. Times are RFC 3339 or null."""

    generated_at: str
    restoring: bool
    """Whether the journal is still being read back."""
    account: str | None
    """The account that was selected."""
    accounts: list[AccountJson]
    """All accounts, the most recently active first."""
    window: PrimaryJson
    windows: list[WindowJson]
    extra_usage: list[WindowJson]
    """Credit beyond a plan, as limit windows."""
    current: CurrentJson
    burn_rate: BurnRateJson
    predictions: PredictionsJson
    per_model: dict[str, ModelJson]
    """Since `window` began, by `provider/model`, and `@account` where several used the same."""
    top_sessions: list[SessionJson]
    """By cost over the week."""
    sessions: KnownSessionsJson
    coverage: dict[str, int]
    """Responses today, by bucket."""
    today: BreakdownJson
    last_hour: BreakdownJson
    week: BreakdownJson
    """Totals over all retained days."""
    since_start: TotalsJson
    """Since the process began, whatever the account."""
    problems: list[ProblemJson]


class StatusWindowJson(TimesJson):
    """What a status line shows of a limit window."""

    key: str
    name: str | None
    provider: str
    account_key: str | None
    source: str
    utilization: float | None
    prediction: ForecastJson


class StatusSessionJson(TypedDict):
    """What a status line shows of a session."""

    account_key: str | None
    client: str | None
    model: str | None
    calls: int
    total_tokens: int | None
    cost_usd: float | None
    spent_usd: float
    api_value_usd: float
    cache_hit_pct: float | None
    unpriced: int
    updated_at: str


class StatusJson(TypedDict):
    """The figures that a status line shows."""

    generated_at: str
    today: TotalsJson
    coverage: dict[str, int]
    """Responses today, by bucket."""
    burn_rate: BurnRateJson
    windows: list[StatusWindowJson]
    sessions: dict[str, StatusSessionJson]
    """Sessions by id, the newest last."""


def usage_json(
    state: State,
    limits: ConfiguredLimits,
    now: float,
    account: str | None,
    *,
    restoring: bool,
    since_start: Totals,
) -> UsageJson:
    """Build the answer of `/api/usage`. A part that cannot be made is as if there had been no call,
    and a problem says so."""
    state.advance(now)
    scope = Scope.of(account)
    parts = Parts()
    primary = parts.make("window", lambda: primary_window(state, scope, now), Primary())
    window_minute = primary.first_minute
    burn = parts.make("burn_rate", lambda: burn_rate(state, scope, now), BurnRate())
    in_window = Totals() if window_minute is None else total_since(state, scope, window_minute)
    live: list[Window] = parts.make(
        "windows", lambda: sorted(state.windows.live(now, scope), key=window_order), []
    )
    windows = [window for window in live if window.key not in CREDIT_KEYS]
    windows_json = _windows_json(parts, state, windows, now)
    if not any(window.source == "provider_native" for window in windows) and primary.native is None:
        windows_json += parts.make("windows", lambda: estimate_json(primary, in_window, now), [])
    current = _current_json(limits, in_window)
    coverage: dict[str, int] = parts.make(
        "coverage", lambda: coverage_since(state, scope, day_start(now)), {}
    )
    today = parts.make("today", lambda: breakdown_json(state, scope, day_start(now)), NOTHING)
    beyond_plan = _windows_json(
        parts, state, [window for window in live if window.key in CREDIT_KEYS], now
    )
    usage: UsageJson = {
        "generated_at": rfc3339(now),
        "restoring": restoring,
        "account": account,
        "accounts": parts.make("accounts", lambda: _accounts_json(state, now), []),
        "window": parts.make(
            "window", lambda: primary_json(primary, now), primary_json(Primary(), now)
        ),
        "windows": windows_json,
        "extra_usage": beyond_plan,
        "current": current,
        "burn_rate": burn.to_json(),
        "predictions": parts.make(
            "predictions",
            lambda: _predictions_json(
                [
                    *_configured_forecasts(limits, in_window, burn, primary.span, now),
                    *_forecasts(parts, windows, now),
                ]
            ),
            _predictions_json([]),
        ),
        "per_model": {}
        if window_minute is None
        else parts.make("per_model", lambda: per_model_json(state, scope, window_minute), {}),
        "top_sessions": parts.make(
            "top_sessions",
            lambda: sessions_json(state, scope, now, primary, rank="cost", limit=TOP_SESSIONS),
            [],
        ),
        "sessions": {
            "known": len(state.sessions.of(scope)),
            "other": to_json(state.sessions.others(scope)),
        },
        "coverage": coverage,
        "today": today,
        "last_hour": parts.make(
            "last_hour",
            lambda: breakdown_json(state, scope, first_minute_within(now, BURN_SECONDS)),
            NOTHING,
        ),
        "week": parts.make("week", lambda: breakdown_json(state, scope, horizon_of(now)), NOTHING),
        "since_start": to_json(since_start),
        "problems": parts.make(
            "problems",
            lambda: [
                *_problems(today, coverage, windows_json, current),
                *_paid_extra(beyond_plan),
            ],
            [],
        ),
    }
    usage["problems"] += [_problem("left_out", name) for name in parts.left_out]
    return usage


def _windows_json(
    parts: Parts, state: State, windows: Iterable[Window], now: float
) -> list[WindowJson]:
    """Each window that can be shown."""
    found = [
        parts.make("windows", partial(window_json, state, window, now), None) for window in windows
    ]
    return [each for each in found if each is not None]


def _forecasts(parts: Parts, windows: Iterable[Window], now: float) -> Iterator[Forecast]:
    """Each window's forecast that can be made."""
    for window in windows:
        forecast = parts.make("predictions", partial(of_window, window, now), None)
        if forecast is not None:
            yield forecast


def status_json(state: State, now: float, sessions: int) -> StatusJson:
    """Build the figures of a status line. A part that cannot be made is left out."""
    state.advance(now)
    scope = Scope()
    parts = Parts()
    primary = parts.make("window", lambda: primary_window(state, scope, now), Primary())
    live: list[Window] = parts.make(
        "windows", lambda: sorted(state.windows.live(now, scope), key=window_order), []
    )
    rows: list[SessionJson] = parts.make(
        "sessions",
        lambda: sessions_json(state, scope, now, primary, rank="updated_at", limit=sessions),
        [],
    )
    windows = [
        parts.make("windows", partial(_status_window, window, now), None)
        for window in live
        if window.key not in CREDIT_KEYS
    ]
    burn = parts.make("burn_rate", lambda: burn_rate(state, scope, now), BurnRate())
    return {
        "generated_at": rfc3339(now),
        "today": to_json(total_since(state, scope, day_start(now))),
        "coverage": parts.make(
            "coverage", lambda: coverage_since(state, scope, day_start(now)), {}
        ),
        "burn_rate": burn.to_json(),
        "windows": [window for window in windows if window is not None],
        # A session that continued under another account is listed for each: the newest wins.
        "sessions": {row["session_id"]: _status_session(row) for row in reversed(rows)},
    }


def _status_window(window: Window, now: float) -> StatusWindowJson:
    return {
        "key": window.key,
        "name": window.name,
        "provider": window.provider,
        "account_key": window.account,
        "source": window.source,
        "utilization": window.utilization,
        "prediction": of_window(window, now).to_json(),
        **times_json(window.started_at, window.resets_at, now),
    }


def _status_session(row: SessionJson) -> StatusSessionJson:
    return {
        "account_key": row["account_key"],
        "client": row["client"],
        "model": row["model"],
        "calls": row["calls"],
        "total_tokens": row["total_tokens"],
        "cost_usd": row["cost_usd"],
        "spent_usd": row["spent_usd"],
        "api_value_usd": row["api_value_usd"],
        "cache_hit_pct": row["cache_hit_pct"],
        "unpriced": row["unpriced"],
        "updated_at": row["updated_at"],
    }


def _current_json(limits: ConfiguredLimits, totals: Totals) -> CurrentJson:
    """The 5-hour window's sums against the configured limits."""
    full = to_json(totals)
    if limits.tokens or not limits.output_tokens:
        untyped, used = limits.tokens or limits.total_tokens, totals.total_tokens
    else:
        untyped, used = limits.output_tokens, totals.output_tokens
    return {
        "total_cost_usd": full["cost_usd"],
        "spent_usd": full["spent_usd"],
        "api_value_usd": full["api_value_usd"],
        "total_tokens": full["total_tokens"],
        "total_output_tokens": full["output_tokens"],
        "total_calls": full["calls"],
        "unpriced": full["unpriced"],
        "uncounted": full["uncounted"],
        "output_token_limit": limits.output_tokens or None,
        "output_token_limit_pct": percent_of(totals.output_tokens, limits.output_tokens),
        "output_token_limit_source": _source(limits.output_tokens),
        "total_token_limit": limits.total_tokens or None,
        "total_token_limit_pct": percent_of(totals.total_tokens, limits.total_tokens),
        "total_token_limit_source": _source(limits.total_tokens),
        "message_limit": limits.messages or None,
        "message_pct": percent_of(totals.calls, limits.messages),
        "message_limit_source": _source(limits.messages),
        "cost_limit_usd": limits.cost_usd or None,
        "cost_pct": percent_of(usd(totals.cost), limits.cost_usd),
        "cost_limit_source": _source(limits.cost_usd),
        "token_limit": untyped or None,
        "token_pct": percent_of(used, untyped),
        "token_limit_source": _source(untyped),
    }


def _source(limit: float | None) -> str | None:
    return SOURCE if limit else None


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


def _predictions_json(forecasts: list[Forecast]) -> PredictionsJson:
    winner = first(forecasts)
    ahead = None if winner is None else winner.time_to_limit_ms
    return {
        "time_to_limit_ms": ahead,
        "safe": None if winner is None else winner.safe,
        "limit_kind": None if winner is None or ahead is None else winner.kind,
        "limits": [forecast.to_json() for forecast in forecasts],
    }


def _accounts_json(state: State, now: float) -> list[AccountJson]:
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
    today: BreakdownJson,
    coverage: Mapping[str, int],
    windows: Iterable[WindowJson],
    current: CurrentJson,
) -> Iterator[ProblemJson]:
    """What a person should look at."""
    for model, totals in today["per_model"].items():
        if totals["unpriced"]:
            yield _problem("unpriced_model", model, count=totals["unpriced"])
    for bucket in ("unparsed", "bypassed"):
        if coverage.get(bucket):
            yield _problem(bucket, None, count=coverage[bucket])
    for window in windows:
        if window["warning"]:
            yield _problem("window", window["name"] or window["key"], pct=window["utilization"])
    configured = {
        "output tokens": current["output_token_limit_pct"],
        "total tokens": current["total_token_limit_pct"],
        "calls": current["message_pct"],
        "cost": current["cost_pct"],
    }
    if current["token_limit"] not in (current["output_token_limit"], current["total_token_limit"]):
        configured["tokens"] = current["token_pct"]  # the untyped limit, set by itself
    for subject, pct in configured.items():
        if pct is not None and pct > WARNING_PCT:
            yield _problem("configured_limit", subject, pct=pct)


def _paid_extra(beyond_plan: Iterable[WindowJson]) -> Iterator[ProblemJson]:
    """Credit beyond a plan that pays for calls now: calls that the plan covered are now billed."""
    for credit in beyond_plan:
        if credit["status"] == IN_USE:
            yield _problem("extra_usage", credit["provider"], pct=credit["utilization"])


def _problem(
    kind: str, subject: str | None, *, count: int | None = None, pct: float | None = None
) -> ProblemJson:
    return {"kind": kind, "subject": subject, "count": count, "pct": pct}
