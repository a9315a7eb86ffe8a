"""How fast it goes, and when a limit will be reached.

A configured limit is reached when what remains is used up at the burn rate of the same quantity; a provider's window when its
utilization, along the slope of the last hour's readings, comes to 100 %. Too little to go on gives no figure: silence is better
than a wrong alarm. A limit that has been reached needs no forecast.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .totals import Totals, usd
from .windows import PAUSE_KEY, Window

BURN_SECONDS = 3600.0
"""The burn rate is that of the last hour."""

BURN_SECONDS_MIN = 300.0
"""Never over less: the first call would look like a flood."""

MIN_ELAPSED = 0.03
"""Share of a window that must have passed before anything is foretold of it."""

MIN_READINGS = 3
"""Readings of the utilization that make a slope."""

FAR_MS = 10 * 365 * 86_400_000
"""Ten years: a limit that is further away is never reached."""


@dataclass(frozen=True, slots=True)
class BurnRate:
    """What goes per minute."""

    tokens: float = 0.0
    output_tokens: float = 0.0
    cost_usd: float = 0.0
    observed_minutes: float = BURN_SECONDS_MIN / 60

    @classmethod
    def of(cls, totals: Totals, observed_seconds: float) -> BurnRate:
        """The rate at which these totals came together."""
        minutes = max(observed_seconds, BURN_SECONDS_MIN) / 60
        return cls(totals.total_tokens / minutes, totals.output_tokens / minutes, usd(totals.cost) / minutes, minutes)

    def to_json(self) -> dict[str, float]:
        """As in `/api/usage`."""
        return {
            "tokens_per_minute": self.tokens,
            "output_tokens_per_minute": self.output_tokens,
            "cost_usd_per_minute": self.cost_usd,
            "observed_minutes": self.observed_minutes,
        }


@dataclass(frozen=True, slots=True)
class Span:
    """The window that a configured limit is for, in epoch seconds."""

    started_at: float
    resets_at: float

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.resets_at - self.started_at


@dataclass(frozen=True, slots=True)
class Forecast:
    """When a limit will be reached."""

    kind: str
    """`output_tokens`, `total_tokens`, `messages`, `cost`, `tokens`, or the key of a provider's window."""
    time_to_limit_ms: int | None = None
    """None: never at this rate, or not known."""
    safe: bool | None = None
    """Whether the window ends first; None: not known."""

    def to_json(self) -> dict[str, Any]:
        """As in `/api/usage`."""
        return {"time_to_limit_ms": self.time_to_limit_ms, "safe": self.safe, "limit_kind": self.kind}


def of_configured(kind: str, *, used: float, limit: float, per_minute: float, span: Span | None, now: float) -> Forecast:
    """The forecast for a configured limit over the 5-hour window."""
    if used >= limit:
        return Forecast(kind, 0, safe=False)
    if span is None or not _has_elapsed(span.started_at, span.seconds, now):
        return Forecast(kind)
    return _reached_in(kind, (limit - used) / per_minute * 60 if per_minute > 0 else math.inf, span.resets_at, now)


def of_window(window: Window, now: float) -> Forecast:
    """The forecast for a provider's window that has not ended."""
    if window.key == PAUSE_KEY:
        return Forecast(window.key)
    if window.is_exhausted:
        return Forecast(window.key, 0, safe=False)
    slope = utilization_slope(window, now)
    if slope is None or window.utilization is None:
        return Forecast(window.key)
    return _reached_in(window.key, (100 - window.utilization) / slope if slope > 0 else math.inf, window.resets_at, now)


def projected_utilization(window: Window, now: float) -> float | None:
    """Percent at the reset if it goes on like this; None where nothing is foretold."""
    slope = utilization_slope(window, now)
    if slope is None or window.utilization is None or window.resets_at is None:
        return None
    return window.utilization + max(0.0, slope) * max(0.0, window.resets_at - now)


def utilization_slope(window: Window, now: float) -> float | None:
    """Percent per second over the last hour's readings, by least squares; None where there are too few or it is too early."""
    if window.started_at is None or window.window_seconds is None:
        return None
    readings = window.recent_readings(now)
    if len(readings) < MIN_READINGS or not _has_elapsed(window.started_at, window.window_seconds, now):
        return None
    mean_at = math.fsum(at for at, _ in readings) / len(readings)
    mean_used = math.fsum(used for _, used in readings) / len(readings)
    spread = math.fsum((at - mean_at) ** 2 for at, _ in readings)
    return math.fsum((at - mean_at) * (used - mean_used) for at, used in readings) / spread if spread else None


def first(forecasts: Iterable[Forecast]) -> Forecast | None:
    """The limit that will be reached first. Without any figure: one that is safe, if any is."""
    many = list(forecasts)
    timed = [forecast for forecast in many if forecast.time_to_limit_ms is not None]
    if timed:
        return min(timed, key=lambda forecast: forecast.time_to_limit_ms or 0)
    return next((forecast for forecast in many if forecast.safe), None)


def _has_elapsed(started_at: float, seconds: float, now: float) -> bool:
    return seconds > 0 and now - started_at >= MIN_ELAPSED * seconds


def _reached_in(kind: str, seconds: float, resets_at: float | None, now: float) -> Forecast:
    if not seconds * 1000 < FAR_MS:
        return Forecast(kind, None, safe=True)
    return Forecast(kind, round(seconds * 1000), safe=None if resets_at is None else now + seconds >= resets_at)
