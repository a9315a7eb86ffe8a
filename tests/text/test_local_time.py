"""Days as the user's clock has them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtally.text.local_time import localised, moment, offsets, zone_name, zone_named

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 20, 23, 30, tzinfo=UTC).timestamp()
"""In Berlin it is the 21st already."""


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("text", "begins", "ends"),
    [
        ("2026-11-20", "2026-11-20T00:00+01:00", "2026-11-21T00:00+01:00"),
        ("20261120", "2026-11-20T00:00+01:00", "2026-11-21T00:00+01:00"),
        ("2026-03-29", "2026-03-29T00:00+01:00", "2026-03-30T00:00+02:00"),
        ("today", "2026-11-21T00:00+01:00", "2026-11-22T00:00+01:00"),
        ("yesterday", "2026-11-20T00:00+01:00", "2026-11-21T00:00+01:00"),
        ("7d", "2026-11-14T00:00+01:00", "2026-11-15T00:00+01:00"),
        ("12h", "2026-11-20T12:30+01:00", "2026-11-20T12:30+01:00"),
        ("2026-11-20T15:00", "2026-11-20T15:00+01:00", "2026-11-20T15:00+01:00"),
        ("2026-11-20T15:00Z", "2026-11-20T15:00+00:00", "2026-11-20T15:00+00:00"),
    ],
)
def test_moments(text: str, begins: str, ends: str) -> None:
    """A day is as long as it is there: 23 hours where clocks go forward. A time stands for
    itself."""
    assert moment(text, BERLIN, NOW) == at(begins)
    assert moment(text, BERLIN, NOW, end=True) == at(ends)


@pytest.mark.parametrize(
    "text", ["", "tomorrow", "2026-13-01", "2026-11-31", "7 d", "d", "9999-12-31T23:59-23:00"]
)
def test_no_moments(text: str) -> None:
    """They are refused with examples."""
    with pytest.raises(ValueError, match="try 2026-11-20"):
        moment(text, BERLIN, NOW)


@pytest.mark.parametrize("name", ["Europe/Atlantis", "../../etc/passwd", "", "Europe", "\0"])
def test_no_zones(name: str) -> None:
    """They are refused with examples."""
    with pytest.raises(ValueError, match="try Europe/Berlin"):
        zone_named(name)


@pytest.mark.parametrize(
    "name", ["Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Africa/Casablanca", "UTC"]
)
@given(seconds=st.integers(0, 730 * 86400))
def test_offsets_give_the_same_clock(name: str, seconds: int) -> None:
    """What SQL adds is what zoneinfo adds, at every second of two years."""
    zone = zone_named(name)
    when = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    added = next(
        offset for begins, offset in reversed(_offsets(name)) if begins <= when.timestamp()
    )

    assert when + timedelta(seconds=added) == localised(when.timestamp(), zone).replace(tzinfo=UTC)


_CACHE: dict[str, list[tuple[float, int]]] = {}


def _offsets(name: str) -> list[tuple[float, int]]:
    if name not in _CACHE:
        _CACHE[name] = offsets(date(2026, 1, 1), date(2028, 1, 1), zone_named(name))
    return _CACHE[name]


@pytest.fixture
def machine_in_new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("machine_in_new_york")
def test_the_machines_own_clock() -> None:
    """Without a name it is the machine's zone, with summer time."""
    assert moment("2026-07-01", None, NOW) == at("2026-07-01T00:00-04:00")
    assert moment("2026-12-01", None, NOW) == at("2026-12-01T00:00-05:00")
    assert [offset for _, offset in offsets(date(2026, 7, 1), date(2026, 12, 1), None)] == [
        -4 * 3600,
        -5 * 3600,
    ]
    assert zone_name(None) in ("EST", "EDT")
    assert zone_name(BERLIN) == "Europe/Berlin"
