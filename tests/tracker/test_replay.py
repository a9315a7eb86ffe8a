"""Eight days of traffic: the live state, the state read back from the journal, and everything added
up again agree."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from llmtally.journal import Journal, read
from llmtally.record import Call, Usage
from llmtally.schema import to_record
from llmtally.tracker import ConfiguredLimits, Tracker
from tracker_calls import MIDNIGHT, NOON, a_call, brute_force, figures, five_hours

CALLS = 100_000
HOUR, DAY = 3600.0, 86400.0
START = NOON - 8 * DAY
WINDOW = NOON - 3 * HOUR
"""When the 5-hour window of the end began; its reset times jitter by seconds."""
FIRST_RETAINED = MIDNIGHT - 7 * DAY
LIMITS = ConfiguredLimits(output_tokens=10**9, cost_usd=10**6)
MODELS = (
    ("anthropic", "claude-opus-5-5"),
    ("anthropic", "claude-haiku-4-5"),
    ("openai", "gpt-6"),
    ("ollama", "llama3.2"),
)


def traffic() -> Iterator[Call]:
    """Calls of two accounts over 8 days, in the order in which they ended; 5-hour windows."""
    rng = random.Random(20_261_120)
    for number in range(CALLS):
        ended = START + 8 * DAY * number / CALLS + rng.random() / 2
        provider, model = rng.choice(MODELS)
        account = rng.choice("ab")
        kind = rng.random()
        fields: dict[str, Any] = {}
        if kind < 0.05:
            fields = {"outcome": "error", "coverage": "error", "usage": Usage()}
        elif kind < 0.08:
            fields = {"request_class": "warmup", "coverage": "no_usage"}
        elif kind < 0.1:
            fields = {"coverage": "no_usage", "usage": Usage()}
        if provider == "anthropic" and kind > 0.5:
            resets_at = WINDOW + ((ended - WINDOW) // (5 * HOUR) + 1) * 5 * HOUR + rng.random() * 20
            fields["limits"] = (
                five_hours(100 * (1 - (resets_at - ended) / (5 * HOUR) * 0.9), resets_at),
            )
        cost = None if kind < 0.12 else rng.random() * 10 ** rng.randint(-7, 0)
        yield a_call(
            ended,
            (
                rng.randrange(5_000),
                rng.choice((0, 90_000)),
                rng.randrange(3_000),
                rng.randrange(2_000),
            ),
            cost,
            request_id=f"f{number}",
            provider=provider,
            model=model,
            account=account,
            billing={"anthropic": "subscription", "ollama": "local"}.get(provider, "api"),
            client=rng.choice(("claude-code", "codex", None)),
            project=rng.choice(("/src/app", "/src/lib", None)),
            session=f"{account}-{int((ended - START) // 7200)}-{rng.randrange(5)}",
            agent=rng.choice((None, "explore")),
            **fields,
        )


@dataclass(frozen=True)
class Replay:
    """One week seen three ways."""

    calls: list[Call]
    live: Tracker
    rebuilt: Tracker
    now: float


@pytest.fixture(scope="module")
def replay(tmp_path_factory: pytest.TempPathFactory) -> Replay:
    """The calls added as they come, with the page asking now and then; and added from the journal
    that they were written to."""
    directory = tmp_path_factory.mktemp("replay")
    calls = list(traffic())
    now = calls[-1].ended + 30
    live, rebuilt = Tracker(limits=LIMITS), Tracker(limits=LIMITS)
    write(directory, calls)
    for number, call in enumerate(calls):
        live.add(call)
        if number % 5_000 == 0:
            live.usage(call.ended)
    for call in read(directory, since=Tracker.restore_since(now)):
        rebuilt.add(call, restored=True)
    return Replay(calls, live, rebuilt, now)


def write(directory: Path, calls: list[Call]) -> None:
    troubles: list[str] = []
    journal = Journal(directory, on_trouble=troubles.append, queue_cap=2**30)
    for call in calls:
        journal.append(call)
    assert journal.flush(60)
    journal.close()
    assert troubles == []


@pytest.mark.parametrize("account", [None, "a", "b"])
def test_the_state_read_back_is_the_state(replay: Replay, account: str | None) -> None:
    """After a restart every answer is what it would have been without one, to the last digit."""
    live, rebuilt = (
        tracker.usage(replay.now, account) for tracker in (replay.live, replay.rebuilt)
    )
    assert live["since_start"]["calls"] > rebuilt["since_start"]["calls"] == 0
    assert {**live, "since_start": None} == {**rebuilt, "since_start": None}
    for minutes in (60, 1440, 8 * 1440):
        assert replay.live.series(minutes, replay.now, account) == replay.rebuilt.series(
            minutes, replay.now, account
        )
    assert replay.live.sessions(replay.now, limit=1000) == replay.rebuilt.sessions(
        replay.now, limit=1000
    )
    assert [to_record(call) for call in replay.live.calls(500)] == [
        to_record(call) for call in replay.rebuilt.calls(500)
    ]


@pytest.mark.parametrize("account", [None, "a", "b"])
def test_the_state_is_everything_added_up(replay: Replay, account: str | None) -> None:
    """Every period and every breakdown equals walking over all the calls."""
    usage = replay.live.usage(replay.now, account)
    counted = [call for call in replay.calls if call.attribution.request_class != "warmup"]
    mine = [call for call in counted if account in (None, call.attribution.account)]
    windows = [window for window in usage["windows"] if window["key"] == "5h"]
    assert len(windows) == (2 if account is None else 1)

    assert figures(usage["today"]) == brute_force(since(mine, MIDNIGHT))
    assert figures(usage["last_hour"]) == brute_force(
        since(mine, -(-(replay.now - HOUR) // 60) * 60)
    )
    assert figures(usage["week"]) == brute_force(since(mine, FIRST_RETAINED))
    assert usage["current"]["total_calls"] == len(since(mine, WINDOW))
    for window in windows:
        owned = [
            call
            for call in since(counted, WINDOW)
            if call.attribution.account == window["account_key"]
        ]
        assert (window["calls"], window["api_value_usd"]) == tuple(
            brute_force(call for call in owned if call.provider == "anthropic")[place]
            for place in (0, -1)
        )
    periods: list[tuple[Mapping[str, Any], float]] = [
        (usage["today"], MIDNIGHT),
        (usage["week"], FIRST_RETAINED),
    ]
    for period, start in periods:
        for dimension, name_of in DIMENSIONS.items():
            groups = defaultdict(list)
            for call in since(mine, start):
                groups[name_of(call)].append(call)
            assert {name: figures(part) for name, part in period[dimension].items()} == {
                name: brute_force(group) for name, group in groups.items()
            }


DIMENSIONS: dict[str, Callable[[Call], str]] = {
    "per_model": lambda call: f"{call.provider}/{call.model}",
    "per_client": lambda call: call.attribution.client or "unknown",
    "per_project": lambda call: call.attribution.project or "unknown",
    "per_outcome": lambda call: call.outcome,
}


def since(calls: list[Call], start: float) -> list[Call]:
    return [call for call in calls if call.ended >= start]


def test_sessions_are_everything_added_up(replay: Replay) -> None:
    """Each session, and its tree of agents, equals walking over its calls of the week."""
    groups = defaultdict(list)
    for call in since(replay.calls, FIRST_RETAINED):
        if call.attribution.request_class != "warmup":
            groups[str(call.attribution.session)].append(call)
    rows = {row["session_id"]: row for row in replay.live.sessions(replay.now, limit=1000)}

    assert rows.keys() == groups.keys()
    for name, calls in groups.items():
        assert figures(rows[name]) == brute_force(calls)
    for name in list(rows)[:20]:
        session = replay.live.session(name, replay.now)
        assert session is not None
        [main] = session.agents
        assert figures(main["total"]) == figures(rows[name])
        [explore] = main["children"]
        assert figures(explore["own"]) == brute_force(
            call for call in groups[name] if call.attribution.agent == "explore"
        )


def test_the_series_is_everything_added_up(replay: Replay) -> None:
    """The chart's points, and both running costs, are the sums of their minutes."""
    series = replay.live.series(1440, replay.now)
    start = replay.now // 600 * 600 - 143 * 600
    tokens = [0] * 144
    for call in since(replay.calls, start):
        if call.attribution.request_class != "warmup":
            tokens[int((call.ended - start) // 600)] += call.usage.total_tokens or 0
    days = [
        sum(
            round((call.cost_usd or 0) * 10**12)
            for call in replay.calls
            if day <= call.ended < day + DAY and call.attribution.request_class != "warmup"
        )
        for day in (MIDNIGHT, MIDNIGHT - DAY)
    ]

    assert (series["step_minutes"], series["points"]) == (10, 144)
    assert [
        sum(line["tokens"][point] for line in series["models"].values()) for point in range(144)
    ] == tokens
    assert [series["cumulative"][day][-1] for day in ("today", "yesterday")] == [
        day / 10**12 for day in days
    ]
