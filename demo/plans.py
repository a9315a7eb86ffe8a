"""How full the plans are, and the headers that say so. Each call fills them a little, by enough to
be seen."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from .cast import ANTHROPIC, CHATGPT, OPENAI

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0

CEILING = 97.0
"""Percent that no window exceeds, so that the demo can run on: each call takes a window nearer to
it by the window's share."""

REQUESTS_PER_MINUTE, TOKENS_PER_MINUTE = 500, 200_000
"""Rate limits of the made-up API key."""


@dataclass(slots=True)
class Window:
    """One limit window; when it is over, it begins again with nothing used."""

    seconds: float
    """How long the window is."""
    share: float
    """What one call uses, as a share of what is left below the ceiling."""
    used: float
    """Percent of the window that is used."""
    began: float
    """When it began, in epoch seconds."""
    now: float
    """When a call last filled it, in epoch seconds."""

    @property
    def resets_at(self) -> int:
        """When it begins again, in epoch seconds."""
        return int(self.began + self.seconds)

    def fill(self, now: float) -> None:
        """Count one call, in the window that is open now."""
        while now >= self.began + self.seconds:
            self.began, self.used = self.began + self.seconds, 0.0
        self.used += (CEILING - self.used) * self.share
        self.now = now

    def earlier(self, at: float) -> tuple[float, int]:
        """The percent used and the reset as of an earlier time, as if the window had filled evenly,
        and those before it to half."""
        if at >= self.began:
            return self.used * (at - self.began) / (self.now - self.began), self.resets_at
        back = math.ceil((self.began - at) / self.seconds)
        return 50 * (at - self.began + back * self.seconds) / self.seconds, int(
            self.resets_at - back * self.seconds
        )


class Plans:
    """The windows of both plans and of the API key."""

    def __init__(self, now: float) -> None:
        def window(seconds: float, left: float, used: float, share: float) -> Window:
            return Window(seconds, share, used, now - seconds + left, now)

        self._claude = (
            window(5 * HOUR, 1.6 * HOUR, 70.0, 0.013),
            window(7 * DAY, 2.4 * DAY, 46.0, 0.0001),
        )
        self._codex = (
            window(5 * HOUR, 3.1 * HOUR, 21.0, 0.006),
            window(7 * DAY, 4.7 * DAY, 33.0, 0.00006),
        )

    def headers(self, host: str, now: float, tokens: int) -> dict[str, str]:
        """The limit headers of an answer with this many tokens, which counts as one call."""
        windows = {ANTHROPIC: self._claude, CHATGPT: self._codex}.get(host, ())
        for window in windows:
            window.fill(now)
        return _headers(host, [(window.used, window.resets_at) for window in windows], tokens)

    def earlier(self, host: str, at: float, tokens: int) -> Mapping[str, str]:
        """The limit headers that an answer had at an earlier time."""
        windows = {ANTHROPIC: self._claude, CHATGPT: self._codex}.get(host, ())
        return _headers(host, [window.earlier(at) for window in windows], tokens)


def _headers(host: str, windows: list[tuple[float, int]], tokens: int) -> dict[str, str]:
    if host == ANTHROPIC:
        return _unified(*windows)
    if host == CHATGPT:
        return _codex(*windows)
    return _per_minute(tokens) if host == OPENAI else {}


def _unified(five_hours: tuple[float, int], week: tuple[float, int]) -> dict[str, str]:
    prefix = "anthropic-ratelimit-unified-"
    said = {f"{prefix}representative-claim": "five_hour"}
    for key, (used, resets_at) in (("5h", five_hours), ("7d", week)):
        said[f"{prefix}{key}-status"] = "allowed_warning" if used > 80 else "allowed"
        said[f"{prefix}{key}-utilization"] = f"{used / 100:.4f}"
        said[f"{prefix}{key}-reset"] = str(resets_at)
    return said


def _codex(five_hours: tuple[float, int], week: tuple[float, int]) -> dict[str, str]:
    said = {}
    for slot, minutes, (used, resets_at) in (
        ("primary", 300, five_hours),
        ("secondary", 10_080, week),
    ):
        said[f"x-codex-{slot}-used-percent"] = f"{used:.1f}"
        said[f"x-codex-{slot}-window-minutes"] = str(minutes)
        said[f"x-codex-{slot}-reset-at"] = str(resets_at)
    return said


def _per_minute(tokens: int) -> dict[str, str]:
    left = max(0, TOKENS_PER_MINUTE - 9 * tokens)
    return {
        "x-ratelimit-limit-requests": str(REQUESTS_PER_MINUTE),
        "x-ratelimit-remaining-requests": str(REQUESTS_PER_MINUTE - 14),
        "x-ratelimit-reset-requests": "1.68s",
        "x-ratelimit-limit-tokens": str(TOKENS_PER_MINUTE),
        "x-ratelimit-remaining-tokens": str(left),
        "x-ratelimit-reset-tokens": f"{(1 - left / TOKENS_PER_MINUTE) * MINUTE:.3f}s",
    }
