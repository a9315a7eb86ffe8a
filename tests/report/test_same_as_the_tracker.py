"""What a call adds up to, what kind of work it is and which calls a filter includes are defined
twice, in Python for the live view and in SQL for reports. Over generated calls both give the same
answer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calls import NOON, a_call, write
from llmtally.record import Attribution, Call, Part, Usage
from llmtally.report import Database
from llmtally.report.filters import Filter
from llmtally.tracker.totals import COST_CAP, ZERO, Totals, by_model, kind_of, of_call, plus

TEXTS = st.one_of(
    st.none(),
    st.sampled_from(["", "a", "A", "a/b", "a\\b", "%", "_", "*", "\n", "é"]),
    st.text(st.characters(codec="utf-8"), max_size=3),
)
COUNTS = st.one_of(st.none(), st.just(0), st.integers(0, 10**9))
COSTS = st.one_of(
    st.none(),
    st.sampled_from([0.0, 5e-13, 1.5e-12, 1e-9, float(COST_CAP), COST_CAP * 1.1, -0.1]),
    st.floats(0, 1000),
)
MOMENTS = st.integers(-2, 2).map(lambda minutes: NOON + 60 * minutes)
USAGES = st.lists(COUNTS, min_size=5, max_size=5).map(
    lambda counts: Usage(
        input_tokens=counts[0],
        cache_read_tokens=counts[1],
        cache_write_tokens=counts[2],
        output_tokens=counts[3],
        reasoning_tokens=counts[4],
    )
)


def somebody(fields: dict[str, Any]) -> Attribution:
    return Attribution(**fields)


WHO = st.fixed_dictionaries(
    {
        **dict.fromkeys(("client", "session", "project", "account", "run"), TEXTS),
        "request_class": st.sampled_from(["main", "auxiliary", "subagent", "warmup", None]),
        "agent_type": st.sampled_from(["Explore", "Plan", None]),
    }
).map(somebody)
CALLS = st.builds(
    a_call,
    MOMENTS,
    provider=st.sampled_from(["anthropic", "openai"]),
    model=TEXTS,
    request_model=TEXTS,
    outcome=st.sampled_from(["complete", "incomplete", "client_aborted", "error"]),
    coverage=st.sampled_from(["priced", "unpriced", "no_usage", "error", "unparsed"]),
    billing=st.sampled_from(["api", "subscription", "local"]),
    usage=st.one_of(st.just(Usage()), USAGES),
    cost_usd=COSTS,
    parts=st.lists(
        st.builds(Part, st.just("advisor"), st.sampled_from(["a", "b", None]), USAGES, COSTS),
        max_size=2,
    ).map(tuple),
    attribution=WHO,
)
PATTERNS = st.lists(
    st.one_of(
        st.sampled_from(["*", "?", "_", "%", "\\", "a*", "*/b", "openai/*"]),
        TEXTS.map(lambda t: t or "*"),
    ),
    max_size=2,
).map(tuple)
FILTERS = st.builds(
    Filter,
    since=st.one_of(st.none(), MOMENTS),
    until=st.one_of(st.none(), MOMENTS),
    **dict.fromkeys(("model", "client", "project", "session", "account", "run"), PATTERNS),
)

UTC = ZoneInfo("UTC")

Key = tuple[str | None, ...]

GROUPED: dict[str, Callable[[Call], Key]] = {
    "client": lambda call: (call.attribution.client,),
    "outcome": lambda call: (call.outcome,),
    "kind": lambda call: (kind_of(call.attribution.request_class, call.attribution.agent_type),),
}


def added_up(calls: list[Call], key: Callable[[Call], Key]) -> dict[Key, Totals]:
    """By the arithmetic of the live view."""
    sums: dict[Key, Totals] = defaultdict(lambda: ZERO)
    for call in calls:
        sums[key(call)] = plus(sums[key(call)], of_call(call))
    return dict(sums)


slowly = settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@slowly
@given(calls=st.lists(CALLS, min_size=1, max_size=12))
def test_sums(tmp_path_factory: pytest.TempPathFactory, calls: list[Call]) -> None:
    """`AGGREGATES`, `KIND` and `MODEL` against `of_call`, `kind_of` and `by_model`."""
    directory = write(tmp_path_factory.mktemp("sums"), calls)
    billed = [call for call in calls if call.attribution.request_class != "warmup"]
    shares: dict[Key, Totals] = defaultdict(lambda: ZERO)
    for call in billed:
        for model, share in by_model(call, of_call(call)):
            shares[call.provider, model] = plus(shares[call.provider, model], share)

    with Database(directory) as database:
        for name, key in GROUPED.items():
            rows = database.report(name, Filter(), UTC).rows
            assert {row.key: row.totals for row in rows} == added_up(billed, key), name
        by_provider_and_model = database.report("model", Filter(), UTC).rows
        assert {row.key: row.totals for row in by_provider_and_model} == dict(shares)


@slowly
@given(calls=st.lists(CALLS, min_size=1, max_size=12), chosen=FILTERS)
def test_filters(
    tmp_path_factory: pytest.TempPathFactory, calls: list[Call], chosen: Filter
) -> None:
    """`condition` against `Filter.accepts`, all filters at once and each by itself."""
    directory = write(tmp_path_factory.mktemp("filters"), calls)
    billed = [call for call in calls if call.attribution.request_class != "warmup"]
    by_itself = [Filter(**{name: getattr(chosen, name)}) for name in Filter.__slots__]
    with Database(directory) as database:
        for each in (chosen, *by_itself):
            meant = [call for call in billed if each.accepts(call)]
            rows = database.report("outcome", each, UTC).rows
            assert {row.key: row.totals for row in rows} == added_up(meant, GROUPED["outcome"])
