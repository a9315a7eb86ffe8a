"""No secret gets through: canaries in every place of a request and its answer, looked for in all
that is kept and shown."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import orjson
import pytest

from llmtally.attribution import Attributor
from llmtally.exchange import Memory
from llmtally.pricing import Pricer
from llmtally.record import Call
from llmtally.schema import to_record
from llmtally.tally.sink import Sink
from llmtally.text.call_line import one_line
from llmtally.web.metrics import Runtime, render
from wire_capture import START, Capture, run

KEY = "sk-ant-api03-CANARYKEY00000000000000000000000000000AA"
PLAIN_KEY = "canary-key-of-no-known-kind"
PROMPT = "CANARYPROMPT says that the password is hunter2 and that Bob shall be fired on Monday"
ANSWER = "CANARYANSWER from the model"
QUERY = "beta=CANARYQUERY"

CANARIES = (b"CANARY", b"canary", b"hunter2", b"Bob")

HEADERS = {
    "content-type": "application/json",
    "authorization": f"Bearer {KEY}",
    "proxy-authorization": f"Basic {KEY}",
    "cookie": f"session={KEY}",
    "user-agent": f"tool/{KEY}",
    "x-session-id": f"about {PROMPT}",
    "x-stainless-retry-count": PROMPT,
    "openai-organization": KEY,
}
BODY = {
    "model": "claude-opus-5-5",
    "max_tokens": 10,
    "system": [{"type": "text", "text": f"Working directory: {PROMPT}"}],
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": PROMPT}]},
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": PROMPT}}
            ],
        },
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "t1", "content": PROMPT}],
        },
    ],
    "tools": [{"name": "Bash", "description": PROMPT, "input_schema": {}}],
    "metadata": {"user_id": PROMPT},
    "user": PROMPT,
    "safety_identifier": PROMPT,
    "prompt_cache_key": PROMPT,
    "conversation": PROMPT,
    "previous_response_id": PROMPT,
    "service_tier": "auto",
}

ECHOES = (
    f"Invalid API key: {KEY}",
    f"Incorrect key {KEY[:30]}",
    f"messages.0.content: Input should be a valid list, got: {PROMPT}",
    f"1 validation error for Request [type=list_type, input_value='{PROMPT}', input_type=str]",
    f'bad request: "{PROMPT}"',
    f"prompt: {PROMPT}",
    f"Could not parse {PROMPT[20:]}",
    f"I refuse: «{PROMPT[:60]}",
    f"GET /v1/messages?{QUERY}&key={KEY} failed",
    f"Client error '401' for url 'https://api.example.com/v1?api_key={PLAIN_KEY}'",
    f"Received Messages=[{{'role': 'user', 'content': '{PROMPT}'}}]",
    json.dumps(BODY),
    "x" * 150 + f" Authorization: Bearer {KEY}",
    "x" * 180 + f" {PROMPT}",
)


def sent(
    url: str,
    body: Any = BODY,
    headers: dict[str, str] = HEADERS,
    *,
    status: int = 200,
    answer: Any,
    **more: str,
) -> list[Call]:
    raw = json.dumps(body).encode()
    content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    head = {"content-type": "application/json", "set-cookie": KEY, **more}
    return run(
        Capture("POST", url, headers, raw, status, head, content, "complete"),
        memory=Memory(Attributor(b"key")),
    )


def kept_and_shown(directory: Path, calls: list[Call], caplog: pytest.LogCaptureFixture) -> bytes:
    """Every byte that leaves the core for these calls: files, page, metrics, terminal, log."""

    async def feed() -> bytes:
        now = START + 1_001
        sink = Sink(directory, clock=lambda: now, alert=logging.getLogger(__name__).warning)
        sink.keep_status(lambda work: work())
        pricer = Pricer()
        for call in calls:
            sink.add(
                call.priced(pricer.price(call)) if call.coverage in ("priced", "unpriced") else call
            )
        tracker = sink.tracker
        sessions = [call.attribution.session or "" for call in calls]
        shown: list[Any] = [
            tracker.usage(now),
            tracker.sessions(now=now),
            [to_record(call) for call in tracker.calls()],
            tracker.series(60, now),
            tracker.status(now),
        ]
        for session in filter(None, (tracker.session(name, now) for name in sessions)):
            shown.append([session.row, session.agents, [to_record(call) for call in session.calls]])
        said = [orjson.dumps(shown), render(tracker.counters, *tracker.gauges(now), Runtime("1"))]
        said += [one_line(call).encode() for call in calls]
        sink.close()
        return b"\n".join(said)

    with caplog.at_level(logging.DEBUG):
        shown = asyncio.run(feed())
    files = [path for path in directory.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} >= {".jsonl", ".json"}
    return b"\n".join([shown, caplog.text.encode(), *(path.read_bytes() for path in files)])


def assert_nothing(found: bytes) -> None:
    """Fail if one of the canaries is in there."""
    assert [canary for canary in CANARIES if canary in found] == [], found


@pytest.mark.parametrize("message", ECHOES)
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions", "/v1/responses"])
def test_an_error_that_echoes_the_request(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, path: str, message: str
) -> None:
    """What a refusal repeats of the request's credential, prompt or query is nowhere to be
    found."""
    refusal = {
        "type": "error",
        "error": {
            "type": "invalid_request_error",
            "code": KEY,
            "param": PROMPT,
            "message": message,
        },
    }
    calls = sent(f"https://api.example.com{path}?{QUERY}&key={KEY}", status=400, answer=refusal)

    assert [call.coverage for call in calls] == ["error"]
    assert calls[0].error is not None
    assert calls[0].error.type == "invalid_request_error"
    assert_nothing(kept_and_shown(tmp_path, calls, caplog))


def test_a_key_of_no_known_kind_is_known_from_the_request(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The request says what its credential is, whatever its form, and a message that quotes only
    part of it is redacted, too."""
    for message in (f"{PLAIN_KEY} is wrong", "x" * 185 + f" {PLAIN_KEY} is wrong"):
        calls = sent(
            "https://api.example.com/v1/messages",
            headers={"x-api-key": PLAIN_KEY},
            status=401,
            answer={"type": "error", "error": {"type": "authentication_error", "message": message}},
        )
        assert_nothing(kept_and_shown(tmp_path, calls, caplog))


ANSWERS: dict[str, tuple[str, Any, Any]] = {
    "anthropic": (
        f"https://api.anthropic.com/v1/messages?{QUERY}",
        BODY,
        {
            "type": "message",
            "id": "msg_1",
            "model": "claude-opus-5-5",
            "content": [
                {"type": "text", "text": ANSWER},
                {"type": "tool_use", "name": "Bash", "input": {"command": ANSWER}},
            ],
            "stop_reason": "tool_use",
            "usage": {"input_tokens": 10, "output_tokens": 5},
        },
    ),
    "anthropic_stream": (
        f"https://api.anthropic.com/v1/messages?{QUERY}",
        {**BODY, "stream": True},
        b"".join(
            b"data: %b\n\n" % json.dumps(event).encode()
            for event in (
                {
                    "type": "message_start",
                    "message": {
                        "id": "msg_1",
                        "model": "m",
                        "usage": {"input_tokens": 9, "output_tokens": 1},
                    },
                },
                {
                    "type": "content_block_delta",
                    "index": 0,
                    "delta": {"type": "text_delta", "text": ANSWER},
                },
                {
                    "type": "error",
                    "error": {"type": "overloaded_error", "message": f"{PROMPT} {KEY}"},
                },
            )
        ),
    ),
    "openai_chat": (
        f"https://api.openai.com/v1/chat/completions?{QUERY}",
        BODY,
        {
            "id": "chatcmpl-1",
            "model": "gpt-5.4",
            "choices": [
                {"message": {"role": "assistant", "content": ANSWER}, "finish_reason": "stop"}
            ],
            "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
        },
    ),
    "openai_responses": (
        f"https://api.openai.com/v1/responses?{QUERY}",
        {**BODY, "input": PROMPT, "instructions": PROMPT},
        {
            "object": "response",
            "id": "resp_1",
            "status": "failed",
            "model": "gpt-5.4",
            "output": [{"type": "message", "content": [{"type": "output_text", "text": ANSWER}]}],
            "error": {"code": "server_error", "message": f"failed on {PROMPT}"},
            "usage": {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15},
        },
    ),
    "gemini": (
        f"https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-pro:generateContent?key={KEY}",
        {
            "contents": [{"role": "user", "parts": [{"text": PROMPT}]}],
            "systemInstruction": {"parts": [{"text": PROMPT}]},
        },
        {
            "candidates": [{"content": {"parts": [{"text": ANSWER}]}, "finishReason": "STOP"}],
            "usageMetadata": {
                "promptTokenCount": 10,
                "candidatesTokenCount": 5,
                "totalTokenCount": 15,
            },
            "modelVersion": "gemini-2.5-pro",
            "responseId": "r1",
        },
    ),
    "a_key_in_the_path": (
        f"https://gateway.example.com/{KEY}/v1/chat/completions",
        BODY,
        {
            "id": "1",
            "model": "m",
            "choices": [],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1},
        },
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_call(tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str) -> None:
    """Of prompt, answer, key and query nothing is found; the counts are."""
    url, body, answer = ANSWERS[name]
    calls = sent(url, body, answer=answer)

    assert [bool(call.usage) for call in calls] == [True]
    assert_nothing(kept_and_shown(tmp_path, calls, caplog))


def test_a_key_in_the_place_of_the_model(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Somebody set the wrong variable and was refused: the key is not kept as a model's name."""
    answer = {"type": "error", "error": {"type": "not_found_error", "message": f"model: {KEY}"}}
    calls = sent(
        "https://api.anthropic.com/v1/messages", {**BODY, "model": KEY}, status=404, answer=answer
    )

    assert_nothing(kept_and_shown(tmp_path, calls, caplog))
