"""Chat Completions: what the captures of `tests/captures/openai_chat` do not show."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from llmtally.formats.openai_chat import (
    OPENAI_CHAT,
    OPENAI_CHAT_MINIMAX,
    content_length,
    read_chat,
    read_headers,
)
from llmtally.record import ApiError, Reading, Usage


def fold(*messages: dict[str, Any]) -> Reading:
    reading = Reading()
    for message in messages:
        reading = read_chat(message, reading)
    return reading


@pytest.mark.parametrize("separators", [b'"finish_reason":"stop"', b'"finish_reason": "stop"'])
def test_the_end_is_found_with_and_without_spaces(separators: bytes) -> None:
    """Python servers put a space after the colon; the finish must still be seen, and a null one
    must not cost a parse."""
    assert any(needle in separators for needle in OPENAI_CHAT.needles)
    assert not any(
        needle in separators.replace(b'"stop"', b"null") for needle in OPENAI_CHAT.needles
    )


def test_needles_do_not_stand_inside_strings() -> None:
    """Generated text that looks like usage is escaped, and so holds no needle."""
    chunk = (
        rb'{"choices":[{"delta":{"content":"{\"prompt_tokens\": 1, \"error\": 2, '
        rb'\"finish_reason\":\"stop\"}"}}]}'
    )

    assert not any(needle in chunk for needle in OPENAI_CHAT.needles)


def test_finished_by_the_trailing_usage() -> None:
    """A chunk with usage and no choice is the last one, even if no finish reason was given."""
    assert not fold({"choices": [], "prompt_filter_results": []}).finished
    assert fold({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}).finished


def test_continuous_usage_does_not_finish() -> None:
    """Usage in a chunk whose choice continues is a running count."""
    reading = fold(
        {
            "choices": [{"delta": {"content": "a"}, "finish_reason": None}],
            "usage": {"prompt_tokens": 9, "completion_tokens": 1},
        }
    )

    assert not reading.finished
    assert reading.usage == Usage(input_tokens=9, output_tokens=1)


@pytest.mark.parametrize(
    ("delta", "length"),
    [
        ({"content": "é"}, 2),
        ({"reasoning_content": "abc"}, 3),
        ({"reasoning": "abc"}, 3),
        ({"reasoning": "abc", "reasoning_content": "abc"}, 3),
        (
            {
                "tool_calls": [
                    {"function": {"arguments": '{"a":'}},
                    {"function": {"arguments": "1}"}},
                ]
            },
            7,
        ),
        ({"function_call": {"arguments": "xy"}}, 2),
        ({"audio": {"transcript": "Hi", "data": "AAAA"}}, 2),
        ({"refusal": "No"}, 2),
        (
            {
                "content": [
                    {"type": "text", "text": "ab"},
                    {"type": "thinking", "thinking": [{"type": "text", "text": "cd"}]},
                ]
            },
            4,
        ),
        ({"role": "assistant", "content": ""}, 0),
    ],
)
def test_content(delta: dict[str, Any], length: int) -> None:
    """All that the model wrote counts as content, once, in UTF-8 bytes."""
    assert content_length({"choices": [{"delta": delta}]}) == length


def test_content_of_other_shapes() -> None:
    """Legacy completions and Anthropic's events deliver content too."""
    assert content_length({"choices": [{"text": "abc"}, {"text": "d"}]}) == 4
    assert (
        content_length(
            {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "abc"}}
        )
        == 3
    )


def test_fireworks_headers_alone() -> None:
    """Without both numbers the headers say nothing; the body's own count of cached tokens wins over
    them."""
    assert read_headers({"fireworks-prompt-tokens": "10"}, Reading()) == Reading()
    reading = read_headers(
        {"fireworks-prompt-tokens": "10", "fireworks-cached-prompt-tokens": "8"}, Reading()
    )
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 1,
        "prompt_tokens_details": {"cached_tokens": 7},
    }

    assert reading.usage == Usage(input_tokens=2, cache_read_tokens=8)
    assert read_chat({"usage": usage}, reading).usage == Usage(
        input_tokens=3, cache_read_tokens=7, output_tokens=1
    )


def test_early_ends() -> None:
    """Length and filters are early ends; stop and tool calls are not."""
    early = {
        reason: fold({"choices": [{"finish_reason": reason}]}).stopped_early
        for reason in ("length", "content_filter", "stop", "tool_calls")
    }

    assert early == {"length": True, "content_filter": True, "stop": False, "tool_calls": False}


def test_minimax_tells_an_error_after_content() -> None:
    """Its own word for an error is looked for in its own streams, and in nobody else's."""
    chunk = (
        b'{"id":"1","choices":null,"base_resp":{"status_code":1013,"status_msg":"service '
        b'unavailable"}}'
    )

    assert any(needle in chunk for needle in OPENAI_CHAT_MINIMAX.needles)
    assert not any(needle in chunk for needle in OPENAI_CHAT.needles)
    assert fold(orjson.loads(chunk)).error == ApiError("1013", "service unavailable")
    assert OPENAI_CHAT_MINIMAX.name == OPENAI_CHAT.name


def test_hostile_breakdown_stays_small() -> None:
    """Twenty thousand models become at most 16 parts, the last of which holds the rest."""
    models = [
        {"model": str(n), "usage": {"prompt_tokens": 1, "completion_tokens": 2}} for n in range(100)
    ]
    parts = fold({"usage_breakdown": {"models": models}}).parts

    assert len(parts) == 16
    assert sum(part.usage.input_tokens or 0 for part in parts) == 100
    assert len(fold({"usage_breakdown": {"models": models * 200}}).parts) == 16
