"""One call in one line, safe to print whatever the peer sent."""

from __future__ import annotations

import pytest

from calls import a_call
from llmtally.record import ApiError, Attribution, Usage
from llmtally.text.call_line import one_line, summary
from llmtally.text.safe_text import WIDTH, printable

CALL = a_call(
    duration_ms=4210.0,
    usage=Usage(12, 20_000, 1_800, output_tokens=410),
    cost_usd=0.0345,
    attribution=Attribution(),
)


def test_the_numbers_that_matter() -> None:
    """Who, how much, how long."""
    assert (
        one_line(CALL)
        == "anthropic claude-opus-4-8 | in 12 | cache 20.0k read 1800 written | out 410 | "
        "$0.0345 | 4.2s"
    )


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"usage": Usage(), "cost_usd": None, "coverage": "no_usage"}, "tokens unknown | no price"),
        ({"usage": Usage(5, 100, None, output_tokens=3)}, "| cache 100 read | out 3"),
        ({"usage": Usage(5, 0, 7, output_tokens=3)}, "| in 5 | cache 7 written | out 3"),
        ({"usage": Usage(5, 0, 0, output_tokens=None)}, "| in 5 | out ? |"),
        ({"cost_usd": None, "coverage": "unpriced"}, "| unpriced |"),
        ({"estimated": True}, "| out ~410 | ~$0.0345 |"),
        ({"billing": "subscription"}, "| $0.0345 API value |"),
        ({"billing": "subscription", "cost_usd": None, "coverage": "unpriced"}, "| unpriced |"),
        ({"outcome": "client_aborted"}, "| client_aborted"),
        ({"outcome": "error", "error": ApiError("overloaded_error")}, "| error: overloaded_error"),
        (
            {
                "attribution": Attribution(
                    client="codex", request_class="subagent", session="0123456789"
                )
            },
            "| codex | subagent | 01234567",
        ),
    ],
)
def test_what_is_special_is_said(change: dict[str, object], part: str) -> None:
    """Unknown, unpriced, estimated and aborted never look like the ordinary."""
    assert part in one_line(CALL._replace(**change))  # type: ignore[arg-type]


def test_a_refused_call_used_nothing() -> None:
    """So neither its tokens nor its price are unknown."""
    refused = CALL._replace(
        usage=Usage(),
        cost_usd=None,
        coverage="error",
        outcome="error",
        error=ApiError("overloaded_error"),
        duration_ms=None,
    )

    assert one_line(refused) == "anthropic claude-opus-4-8 | error: overloaded_error"


@pytest.mark.parametrize("name", ["\x1b[2Jgone", "a\nb", "\u202etxt", "x" * 1_000_000])
def test_hostile_names(name: str) -> None:
    """Nothing a terminal would obey, nothing longer than a line."""
    line = one_line(CALL._replace(model=name))

    assert line.isprintable()
    assert len(line) < 200
    assert len(printable(name)) <= WIDTH + 1


def test_summary() -> None:
    """Today, the burn rate and the windows, a line each; what is not known is `?`."""
    today = {
        "spent_usd": 1.25,
        "api_value_usd": 0.5,
        "total_tokens": 12_345,
        "calls": 1_234,
        "unpriced": 2,
    }
    known = {
        "provider": "anthropic",
        "key": "5h",
        "utilization": 41.6,
        "resets_at": "2026-11-20T15:00:00.000Z",
    }
    unknown = {"provider": None, "key": "\x1b5h", "utilization": None, "resets_at": None}
    burn = {"tokens_per_minute": 23_456.7, "cost_usd_per_minute": 0.0321}

    assert summary(
        {"today": today, "burn_rate": burn, "windows": [known, unknown]}
    ).splitlines() == [
        (
            "today $1.25 spent, $0.5000 API value of subscriptions, 12.3k tokens in 1,234 calls "
            "(2 unpriced)"
        ),
        "a minute: 23.5k tokens, $0.0321",
        "anthropic 5h: 42% full, resets 2026-11-20 15:00 UTC",
        "estimated \N{REPLACEMENT CHARACTER}5h: ? full, resets ?",
    ]
