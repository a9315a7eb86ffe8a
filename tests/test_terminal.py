"""One call in one line, safe to print whatever the peer sent."""

from __future__ import annotations

import pytest

from llmtally.record import ApiError, Attribution, Usage
from llmtally.terminal import WIDTH, dollars, humanised, one_line, printable
from test_live import a_call

CALL = a_call(1)._replace(duration_ms=4210.0, usage=Usage(12, 20_000, 1_800, output_tokens=410), cost_usd=0.0345)


def test_the_numbers_that_matter() -> None:
    """Who, how much, how long."""
    assert one_line(CALL) == "anthropic claude-opus-4-8 | in 12 | cache 20.0k read 1800 written | out 410 | $0.0345 | 4.2s"


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"usage": Usage(), "cost_usd": None, "coverage": "no_usage"}, "tokens unknown | no price"),
        ({"usage": Usage(5, 100, None, output_tokens=3)}, "| cache 100 read | out 3"),
        ({"cost_usd": None, "coverage": "unpriced"}, "| unpriced |"),
        ({"estimated": True}, "| out ~410 | ~$0.0345 |"),
        ({"billing": "subscription"}, "| $0.0345 API value |"),
        ({"outcome": "client_aborted"}, "| client_aborted"),
        ({"outcome": "error", "error": ApiError("overloaded_error")}, "| error: overloaded_error"),
        (
            {"attribution": Attribution(client="codex", request_class="subagent", session="0123456789")},
            "| codex | subagent | 01234567",
        ),
    ],
)
def test_what_is_special_is_said(change: dict[str, object], part: str) -> None:
    """Unknown, unpriced, estimated and aborted never look like the ordinary."""
    assert part in one_line(CALL._replace(**change))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["\x1b[2Jgone", "a\nb", "\u202etxt", "x" * 1_000_000])
def test_hostile_names(name: str) -> None:
    """Nothing a terminal would obey, nothing longer than a line."""
    line = one_line(CALL._replace(model=name))

    assert line.isprintable()
    assert len(line) < 200
    assert len(printable(name)) <= WIDTH + 1


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "$0.00"),
        (12.345, "$12.35"),
        (0.5, "$0.5000"),
        (0.0372, "$0.0372"),
        (0.0000876, "$0.000088"),
        (1e-7, "<$0.000001"),
        (1e-12, "<$0.000001"),
    ],
)
def test_dollars(amount: float, text: str) -> None:
    """Small calls are not rounded to nothing."""
    assert dollars(amount) == text


@pytest.mark.parametrize(
    ("number", "text"), [(None, "?"), (950, "950"), (12_345, "12.3k"), (4_560_000, "4.6M"), (7_100_000_000, "7.1G")]
)
def test_humanised(number: int | None, text: str) -> None:
    """Numbers of any size in a few columns."""
    assert humanised(number) == text
