"""Figures that several answers need: the 5-hour window in force, the burn rate, and what was spent
since a moment."""

from __future__ import annotations

from dataclasses import dataclass

from .prediction import BURN_SECONDS, BurnRate, Span
from .scope import Scope
from .state import ESTIMATE_SECONDS, State
from .timeline import MINUTE, first_minute_within, minute_of, nearest_minute
from .totals import Totals, summed
from .windows import Window

ESTIMATE_KEY = "5h"
"""Key of the window that configured limits are for, and that the page shows first."""


@dataclass(frozen=True, slots=True)
class Primary:
    """The 5-hour window in force: a provider's, or the one assumed."""

    native: Window | None = None
    started_at: float | None = None
    """When the window began; None: it holds no call."""
    resets_at: float | None = None

    @property
    def span(self) -> Span | None:
        """The window's beginning and end; None if it holds no call."""
        if self.started_at is None or self.resets_at is None:
            return None
        return Span(self.started_at, self.resets_at)

    @property
    def first_minute(self) -> int | None:
        """The first minute whose calls are counted in it."""
        if self.started_at is None:
            return None
        return (
            minute_of(self.started_at) if self.native is None else nearest_minute(self.started_at)
        )


def primary_window(state: State, scope: Scope, now: float) -> Primary:
    """The provider's 5-hour window that was reported last; without one, the 5 hours from the oldest
    call of the last 5 hours."""
    native = [
        window
        for window in state.windows.live(now, scope)
        if window.key == ESTIMATE_KEY
        and window.source == "provider_native"
        and window.started_at is not None
    ]
    if native:
        newest = max(native, key=lambda window: window.read_at)
        return Primary(newest, newest.started_at, newest.resets_at)
    oldest = state.oldest_within_estimate(now, scope)
    if oldest is None:
        return Primary()
    oldest = min(oldest, now)
    return Primary(None, oldest, oldest + ESTIMATE_SECONDS)


def burn_rate(state: State, scope: Scope, now: float) -> BurnRate:
    """The burn rate over the last hour."""
    since = first_minute_within(now, BURN_SECONDS)
    observed = 0.0 if state.first_call is None else now - max(state.first_call, since * MINUTE)
    return BurnRate.of(total_since(state, scope, since), observed)


def total_since(state: State, scope: Scope, minute: int) -> Totals:
    """Totals of all calls since a minute began."""
    return summed(timeline.since(minute) for _, timeline in state.models.items(scope))


def coverage_since(state: State, scope: Scope, minute: int) -> dict[str, int]:
    """Responses by coverage bucket. Those without a known account count only in the scope of all
    accounts."""
    counts: dict[str, int] = {}
    for day, buckets in state.coverage.items():
        for (account, bucket), count in buckets.items():
            if day >= minute and scope.includes(account):
                counts[bucket] = counts.get(bucket, 0) + count
    return counts
