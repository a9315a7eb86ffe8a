"""Whatever names and numbers come, memory stays within its caps, no sum is lost, no figure is
negative, and nothing raises."""

from __future__ import annotations

import tracemalloc
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmtally.record import COUNT_CAP, Attribution, Call, LimitReading, Part, Usage
from llmtally.tracker import Caps, ConfiguredLimits, Tracker
from llmtally.tracker.sessions import LEAVES_CAP
from tracker_calls import MIDNIGHT, NOON, a_call, brute_force, figures, five_hours

CAPS = Caps(models=20, facets=20, sessions=50, accounts=5, calls=100, windows=20)
HOSTILE = 12_000


def hostile(number: int) -> Call:
    """A call none of whose names came before."""
    return a_call(
        NOON + number / 1000,
        request_id=f"f{number}",
        model=f"m{number}" * 40,
        account=f"a{number // 3}",
        session=f"s{number}",
        client=f"c{number}",
        project=f"/p{number}",
        agent=f"g{number}",
        parent_agent=f"g{number + 1}",
        limits=(five_hours(number % 100, key=f"w{number}"),),
    )


def test_hostile_names_do_not_grow_memory() -> None:
    """Once the caps are full, thousands of new accounts, models, sessions, projects and windows
    take no more room."""
    tracker = Tracker(caps=CAPS)
    for number in range(1_000):
        tracker.add(hostile(number))
    tracemalloc.start()
    try:
        for number in range(1_000, HOSTILE):
            tracker.add(hostile(number))
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    usage = tracker.usage(NOON + HOSTILE / 1000)

    assert grown < 2**20
    assert len(orjson.dumps(usage)) < 300_000
    assert usage["sessions"]["known"] <= CAPS.sessions
    assert len(usage["accounts"]) <= CAPS.accounts + 1
    assert len(usage["windows"]) <= CAPS.windows
    assert len(tracker.calls(1_000)) == CAPS.calls
    assert len(tracker.counters.by_model) <= 201
    today = usage["today"]
    assert today["calls"] == usage["since_start"]["calls"] == usage["coverage"]["priced"] == HOSTILE
    for name in ("per_model", "per_client", "per_project"):
        assert sum(part["calls"] for part in today[name].values()) == HOSTILE, name
    kept = sum(row["calls"] for row in tracker.sessions(NOON, limit=1_000))
    assert kept + usage["sessions"]["other"]["calls"] == HOSTILE


def test_time_does_not_grow_memory() -> None:
    """A year of the same few names takes what a week takes."""
    tracker = Tracker(caps=CAPS)

    def live_through(days: range) -> None:
        for day in days:
            for hour in range(24):
                at = MIDNIGHT + day * 86400 + hour * 3600
                tracker.add(a_call(at, session=f"s{day}", limits=(five_hours(hour, at + 3600),)))
            tracker.usage(at)

    live_through(range(20))
    tracemalloc.start()
    try:
        live_through(range(20, 365))
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert grown < 2**20
    assert tracker.usage(MIDNIGHT + 365 * 86400 - 1)["week"]["calls"] == 8 * 24


def test_a_session_of_many_agents_stays_small() -> None:
    """Agents beyond the cap are one, and none of their cost is lost."""
    tracker = Tracker()
    calls = [
        a_call(NOON, session="s", agent=f"g{n}", parent_agent=f"g{n - 1}")
        for n in range(10 * LEAVES_CAP)
    ]
    for call in calls:
        tracker.add(call)
    session = tracker.session("s", NOON)

    assert session is not None
    [main] = session.agents
    assert figures(main["total"]) == brute_force(calls)
    assert str(session.agents).count("'children'") <= LEAVES_CAP + 2


def a_reading(fields: dict[str, Any]) -> LimitReading:
    return LimitReading(**fields)


def somebody(fields: dict[str, Any]) -> Attribution:
    return Attribution(**fields)


NAMES = st.one_of(
    st.none(),
    st.sampled_from(["", "a", "other", "unknown", "<b>", "\x1b[31m", "x" * 300]),
    st.text(max_size=5),
)
COUNTS = st.one_of(st.none(), st.integers(0, COUNT_CAP))
AMOUNTS = st.one_of(st.none(), st.floats())
TIMES = st.floats(0, 4e9)
USAGES = st.tuples(COUNTS, COUNTS, COUNTS, COUNTS).map(
    lambda n: Usage(
        input_tokens=n[0],
        cache_read_tokens=n[1],
        cache_write_tokens=n[2],
        output_tokens=n[3],
        reasoning_tokens=n[3],
    )
)
READINGS = st.fixed_dictionaries(
    {
        "key": st.sampled_from(
            ["5h", "7d", "7d_opus", "requests", "overage", "retry_after", "x" * 64]
        ),
        "source": st.sampled_from(["provider_native", "provider_api_rate_limit"]),
        "utilization": st.one_of(st.none(), st.floats(0, 1e6)),
        "limit": st.one_of(st.none(), st.floats(0, 1e18)),
        "resets_at": st.one_of(st.none(), TIMES),
        "window_seconds": st.one_of(st.none(), st.floats(0, 1e9)),
        "status": NAMES,
        "name": NAMES,
    }
).map(a_reading)
WHO = st.fixed_dictionaries(
    dict.fromkeys(("client", "session", "agent", "parent_agent", "project", "account"), NAMES)
).map(somebody)
CALLS = st.builds(
    a_call,
    TIMES,
    model=NAMES,
    request_model=NAMES,
    provider=st.sampled_from(["anthropic", "openai"]),
    outcome=st.sampled_from(["complete", "error"]),
    coverage=st.sampled_from(["priced", "unpriced", "no_usage", "error", "unparsed", "duplicate"]),
    billing=st.sampled_from(["api", "subscription", "local"]),
    usage=USAGES,
    cost_usd=AMOUNTS,
    parts=st.lists(st.builds(Part, st.just("advisor"), NAMES, USAGES, AMOUNTS), max_size=1).map(
        tuple
    ),
    attribution=WHO,
    limits=st.lists(READINGS, max_size=2).map(tuple),
    ttft_ms=st.one_of(st.none(), st.floats(0, 1e12)),
)
NARROW = Caps(models=2, facets=2, sessions=2, accounts=2, calls=3, windows=2)


@settings(max_examples=300, deadline=None)
@given(st.lists(CALLS, max_size=6), TIMES, NAMES)
def test_nothing_raises_and_nothing_is_negative(
    calls: list[Call], now: float, account: str | None
) -> None:
    """Any calls in any order, asked about at any time: answers that JSON can hold, hit rates within
    100 %, nothing below zero."""
    tracker = Tracker(
        limits=ConfiguredLimits(output_tokens=10, cost_usd=0.5, messages=3), caps=NARROW
    )
    for call in calls:
        tracker.add(call)
    answers: list[Any] = [
        tracker.usage(now, account),
        tracker.usage(now),
        tracker.series(300, now),
        tracker.sessions(now),
    ]
    for row in tracker.sessions(now):
        session = tracker.session(row["session_id"], now)
        assert session is not None
        answers.append({**session.row, "totals": session.totals, "agents": session.agents})

    for answer in answers:
        orjson.dumps(answer)
        for name, number in numbers(answer):
            assert number >= 0, name
            if name in (
                "cache_hit_pct",
                "window_share_pct",
                "cost_pct",
                "message_pct",
                "output_token_limit_pct",
            ):
                assert number <= 100, name
            assert number == number, name


def numbers(value: Any, name: str = "") -> list[tuple[str, float]]:
    """Every number in a JSON value, with the name it stands under; records, which repeat what was
    put in, are left out."""
    if isinstance(value, dict):
        return [
            pair
            for key, each in value.items()
            if not isinstance(each, list) or key != "calls"
            for pair in numbers(each, key)
        ]
    if isinstance(value, list):
        return [pair for each in value for pair in numbers(each, name)]
    return [(name, value)] if isinstance(value, int | float) else []


@pytest.mark.parametrize(
    "text", ["<img src=x onerror=alert(1)>", "\x1b]0;owned\x07", "m" * 2**20, "\ud800", "", "a\nb"]
)
def test_hostile_text_is_data(text: str) -> None:
    """Names are carried as they are, cut to their cap, and never become keys of the contract."""
    tracker = Tracker()
    tracker.add(
        a_call(model=text, session=text, project=text, client=text, agent=text, account=text)
    )
    usage = tracker.usage(NOON)

    assert usage["today"]["calls"] == 1
    assert max(len(name) for name in usage["per_model"]) <= 300
    assert all(
        len(row["session_id"]) <= 256 and len(row["label"]) <= 256 for row in usage["top_sessions"]
    )
