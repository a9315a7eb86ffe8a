"""The live view: totals by account and period, unknown and unpriced, spent and API value, sessions
with their agents, the rings."""

from __future__ import annotations

from typing import Any

import pytest

from llmtally.record import Attribution, Call, Part, Usage
from llmtally.tracker import Caps, ConfiguredLimits, Tracker
from tracker_calls import MIDNIGHT, NOON, a_call, brute_force, figures, five_hours

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


def tracked(*calls: Call, **options: Any) -> Tracker:
    tracker = Tracker(**options)
    for call in calls:
        tracker.add(call)
    return tracker


def test_usage_has_every_field_of_the_contract() -> None:
    """The documented keys of `/api/usage` are there before the first call and after it, with nulls
    for what is unknown."""
    current = {
        "total_cost_usd",
        "total_tokens",
        "total_output_tokens",
        "total_calls",
        "cost_limit_usd",
        "cost_pct",
        "cost_limit_source",
    }
    current |= {
        "message_limit",
        "message_pct",
        "message_limit_source",
        "token_limit",
        "token_pct",
        "token_limit_source",
    }
    current |= {
        f"{name}_token_limit{end}"
        for name in ("output", "total")
        for end in ("", "_pct", "_source")
    }
    per_model = {
        "provider",
        "account_key",
        "model",
        "input_tokens",
        "output_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
    }
    per_model |= {"total_tokens", "cost_usd", "calls", "unpriced", "source"}
    for tracker in (Tracker(), tracked(a_call(session="s"))):
        usage = tracker.usage(NOON)
        assert usage["generated_at"] == "2026-11-20T12:00:00.000Z"
        assert usage["window"].keys() >= {
            "key",
            "started_at",
            "resets_at",
            "reset_in_ms",
            "source",
            "confidence",
        }
        assert usage["current"].keys() >= current
        assert usage["burn_rate"].keys() == {
            "tokens_per_minute",
            "output_tokens_per_minute",
            "cost_usd_per_minute",
            "observed_minutes",
        }
        assert usage["predictions"].keys() >= {"time_to_limit_ms", "safe", "limit_kind"}
        for model in usage["per_model"].values():
            assert model.keys() >= per_model
        for row in usage["top_sessions"]:
            assert row.keys() >= {
                "session_id",
                "label",
                "model",
                "cost_usd",
                "total_tokens",
                "updated_at",
                "source",
            }
    assert len(usage["per_model"]) == len(usage["top_sessions"]) == 1


def test_periods_begin_where_they_say() -> None:
    """Today begins at midnight UTC, the last hour 60 minutes ago, the week with the first of seven
    whole days before today."""
    day_before = a_call(MIDNIGHT - 1, cost=1.0)
    midnight = a_call(MIDNIGHT, cost=2.0)
    hour_ago = a_call(NOON - HOUR, cost=4.0)
    earlier = a_call(NOON - HOUR - 1, cost=8.0)
    week_ago = a_call(MIDNIGHT - 7 * DAY, cost=16.0)
    too_old = a_call(MIDNIGHT - 7 * DAY - 1, cost=32.0)
    usage = tracked(too_old, week_ago, day_before, midnight, earlier, hour_ago).usage(NOON)

    assert figures(usage["today"]) == brute_force([midnight, earlier, hour_ago])
    assert figures(usage["last_hour"]) == brute_force([hour_ago])
    assert figures(usage["week"]) == brute_force(
        [week_ago, day_before, midnight, earlier, hour_ago]
    )
    assert figures(usage["since_start"]) == brute_force(
        [too_old, week_ago, day_before, midnight, earlier, hour_ago]
    )


def test_breakdowns_add_up_to_their_total() -> None:
    """By model, client, project, class and outcome, each period's parts are its whole."""
    calls = [
        a_call(client="claude-code", project="/src/app", request_class="main"),
        a_call(client="codex", provider="openai", model="gpt-6", outcome="incomplete"),
        a_call(outcome="client_aborted", request_class="subagent"),
    ]
    today = tracked(*calls).usage(NOON)["today"]

    for name in ("per_model", "per_client", "per_project", "per_class", "per_outcome"):
        parts = [figures(part) for part in today[name].values()]
        assert tuple(map(sum, zip(*parts, strict=True))) == figures(today), name
    assert set(today["per_model"]) == {"anthropic/claude-opus-5-5", "openai/gpt-6"}
    assert set(today["per_client"]) == {"claude-code", "codex", "unknown"}
    assert figures(today["per_outcome"]["client_aborted"]) == brute_force(calls[2:])


def test_an_account_sees_only_its_own() -> None:
    """`?account=` narrows every part; calls without a credential are the account `unknown`."""
    mine, yours, nobodys = (
        a_call(account="a"),
        a_call(account="b", cost=1.0, session="s"),
        a_call(account=None, cost=2.0),
    )
    tracker = tracked(mine, yours, nobodys)

    for account, calls in (
        (None, [mine, yours, nobodys]),
        ("a", [mine]),
        ("b", [yours]),
        ("unknown", [nobodys]),
    ):
        usage = tracker.usage(NOON, account)
        assert figures(usage["today"]) == brute_force(calls)
        assert usage["current"]["total_calls"] == len(calls)
        assert usage["coverage"] == {"priced": len(calls)}
        assert len(usage["per_model"]) == len(calls)
    assert {row["account_key"] for row in tracker.usage(NOON)["per_model"].values()} == {
        "a",
        "b",
        None,
    }
    assert tracker.usage(NOON, "a")["top_sessions"] == []
    assert {entry["select"] for entry in tracker.usage(NOON)["accounts"]} == {"a", "b", "unknown"}


def test_subscription_money_is_not_spend() -> None:
    """API value and billed dollars are added up apart; the plain cost is both."""
    current = tracked(
        a_call(cost=1.0),
        a_call(cost=2.0, billing="subscription"),
        a_call(cost=0.0, billing="local"),
    ).usage(NOON)["current"]

    assert (current["spent_usd"], current["api_value_usd"], current["total_cost_usd"]) == (
        1.0,
        2.0,
        3.0,
    )


@pytest.mark.parametrize(
    ("call", "tokens", "cost", "unpriced"),
    [
        pytest.param(a_call(cost=None), 110, None, 1, id="unpriced"),
        pytest.param(
            a_call(cost=None, coverage="no_usage", usage=Usage()), None, None, 0, id="no usage"
        ),
        pytest.param(
            a_call(cost=None, coverage="unparsed", usage=Usage()), None, None, 0, id="unparsed"
        ),
        pytest.param(
            a_call(cost=None, coverage="error", outcome="error", usage=Usage()),
            0,
            0.0,
            0,
            id="refused: used nothing",
        ),
        pytest.param(a_call(cost=0.0, billing="local"), 110, 0.0, 0, id="local: known to be free"),
        pytest.param(a_call(cost=float("inf")), 110, None, 0, id="absurd cost"),
        pytest.param(a_call(cost=float("nan")), 110, None, 0, id="cost that is no number"),
        pytest.param(a_call(cost=-1.0), 110, None, 0, id="negative cost"),
    ],
)
def test_unknown_stays_unknown(
    call: Call, tokens: int | None, cost: float | None, unpriced: int
) -> None:
    """What is known of no call is null, never 0; beside known calls it is counted as missing."""
    alone = tracked(call).usage(NOON)["today"]
    beside = tracked(call, a_call()).usage(NOON)["today"]

    assert (alone["total_tokens"], alone["cost_usd"], alone["unpriced"]) == (tokens, cost, unpriced)
    assert (beside["total_tokens"], beside["cost_usd"]) == ((tokens or 0) + 110, 0.5)
    assert beside["uncounted"] == (tokens is None)


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(
            a_call(request_class="warmup", coverage="no_usage", session="s"), id="warm-up"
        ),
        pytest.param(a_call(coverage="duplicate", session="s"), id="duplicate"),
        pytest.param(a_call(pending=True, coverage="no_usage", session="s"), id="still being made"),
    ],
)
def test_what_is_no_call_is_in_no_sum(call: Call) -> None:
    """Warm-ups, duplicates and pending responses count for coverage and for nothing else."""
    usage = tracked(call).usage(NOON)

    assert usage["coverage"] == {call.coverage: 1}
    assert (
        usage["current"]["total_calls"]
        == usage["week"]["calls"]
        == usage["since_start"]["calls"]
        == 0
    )
    assert usage["top_sessions"] == []


def test_coverage_is_of_today_and_says_what_needs_a_person() -> None:
    """Responses without a record count too; unpriced, unparsed and bypassed ones are problems."""
    tracker = tracked(
        a_call(cost=None),
        a_call(coverage="unparsed", usage=Usage(), cost=None),
        a_call(MIDNIGHT - 1),
    )
    tracker.count_coverage("bypassed", at=NOON)
    usage = tracker.usage(NOON)

    assert usage["coverage"] == {"unpriced": 1, "unparsed": 1, "bypassed": 1}
    assert {
        (problem["kind"], problem["subject"], problem["count"]) for problem in usage["problems"]
    } == {
        ("unpriced_model", "anthropic/claude-opus-5-5", 1),
        ("unparsed", None, 1),
        ("bypassed", None, 1),
    }


def test_a_call_billed_under_two_models_is_shared_out() -> None:
    """Parts go to the models they were billed under; the call counts once, for the one that
    answered."""
    parts = (
        Part("message", "claude-opus-5-5", Usage(input_tokens=70, output_tokens=10), 0.4),
        Part("advisor", "claude-haiku-4-5", Usage(input_tokens=30), 0.1),
    )
    tracker = tracked(a_call(parts=parts))
    models = tracker.usage(NOON)["today"]["per_model"]
    opus, haiku = models["anthropic/claude-opus-5-5"], models["anthropic/claude-haiku-4-5"]

    assert (opus["calls"], opus["input_tokens"], opus["output_tokens"], opus["cost_usd"]) == (
        1,
        70,
        10,
        0.4,
    )
    assert (haiku["calls"], haiku["input_tokens"], haiku["output_tokens"], haiku["cost_usd"]) == (
        0,
        30,
        0,
        0.1,
    )
    assert dict(tracker.counters.calls) == {("anthropic", "claude-opus-5-5", "complete"): 1}


def test_parts_dearer_than_the_stated_whole_stay_with_it() -> None:
    """Where a provider states less than our price of a part, no model's cost falls below zero."""
    parts = (Part("advisor", "claude-haiku-4-5", Usage(input_tokens=30), 9.0),)
    models = tracked(a_call(parts=parts)).usage(NOON)["today"]["per_model"]

    assert {name: row["cost_usd"] for name, row in models.items()} == {
        "anthropic/claude-opus-5-5": 0.5
    }


LIMITED = ConfiguredLimits(output_tokens=20, total_tokens=1000, messages=4, cost_usd=0.25)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        pytest.param(
            LIMITED,
            {"output_token_limit_pct": 50.0, "total_token_limit_pct": 11.0, "message_pct": 25.0},
            id="shares",
        ),
        pytest.param(
            LIMITED,
            {"cost_pct": 100.0, "cost_limit_usd": 0.25, "cost_limit_source": "configured_limit"},
            id="capped",
        ),
        pytest.param(
            ConfiguredLimits(output_tokens=0),
            {"output_token_limit": None, "output_token_limit_pct": None},
            id="0: none",
        ),
        pytest.param(
            ConfiguredLimits(),
            {"token_limit": None, "token_pct": None, "token_limit_source": None},
            id="none",
        ),
        pytest.param(
            LIMITED,
            {"token_limit": 20, "token_pct": 50.0, "token_limit_source": "configured_limit"},
            id="as output",
        ),
        pytest.param(
            ConfiguredLimits(total_tokens=1000),
            {"token_limit": 1000, "token_pct": 11.0},
            id="as total",
        ),
        pytest.param(
            ConfiguredLimits(output_tokens=20, tokens=220),
            {"token_limit": 220, "token_pct": 50.0},
            id="untyped",
        ),
    ],
)
def test_configured_limits(limits: ConfiguredLimits, expected: dict[str, Any]) -> None:
    """Each limit is held against its own quantity in the window; an unset untyped one repeats
    output, else total."""
    current = tracked(a_call(), limits=limits).usage(NOON)["current"]

    assert current.items() >= expected.items()


@pytest.mark.parametrize(
    ("limits", "subjects"),
    [
        (ConfiguredLimits(output_tokens=12, total_tokens=1000), ["output tokens"]),
        (ConfiguredLimits(total_tokens=120), ["total tokens"]),
        (ConfiguredLimits(tokens=120), ["tokens"]),
        (ConfiguredLimits(tokens=1000), []),
    ],
)
def test_a_limit_nearly_used_up_is_a_problem(limits: ConfiguredLimits, subjects: list[str]) -> None:
    """Said once, by the name under which it was set."""
    problems = tracked(a_call(), limits=limits).usage(NOON)["problems"]

    assert [
        problem["subject"] for problem in problems if problem["kind"] == "configured_limit"
    ] == subjects


def test_limits_are_read_from_the_option() -> None:
    """Limits are written `name=number`; 0 means none."""
    assert ConfiguredLimits.parse(
        ["output_tokens=500_000", "cost_usd = 12.5", "messages=0"]
    ) == ConfiguredLimits(output_tokens=500_000, cost_usd=12.5)


@pytest.mark.parametrize(
    "setting",
    ["tokens", "tokens=", "tokens=many", "tokens=-1", "tokens=inf", "tokens=nan", "coins=3"],
)
def test_a_limit_that_cannot_be_read_names_the_cure(setting: str) -> None:
    """Neither a misspelt name nor an odd number passes as no limit."""
    with pytest.raises(ValueError, match=r"Write it as name=number|a limit is a number"):
        ConfiguredLimits.parse([setting])


def test_a_session_knows_its_agents() -> None:
    """Agents form a tree: own cost by class and model, and the sum with all descendants."""
    calls = [
        a_call(
            session="s",
            project="/src/app",
            client="claude-code",
            session_source="client_header",
            cost=1.0,
            request_class="main",
        ),
        a_call(session="s", cost=2.0, request_class="compaction"),
        a_call(
            session="s",
            cost=4.0,
            agent="explore",
            agent_type="Explore",
            request_class="subagent",
            model="claude-haiku-4-5",
        ),
        a_call(
            session="s", cost=8.0, agent="deep", parent_agent="explore", request_class="subagent"
        ),
        a_call(session="t", cost=16.0),
    ]
    session = tracked(*calls).session("s", NOON)

    assert session is not None
    assert (session.row["label"], session.row["client"], session.row["source"]) == (
        "app",
        "claude-code",
        "client_header",
    )
    assert figures(session.totals) == brute_force(calls[:4])
    assert session.calls_complete
    assert [call.cost_usd for call in session.calls] == [1.0, 2.0, 4.0, 8.0]
    [main] = session.agents
    [explore] = main["children"]
    [deep] = explore["children"]
    assert (main["own"]["cost_usd"], main["total"]["cost_usd"]) == (3.0, 15.0)
    assert {name: row["cost_usd"] for name, row in main["by_class"].items()} == {
        "main": 1.0,
        "compaction": 2.0,
    }
    assert (
        explore["agent"],
        explore["type"],
        explore["own"]["cost_usd"],
        explore["total"]["cost_usd"],
    ) == (
        "explore",
        "Explore",
        4.0,
        12.0,
    )
    assert list(explore["by_model"]) == ["claude-haiku-4-5"]
    assert (deep["agent"], deep["own"]["cost_usd"], deep["children"]) == ("deep", 8.0, [])


@pytest.mark.parametrize(
    "parents",
    [("b", "a"), ("a", "b"), ("c", "d")],
    ids=["a circle", "their own parents", "unknown parents"],
)
def test_agents_without_a_known_root_stand_under_the_main_one(parents: tuple[str, str]) -> None:
    """No agent is lost or counted twice, whatever parents the wire names."""
    calls = [
        a_call(session="s", agent=agent, parent_agent=parent)
        for agent, parent in zip("ab", parents, strict=True)
    ]
    session = tracked(*calls).session("s", NOON)

    assert session is not None
    [main] = session.agents
    assert figures(main["total"]) == brute_force(calls)
    assert sorted(str(child["agent"]) for child in main["children"]) == ["a", "b"]


def test_sessions_are_ranked_and_say_their_share_of_the_window() -> None:
    """The dearest first, or the newest; a session's share is of what its account spent in the
    5-hour window."""
    tracker = tracked(
        a_call(NOON - 6 * HOUR, session="old", cost=10.0),
        a_call(NOON - HOUR, session="dear", cost=3.0, limits=(five_hours(40),)),
        a_call(NOON, session="cheap", cost=1.0),
        a_call(NOON - 1, session="other's", cost=1.0, account="b"),
    )

    by_cost = tracker.usage(NOON)["top_sessions"]
    assert [row["session_id"] for row in by_cost][:2] == ["old", "dear"]
    assert [row["session_id"] for row in tracker.sessions(NOON, rank="updated_at")] == [
        "cheap",
        "other's",
        "dear",
        "old",
    ]
    assert {row["session_id"]: row["window_share_pct"] for row in by_cost} == {
        "old": 0.0,
        "dear": 75.0,
        "cheap": 25.0,
        "other's": None,
    }
    assert tracker.session("nobody's", NOON) is None
    assert tracker.session("dear", NOON, "b") is None


def test_newest_calls_first_with_paging_and_filters() -> None:
    """The ring gives the calls themselves, from the newest back."""
    calls = [
        a_call(NOON + n, request_id=f"f{n}", model="m1" if n % 2 else "m2", session=f"s{n % 3}")
        for n in range(6)
    ]
    tracker = tracked(*calls)

    assert tracker.calls(2) == [calls[5], calls[4]]
    assert [call.request_id for call in tracker.calls(2, before="f4")] == ["f3", "f2"]
    assert [
        call.request_id for call in tracker.calls(filters={"model": "m1", "session": "s1"})
    ] == ["f1"]
    assert [call.request_id for call in tracker.calls(filters={"outcome": "complete"})] == [
        "f5",
        "f4",
        "f3",
        "f2",
        "f1",
        "f0",
    ]
    assert tracker.calls(filters={"request_id": "f3"}) == [calls[3]]
    assert (
        tracker.calls(filters={"nonsense": "x"})
        == tracker.calls(before="gone")
        == tracker.calls(-1)
        == []
    )


def test_what_is_read_back_late_is_still_older() -> None:
    """Calls that came while the journal was being read stay the newest, and no sum minds the
    order."""
    live, before, long_before = (
        a_call(NOON - 600 * n, request_id=f"f{n}", session="s") for n in range(3)
    )
    tracker = tracked(live)
    for call in (long_before, before):
        tracker.add(call, restored=True)
    session = tracker.session("s", NOON)

    assert [call.request_id for call in tracker.calls()] == ["f0", "f1", "f2"]
    assert session is not None
    assert [call.request_id for call in session.calls] == ["f2", "f1", "f0"]
    assert session.row["started_at"] == "2026-11-20T11:39:57.000Z"
    assert figures(tracker.usage(NOON)["last_hour"]) == brute_force([live, before, long_before])
    assert tracker.usage(NOON)["window"]["started_at"] == "2026-11-20T11:40:00.000Z"


def test_sessions_folded_away_stay_with_their_account() -> None:
    """What forgotten sessions had spent is still known of each account."""
    calls = [a_call(session=f"s{n}", account="ab"[n % 2], cost=float(n)) for n in range(5)]
    tracker = tracked(*calls, caps=Caps(sessions=2))

    for account, folded in (("a", [calls[0], calls[2]]), ("b", [calls[1]])):
        assert figures(tracker.usage(NOON, account)["sessions"]["other"]) == brute_force(folded)


def test_the_view_can_begin_again() -> None:
    """A reset view counts from zero; windows are the provider's, and Prometheus's counters never
    fall."""
    tracker = tracked(a_call(session="s", limits=(five_hours(40),)))
    tracker.reset()
    usage = tracker.usage(NOON)

    assert usage["week"]["calls"] == len(usage["top_sessions"]) == len(tracker.calls()) == 0
    assert usage["window"]["utilization"] == 40
    assert usage["since_start"]["calls"] == 1


def test_series_by_model_and_today_against_yesterday() -> None:
    """Tokens and cost by step and model; yesterday's whole running cost beside today's so far."""
    tracker = tracked(
        a_call(NOON - DAY, cost=1.0),
        a_call(NOON - 61, cost=2.0, model="m2"),
        a_call(NOON, cost=4.0),
        a_call(NOON + 1, cost=8.0),
    )
    series = tracker.series(3, NOON + 30)

    assert (series["from"], series["step_minutes"], series["points"]) == (
        "2026-11-20T11:58:00.000Z",
        1,
        3,
    )
    assert series["models"] == {
        "anthropic/claude-opus-5-5": {"tokens": [0, 0, 220], "cost_usd": [0.0, 0.0, 12.0]},
        "anthropic/m2": {"tokens": [110, 0, 0], "cost_usd": [2.0, 0.0, 0.0]},
    }
    cumulative = series["cumulative"]
    assert (cumulative["step_minutes"], len(cumulative["today"]), len(cumulative["yesterday"])) == (
        10,
        73,
        144,
    )
    assert cumulative["today"][-3:] == [0.0, 2.0, 14.0]
    assert (
        cumulative["yesterday"][71],
        cumulative["yesterday"][72],
        cumulative["yesterday"][-1],
    ) == (0.0, 1.0, 1.0)


@pytest.mark.parametrize("minutes", [-5, 0, 1, 60, 1440, 1441, 7 * 1440, 10**9])
def test_a_series_is_never_longer_than_a_chart_is_wide(minutes: int) -> None:
    """Buckets grow with the span, and no spend is lost at the ends."""
    tracker = tracked(*(a_call(NOON - n * HOUR) for n in range(5)))
    series = tracker.series(minutes, NOON)

    assert all(len(line["tokens"]) == series["points"] <= 201 for line in series["models"].values())
    assert series["points"] * series["step_minutes"] >= min(minutes, 8 * 1440)
    if minutes >= 1440:
        assert sum(series["models"]["anthropic/claude-opus-5-5"]["tokens"]) == 550


def test_many_models_share_one_line() -> None:
    """The lines beyond a chart's colours are one, and nothing is lost."""
    series = tracked(*(a_call(model=f"m{n}", tokens=(n, 0, 0, 0)) for n in range(1, 21))).series(
        5, NOON
    )

    assert len(series["models"]) == 9
    assert sum(sum(line["tokens"]) for line in series["models"].values()) == sum(range(1, 21))


def test_counters_are_of_this_process() -> None:
    """What came from the journal is shown, but does not count for Prometheus, whose counters begin
    with the process."""
    tracker = Tracker()
    tracker.add(a_call(cost=1.0), restored=True)
    tracker.add(a_call(cost=2.0, ttft_ms=300.0, duration_ms=5_000.0, outcome="error"))

    assert tracker.usage(NOON)["week"]["calls"] == 2
    assert tracker.usage(NOON)["coverage"] == {"priced": 2}
    assert tracker.usage(NOON)["since_start"]["calls"] == 1
    assert tracker.counters.coverage == {"priced": 1}
    assert dict(tracker.counters.calls) == {("anthropic", "claude-opus-5-5", "error"): 1}
    assert tracker.counters.by_model["anthropic", "claude-opus-5-5", "api"].cost_usd == 2.0  # type: ignore[index]
    assert tracker.counters.ttft["anthropic"].counts == [0, 0, 1, 0, 0, 0, 0, 0, 0, 0]
    assert tracker.counters.duration["anthropic"].total == 5.0


def test_restoring_is_shown() -> None:
    """The page can say that the journal is still being read."""
    tracker = Tracker()
    assert tracker.usage(NOON)["restoring"] is False
    tracker.restoring = True
    assert tracker.usage(NOON)["restoring"] is True


def test_the_journal_is_read_from_the_first_retained_day() -> None:
    """Seven whole days before today, whatever the time of day."""
    assert (
        Tracker.restore_since(NOON).isoformat()
        == Tracker.restore_since(MIDNIGHT).isoformat()
        == "2026-11-13"
    )
    assert Tracker.restore_since(MIDNIGHT - 1).isoformat() == "2026-11-12"


def test_a_subagent_without_an_id_has_its_kind() -> None:
    """Work that only its type sets apart is in a session's tree what reports call it."""
    tracker = Tracker()
    who = Attribution(session="s", request_class="subagent", agent_type="review")
    tracker.add(a_call(attribution=who))
    session = tracker.session("s", NOON)

    assert session is not None
    assert list(session.agents[0]["by_class"]) == ["subagent review"]
