"""The burn rate, and when a limit will be reached.

A configured limit is reached when what remains is used up at the burn rate of the same quantity; a
provider's window when its utilization, along the slope of the last hour's readings, comes to 100 %.
That slope holds for the next hours; after them a window of days goes on at its average so far, or
every hour of work would foretell the worst. If there is too little data, no figure is given:
silence is better than a false alarm. A limit that has been reached needs no forecast.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypedDict

from .totals import Totals, usd
from .windows import PAUSE_KEY, Window

BURN_SECONDS = 3600.0
"""Seconds over which the burn rate is averaged: the last hour."""

BURN_SECONDS_MIN = 300.0
"""The fewest seconds it is averaged over: otherwise the first call would look like a flood."""

MIN_ELAPSED = 0.03
"""Share of a window that must have passed before anything is predicted for it."""

MIN_READINGS = 3
"""Readings of the utilization that make a slope."""

MIN_SPAN = 300.0
"""Seconds between the first and the last of them: a shorter span is a burst."""

MIN_RISE = 2.0
"""Percent between them: plans report whole percents, so a single step may be a rounding error..."""

SURE_SPAN = 1800.0
"""...but over this many seconds a rounding error hardly matters."""

PACE_SECONDS = 5 * 3600.0
"""How far ahead the last hour's slope is believed: a stretch of work, and the length of the plans'
short window."""

SHORT_WINDOW = 86_400.0
"""A window no longer than a day is filled at one pace; a longer one sees nights."""

FAR_MS = 10 * 365 * 86_400_000
"""Ten years: a limit that is further away is never reached."""


class BurnRateJson(TypedDict):
    """A burn rate as the API has it."""

    tokens_per_minute: float
    output_tokens_per_minute: float
    cost_usd_per_minute: float
    observed_minutes: float
    """Minutes over which it is averaged: an hour, or the time since the first call."""


@dataclass(frozen=True, slots=True)
class BurnRate:
    """Tokens and cost per minute."""

    tokens: float = 0.0
    output_tokens: float = 0.0
    cost_usd: float = 0.0
    observed_minutes: float = BURN_SECONDS_MIN / 60

    @classmethod
    def of(cls, totals: Totals, observed_seconds: float) -> BurnRate:
        """The average rate of these totals over the time in which they were observed."""
        minutes = max(observed_seconds, BURN_SECONDS_MIN) / 60
        return cls(
            totals.total_tokens / minutes,
            totals.output_tokens / minutes,
            usd(totals.cost) / minutes,
            minutes,
        )

    def to_json(self) -> BurnRateJson:
        """The same under the API's names."""
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
        """The window's length in seconds."""
        return self.resets_at - self.started_at


class ForecastJson(TypedDict):
    """A forecast as the API has it."""

    time_to_limit_ms: int | None
    """Null: never at this rate, or not known."""
    safe: bool | None
    """Whether the window ends first; null: not known."""
    limit_kind: str | None
    """The limit that the forecast is for, see `Forecast.kind`."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """When a limit will be reached."""

    kind: str
    """`output_tokens`, `total_tokens`, `messages`, `cost`, `tokens`, or the key of a provider's
    window."""
    time_to_limit_ms: int | None = None
    """None: never at this rate, or not known."""
    safe: bool | None = None
    """Whether the window ends first; None: not known."""

    def to_json(self) -> ForecastJson:
        """The same under the API's names."""
        return {
            "time_to_limit_ms": self.time_to_limit_ms,
            "safe": self.safe,
            "limit_kind": self.kind,
        }


def of_configured(
    kind: str, *, used: float, limit: float, per_minute: float, span: Span | None, now: float
) -> Forecast:
    """The forecast for a configured limit over the 5-hour window."""
    if used >= limit:
        return Forecast(kind, 0, safe=False)
    if span is None or not _has_elapsed(span.started_at, span.seconds, now):
        return Forecast(kind)
    return _reached_in(
        kind, (limit - used) / per_minute * 60 if per_minute > 0 else math.inf, span.resets_at, now
    )


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a window fills, in percent per second."""

    near: float
    """Percent per second within the next `PACE_SECONDS`."""
    far: float
    """Percent per second after the next `PACE_SECONDS`."""

    def seconds_to(self, rise: float) -> float:
        """Seconds until the utilization has risen by `rise` percent; infinity: never."""
        soon = self.near * PACE_SECONDS
        if rise <= soon:
            return rise / self.near
        return PACE_SECONDS + (rise - soon) / self.far if self.far > 0 else math.inf

    def rise_in(self, seconds: float) -> float:
        """Percent that are added within `seconds`."""
        return self.near * min(seconds, PACE_SECONDS) + self.far * max(0.0, seconds - PACE_SECONDS)


def of_window(window: Window, now: float) -> Forecast:
    """The forecast for a provider's window that has not ended."""
    if window.key == PAUSE_KEY:
        return Forecast(window.key)
    if window.is_exhausted:
        return Forecast(window.key, 0, safe=False)
    pace = pace_of(window, now)
    if pace is None or window.utilization is None:
        return Forecast(window.key)
    return _reached_in(window.key, pace.seconds_to(100 - window.utilization), window.resets_at, now)


def projected_utilization(window: Window, now: float) -> float | None:
    """Percent at the reset if usage continues like this; None if nothing is predicted."""
    pace = pace_of(window, now)
    if pace is None or window.utilization is None or window.resets_at is None:
        return None
    return window.utilization + pace.rise_in(max(0.0, window.resets_at - now))


def pace_of(window: Window, now: float) -> Pace | None:
    """How fast the window fills; None if too little is known or it is too early to say."""
    if window.started_at is None or window.window_seconds is None or window.utilization is None:
        return None
    if not _has_elapsed(window.started_at, window.window_seconds, now):
        return None
    slope = _slope(window.recent_readings(now), now)
    if slope is None:
        return None
    near = max(0.0, slope)
    return Pace(
        near,
        near
        if window.window_seconds <= SHORT_WINDOW
        else window.utilization / (now - window.started_at),
    )


def _slope(readings: list[tuple[float, float]], now: float) -> float | None:
    """Percent per second by least squares. The time since the last reading counts as time without
    use. None: there are too few readings."""
    if len(readings) < MIN_READINGS:
        return None
    (first_at, first_used), (last_at, last_used) = readings[0], readings[-1]
    span = last_at - first_at
    if span < MIN_SPAN or (span < SURE_SPAN and abs(last_used - first_used) < MIN_RISE):
        return None
    readings = [*readings, (max(now, last_at), last_used)]
    mean_at = math.fsum(at for at, _ in readings) / len(readings)
    mean_used = math.fsum(used for _, used in readings) / len(readings)
    spread = math.fsum((at - mean_at) ** 2 for at, _ in readings)
    return math.fsum((at - mean_at) * (used - mean_used) for at, used in readings) / spread


def first(forecasts: Iterable[Forecast]) -> Forecast | None:
    """The forecast of the limit that will be reached first; if none will, one that is safe, if
    there is any."""
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
    return Forecast(
        kind, round(seconds * 1000), safe=None if resets_at is None else now + seconds >= resets_at
    )
