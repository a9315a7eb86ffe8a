"""Answers of the providers with given counts, in pieces as servers send them."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable
from typing import Any, NamedTuple

WORD = "word "


class Counts(NamedTuple):
    """What one answer says that it used, in the journal's buckets."""

    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int

    @classmethod
    def of(cls, number: int) -> Counts:
        """Counts that differ from those of neighbouring numbers in every bucket."""
        output = number % 4_001 + 20
        return cls(
            number % 9_973 + 1, number % 7_919 + 1, number % 101 + 1, output, number % output + 1
        )


def event(payload: dict[str, Any]) -> bytes:
    """One event of a stream, named by its `type` where it has one."""
    name = f"event: {payload['type']}\n" if "type" in payload else ""
    return f"{name}data: {json.dumps(payload)}\n\n".encode()


def anthropic_usage(counts: Counts) -> dict[str, int]:
    """Anthropic's counts of the input."""
    return {
        "input_tokens": counts.input_tokens,
        "cache_read_input_tokens": counts.cache_read_tokens,
        "cache_creation_input_tokens": counts.cache_write_tokens,
    }


def anthropic_message(response_id: str, counts: Counts) -> dict[str, Any]:
    """A whole message."""
    return {
        "id": response_id,
        "type": "message",
        "role": "assistant",
        "model": "claude-opus-4-8",
        "content": [{"type": "text", "text": WORD * 30}],
        "stop_reason": "end_turn",
        "usage": {**anthropic_usage(counts), "output_tokens": counts.output_tokens},
    }


def anthropic_stream(response_id: str, counts: Counts, deltas: int) -> tuple[bytes, ...]:
    """A stream of Messages; the input's counts come first, the output's last."""
    start = {
        **anthropic_message(response_id, counts),
        "content": [],
        "stop_reason": None,
        "usage": {**anthropic_usage(counts), "output_tokens": 1},
    }
    delta = event(
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "text_delta", "text": WORD},
        }
    )
    block = {"type": "text", "text": ""}
    return (
        event({"type": "message_start", "message": start}),
        event({"type": "content_block_start", "index": 0, "content_block": block}),
        *(delta for _ in range(deltas)),
        event({"type": "content_block_stop", "index": 0}),
        event(
            {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn"},
                "usage": {"output_tokens": counts.output_tokens},
            }
        ),
        event({"type": "message_stop"}),
    )


def anthropic_failure() -> bytes:
    """The event with which a stream says that it cannot go on."""
    return event({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})


def _openai_details(counts: Counts) -> tuple[dict[str, int], dict[str, int], int]:
    cached, reasoning = counts.cache_read_tokens, counts.reasoning_tokens
    return {"cached_tokens": cached}, {"reasoning_tokens": reasoning}, counts.input_tokens + cached


def chat_usage(counts: Counts) -> dict[str, Any]:
    """Chat Completions' counts: the prompt includes what was cached."""
    prompt_details, completion_details, prompt = _openai_details(counts)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": counts.output_tokens,
        "total_tokens": prompt + counts.output_tokens,
        "prompt_tokens_details": prompt_details,
        "completion_tokens_details": completion_details,
    }


def chat_completion(response_id: str, counts: Counts) -> dict[str, Any]:
    """A whole completion."""
    message = {"role": "assistant", "content": WORD * 30}
    return {
        "id": response_id,
        "object": "chat.completion",
        "model": "gpt-5-2025-08-07",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": chat_usage(counts),
    }


def chat_stream(response_id: str, counts: Counts, deltas: int) -> tuple[bytes, ...]:
    """A stream of Chat Completions; all counts come on the last chunk."""
    head = {"id": response_id, "object": "chat.completion.chunk", "model": "gpt-5-2025-08-07"}

    def chunk(choices: list[dict[str, Any]], usage: Any = None) -> bytes:
        return event({**head, "choices": choices, "usage": usage})

    delta = chunk([{"index": 0, "delta": {"content": WORD}, "finish_reason": None}])
    return (
        *(delta for _ in range(deltas)),
        chunk([{"index": 0, "delta": {}, "finish_reason": "stop"}]),
        chunk([], chat_usage(counts)),
        b"data: [DONE]\n\n",
    )


def response_object(response_id: str, status: str, counts: Counts | None) -> dict[str, Any]:
    """A `response` of OpenAI's Responses, with counts once it is completed."""
    usage = None
    if counts is not None:
        input_details, output_details, prompt = _openai_details(counts)
        usage = {
            "input_tokens": prompt,
            "input_tokens_details": input_details,
            "output_tokens": counts.output_tokens,
            "output_tokens_details": output_details,
            "total_tokens": prompt + counts.output_tokens,
        }
    return {
        "id": response_id,
        "object": "response",
        "status": status,
        "model": "gpt-5-2025-08-07",
        "output": [],
        "usage": usage,
    }


def response_events(response_id: str, counts: Counts, deltas: int) -> tuple[dict[str, Any], ...]:
    """The events of a response: of a stream, or of a turn on a socket."""
    delta = {"type": "response.output_text.delta", "output_index": 0, "delta": WORD}
    begun = response_object(response_id, "in_progress", None)
    done = response_object(response_id, "completed", counts)
    return (
        {"type": "response.created", "response": begun},
        *(delta for _ in range(deltas)),
        {"type": "response.completed", "response": done},
    )


def ollama_lines(counts: Counts, deltas: int) -> tuple[bytes, ...]:
    """Lines of Ollama's `/api/chat`; the counts stand on the last."""
    head = {"model": "gpt-oss:120b", "created_at": "2026-11-20T12:00:00Z"}
    delta = {**head, "message": {"role": "assistant", "content": WORD}, "done": False}
    last = {
        **head,
        "message": {"role": "assistant", "content": ""},
        "done": True,
        "done_reason": "stop",
        "total_duration": 5_000_000,
        "prompt_eval_count": counts.input_tokens,
        "eval_count": counts.output_tokens,
    }
    lines = (*(delta for _ in range(deltas)), last)
    return tuple(json.dumps(line).encode() + b"\n" for line in lines)


def bedrock_usage(counts: Counts) -> dict[str, int]:
    """Converse's counts."""
    return {
        "inputTokens": counts.input_tokens,
        "cacheReadInputTokens": counts.cache_read_tokens,
        "cacheWriteInputTokens": counts.cache_write_tokens,
        "outputTokens": counts.output_tokens,
    }


def bedrock_messages(counts: Counts, deltas: int) -> tuple[bytes, ...]:
    """Messages of `converse-stream`; the counts stand on the last."""
    delta = _eventstream("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": WORD}})
    return (
        _eventstream("messageStart", {"role": "assistant"}),
        *(delta for _ in range(deltas)),
        _eventstream("messageStop", {"stopReason": "end_turn"}),
        _eventstream("metadata", {"usage": bedrock_usage(counts)}),
    )


def _eventstream(kind: str, payload: dict[str, Any]) -> bytes:
    """One message of an AWS event stream.
    https://docs.aws.amazon.com/transcribe/latest/dg/streaming-setting-up.html#streaming-event-stream"""
    named = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    headers = b"".join(
        struct.pack(">B", len(name))
        + name.encode()
        + struct.pack(">BH", 7, len(value))
        + value.encode()
        for name, value in named.items()
    )
    body = json.dumps(payload).encode()
    prelude = struct.pack(">II", 16 + len(headers) + len(body), len(headers))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + body
    return message + struct.pack(">I", zlib.crc32(message))


def gzipped(pieces: Iterable[bytes]) -> tuple[bytes, ...]:
    """The pieces in gzip, flushed after each one, as servers do for event streams."""
    coder = zlib.compressobj(wbits=31)
    coded = [coder.compress(piece) + coder.flush(zlib.Z_SYNC_FLUSH) for piece in pieces]
    return (*coded, coder.flush())
