"""Sums over time against adding everything up again, for any order of adding and any moment asked
about."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llmtally.record import epoch, rfc3339
from llmtally.tracker.ledger import OTHER, Ledger
from llmtally.tracker.scope import Scope
from llmtally.tracker.sessions import Buckets
from llmtally.tracker.state import as_journaled
from llmtally.tracker.timeline import Resolution, Timeline, first_minute_within, nearest_minute
from llmtally.tracker.totals import ZERO, Totals, minus, plus, summed

LEVELS = (Resolution(1, 8), Resolution(4, 6), Resolution(16, 20))
MINUTES = st.integers(0, 200)
SPENT = st.lists(st.tuples(MINUTES, st.integers(1, 10**15)), max_size=60)


def row(amount: int) -> Totals:
    return Totals(calls=1, spent=amount)


def timeline_of(spent: list[tuple[int, int]]) -> Timeline:
    timeline = Timeline(LEVELS)
    for minute, amount in spent:
        timeline.add(minute, row(amount))
    return timeline


def brute(spent: list[tuple[int, int]], since: int) -> Totals:
    return summed(row(amount) for minute, amount in spent if minute >= since)


@given(SPENT, st.data())
def test_any_order_gives_the_same_sums(spent: list[tuple[int, int]], data: st.DataObject) -> None:
    """Calls that come late, and questions asked in between, change no answer."""
    shuffled = data.draw(st.permutations(spent))
    asked = Timeline(LEVELS)
    for minute, amount in shuffled:
        asked.add(minute, row(amount))
        asked.since(data.draw(MINUTES))

    straight = timeline_of(sorted(spent))
    for minute in range(208):
        assert asked.since(minute) == straight.since(minute)


@given(SPENT, MINUTES)
def test_sums_are_exact(spent: list[tuple[int, int]], minute: int) -> None:
    """To the minute in the recent past, to the step where steps are longer, and in all."""
    timeline = timeline_of(spent)
    newest = max((each for each, _ in spent), default=0)
    coarse = minute // 16 * 16

    assert timeline.since(coarse) == brute(spent, coarse)
    if minute > newest - 8:
        assert timeline.since(minute) == brute(spent, minute)
    assert timeline.retained == timeline.since(0) == brute(spent, 0)
    assert summed(amount for _, amount in timeline.between(0, 208)) == timeline.retained


@given(SPENT, st.integers(0, 12))
def test_what_is_forgotten_is_gone_and_nothing_else(spent: list[tuple[int, int]], day: int) -> None:
    """Forgetting drops exactly what is older, and what comes late for it stays out."""
    timeline = timeline_of(spent)
    timeline.forget(16 * day)
    if day:
        timeline.add(16 * day - 1, row(1))

    assert timeline.retained == brute(spent, 16 * day)
    assert timeline.is_empty == (timeline.retained == ZERO)


@given(SPENT, SPENT)
def test_folding_adds(left: list[tuple[int, int]], right: list[tuple[int, int]]) -> None:
    """A timeline folded into another leaves the sums of both."""
    timeline = timeline_of(left)
    timeline.fold(timeline_of(right))

    for minute in range(0, 208, 16):
        assert timeline.since(minute) == brute(left + right, minute)


@given(SPENT, MINUTES)
def test_steps_are_the_same_in_small(spent: list[tuple[int, int]], step: int) -> None:
    """What sessions use adds up in the same way."""
    steps = Buckets()
    for at, amount in spent:
        steps.add(at, row(amount))

    assert steps.since(step) == brute(spent, step)
    steps.forget(step)
    assert steps.total == brute(spent, step)


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"), st.text("xyz", max_size=3), MINUTES, st.integers(1, 10**15)
        ),
        max_size=60,
    )
)
def test_a_ledger_folds_names_and_loses_nothing(spent: list[tuple[str, str, int, int]]) -> None:
    """Names beyond the cap are counted as `other` of their account, whose sums stay the same."""
    ledger: Ledger[tuple[str, str]] = Ledger(3, LEVELS, lambda key: (key[0], OTHER))
    for account, name, minute, amount in spent:
        ledger.add((account, name), minute, row(amount))

    for account in "abc":
        total = summed(timeline.retained for _, timeline in ledger.items(Scope.only(account)))
        assert total == summed(row(amount) for owner, _, _, amount in spent if owner == account)
    assert len(list(ledger.items(Scope()))) <= 3 + 3


def test_the_least_recently_active_name_is_folded() -> None:
    """Not the oldest one: a name that is used stays."""
    ledger: Ledger[tuple[str, str]] = Ledger(2, LEVELS, lambda key: (key[0], OTHER))
    for name in ("first", "second", "first", "third"):
        ledger.add(("a", name), 0, row(1))

    assert {key[1] for key, _ in ledger.items(Scope.only("a"))} == {"first", "third", OTHER}


@given(
    st.lists(
        st.tuples(*[st.integers(-(2**60), 2**60)] * 24).map(
            lambda n: (Totals(*n[:12]), Totals(*n[12:]))
        )
    )
)
def test_totals_add_field_by_field(pairs: list[tuple[Totals, Totals]]) -> None:
    """`plus` names each field once and in its place, and `minus` undoes it."""
    for left, right in pairs:
        assert plus(left, right) == tuple(a + b for a, b in zip(left, right, strict=True))
        assert minus(plus(left, right), right) == left


@pytest.mark.parametrize(
    ("now", "first"),
    [(7200.0, 60), (7201.0, 61), (7259.9, 61), (7260.0, 61)],
    ids=["on the minute", "just after", "before", "next"],
)
def test_a_span_holds_whole_minutes(now: float, first: int) -> None:
    """The first whole minute of the last hour."""
    assert first_minute_within(now, 3600.0) == first


def test_reset_times_round_to_the_minute() -> None:
    """Half a minute either way is the same minute."""
    assert [nearest_minute(at) for at in (3570.0, 3600.0, 3629.9, 3630.0)] == [60, 60, 60, 61]


@given(st.floats(0, datetime(2100, 1, 1, tzinfo=UTC).timestamp()))
@example(1_763_640_059.9999998)
def test_live_times_are_the_journals_times(at: float) -> None:
    """A call is counted in the minute in which the journal will say that it ended."""
    assert as_journaled(at) == epoch(rfc3339(at))
