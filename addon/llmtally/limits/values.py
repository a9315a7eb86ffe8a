"""Reads keys, amounts and times as providers write them in limits.

A reset comes as RFC 3339 (`2025-08-21T12:40:59Z`), as a Go duration (`6m0s`, `120ms`), as epoch
seconds or milliseconds, or as seconds from now (`60.5`); an amount as a number or a decimal string.
What is empty, negative or absurd counts as absent. https://pkg.go.dev/time#ParseDuration
https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from ..formats.format import mapping, number
from ..record import CLOCK_RANGE, COUNT_CAP, LimitReading

KEY_CAP = 64
"""Characters of a key, a status or a name that are kept: the longest real ones are model names of
about 40."""

RESET_TEXT_CAP = 64
"""Characters of a reset time that is looked at: the longest real ones have 32."""

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
WEEK = 7 * DAY

_WORD_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_.-")
_UNIT_SECONDS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": MINUTE,
    "h": HOUR,
    "d": DAY,
}
_DURATION_STEP = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ns|us|µs|μs|ms|s|m|h|d)")
_DURATION = re.compile(rf"(?:{_DURATION_STEP.pattern})+")
_LENGTH_IN_KEY = re.compile(r"([0-9]{1,4})([mhd])(?:_.*)?")


def word(value: Any) -> str | None:
    """A key or status off the wire: cut, in lower case, with an underscore in place of every
    character other than `a-z 0-9 _ . -`."""
    return _word(value[:KEY_CAP]) if isinstance(value, str) else None


@functools.lru_cache(maxsize=1024)
def _word(value: str) -> str | None:
    lowered = value.strip().lower()[:KEY_CAP]
    return "".join(c if c in _WORD_CHARACTERS else "_" for c in lowered) or None


def label(value: Any) -> str | None:
    """A name for people: cut, with `?` in place of lone surrogates, which come of decoding headers
    and which JSON cannot hold."""
    if not isinstance(value, str):
        return None
    return value[:KEY_CAP].strip().encode("utf-8", "replace").decode() or None


def signed(value: Any) -> float | None:
    """An amount that may be below zero, where something is overdrawn."""
    if isinstance(value, str) and value.startswith("-"):
        magnitude = number(value[1:])
    elif isinstance(value, int | float) and value < 0:
        magnitude = number(-value)
    else:
        return number(value)
    return None if magnitude is None else -magnitude


def inlined_headers(value: Any) -> dict[str, str]:
    """Headers that a JSON body repeats, in the form of real ones: names in lower case, values
    text."""
    return {
        name.lower(): str(content)
        for name, content in mapping(value).items()
        if isinstance(content, str | int | float)
    }


def truth(value: Any) -> bool:
    """A boolean, also in the spellings of headers: `True`, `true`, `1`, `yes`."""
    return value is True or (isinstance(value, str) and value.lower() in ("true", "1", "yes"))


def percent(fraction: float) -> float:
    """A fraction as percent, rounded to six decimals and never below 0."""
    return max(0.0, round(100 * fraction, 6))


def window_label(seconds: float) -> str:
    """The key of a window by its length: `5h`, `24h`, `7d`, `90m`; a month of 43800 minutes is
    `30d`."""
    if seconds >= WEEK:
        return f"{seconds / DAY:.0f}d"
    for unit, size, least in (("d", DAY, 2 * DAY), ("h", HOUR, HOUR), ("m", MINUTE, MINUTE)):
        if seconds >= least and seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.0f}s"


@functools.lru_cache(maxsize=256)
def window_length(key: str) -> float | None:
    """Seconds of a window whose key begins with its length (`5h`, `7d_opus`)."""
    found = _LENGTH_IN_KEY.fullmatch(key)
    return int(found[1]) * _UNIT_SECONDS[found[2]] if found else None


def counted(
    key: str,
    *,
    limit: Any,
    remaining: Any,
    resets_at: float | None,
    window_seconds: float | None = None,
    status: str | None = None,
) -> LimitReading | None:
    """A classic rate limit, counted down from `limit`. None if there is no limit, which Azure says
    with a limit of -1 or 0."""
    size, left = number(limit), number(remaining)
    if (limit is not None and not size) or (size is None and left is None):
        return None
    return LimitReading(
        key=key,
        source="provider_api_rate_limit",
        utilization=percent(1 - left / size) if size and left is not None else None,
        limit=size,
        remaining=left,
        resets_at=resets_at,
        window_seconds=window_seconds,
        status=status,
    )


def reset_time(text: str, *, now: float) -> float | None:
    """Epoch seconds of a reset in any of its spellings; None for an empty, negative or unreadable
    one."""
    if not text or len(text) > RESET_TEXT_CAP:
        return None
    at, seconds = _read_reset(text)
    return at if seconds is None else _believed(now + seconds)


@functools.lru_cache(maxsize=1024)
def _read_reset(text: str) -> tuple[float | None, float | None]:
    """The time as epoch seconds, or else as seconds from now. Remembered, as windows reset together
    and at the same time in many answers."""
    text = text.strip()
    if "T" in text:
        return _rfc3339(text), None
    if _DURATION.fullmatch(text):
        return None, sum(
            float(amount) * _UNIT_SECONDS[unit] for amount, unit in _DURATION_STEP.findall(text)
        )
    return _read_amount(number(text))


def reset_number(amount: float | None, *, now: float) -> float | None:
    """Epoch seconds of a bare number: by its size epoch milliseconds, epoch seconds, or seconds
    from now."""
    at, seconds = _read_amount(amount)
    return at if seconds is None else _believed(now + seconds)


def _read_amount(amount: float | None) -> tuple[float | None, float | None]:
    if amount is None:
        return None, None
    if amount > 1e12:
        return _believed(amount / 1000), None
    return (_believed(amount), None) if amount > 1e9 else (None, amount)


def reset_value(value: Any, *, now: float) -> float | None:
    """Epoch seconds of a reset in JSON: a string as in a header, or a number."""
    return (
        reset_time(value, now=now)
        if isinstance(value, str)
        else reset_number(number(value), now=now)
    )


def retry_time(headers: Mapping[str, str], *, now: float) -> float | None:
    """Epoch seconds from `retry-after-ms`, preferred as the SDKs do, or `retry-after` in seconds or
    as an HTTP date."""
    milliseconds = number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return _believed(now + milliseconds / 1000)
    text = headers.get("retry-after", "")
    at = reset_time(text, now=now)
    return _http_date(text) if at is None else at


def _rfc3339(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return _epoch(moment)


def _http_date(text: str) -> float | None:
    try:
        moment = parsedate_to_datetime(text[:RESET_TEXT_CAP])
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return _epoch(moment)


def _epoch(moment: datetime) -> float | None:
    """A time without a zone is UTC: this machine's zone is not the provider's."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return _believed(moment.timestamp())


def _believed(at: float) -> float | None:
    return at if 0 <= at <= CLOCK_RANGE else None


def believed(reading: LimitReading) -> LimitReading:
    """The reading as a record can hold it: an amount or a time that is not finite, is negative or
    is beyond what can be counted or shown is unknown."""
    amounts = reading.utilization, reading.limit, reading.remaining
    times = reading.resets_at, reading.window_seconds
    if _all_within(amounts, COUNT_CAP) and _all_within(times, CLOCK_RANGE):
        return reading
    return reading._replace(
        utilization=_within(reading.utilization, COUNT_CAP),
        limit=_within(reading.limit, COUNT_CAP),
        remaining=_within(reading.remaining, COUNT_CAP),
        resets_at=_within(reading.resets_at, CLOCK_RANGE),
        window_seconds=_within(reading.window_seconds, CLOCK_RANGE),
    )


def _all_within(values: tuple[float | None, ...], most: float) -> bool:
    for value in values:  # noqa: SIM110  `all` takes twice as long, and every head is read
        if value is not None and not 0 <= value <= most:  # NaN is within nothing
            return False
    return True


def _within(value: float | None, most: float) -> float | None:
    return value if value is not None and 0 <= value <= most else None  # also None for NaN
