"""Burn rate and forecasts: the arithmetic, what wins, and when to be silent."""

from __future__ import annotations

from typing import Any

import pytest

from llmtally.record import LimitReading
from llmtally.tracker import ConfiguredLimits, Tracker
from tracker_calls import NOON, a_call, five_hours

MINUTE, HOUR = 60.0, 3600.0


@pytest.mark.parametrize(
    ("ages", "tokens_per_minute", "observed"),
    [
        pytest.param([], 0.0, 5.0, id="nothing"),
        pytest.param([0], 22.0, 5.0, id="one call: over five minutes"),
        pytest.param([2], 22.0, 5.0, id="less than five minutes observed"),
        pytest.param([20, 0], 11.0, 20.0, id="the time observed"),
        pytest.param([60, 0], 220 / 60, 60.0, id="just an hour"),
        pytest.param([90, 30, 0], 220 / 60, 60.0, id="never more than an hour"),
        pytest.param([90], 0.0, 60.0, id="silence for an hour"),
    ],
)
def test_burn_rate(ages: list[float], tokens_per_minute: float, observed: float) -> None:
    """The last hour's tokens over the minutes observed, 5 at least and 60 at most."""
    tracker = Tracker()
    for age in ages:
        tracker.add(a_call(NOON - age * MINUTE))
    burn = tracker.usage(NOON)["burn_rate"]

    assert burn["tokens_per_minute"] == pytest.approx(tokens_per_minute)
    assert burn["output_tokens_per_minute"] == pytest.approx(tokens_per_minute / 11)
    assert burn["cost_usd_per_minute"] == pytest.approx(tokens_per_minute / 220)
    assert burn["observed_minutes"] == pytest.approx(observed)


def forecast(tracker: Tracker, now: float = NOON) -> tuple[Any, Any, Any]:
    predictions = tracker.usage(now)["predictions"]
    return predictions["time_to_limit_ms"], predictions["safe"], predictions["limit_kind"]


SILENT = (None, None, None)
NEVER = (None, True, None)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        # Two calls of 100 + 10 tokens and 0.5 USD, 20 minutes ago and now: 11 tokens, 1 output
        # token, 0.05 USD a minute.
        pytest.param(ConfiguredLimits(), SILENT, id="no limit"),
        pytest.param(
            ConfiguredLimits(output_tokens=120), (100 * 60_000, False, "output_tokens"), id="output"
        ),
        pytest.param(
            ConfiguredLimits(output_tokens=620),
            (600 * 60_000, True, "output_tokens"),
            id="output, after the reset",
        ),
        pytest.param(
            ConfiguredLimits(total_tokens=1320), (100 * 60_000, False, "total_tokens"), id="total"
        ),
        pytest.param(ConfiguredLimits(tokens=1320), (100 * 60_000, False, "tokens"), id="untyped"),
        pytest.param(
            ConfiguredLimits(messages=4),
            (20 * 60_000, False, "messages"),
            id="messages: calls over the window so far",
        ),
        pytest.param(ConfiguredLimits(cost_usd=2.0), (20 * 60_000, False, "cost"), id="cost"),
        pytest.param(ConfiguredLimits(cost_usd=1.0), (0, False, "cost"), id="reached"),
        pytest.param(ConfiguredLimits(cost_usd=0.3), (0, False, "cost"), id="exceeded"),
        pytest.param(
            ConfiguredLimits(output_tokens=620, cost_usd=2.0),
            (20 * 60_000, False, "cost"),
            id="the smallest wins",
        ),
        pytest.param(
            ConfiguredLimits(output_tokens=10**15), NEVER, id="so far off that it is never"
        ),
    ],
)
def test_configured_limits(limits: ConfiguredLimits, expected: tuple[Any, Any, Any]) -> None:
    """What remains over the burn rate of the same quantity, held against the end of the 5 hours
    that began 20 minutes ago."""
    tracker = Tracker(limits=limits)
    tracker.add(a_call(NOON - 20 * MINUTE))
    tracker.add(a_call(NOON))

    assert forecast(tracker) == expected


def test_a_limit_is_not_foretold_early_but_said_when_reached() -> None:
    """Before 3 % of the window (9 minutes) only a limit that has been reached is reported."""
    limits = ConfiguredLimits(output_tokens=1000, total_tokens=110)
    tracker = Tracker(limits=ConfiguredLimits(output_tokens=1000))
    tracker.add(a_call(NOON - 8 * MINUTE))

    assert forecast(tracker) == SILENT
    assert forecast(tracker, NOON + MINUTE)[2] == "output_tokens"
    tracker.limits = limits
    assert forecast(tracker) == (0, False, "total_tokens")


def test_no_burn_is_safe() -> None:
    """After an hour without calls a limit is not reached at all."""
    tracker = Tracker(limits=ConfiguredLimits(output_tokens=1000))
    tracker.add(a_call(NOON - 2 * HOUR))

    assert forecast(tracker) == NEVER


def window_read(
    *readings: tuple[float, float], resets_at: float = NOON + HOUR, **fields: Any
) -> Tracker:
    """A tracker that read these utilizations the given number of minutes ago."""
    tracker = Tracker()
    for age, utilization in readings:
        at = NOON - age * MINUTE
        tracker.add_limits(
            [five_hours(utilization, resets_at, **fields)], provider="anthropic", account="a", at=at
        )
    return tracker


RISING = ((30, 40), (20, 50), (10, 60), (0, 70))
"""One percent a minute: full in half an hour."""


@pytest.mark.parametrize(
    ("tracker", "expected"),
    [
        pytest.param(window_read(*RISING), (30 * 60_000, False, "5h"), id="before the reset"),
        pytest.param(
            window_read(*RISING, resets_at=NOON + 29 * MINUTE),
            (30 * 60_000, True, "5h"),
            id="after the reset",
        ),
        pytest.param(
            window_read(*RISING, resets_at=NOON + 30 * MINUTE),
            (30 * 60_000, True, "5h"),
            id="at the reset",
        ),
        pytest.param(window_read(*RISING[2:]), SILENT, id="two readings"),
        pytest.param(
            window_read((0.1, 60), (0.05, 65), (0, 70)),
            SILENT,
            id="readings of the same seconds are one",
        ),
        pytest.param(window_read((4, 60), (2, 65), (0, 70)), SILENT, id="a burst of four minutes"),
        pytest.param(
            window_read((20, 41), (10, 41), (0, 42)), SILENT, id="a step that may be a rounding"
        ),
        pytest.param(
            window_read((90, 10), (80, 20), (70, 30), (0, 40)),
            SILENT,
            id="readings older than an hour",
        ),
        pytest.param(window_read((30, 70), (20, 70), (0, 70)), NEVER, id="standing still"),
        pytest.param(window_read((30, 90), (20, 80), (0, 70)), NEVER, id="falling"),
        pytest.param(window_read((0, 100)), (0, False, "5h"), id="full, by one reading"),
        pytest.param(window_read((0, 130)), (0, False, "5h"), id="over"),
        pytest.param(
            window_read((0, 50), status="rejected"),
            (0, False, "5h"),
            id="refused before it was full",
        ),
        pytest.param(window_read(*RISING, window_seconds=None), SILENT, id="of unknown length"),
        pytest.param(
            window_read((4, 0), (2, 1), (0, 2), resets_at=NOON + 5 * HOUR - 5 * MINUTE),
            SILENT,
            id="before 3 % of the window",
        ),
        pytest.param(
            window_read(*RISING, key="7d", window_seconds=7 * 24 * HOUR),
            (30 * 60_000, False, "7d"),
            id="a week's",
        ),
    ],
)
def test_provider_windows(tracker: Tracker, expected: tuple[Any, Any, Any]) -> None:
    """What is left of 100 % over the slope of the last hour's readings, unless there is too little
    data."""
    assert forecast(tracker) == (
        (pytest.approx(expected[0], abs=1), *expected[1:]) if expected[0] is not None else expected
    )


def test_an_hours_work_is_not_a_weeks_pace() -> None:
    """The last hour's slope holds for five hours; then a week's window continues at its average
    since it began."""
    tracker = window_read(
        (40, 8), (20, 9), (0, 10), resets_at=NOON + 120 * HOUR, key="7d", window_seconds=168 * HOUR
    )
    per_hour, average = 3, 10 / 48

    assert forecast(tracker) == (
        pytest.approx((5 + (90 - 5 * per_hour) / average) * 3_600_000, abs=1),
        True,
        "7d",
    )
    [window] = tracker.usage(NOON)["windows"]
    assert window["projected_utilization"] == pytest.approx(10 + 5 * per_hour + 115 * average)


def test_a_pause_slows_the_pace() -> None:
    """The time since the last reading counts as one without use."""
    tracker = window_read((20, 10), (10, 30), (0, 50), resets_at=NOON + 4 * HOUR)
    times = [forecast(tracker, NOON + idle * MINUTE)[0] for idle in (0, 10, 30)]

    assert times[0] == pytest.approx(25 * 60_000, abs=1)
    assert times == sorted(times)
    assert times[2] > 2 * times[0]


def test_an_expired_window_foretells_nothing() -> None:
    """Once it has ended, neither its slope nor that it was full says anything."""
    assert forecast(window_read(*RISING), NOON + HOUR) == SILENT
    assert forecast(window_read((0, 100)), NOON + HOUR) == SILENT


def test_a_reset_starts_a_new_slope() -> None:
    """The readings of the window before are not part of the new one's slope."""
    tracker = window_read(*RISING)
    for age, utilization in ((12, 0), (6, 6), (0, 12)):
        tracker.add_limits(
            [five_hours(utilization, NOON + 5 * HOUR)],
            provider="anthropic",
            account="a",
            at=NOON + HOUR - age * MINUTE,
        )

    [window] = tracker.usage(NOON + HOUR)["windows"]
    assert window["projected_utilization"] == pytest.approx(12 + 4 * 60)
    assert forecast(tracker, NOON + HOUR)[0] == pytest.approx(88 * 60_000, abs=1)


def test_the_first_of_all_limits_wins() -> None:
    """Configured limits and windows of every account run against each other; each is also given
    separately."""
    tracker = window_read(*RISING)
    tracker.add_limits(
        [five_hours(100, NOON + 60, key="7d")], provider="anthropic", account="b", at=NOON
    )
    tracker.limits = ConfiguredLimits(messages=100)
    tracker.add(a_call(NOON - 20 * MINUTE))
    predictions = tracker.usage(NOON)["predictions"]

    assert (predictions["time_to_limit_ms"], predictions["safe"], predictions["limit_kind"]) == (
        0,
        False,
        "7d",
    )
    assert [each["limit_kind"] for each in predictions["limits"]] == ["messages", "5h", "7d"]
    assert forecast_of(tracker, "a")[2] == "5h"


def forecast_of(tracker: Tracker, account: str) -> tuple[Any, Any, Any]:
    predictions = tracker.usage(NOON, account)["predictions"]
    return predictions["time_to_limit_ms"], predictions["safe"], predictions["limit_kind"]


def test_the_point_at_reset_is_projected() -> None:
    """How full the gauge will be at the reset if usage continues like this."""
    [window] = window_read(*RISING).usage(NOON)["windows"]

    assert window["projected_utilization"] == pytest.approx(130)


def test_being_asked_to_wait_is_no_quota() -> None:
    """A bare `retry-after` is answered to overload too: no alarm."""
    pause = LimitReading(
        "retry_after", "provider_api_rate_limit", resets_at=NOON + 30, status="rejected"
    )
    tracker = Tracker()
    tracker.add(a_call(limits=(pause,)))

    assert forecast(tracker) == SILENT


@pytest.mark.parametrize("back", [1.0, 30 * MINUTE, 30 * HOUR, 40 * 24 * HOUR])
def test_a_clock_that_goes_back_yields_nothing_negative(back: float) -> None:
    """Asked about a time before the newest calls, every figure is zero or more."""
    tracker = window_read(*RISING)
    tracker.limits = ConfiguredLimits(output_tokens=1000, messages=10, cost_usd=5)
    for age in (40, 20, 0):
        tracker.add(a_call(NOON - age * MINUTE, session="s"))
    tracker.usage(NOON)
    tracker.add(a_call(NOON - back, session="s"))
    usage = tracker.usage(NOON - back)
    tracker.series(60, NOON - back)

    assert all(number >= 0 for number in numbers(usage))


def test_an_estimated_window_never_begins_in_the_future() -> None:
    """After the clock went back, the oldest call may lie ahead: the window then begins now."""
    tracker = Tracker()
    tracker.add(a_call(NOON))
    window = tracker.usage(NOON - HOUR)["window"]

    assert (window["started_at"], window["reset_in_ms"]) == (
        "2026-11-20T11:00:00.000Z",
        5 * 3_600_000,
    )


def numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [number for each in value.values() for number in numbers(each)]
    if isinstance(value, list):
        return [number for each in value for number in numbers(each)]
    return [value] if isinstance(value, int | float) else []
