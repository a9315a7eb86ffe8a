"""The fake providers: they answer in the real ones' shapes, at a model's speed, with the turn that
the client sent in a header."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import uuid4

from upstream.answers import SSE, anthropic_events, json_answer, sse
from upstream.handler import Handler, Reply, Request
from upstream.server import Upstream

from .cast import ANTHROPIC, CHATGPT, GEMINI, OPENAI, OPENROUTER
from .pace import Pace
from .plans import Plans
from .turns import HEADER, Turn

FIRST_TOKEN = 0.2
"""Share of an answer's time that passes before its first token."""

PIECES_PER_SECOND = 6

Json = dict[str, Any]
Events = Sequence[bytes]
Answer = Callable[[str, Turn], Json | Events]
"""`(model, turn)` to a body, or to the events of a stream."""


class Providers:
    """All fake providers, on one fake upstream."""

    def __init__(self, upstream: Upstream, pace: Pace, plans: Plans) -> None:
        self._upstream = upstream
        self._pace = pace
        self._plans = plans
        upstream.route(ANTHROPIC, "/v1/messages", self._answering(_anthropic))
        upstream.route(CHATGPT, "/backend-api/codex/responses", self._answering(_responses))
        upstream.route(OPENAI, "/v1/chat/completions", self._answering(_chat))
        upstream.route(OPENROUTER, "/api/v1/chat/completions", self._answering(_chat_stream))
        upstream.route(
            GEMINI,
            r"/v1(beta)?/models/[^:]+:streamGenerateContent\?alt=sse",
            self._answering(_gemini),
        )

    def _answering(self, answer: Answer) -> Handler:
        async def handle(request: Request, reply: Reply) -> None:
            # a test looks at them afterwards, a demo goes on for hours
            self._upstream.served.clear()
            turn = Turn.from_header(request.header(HEADER))
            limits = self._plans.headers(request.host, time.time(), turn.cached + turn.uncached)
            # An SDK that tries again is let in.
            if turn.fate == "refused" and request.header("x-stainless-retry-count") in (None, "0"):
                await self._refuse(request, reply, limits)
                return
            model = request.json().get("model") or request.path.rpartition("/")[2].partition(":")[0]
            answered = answer(model, turn)
            if isinstance(answered, dict):
                await self._pause_and_send(request, reply, answered, turn, limits)
            else:
                await self._stream(reply, request.host, answered, turn, limits)

        return handle

    async def _refuse(self, request: Request, reply: Reply, limits: Mapping[str, str]) -> None:
        status, body = _refusal(request.host)
        await self._pace.pause(0.3)
        await json_answer(body, status).with_headers(**limits, retry_after_ms="800")(request, reply)

    async def _pause_and_send(
        self, request: Request, reply: Reply, body: Json, turn: Turn, limits: Mapping[str, str]
    ) -> None:
        await self._pace.pause(turn.seconds)
        await json_answer(body).with_headers(**limits)(request, reply)

    async def _stream(
        self, reply: Reply, host: str, events: Events, turn: Turn, limits: Mapping[str, str]
    ) -> None:
        await self._pace.pause(turn.seconds * FIRST_TOKEN)
        await reply.head(200, [("content-type", SSE), *limits.items()])
        whole = turn.fate not in ("broken", "cut")
        for event in events if whole else events[: len(events) // 2]:
            await reply.send(event)
            await self._pace.pause(turn.seconds * (1 - FIRST_TOKEN) / len(events))
        if turn.fate == "cut":
            reply.abort()
            return
        if turn.fate == "broken":
            await reply.send(_error_event(host))
        await reply.end()


def _words(turn: Turn) -> tuple[str, ...]:
    """The answer's text, four characters a token, in as many pieces as it takes seconds."""
    pieces = max(2, int(turn.seconds * PIECES_PER_SECOND))
    return ("made up " * max(1, turn.output // (2 * pieces)),) * pieces


def _refusal(host: str) -> tuple[int, Json]:
    if host == ANTHROPIC:
        return 529, {
            "type": "error",
            "error": {"type": "overloaded_error", "message": "Overloaded"},
        }
    if host == GEMINI:
        return 503, {
            "error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}
        }
    message = "Rate limit reached for requests per minute."
    return 429, {
        "error": {
            "message": message,
            "type": "requests",
            "param": None,
            "code": "rate_limit_exceeded",
        }
    }


def _error_event(host: str) -> bytes:
    if host == CHATGPT:
        error = {
            "type": "error",
            "sequence_number": 99,
            "code": "server_error",
            "message": "The server had an error.",
            "param": None,
        }
        return sse(error)[0]
    if host == ANTHROPIC:
        return sse(
            {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
        )[0]
    return sse({"error": {"code": 502, "message": "Upstream error."}})[0]


def _anthropic(model: str, turn: Turn) -> Events:
    written = max(0, turn.uncached - 12)
    usage = {
        "input_tokens": turn.uncached - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": turn.cached,
        "cache_creation": {"ephemeral_5m_input_tokens": written, "ephemeral_1h_input_tokens": 0},
        "service_tier": "standard",
    }
    missed = {"type": turn.missed, "cache_missed_input_tokens": turn.uncached}
    more = {"diagnostics": {"cache_miss_reason": missed}} if turn.missed else {}
    return sse(
        *anthropic_events(f"msg_{uuid4().hex}", model, usage, turn.output, _words(turn), **more)
    )


def _responses(model: str, turn: Turn) -> Events:
    response: Json = {
        "id": f"resp_{uuid4().hex}",
        "object": "response",
        "created_at": int(time.time()),
        "model": model,
        "status": "in_progress",
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": None,
    }
    where = {"item_id": "msg_1", "output_index": 0, "content_index": 0, "logprobs": []}
    deltas = [
        {"type": "response.output_text.delta", "sequence_number": number, "delta": text, **where}
        for number, text in enumerate(_words(turn), 1)
    ]
    usage = {
        "input_tokens": turn.cached + turn.uncached,
        "input_tokens_details": {"cached_tokens": turn.cached, "cache_write_tokens": 0},
        "output_tokens": turn.output,
        "output_tokens_details": {"reasoning_tokens": turn.reasoning},
        "total_tokens": turn.cached + turn.uncached + turn.output,
    }
    text = {"type": "output_text", "text": "".join(_words(turn)), "annotations": []}
    message = {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": [text],
    }
    completed = {**response, "status": "completed", "output": [message], "usage": usage}
    return sse(
        {"type": "response.created", "sequence_number": 0, "response": response},
        *deltas,
        {"type": "response.completed", "sequence_number": len(deltas) + 1, "response": completed},
    )


def _chat(model: str, turn: Turn) -> Json:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": "".join(_words(turn))},
        "finish_reason": "stop",
    }
    return {
        **_chat_head(model),
        "object": "chat.completion",
        "choices": [choice],
        "usage": _chat_usage(turn),
    }


def _chat_stream(model: str, turn: Turn) -> Events:
    head = {**_chat_head(model), "object": "chat.completion.chunk"}
    return sse(
        *(
            {**head, "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}
            for text in _words(turn)
        ),
        {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {**head, "choices": [], "usage": {**_chat_usage(turn), "cost": openrouter_cost(turn)}},
        "[DONE]",
    )


def _chat_head(model: str) -> Json:
    return {"id": f"chatcmpl-{uuid4().hex}", "created": int(time.time()), "model": model}


def _chat_usage(turn: Turn) -> Json:
    return {
        "prompt_tokens": turn.cached + turn.uncached,
        "completion_tokens": turn.output,
        "total_tokens": turn.cached + turn.uncached + turn.output,
        "prompt_tokens_details": {"cached_tokens": turn.cached, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": turn.reasoning, "audio_tokens": 0},
    }


def openrouter_cost(turn: Turn) -> float:
    """The cost in USD that OpenRouter's answer states."""
    return round((0.1 * turn.cached + 0.6 * turn.uncached + 2.8 * turn.output) / 1e6, 6)


def _gemini(model: str, turn: Turn) -> Events:
    response_id, words = uuid4().hex, _words(turn)

    def part(text: str, usage: Mapping[str, int], **candidate: str) -> Json:
        content = {"role": "model", "parts": [{"text": text}]}
        return {
            "candidates": [{"content": content, "index": 0, **candidate}],
            "usageMetadata": usage,
            "modelVersion": model,
            "responseId": response_id,
        }

    begun = {
        "promptTokenCount": turn.cached + turn.uncached,
        "cachedContentTokenCount": turn.cached,
    }
    ended = {
        **begun,
        "candidatesTokenCount": turn.output - turn.reasoning,
        "thoughtsTokenCount": turn.reasoning,
        "totalTokenCount": turn.cached + turn.uncached + turn.output,
    }
    return sse(
        *(part(text, begun) for text in words[:-1]), part(words[-1], ended, finishReason="STOP")
    )
