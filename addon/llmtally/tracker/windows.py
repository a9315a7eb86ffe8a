"""Limit windows: how full each one is according to its provider, when it resets, and whether it is
still the same window.

A window is known by provider, account and key, and classic rate limits also by model, as each model
has its own pool. A reset time that moves by a minute or more is a new window; less is jitter.
Readings are ordered by when their request was sent, so that a long stream that began before a reset
cannot bring back what was reported before it.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from ..record import TEXT_CAP, LimitReading
from .scope import Scope

JITTER_SECONDS = 60.0
"""A reset time that differs by less is the same one: providers compute it from the time of the
request."""

STALE_SECONDS = 24 * 3600.0
"""A window with neither an end nor a length is shown for a day after it was last reported."""

READING_SECONDS = 10
"""Seconds within which readings count as one: utilization moves in whole percents."""

HISTORY_SECONDS = 3600
"""How far back the slope of the utilization looks."""

CREDIT_KEYS = frozenset({"overage", "credits"})
"""Money beyond the windows: extra usage and prepaid credit. These are not windows and do not run
out by the clock."""

PAUSE_KEY = "retry_after"
"""A bare request to wait. It is not a quota: providers also send it when they are overloaded."""

_ACCOUNT_WIDE = frozenset({"usage_limit", *CREDIT_KEYS})
_FAMILIES = frozenset({"opus", "sonnet", "haiku"})

Confidence = Literal["high", "medium", "low"]


@dataclass(frozen=True, slots=True)
class Reset:
    """A reset: a window was replaced by its next one."""

    provider: str
    account: str | None
    key: str
    old_resets_at: float
    new_resets_at: float
    old_utilization: float | None
    new_utilization: float | None


@dataclass(slots=True)
class Window:
    """One window as its provider last reported it."""

    provider: str
    account: str | None
    key: str
    name: str | None
    source: Literal["provider_native", "provider_api_rate_limit"]
    read_at: float
    """When the request was sent whose response reported it."""
    first_read_at: float
    """When the request was sent whose response first reported this window, since its last reset."""
    utilization: float | None = None
    limit: float | None = None
    remaining: float | None = None
    resets_at: float | None = None
    window_seconds: float | None = None
    status: str | None = None
    representative: bool = False
    readings: dict[int, tuple[float, float]] = field(default_factory=dict)
    """The newest `(time, utilization)` of each slot of some seconds."""

    @property
    def confidence(self) -> Confidence:
        """How reliable its figures are."""
        return "high" if self.source == "provider_native" else "medium"

    @property
    def started_at(self) -> float | None:
        """When it began; None if its length or its end is unknown."""
        if self.resets_at is None or self.window_seconds is None:
            return None
        return self.resets_at - self.window_seconds

    @property
    def counted_from(self) -> float:
        """Since when its calls are counted: its beginning, else its first report."""
        started = self.started_at
        return self.first_read_at if started is None else started

    @property
    def is_exhausted(self) -> bool:
        """Whether the limit has been reached."""
        return (
            self.utilization is not None and self.utilization >= 100
        ) or self.status == "rejected"

    def is_live(self, now: float) -> bool:
        """Whether it has not ended yet."""
        if self.resets_at is not None:
            return now < self.resets_at
        return now < self.read_at + (self.window_seconds or STALE_SECONDS)

    def covers(self, model: str) -> bool:
        """Whether this model's calls count towards it."""
        scope = self._scope()
        return scope is None or _plain(scope) in _plain(model)

    def _scope(self) -> str | None:
        """The model or family that the window is for; None: all."""
        _, _, suffix = self.key.partition("_")
        if self.key in _ACCOUNT_WIDE:
            return None
        if self.name and (suffix or self.source == "provider_api_rate_limit"):
            return self.name
        return suffix if suffix in _FAMILIES else None

    def recent_readings(self, now: float) -> list[tuple[float, float]]:
        """The last hour's readings, oldest first."""
        return sorted(
            reading for reading in self.readings.values() if reading[0] > now - HISTORY_SECONDS
        )

    def is_same(self, resets_at: float | None) -> bool:
        """Whether a reading with this reset time belongs to this window, and not to its next
        one."""
        return (
            resets_at is None
            or self.resets_at is None
            or abs(resets_at - self.resets_at) < JITTER_SECONDS
        )

    def read(self, reading: LimitReading, at: float) -> None:
        """Take in a newer reading; values that it lacks are kept. The first reset time is kept,
        too, so that jitter changes nothing."""
        self.read_at = at
        self.source, self.status, self.representative = (
            reading.source,
            reading.status,
            reading.representative,
        )
        if reading.utilization is not None:
            self.utilization = reading.utilization
        if reading.limit is not None:
            self.limit = reading.limit
        if reading.remaining is not None:
            self.remaining = reading.remaining
        if reading.window_seconds is not None:
            self.window_seconds = reading.window_seconds
        if self.resets_at is None:
            self.resets_at = reading.resets_at
        self.name = self.name or reading.name
        self.remember(reading, at)

    def remember(self, reading: LimitReading, at: float) -> None:
        """Remember the utilization, to compute its slope."""
        if reading.utilization is None:
            return
        slot = int(at // READING_SECONDS)
        if slot not in self.readings or self.readings[slot][0] <= at:
            self.readings[slot] = (at, reading.utilization)
        if len(self.readings) > 2 * HISTORY_SECONDS // READING_SECONDS:
            newest = max(self.readings)
            self.readings = {
                each: pair
                for each, pair in self.readings.items()
                if each > newest - HISTORY_SECONDS // READING_SECONDS
            }


def _plain(text: str) -> str:
    return re.sub("[^a-z0-9]+", "-", text.lower())


WindowKey = tuple[str, str | None, str, str | None]


class Windows:
    """All windows, up to a cap; beyond it the one with the oldest report is dropped."""

    def __init__(self, on_reset: Callable[[Reset], None], cap: int) -> None:
        self.on_reset = on_reset
        """Called when a plan's window was replaced by its next one."""
        self._cap = cap
        self._windows: OrderedDict[WindowKey, Window] = OrderedDict()

    def read(
        self,
        readings: Iterable[LimitReading],
        *,
        provider: str,
        account: str | None,
        at: float,
        model: str | None = None,
        quiet: bool = False,
    ) -> None:
        """Take in the limits that one response reported. `at`: when its request was sent; `model`:
        the model that rate limits are for; `quiet`: resets are not reported."""
        for reading in readings:
            name = None
            if reading.source == "provider_api_rate_limit":
                name = reading.name or (model and model[:TEXT_CAP])
            self._read_one((provider, account, reading.key, name), reading, at, quiet)

    def _read_one(self, key: WindowKey, reading: LimitReading, at: float, quiet: bool) -> None:
        window = self._windows.get(key)
        if window is not None and window.is_same(reading.resets_at):
            if at < window.read_at:
                window.remember(reading, at)
            else:
                window.read(reading, at)
                self._windows.move_to_end(key)
            return
        if window is not None:
            if at < window.read_at:
                return
            if not quiet and reading.source == "provider_native":
                self.on_reset(_reset(window, reading))
        provider, account, name_of_key, name = key
        window = Window(
            provider, account, name_of_key, name or reading.name, reading.source, at, at
        )
        window.read(reading, at)
        self._windows[key] = window
        self._windows.move_to_end(key)
        if len(self._windows) > self._cap:
            self._windows.popitem(last=False)

    def live(self, now: float, scope: Scope) -> Iterator[Window]:
        """The windows of the accounts in the scope that have not ended."""
        return (
            window
            for window in self._windows.values()
            if scope.includes(window.account) and window.is_live(now)
        )

    def retire(self, account: str | None) -> None:
        """Drop the windows of an account."""
        for key in [key for key in self._windows if key[1] == account]:
            del self._windows[key]


def _reset(old: Window, new: LimitReading) -> Reset:
    assert old.resets_at is not None
    assert new.resets_at is not None  # else they would be the same window
    return Reset(
        old.provider,
        old.account,
        old.key,
        old.resets_at,
        new.resets_at,
        old.utilization,
        new.utilization,
    )
