"""The values: how reports of one response and of several come together, and what a price makes of a
call."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls import a_call
from llmtally.record import Call, Cost, Part, Reading, Usage, epoch, rfc3339


def test_adding_and_updating() -> None:
    """Different responses add up; a later report of the same one replaces what it knows; unknown
    never counts as 0."""
    first, second = (
        Usage(input_tokens=5, server_tools={"web_search": 1}),
        Usage(output_tokens=3, server_tools={"web_search": 2}),
    )

    assert first + second == Usage(input_tokens=5, output_tokens=3, server_tools={"web_search": 3})
    assert first.updated(Usage(input_tokens=7, output_tokens=1)) == Usage(
        input_tokens=7, output_tokens=1, server_tools={"web_search": 1}
    )
    assert (bool(Usage()), bool(Usage(input_tokens=0))) == (False, True)
    assert Usage().total_tokens is None


STATE = {"stopped_early", "finished", "output_provisional", "counting_only"}
"""Fields of a reading that only steer how its call is settled."""


def test_what_is_read_reaches_the_call() -> None:
    """A format reads nothing that is dropped on its way into the record."""
    dropped = set(Reading._fields) - set(Call._fields) - STATE

    assert dropped == set(), f"add to Call, which takes over fields of the same name: {dropped}"


def test_pricing_a_call() -> None:
    """A price makes it priced, none makes it unpriced, and parts get theirs in their order."""
    parts = (
        Part("message", "m", Usage(input_tokens=1)),
        Part("advisor", None, Usage(output_tokens=2)),
    )
    counted = a_call()._replace(coverage="unpriced", cost_usd=None, cost_source=None, parts=parts)

    priced = counted.priced(Cost(2.0, "prices", approximate=True, parts=(1.5, 0.5)))
    unpriced = counted.priced(Cost())

    assert (priced.coverage, priced.cost_usd, priced.cost_source, priced.cost_approximate) == (
        "priced",
        2.0,
        "prices",
        True,
    )
    assert [part.cost_usd for part in priced.parts] == [1.5, 0.5]
    assert (unpriced.coverage, unpriced.cost_usd) == ("unpriced", None)


@given(st.floats(min_value=0, max_value=4e9))
def test_times(seconds: float) -> None:
    """A time keeps its milliseconds when it is written and read."""
    assert epoch(rfc3339(seconds)) == pytest.approx(seconds, abs=0.001)
