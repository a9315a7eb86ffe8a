"""The tracker's interface: calls and limit readings go in; sums come out as JSON, and the newest
calls as they are.

Not for several threads. Every query takes the current time, in epoch seconds; a clock that goes
back makes no figure negative.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from functools import partial
from itertools import islice
from typing import Literal

from ..record import Call, LimitReading
from ..system.parts import Parts
from .budgets import ConfiguredLimits
from .counters import Counters
from .current import burn_rate, primary_window
from .prediction import BurnRate
from .scope import Scope
from .series import SeriesJson, series_json
from .session_json import SessionDetail, SessionJson, session_json, sessions_json, tree_json
from .state import CAPS, Caps, State, as_journaled, horizon_of
from .timeline import MINUTES_PER_DAY
from .totals import by_model, of_call, to_json
from .usage import StatusJson, UsageJson, status_json, usage_json
from .window_json import WindowJson, window_json
from .windows import Reset, Window, Windows

MAX_ROWS = 1_000
"""Calls or sessions in one answer."""

_EPOCH_DAY = date(1970, 1, 1).toordinal()


def _ignore(_: Reset) -> None:
    """Default `on_reset`: do nothing."""


class Tracker:
    """Live sums over all calls seen, and the newest of them."""

    def __init__(
        self,
        *,
        limits: ConfiguredLimits | None = None,
        on_reset: Callable[[Reset], None] = _ignore,
        caps: Caps = CAPS,
    ) -> None:
        """`on_reset` is called when a plan's window was replaced by its next one."""
        self.limits = limits or ConfiguredLimits()
        """The user's limits; they may be replaced at any time."""
        self.restoring = False
        """Whether the journal is still being read back; it is only shown."""
        self.counters = Counters()
        """The counters for Prometheus."""
        self._caps = caps
        self._windows = Windows(on_reset, caps.windows)
        self._state = State(caps, self._windows)

    def reset(self) -> None:
        """Count from zero again. Limit windows, which are the provider's, and counters, which never
        fall, are kept."""
        self._state = State(self._caps, self._windows)

    def blank(self) -> Tracker:
        """A tracker of the same size that has seen nothing and tells nobody."""
        return Tracker(caps=self._caps)

    def take_over(self, other: Tracker) -> None:
        """Show what another tracker has taken in, and nothing else. Limits and counters, which
        count since the start, stay."""
        other._windows.on_reset = self._windows.on_reset
        self._state, self._windows = other._state, other._windows

    @staticmethod
    def restore_since(now: float) -> date:
        """The first UTC day whose calls the state keeps: read the journal back from there."""
        return date.fromordinal(_EPOCH_DAY + horizon_of(now) // MINUTES_PER_DAY)

    def add(self, call: Call, *, restored: bool = False) -> None:
        """Take in a call in constant time; `restored`: read back from the journal, so not counted
        since the start.

        A duplicate or a pending response only counts for coverage; a warm-up also stands among the
        newest calls.
        """
        state = self._state
        ended = call.ended if restored else as_journaled(call.ended)
        account = state.account_of(call.attribution.account, ended)
        state.count_coverage(call.coverage, account, ended)
        if not restored:
            self.counters.coverage[call.coverage] += 1
        if call.coverage == "duplicate" or call.pending:
            return
        state.keep(call, restored=restored)
        if call.limits:
            self._windows.read(
                call.limits,
                provider=call.provider,
                account=account,
                at=as_journaled(call.started),
                model=call.model or call.request_model,
                quiet=restored,
            )
        if call.attribution.request_class == "warmup":
            return
        row = of_call(call)
        shares = by_model(call, row)
        if not restored:
            self.counters.add(call, shares)
        state.count(call, account, ended, row, shares)

    def add_limits(
        self,
        readings: Iterable[LimitReading],
        *,
        provider: str,
        account: str | None,
        at: float,
        restored: bool = False,
    ) -> None:
        """Take in the answer of a quota endpoint, which a client or llmtally asked at `at`."""
        at = at if restored else as_journaled(at)
        account = self._state.account_of(account, at)
        self._windows.read(readings, provider=provider, account=account, at=at, quiet=restored)

    def count_coverage(
        self,
        bucket: str,
        count: int = 1,
        *,
        at: float,
        account: str | None = None,
        restored: bool = False,
    ) -> None:
        """Count responses that make no call (`bypassed`, `unparsed` by a bug...). `add` counts
        those of calls itself."""
        self._state.count_coverage(bucket, account, at, count)
        if not restored:
            self.counters.coverage[bucket] += count

    def usage(self, now: float, account: str | None = None) -> UsageJson:
        """The answer of `/api/usage`; `account` is a value of `accounts[].select`."""
        return usage_json(
            self._state,
            self.limits,
            now,
            account,
            restoring=self.restoring,
            since_start=self.counters.totals,
        )

    def status(self, now: float, sessions: int = 50) -> StatusJson:
        """The figures of a status line, for a fraction of the time that `usage` takes; `sessions`:
        how many of the newest to include."""
        return status_json(self._state, now, min(sessions, MAX_ROWS))

    def series(self, minutes: int, now: float, account: str | None = None) -> SeriesJson:
        """The answer of `/api/series` over the last `minutes`, at most the retained days."""
        return series_json(self._state, minutes, now, account)

    def sessions(
        self,
        now: float,
        *,
        limit: int = 50,
        rank: Literal["cost", "updated_at"] = "updated_at",
        account: str | None = None,
    ) -> list[SessionJson]:
        """Rows of the sessions table, the first by `rank`."""
        self._state.advance(now)
        scope = Scope.of(account)
        return sessions_json(
            self._state,
            scope,
            now,
            primary_window(self._state, scope, now),
            rank=rank,
            limit=min(limit, MAX_ROWS),
        )

    def session(
        self, session_id: str, now: float, account: str | None = None
    ) -> SessionDetail | None:
        """One session with its agents and newest calls; None if it is not known."""
        self._state.advance(now)
        scope = Scope.of(account)
        session = self._state.sessions.find(session_id, scope)
        if session is None:
            return None
        newest = [
            call
            for call in self._state.newest_calls()
            if call.attribution.session == session_id
            and call.attribution.account == session.account
        ]
        row = session_json(
            self._state, session, now, primary_window(self._state, scope, now), scope
        )
        counted = sum(call.attribution.request_class != "warmup" for call in newest)
        return SessionDetail(
            row=row,
            totals=to_json(session.total),
            agents=tree_json(session),
            calls=newest[:MAX_ROWS][::-1],
            calls_complete=counted == row["calls"] and len(newest) <= MAX_ROWS,
        )

    def calls(
        self, limit: int = 100, before: str | None = None, filters: Mapping[str, str] | None = None
    ) -> list[Call]:
        """The newest calls, newest first; `before`: a `request_id`; only older calls are returned;
        `filters`: record field to value.

        Filters may name `request_id`, `provider`, `model` (served or asked for), `outcome`,
        `coverage`, `billing` and the fields of attribution. An unknown `before` gives nothing.
        """
        newest = self._state.newest_calls()
        if before is not None:
            newest = _after(newest, before)
        matching = (
            call
            for call in newest
            if all(_matches(call, name, value) for name, value in (filters or {}).items())
        )
        return list(islice(matching, max(0, min(limit, MAX_ROWS))))

    def gauges(self, now: float) -> tuple[BurnRate, list[WindowJson]]:
        """The burn rate and the provider's windows, as in `usage`, for metrics. What cannot be made
        is left out."""
        self._state.advance(now)
        scope, parts = Scope(), Parts()
        burn = parts.make("burn_rate", lambda: burn_rate(self._state, scope, now), BurnRate())
        live: list[Window] = parts.make("windows", lambda: list(self._windows.live(now, scope)), [])
        windows = [
            parts.make("windows", partial(window_json, self._state, window, now), None)
            for window in live
        ]
        return burn, [window for window in windows if window is not None]


def _after(calls: Iterator[Call], request_id: str) -> Iterator[Call]:
    for call in calls:
        if call.request_id == request_id:
            break
    return calls


_CALL_FILTERS = frozenset({"request_id", "provider", "api", "outcome", "coverage", "billing"})
_ATTRIBUTION_FILTERS = frozenset(
    {"client", "session", "agent", "request_class", "project", "account"}
)


def _matches(call: Call, name: str, value: str) -> bool:
    if name == "model":
        return value in (call.model, call.request_model)
    if name in _CALL_FILTERS:
        return bool(getattr(call, name) == value)
    return name in _ATTRIBUTION_FILTERS and getattr(call.attribution, name) == value
