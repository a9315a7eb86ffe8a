"""Limit windows: where they come from, which one stands in front, when they move on, and what is
seen within them."""

from __future__ import annotations

import pytest

from llmtally.record import Call, LimitReading
from llmtally.tracker import Caps, Reset, Tracker
from llmtally.tracker.window_json import WindowJson
from tracker_calls import NOON, a_call, brute_force, five_hours

HOUR = 3600.0
ELEVEN, EIGHT = NOON - HOUR, NOON - 4 * HOUR


def windows(
    tracker: Tracker, now: float = NOON, account: str | None = None
) -> dict[str, WindowJson]:
    return {window["key"]: window for window in tracker.usage(now, account)["windows"]}


def tracked(*calls: Call) -> Tracker:
    tracker = Tracker()
    for call in calls:
        tracker.add(call)
    return tracker


def test_a_providers_window_counts_from_its_start() -> None:
    """A native window is trusted highly; tokens, cost and calls in it are those since its start,
    the first minute included."""
    before, first, second = (
        a_call(EIGHT - 1, cost=1.0),
        a_call(EIGHT, cost=2.0),
        a_call(NOON, cost=4.0, limits=(five_hours(30),)),
    )
    usage = tracked(before, first, second).usage(NOON)

    [window] = usage["windows"]
    assert (window["key"], window["source"], window["confidence"]) == (
        "5h",
        "provider_native",
        "high",
    )
    assert (window["started_at"], window["resets_at"]) == (
        "2026-11-20T08:00:00.000Z",
        "2026-11-20T13:00:00.000Z",
    )
    assert (window["utilization"], window["reset_in_ms"]) == (30, 3_600_000)
    assert (window["calls"], window["tokens_in"], window["tokens_out"], window["cost_usd"]) == (
        2,
        200,
        20,
        6.0,
    )
    assert usage["window"]["source"] == "provider_native"
    assert usage["window"]["resets_at"] == window["resets_at"]
    assert usage["current"]["total_cost_usd"] == 6.0


@pytest.mark.parametrize(
    ("ends", "started_at", "calls"),
    [
        pytest.param([NOON], "2026-11-20T12:00:00.000Z", 1, id="one call"),
        pytest.param(
            [ELEVEN + 0.25, NOON], "2026-11-20T11:00:00.250Z", 2, id="the oldest anchors it"
        ),
        pytest.param(
            [NOON - 5 * HOUR, ELEVEN],
            "2026-11-20T11:00:00.000Z",
            1,
            id="older than 5 hours is out of it",
        ),
        pytest.param(
            [ELEVEN, EIGHT], "2026-11-20T08:00:00.000Z", 2, id="in whatever order they come"
        ),
        pytest.param(
            [EIGHT + 30, EIGHT + 0.25], "2026-11-20T08:00:00.250Z", 2, id="also within a minute"
        ),
    ],
)
def test_without_provider_data_five_hours_from_the_oldest_call(
    ends: list[float], started_at: str, calls: int
) -> None:
    """The estimate is anchored at the oldest call of the last 5 hours and ends 5 hours after it; it
    is trusted little."""
    usage = tracked(*(a_call(ended) for ended in ends)).usage(NOON)

    assert (usage["window"]["source"], usage["window"]["confidence"]) == ("local_estimate", "low")
    assert usage["window"]["started_at"] == started_at
    assert usage["window"]["resets_at"] is not None
    assert usage["window"]["resets_at"][11:13] == f"{int(started_at[11:13]) + 5:02}"
    assert usage["current"]["total_calls"] == calls
    [window] = usage["windows"]
    assert (window["key"], window["source"], window["calls"], window["utilization"]) == (
        "5h",
        "local_estimate",
        calls,
        None,
    )


def test_nothing_called_is_no_window() -> None:
    """Without a call in 5 hours there is no window, and nothing in it."""
    for tracker in (Tracker(), tracked(a_call(NOON - 6 * HOUR))):
        usage = tracker.usage(NOON)
        assert usage["window"] | {"key": "5h"} == {
            "key": "5h",
            "started_at": None,
            "resets_at": None,
            "reset_in_ms": None,
            "source": "local_estimate",
            "confidence": "low",
            "utilization": None,
            "provider": None,
            "account_key": None,
        }
        assert (usage["windows"], usage["per_model"], usage["current"]["total_calls"]) == (
            [],
            {},
            0,
        )


@pytest.mark.parametrize(
    ("moved", "calls", "is_reset"),
    [
        pytest.param(0.0, 2, False, id="not at all"),
        pytest.param(59.9, 2, False, id="by seconds"),
        pytest.param(-59.9, 2, False, id="back by seconds"),
        pytest.param(60.0, 2, True, id="by a minute"),
        pytest.param(5 * HOUR, 1, True, id="to the next window"),
        pytest.param(-300.0, 2, True, id="back: corrected by the provider"),
    ],
)
def test_a_reset_time_that_moves(moved: float, calls: int, is_reset: bool) -> None:
    """A reset time that moves by a minute or more is a new window with its own counters, and both
    are reported; less is jitter and changes nothing."""
    resets: list[Reset] = []
    tracker = Tracker(on_reset=resets.append)
    resets_at = NOON + 600
    tracker.add(a_call(resets_at - 5 * HOUR + 120, limits=(five_hours(90, resets_at),)))
    now = resets_at + 1 if moved == 5 * HOUR else NOON
    tracker.add(a_call(now, limits=(five_hours(10, resets_at + moved),)))

    window = windows(tracker, now)["5h"]
    assert (window["calls"], window["utilization"]) == (calls, 10)
    if is_reset:
        assert resets == [Reset("anthropic", "a", "5h", resets_at, resets_at + moved, 90, 10)]
    else:
        assert resets == []
        assert window["resets_at"] == "2026-11-20T12:10:00.000Z"


def test_jitter_does_not_add_up() -> None:
    """A reset time that creeps on by less than a minute each time is a new window once it is a
    minute away from the first."""
    resets: list[Reset] = []
    tracker = Tracker(on_reset=resets.append)
    for n in range(3):
        tracker.add(a_call(NOON + n, limits=(five_hours(10, NOON + HOUR + 40 * n),)))

    assert [reset.new_resets_at - reset.old_resets_at for reset in resets] == [80]


@pytest.mark.parametrize("jitter", [-0.3, 0.0, 0.3, 20.0])
def test_jitter_does_not_move_the_start(jitter: float) -> None:
    """Calls are counted from the minute that begins closest to the window's start."""
    before, first = a_call(EIGHT - 20), a_call(EIGHT + 5)

    assert (
        windows(tracked(before, first, a_call(limits=(five_hours(5, NOON + HOUR + jitter),))))[
            "5h"
        ]["calls"]
        == 2
    )


def test_a_long_stream_does_not_bring_back_the_window_before() -> None:
    """A response that began before the reset says what held then, and is not believed after it."""
    before = a_call(NOON + 50, started=NOON - 600, limits=(five_hours(99, NOON),))
    after = a_call(NOON + 40, started=NOON + 10, limits=(five_hours(1, NOON + 5 * HOUR),))
    older = a_call(NOON + 60, started=NOON + 5, limits=(five_hours(0.5, NOON + 5 * HOUR),))

    assert windows(tracked(after, before, older), NOON + 61)["5h"]["utilization"] == 1


def test_restored_resets_are_silent() -> None:
    """Reading the journal back tells no reset of last week again."""
    resets: list[Reset] = []
    tracker = Tracker(on_reset=resets.append)
    for n in range(3):
        tracker.add(
            a_call(NOON + n * 5 * HOUR, limits=(five_hours(10, NOON + (n + 1) * 5 * HOUR),)),
            restored=True,
        )

    assert resets == []


@pytest.mark.parametrize(
    ("reading", "lives_until"),
    [
        pytest.param(five_hours(50), NOON + HOUR, id="until its reset"),
        pytest.param(five_hours(50, None), NOON - 2 + 5 * HOUR, id="its length after it was told"),
        pytest.param(five_hours(50, None, window_seconds=None), NOON - 2 + 24 * HOUR, id="a day"),
    ],
)
def test_an_expired_window_is_cleared(reading: LimitReading, lives_until: float) -> None:
    """A window that has ended is not shown, and does not stand in front."""
    tracker = tracked(a_call(limits=(reading,)))

    assert windows(tracker, lives_until - 0.1)["5h"]["utilization"] == 50
    shown = windows(tracker, lives_until)
    assert "5h" not in shown or shown["5h"]["utilization"] is None


@pytest.mark.parametrize(
    ("utilization", "warns"), [(80, False), (80.1, True), (130, True), (None, False)]
)
def test_a_window_above_80_percent_is_warned_of(utilization: float | None, warns: bool) -> None:
    """Exactly 80 is not above."""
    tracker = tracked(a_call(limits=(five_hours(utilization, status="allowed"),)))

    assert windows(tracker)["5h"]["warning"] is warns
    assert [problem["kind"] for problem in tracker.usage(NOON)["problems"]] == ["window"] * warns


def test_two_accounts_at_once() -> None:
    """Each account has its own windows with its own calls in them; over all, the one heard of
    last stands in front."""
    a = [
        a_call(NOON - 120, cost=1.0, limits=(five_hours(70, NOON + HOUR),)),
        a_call(NOON - 60, cost=2.0),
    ]
    b = [a_call(NOON - 30, account="b", cost=4.0, limits=(five_hours(20, NOON + 2 * HOUR),))]
    tracker = tracked(*a, *b)

    for account, utilization, calls in (("a", 70, a), ("b", 20, b)):
        window = windows(tracker, account=account)["5h"]
        assert (window["account_key"], window["utilization"], window["calls"]) == (
            account,
            utilization,
            len(calls),
        )
        assert window["cost_usd"] == brute_force(calls)[-2]
        assert len(tracker.usage(NOON, account)["windows"]) == 1
    usage = tracker.usage(NOON)
    assert len(usage["windows"]) == 2
    assert (usage["window"]["account_key"], usage["window"]["utilization"]) == ("b", 20)
    assert usage["current"]["total_calls"] == 3


def test_another_providers_calls_are_not_in_the_window() -> None:
    """A window counts the calls of its provider and account alone."""
    tracker = tracked(
        a_call(limits=(five_hours(5),)), a_call(provider="openai"), a_call(account="b")
    )

    assert windows(tracker)["5h"]["calls"] == 1


@pytest.mark.parametrize(
    ("reading", "calls"),
    [
        pytest.param(five_hours(5, key="7d"), 2, id="every model"),
        pytest.param(five_hours(5, key="7d_opus"), 1, id="a family by its key"),
        pytest.param(five_hours(5, key="7d_sonnet"), 0, id="a family that was not used"),
        pytest.param(five_hours(5, key="7d_oi"), 2, id="a suffix that is no family"),
        pytest.param(
            five_hours(5, key="7d_opus_5.5", name="Opus 5.5"), 1, id="a model by its name"
        ),
        pytest.param(
            five_hours(5, key="usage_limit", name="plus"), 2, id="a plan's name is no model"
        ),
    ],
)
def test_a_models_window_counts_that_model(reading: LimitReading, calls: int) -> None:
    """Windows for one model or family count its calls; those for all count all."""
    tracker = tracked(
        a_call(model="claude-haiku-4-5", limits=(reading,)), a_call(model="claude-opus-5-5")
    )

    assert windows(tracker)[reading.key]["calls"] == calls


def test_quota_answers_update_the_same_window() -> None:
    """A quota endpoint reports the same window as headers do, and values that it leaves out are
    kept."""
    tracker = tracked(a_call(NOON - 60, limits=(five_hours(10, status="allowed"),)))
    tracker.add_limits(
        [five_hours(25, NOON + HOUR + 0.26, window_seconds=None)],
        provider="anthropic",
        account="a",
        at=NOON,
    )

    [window] = tracker.usage(NOON)["windows"]
    assert (window["utilization"], window["calls"], window["started_at"]) == (
        25,
        1,
        "2026-11-20T08:00:00.000Z",
    )


def test_rate_limits_are_medium_and_known_by_model() -> None:
    """Classic rate-limit headers speak of a pool of the model that answered; two models are two
    windows."""
    pools = (("m1", 30.0), ("m2", 1.0))
    readings = [
        LimitReading("tokens", "provider_api_rate_limit", used, resets_at=NOON + 30)
        for _, used in pools
    ]
    calls = [
        a_call(model=model, limits=(reading,))
        for (model, _), reading in zip(pools, readings, strict=True)
    ]
    usage = tracked(*calls).usage(NOON)

    classic = [
        window for window in usage["windows"] if window["source"] == "provider_api_rate_limit"
    ]
    assert [
        (window["name"], window["utilization"], window["confidence"]) for window in classic
    ] == [
        ("m1", 30.0, "medium"),
        ("m2", 1.0, "medium"),
    ]
    assert usage["window"]["source"] == "local_estimate"


def test_extra_usage_stands_beside() -> None:
    """Credit beyond the plan is not a window: it causes no warning and no forecast."""
    overage = LimitReading(
        "overage",
        "provider_native",
        utilization=100.0,
        limit=20.0,
        remaining=0.0,
        status="rejected",
    )
    usage = tracked(a_call(limits=(five_hours(5), overage))).usage(NOON)

    assert [window["key"] for window in usage["windows"]] == ["5h"]
    [credit] = usage["extra_usage"]
    assert (credit["key"], credit["limit"], credit["status"]) == ("overage", 20.0, "rejected")
    assert usage["predictions"]["time_to_limit_ms"] is None


def test_extra_usage_that_pays_is_said() -> None:
    """Once credit beyond the plan pays for calls, that is a bill, and needs a person; until the
    plan pays again."""
    paying = LimitReading("overage", "provider_native", utilization=12.0, status="in_use")
    tracker = tracked(a_call(limits=(five_hours(100), paying)))
    told = {"kind": "extra_usage", "subject": "anthropic", "count": None, "pct": 12.0}

    assert told in tracker.usage(NOON)["problems"]
    tracker.add(a_call(limits=(five_hours(1), paying._replace(status="allowed"))))
    assert told not in tracker.usage(NOON)["problems"]


def test_windows_are_remembered_up_to_a_cap() -> None:
    """Beyond the cap the window not heard of for longest goes."""
    tracker = Tracker(caps=Caps(windows=3))
    for n in range(10):
        tracker.add(a_call(limits=(five_hours(n, key=f"w{n}"), five_hours(n, key="w0"))))

    assert sorted(windows(tracker)) == ["w0", "w8", "w9"]
