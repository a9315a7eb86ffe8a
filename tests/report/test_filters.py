"""Which calls a filter means. `test_report.py` holds SQL to the same."""

from __future__ import annotations

import pytest

from calls import NOON, a_call
from llmtally.report.filters import Filter

CALL = a_call(attribution=a_call().attribution._replace(run="nightly"))


@pytest.mark.parametrize(
    "meant",
    [
        Filter(),
        Filter(model=("claude-opus-4-8",)),
        Filter(model=("anthropic/claude-opus-4-8",)),
        Filter(model=("*opus*",)),
        Filter(model=("gpt*", "claude-opus-?-8")),
        Filter(project=("shop",)),
        Filter(project=("me/shop",)),
        Filter(project=("/home/*",)),
        Filter(session=("s-",)),
        Filter(account=("a1b2",)),
        Filter(run=("nightly",)),
        Filter(run=("night*",)),
        Filter(since=NOON, until=NOON + 0.001),
    ],
)
def test_accepted(meant: Filter) -> None:
    """A whole name, a pattern, the end of a path, the beginning of an id, the first instant."""
    assert meant.accepts(CALL)


@pytest.mark.parametrize(
    "other",
    [
        Filter(model=("opus",)),
        Filter(model=("claude-opus-4.8",)),
        Filter(model=("Claude-Opus-4-8",)),
        Filter(project=("hop",)),
        Filter(project=("home",)),
        Filter(session=("1",)),
        Filter(run=("night",)),
        Filter(client=("claude",)),
        Filter(client=("claude-code",), model=("gpt*",)),
        Filter(since=NOON + 0.001),
        Filter(until=NOON),
    ],
)
def test_refused(other: Filter) -> None:
    """Part of a name, another case, one filter of several, the instant after the end."""
    assert not other.accepts(CALL)


def test_what_is_unknown_matches_nothing() -> None:
    """A call whose client did not say its project is in no project."""
    silent = CALL._replace(attribution=CALL.attribution.__class__())

    assert not Filter(project=("*",)).accepts(silent)
