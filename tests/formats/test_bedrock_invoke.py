"""Bedrock InvokeModel: what the captures of `tests/captures/bedrock_invoke` do not show."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostile_json import damaged, fold, holds, usage, values
from llmtally.formats.bedrock_invoke import BEDROCK_INVOKE, METRICS, read_headers, unwrap
from llmtally.record import Reading, WireError

METRIC = {
    "inputTokenCount": 9,
    "outputTokenCount": 40,
    "cacheReadInputTokenCount": 5,
    "cacheWriteInputTokenCount": 6,
}
START: dict[str, Any] = {
    "type": "message_start",
    "message": {"id": "i", "model": "m", "usage": {"input_tokens": 9, "output_tokens": 3}},
}
STOP = {"type": "message_stop", METRICS: METRIC}
SAMPLES = (
    START,
    STOP,
    {"type": "content_block_delta", "delta": {"text": "ab"}},
    {
        "generation": "ab",
        "prompt_token_count": 1,
        "generation_token_count": 2,
        "stop_reason": "stop",
        METRICS: METRIC,
    },
    {
        "outputText": "ab",
        "inputTextTokenCount": 1,
        "totalOutputTextTokenCount": 2,
        "completionReason": "FINISH",
    },
    {"inputTextTokenCount": 1, "results": [{"tokenCount": 2, "completionReason": "FINISH"}]},
    {"outputs": [{"text": "ab", "stop_reason": "stop"}]},
    {"contentBlockDelta": {"delta": {"text": "ab"}}},
    {"metadata": {"usage": {"inputTokens": 1, "outputTokens": 2}}},
    {"event_type": "text-generation", "text": "ab"},
    {
        "choices": [{"delta": {"content": "ab"}}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2},
    },
    {":exception": {"type": "t", "message": "m"}},
    {"chunk": {"bytes": "e30=", "p": "abc"}},
)


def chunk(message: Any) -> dict[str, Any]:
    return {"chunk": {"bytes": base64.b64encode(orjson.dumps(message)).decode(), "p": "abcd"}}


@given(damaged(*SAMPLES) | values)
def test_any_json_is_survived(message: Any) -> None:
    """Whatever JSON comes, nothing is raised and counts stay counts."""
    holds(BEDROCK_INVOKE, message)


@given(st.binary(max_size=60) | st.text(max_size=20) | values)
def test_any_chunk_is_survived(content: Any) -> None:
    """A chunk that is not JSON in base64 raises a `WireError`, nothing worse."""
    holds(
        BEDROCK_INVOKE,
        {
            "chunk": {
                "bytes": base64.b64encode(content).decode()
                if isinstance(content, bytes)
                else content
            }
        },
    )


@pytest.mark.parametrize("content", ["%%%", "e30", "bm8=", 7, None, [1]])
def test_a_broken_chunk_is_said(content: Any) -> None:
    """Not base64, cut off, no JSON, no string."""
    with pytest.raises(WireError):
        unwrap({"chunk": {"bytes": content}})


def test_a_whole_body_is_not_unwrapped() -> None:
    """Only a chunk is an envelope."""
    assert unwrap(START) is START
    assert unwrap(chunk(START)) == START


def test_the_model_s_own_counts_go_first() -> None:
    """AWS's metrics repeat them and are never added."""
    delta = {
        "type": "message_delta",
        "delta": {},
        "usage": {"output_tokens": 41, "cache_read_input_tokens": 70},
    }

    assert usage(fold(BEDROCK_INVOKE, *map(chunk, (START, delta, STOP)))) == {
        "input_tokens": 9,
        "cache_read_tokens": 70,
        "cache_write_tokens": 6,
        "output_tokens": 41,
    }


def test_metrics_replace_a_placeholder() -> None:
    """Where `message_delta` is missing, the output of `message_start` is not counted."""
    reading = fold(BEDROCK_INVOKE, chunk(START), chunk(STOP))

    assert (usage(reading)["output_tokens"], reading.output_provisional, reading.finished) == (
        40,
        False,
        True,
    )


def test_counts_in_headers_fill_gaps() -> None:
    """Models whose bodies say nothing are counted in the headers; what is not a number there is
    unknown."""
    headers = {
        "x-amzn-bedrock-input-token-count": "9",
        "x-amzn-bedrock-output-token-count": "40",
        "x-amzn-bedrock-cache-read-input-token-count": "many",
        "x-amzn-bedrock-service-tier": "flex",
    }
    reading = read_headers(headers, Reading())

    assert usage(reading) == {"input_tokens": 9, "output_tokens": 40}
    assert reading.service_tier == "flex"
    assert usage(fold(BEDROCK_INVOKE, {"generation_token_count": 41}, before=reading)) == {
        "input_tokens": 9,
        "output_tokens": 41,
    }


@pytest.mark.parametrize(
    "message", [sample for sample in SAMPLES if "ab" in repr(sample) and "chunk" not in sample]
)
def test_content_of_every_model(message: dict[str, Any]) -> None:
    """Each dialect's chunk delivers its two bytes."""
    assert BEDROCK_INVOKE.content(message) == 2
