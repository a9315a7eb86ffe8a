"""What all formats share: errors and names that are fit for a record."""

from __future__ import annotations

from typing import Any

import pytest

from llmtally.formats.format import (
    SERVER_TOOLS_CAP,
    api_error,
    count,
    described_error,
    miscounted,
    server_tools,
)
from llmtally.record import ERROR_MESSAGE_CAP, ApiError


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (
            {"type": "rate_limit_error", "message": "Try again in 1.5s"},
            ApiError("rate_limit_error", "Try again in 1.5s"),
        ),
        ({"code": 429, "message": "slow"}, ApiError("429", "slow")),
        ({"type": None, "status": "UNAVAILABLE"}, ApiError("UNAVAILABLE")),
        ({"type": nested(1000), "message": "x"}, ApiError("error", "x")),
        ({"type": {"a": 1}, "message": ["x"]}, ApiError("error")),
        ({"type": True}, ApiError("error")),
        ({"type": "\x1b[31mboo\n"}, ApiError("_31mboo")),
        (
            {"type": "com.amazonaws#ThrottlingException"},
            ApiError("com.amazonaws#ThrottlingException"),
        ),
        ({"type": "t" * 1000}, ApiError("t" * 64)),
        ({"type": "sk-live-SECRET1234567890", "message": "no sk-abc"}, ApiError("error", "no […]")),
        ("Invalid API key: sk-live-SECRET1234567890", ApiError("error", "Invalid API key: […]")),
        ("x " * 1000, ApiError("error", ("x " * 1000)[:ERROR_MESSAGE_CAP])),
        ({}, None),
        ("", None),
        (7, None),
    ],
)
def test_errors_are_fit_for_a_record(value: Any, error: ApiError | None) -> None:
    """A type is a short word or number, a message has neither keys nor prompts; anything else is
    left out."""
    assert api_error(value) == error


def test_no_type_is_an_error_all_the_same() -> None:
    """What has no type is called an error."""
    assert described_error(None, "m") == described_error("", "m") == ApiError("error", "m")


@pytest.mark.parametrize(
    ("value", "counted"), [(7, 7), (7.0, 7), ("7", 7), (0, 0), (2**53 - 1, 2**53 - 1)]
)
def test_counts_are_whole_numbers(value: Any, counted: int) -> None:
    """Also where they are written as a float or as digits in a string."""
    assert count(value) == counted


@pytest.mark.parametrize(
    "value",
    [
        2**53,
        -1,
        7.5,
        True,
        "7.0",
        "-7",
        " 7",
        "7" * 17,
        "\u0667",
        "",
        None,
        [],
        {},
        float("nan"),
        float("inf"),
    ],
)
def test_what_is_no_whole_number_is_no_count(value: Any) -> None:
    """A number that is not whole, is negative, or is larger than any response is not a count."""
    assert count(value) is None


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": "many"},
        {"inputTokens": -1},
        {"promptTokenCount": 1.5},
        {"prompt_tokens_details": {"cached_tokens": True}},
        {"prompt_tokens_details": "x"},
        {"promptTokensDetails": [{"modality": "AUDIO", "tokenCount": "x"}]},
        {"iterations": [{"cache_creation": {"ephemeral_1h_input_tokens": []}}]},
        {"iterations": ["message"]},
        {"output_tokens_by_modality": [5]},
        {"output_tokens": {}},
        "gone",
    ],
)
def test_what_is_no_count_is_noticed(usage: Any) -> None:
    """Wherever in a usage object it stands."""
    assert miscounted(usage)


@pytest.mark.parametrize(
    "usage",
    [
        {},
        None,
        [],
        "",
        {"prompt_tokens": 5, "completion_tokens": None, "prompt_tokens_details": None},
        {"tokens": {"input_tokens": 5.0}, "billed_units": {"images": 1}},
        {
            "cost": "x",
            "iterations": [],
            "cache_creation": {},
            "search_queries": ["a"],
            "tokens_per_second": 1.5,
        },
        {
            "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 3}],
            "trafficType": "ON_DEMAND",
        },
        nested(200),
    ],
)
def test_counts_and_other_things_are_fine(usage: Any) -> None:
    """Absent is fine, and what is not named as a count may be anything."""
    assert not miscounted({"usage": usage})


def test_names_of_tools_are_words() -> None:
    """What a provider names its tools is believed only where it is a name."""
    called = [
        ("web_search", 2),
        ("My password is hunter2", 1),
        ("", 1),
        ("A", 1),
        ("x" * 65, 1),
        ("none", 0),
        ("unknown", None),
    ]

    assert server_tools(called) == {"web_search": 2}
    assert server_tools([("none", 0)]) is None
    assert len(server_tools((f"t{n}", 1) for n in range(1000)) or {}) == SERVER_TOOLS_CAP
