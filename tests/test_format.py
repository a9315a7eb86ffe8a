"""What all formats share: errors and names that are fit for a record."""

from __future__ import annotations

from typing import Any

import pytest

from llmtally.formats.format import SERVER_TOOLS_CAP, api_error, described_error, server_tools
from llmtally.record import ERROR_MESSAGE_CAP, ApiError


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ({"type": "rate_limit_error", "message": "Try again in 1.5s"}, ApiError("rate_limit_error", "Try again in 1.5s")),
        ({"code": 429, "message": "slow"}, ApiError("429", "slow")),
        ({"type": None, "status": "UNAVAILABLE"}, ApiError("UNAVAILABLE")),
        ({"type": nested(1000), "message": "x"}, ApiError("error", "x")),
        ({"type": {"a": 1}, "message": ["x"]}, ApiError("error")),
        ({"type": True}, ApiError("error")),
        ({"type": "\x1b[31mboo\n"}, ApiError("_31mboo")),
        ({"type": "com.amazonaws#ThrottlingException"}, ApiError("com.amazonaws#ThrottlingException")),
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
    """A type is a short word or number, a message has neither keys nor prompts; whatever else stands there is left out."""
    assert api_error(value) == error


def test_no_type_is_an_error_all_the_same() -> None:
    """What has no type is called an error."""
    assert described_error(None, "m") == described_error("", "m") == ApiError("error", "m")


def test_names_of_tools_are_words() -> None:
    """What a provider names its tools is believed only where it is a name."""
    called = [("web_search", 2), ("My password is hunter2", 1), ("", 1), ("A", 1), ("x" * 65, 1), ("none", 0), ("unknown", None)]

    assert server_tools(called) == {"web_search": 2}
    assert server_tools([("none", 0)]) is None
    assert len(server_tools((f"t{n}", 1) for n in range(1000)) or {}) == SERVER_TOOLS_CAP
