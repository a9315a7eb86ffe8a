"""Times in the user's time zone; records are in UTC.

A zone is a `ZoneInfo`, or None for the machine's zone, which need not have a name.
https://docs.python.org/3/library/zoneinfo.html
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

Zone = ZoneInfo | None

_AGO = re.compile(r"(\d{1,5})([dh])")


def zone_named(name: str) -> ZoneInfo:
    """The IANA time zone with this name. Raises ValueError."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:  # OSError: the name of a directory of zones
        raise ValueError(f"no time zone is called {name!r}; try Europe/Berlin or UTC") from error


def zone_name(zone: Zone) -> str:
    """The name of a zone, as reports show it."""
    return zone.key if zone is not None else datetime.now().astimezone().tzname() or "local"


def localised(seconds: float, zone: Zone) -> datetime:
    """An epoch time as date and time in a zone."""
    return datetime.fromtimestamp(seconds, UTC).astimezone(zone)


def moment(text: str, zone: Zone, now: float, *, end: bool = False) -> float:
    """Epoch seconds of what a person typed: a day, a time, `today`, `yesterday`, `7d` or `12h` ago.
    Raises ValueError.

    A day means its first instant; with `end` the first instant after it.
    """
    today = localised(now, zone).date()
    if ago := _AGO.fullmatch(text):
        if ago[2] == "h":
            return now - 3600 * int(ago[1])
        return _day(today - timedelta(days=int(ago[1])), zone, end=end)
    if text in ("today", "yesterday"):
        return _day(today - timedelta(days=text == "yesterday"), zone, end=end)
    try:
        if re.fullmatch(r"\d{8}|\d{4}-\d\d-\d\d", text):
            return _day(date.fromisoformat(text), zone, end=end)
        seconds = _epoch(datetime.fromisoformat(text), zone)
        localised(seconds, zone)  # raises for the last hours of the year 9999
        return seconds
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"{text!r} is not a time; try 2026-11-20, 2026-11-20T15:00, today, yesterday, 7d or 12h"
        ) from error


def offsets(first: date, last: date, zone: Zone) -> list[tuple[float, int]]:
    """Seconds to add to UTC between two days: `(from, seconds)`, oldest first. No zone changes
    twice in a day."""
    at = datetime.combine(first, time(), UTC).timestamp()
    end = datetime.combine(last, time(), UTC).timestamp() + 86400
    found = [(at, _offset(at, zone))]
    while at < end:
        if (offset := _offset(at + 86400, zone)) != found[-1][1]:
            found.append((_change(at, at + 86400, zone), offset))
        at += 86400
    return found


def _change(before: float, after: float, zone: Zone) -> float:
    """The second between two times at which the offset changes."""
    old = _offset(before, zone)
    while after - before > 1:
        middle = (before + after) // 2
        before, after = (middle, after) if _offset(middle, zone) == old else (before, middle)
    return after


def _offset(at: float, zone: Zone) -> int:
    offset = localised(at, zone).utcoffset()
    return int(offset.total_seconds()) if offset is not None else 0


def _day(day: date, zone: Zone, *, end: bool) -> float:
    return _epoch(datetime.combine(day + timedelta(days=end), time()), zone)


def _epoch(when: datetime, zone: Zone) -> float:
    if when.tzinfo is None:
        when = when.replace(tzinfo=zone) if zone is not None else when.astimezone()
    return when.timestamp()
