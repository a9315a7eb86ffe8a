"""Bedrock Converse: what the captures of `tests/captures/bedrock_converse` do not show."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from hostile_json import damaged, fold, holds, usage, values
from llmtally.formats.bedrock_converse import BEDROCK_CONVERSE, STOPPED_EARLY, read_headers
from llmtally.record import ApiError, Reading

USAGE = {
    "inputTokens": 3,
    "outputTokens": 5,
    "totalTokens": 24,
    "cacheReadInputTokens": 7,
    "cacheWriteInputTokens": 9,
    "cacheDetails": [{"ttl": "1h", "inputTokens": 4}, {"ttl": "5m", "inputTokens": 5}],
}
WHOLE: dict[str, Any] = {
    "stopReason": "end_turn",
    "usage": USAGE,
    "serviceTier": {"type": "flex"},
    "trace": {"promptRouter": {"invokedModelId": "m"}},
}
DELTA = {
    "contentBlockDelta": {
        "delta": {"text": "é", "reasoningContent": {"text": "ab"}, "toolUse": {"input": "{}"}}
    }
}
EXCEPTION = {":exception": {"type": "throttlingException", "message": "slow down"}}


@given(
    damaged(
        WHOLE,
        DELTA,
        EXCEPTION,
        {"metadata": WHOLE},
        {"messageStop": {"stopReason": "x"}},
        {"message": "m"},
    )
    | values
)
def test_any_json_is_survived(message: Any) -> None:
    """Whatever JSON comes, nothing is raised and counts stay counts."""
    holds(BEDROCK_CONVERSE, message)


def test_both_caches_stand_beside_the_input() -> None:
    """The total is the sum of all four, so nothing is taken out of the input."""
    reading = fold(BEDROCK_CONVERSE, WHOLE)

    assert reading.usage is not None
    assert reading.usage.total_tokens == USAGE["totalTokens"]
    assert usage(reading) == {
        "input_tokens": 3,
        "cache_read_tokens": 7,
        "cache_write_tokens": 9,
        "cache_write_1h_tokens": 4,
        "output_tokens": 5,
    }


def test_the_stop_reason_is_not_the_end() -> None:
    """Usage follows in `metadata`: a stream that ends before that was cut off."""
    stopped = fold(BEDROCK_CONVERSE, {"messageStop": {"stopReason": "end_turn"}})

    assert (stopped.stop_reason, stopped.finished) == ("end_turn", False)
    assert fold(BEDROCK_CONVERSE, {"metadata": {"usage": USAGE}}, before=stopped).finished


@pytest.mark.parametrize("reason", sorted(STOPPED_EARLY))
def test_early_stops(reason: str) -> None:
    """Length, filters and malformed output cut an answer short."""
    assert fold(BEDROCK_CONVERSE, {"messageStop": {"stopReason": reason}}).stopped_early


def test_the_header_names_what_the_body_explains() -> None:
    """A failed request's body has only a message; its type is in a header, before the colon."""
    refused = read_headers(
        {"x-amzn-errortype": "ThrottlingException:http://internal.amazon.com/"}, Reading()
    )

    assert refused.error == ApiError("ThrottlingException")
    assert fold(BEDROCK_CONVERSE, {"message": "slow down"}, before=refused).error == ApiError(
        "ThrottlingException", "slow down"
    )
    assert read_headers({}, Reading()) == Reading()


def test_an_exception_keeps_what_was_known() -> None:
    """An exception in the stream becomes the error."""
    reading = fold(BEDROCK_CONVERSE, {"metadata": {"usage": USAGE}}, EXCEPTION)

    assert reading.error == ApiError("throttlingException", "slow down")
    assert usage(reading)["input_tokens"] == 3


def test_content_is_text_reasoning_and_tool_input() -> None:
    """Text, reasoning and tool input count, of two bytes each."""
    assert BEDROCK_CONVERSE.content(DELTA) == 6
