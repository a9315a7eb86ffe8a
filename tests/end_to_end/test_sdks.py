"""Real SDKs through a real mitmdump: the record equals what the provider served and what the SDK
itself reports, in every field."""

from __future__ import annotations

import importlib.metadata
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import anthropic
import boto3  # type: ignore[import-untyped]
import mistralai.client
import ollama
import openai
import pytest
from botocore.config import Config  # type: ignore[import-untyped]
from google import genai

from upstream.answers import (
    anthropic_events,
    eventstream_answer,
    gzipped,
    invoke_answer,
    json_answer,
    ndjson_answer,
    sse,
    sse_answer,
)
from upstream.handler import Gate, Reply, Request, Socket
from upstream.proxy import Proxy, Record
from upstream.server import Upstream

OPENAI = "api.openai.com"
ANTHROPIC = "api.anthropic.com"
GEMINI = "generativelanguage.googleapis.com"
MISTRAL = "api.mistral.ai"
BEDROCK = "bedrock-runtime.us-east-1.amazonaws.com"
OLLAMA = "127.0.0.1"

ASIDE = frozenset(
    (
        # Of the clock, of this machine, or priced: what test_record, test_attribution and
        # test_pricing prove.
        *("schema", "timestamp", "started", "ended", "request_id", "ttft_ms", "duration_ms"),
        *(
            "coverage",
            "cost_usd",
            "cost_source",
            "cost_approximate",
            "session",
            "session_source",
            "account",
            "project",
            "retry",
        ),
    )
)
"""Fields of a record that are not compared here."""

_numbers = itertools.count(1)


def new_id(prefix: str) -> str:
    """A response id that no other test uses: the proxy is shared, and counts an id once."""
    return f"{prefix}-{next(_numbers)}"


@pytest.fixture(autouse=True)
def through_the_proxy(client_env: Proxy) -> Proxy:
    """Every SDK here finds the proxy and its authority in the environment, as its user would set
    it."""
    return client_env


@pytest.fixture
def openai_client() -> Iterator[openai.OpenAI]:
    """The OpenAI SDK; nothing is retried unless a test says so."""
    with openai.OpenAI(api_key="sk-test", max_retries=0) as client:
        yield client


@pytest.fixture
def anthropic_client() -> Iterator[anthropic.Anthropic]:
    """Make a client of the Anthropic SDK."""
    with anthropic.Anthropic(api_key="sk-ant-api03-test", max_retries=0) as client:
        yield client


@pytest.fixture
def gemini_client() -> Iterator[genai.Client]:
    """The Google Gen AI SDK."""
    client = genai.Client(api_key="test")
    yield client
    client.close()


@pytest.fixture
def mistral_client() -> Iterator[mistralai.client.Mistral]:
    """Make a client of the Mistral SDK."""
    with mistralai.client.Mistral(api_key="test") as client:
        yield client


@pytest.fixture
def bedrock_client() -> Iterator[Any]:
    """Make a client of boto3's Bedrock runtime."""
    client = boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}),
    )
    yield client
    client.close()


def check(record: Record, upstream: Upstream, **expected: Any) -> None:
    """Compare the whole record with what the upstream saw and sent last, and with `expected`."""
    request, reply = upstream.served[-1].request, upstream.served[-1].reply
    expected = {
        "host": request.host,
        "path": request.path.partition("?")[0],
        "status": 200,
        "outcome": "complete",
        "billing": "api",
        **expected,
    }
    if reply is not None:
        expected |= {"request_bytes": len(request.body), "response_bytes": len(reply.sent)}
    assert {name: value for name, value in record.items() if name not in ASIDE} == expected


def buckets(**counts: int) -> dict[str, int]:
    """Token fields as the record has them, with their total."""
    disjoint = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens")
    return {**counts, "total_tokens": sum(counts.get(name, 0) for name in disjoint)}


# OpenAI: input includes the cache, output includes reasoning.

CHAT_USAGE = {
    "prompt_tokens": 1500,
    "completion_tokens": 300,
    "total_tokens": 1800,
    "prompt_tokens_details": {"cached_tokens": 1024, "cache_write_tokens": 100, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 192, "audio_tokens": 0},
}
CHAT_BUCKETS = buckets(
    input_tokens=376,
    cache_read_tokens=1024,
    cache_write_tokens=100,
    output_tokens=300,
    reasoning_tokens=192,
)
NO_AUDIO = {"input_audio_tokens": 0, "output_audio_tokens": 0}
CHAT = {
    "provider": "openai",
    "api": "openai_chat",
    "client": "openai-python",
    "client_version": openai.__version__,
}
GPT = "gpt-5.4-2026-03-05"


def chat_buckets(usage: openai.types.CompletionUsage | None) -> dict[str, int]:
    """What the SDK reports of a chat completion, in our buckets."""
    assert usage is not None
    assert usage.prompt_tokens_details is not None
    assert usage.completion_tokens_details is not None
    read = usage.prompt_tokens_details.cached_tokens or 0
    written = usage.prompt_tokens_details.cache_write_tokens or 0
    return {
        "input_tokens": usage.prompt_tokens - read - written,
        "cache_read_tokens": read,
        "cache_write_tokens": written,
        "output_tokens": usage.completion_tokens,
        "reasoning_tokens": usage.completion_tokens_details.reasoning_tokens or 0,
        "total_tokens": usage.total_tokens,
    }


def chat_completion(response_id: str) -> dict[str, Any]:
    """The body of a whole chat completion."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": "Hello"},
        "finish_reason": "stop",
    }
    return {
        "id": response_id,
        "object": "chat.completion",
        "created": 1,
        "model": GPT,
        "service_tier": "default",
        "choices": [choice],
        "usage": CHAT_USAGE,
    }


def chat_chunks(response_id: str, *, usage: bool) -> tuple[dict[str, Any] | str, ...]:
    """A chat completion as a stream."""
    base: dict[str, Any] = {
        "id": response_id,
        "object": "chat.completion.chunk",
        "created": 1,
        "model": GPT,
    }
    if usage:
        base["usage"] = None
    contents = ("Hel", "lo")
    return (
        *(
            {**base, "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}
            for text in contents
        ),
        {**base, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        *([{**base, "choices": [], "usage": CHAT_USAGE}] if usage else []),
        "[DONE]",
    )


@pytest.mark.parametrize("compressed", [False, True], ids=["identity", "gzip"])
def test_openai_chat(
    openai_client: openai.OpenAI, upstream: Upstream, proxy: Proxy, compressed: bool
) -> None:
    """A whole chat completion is counted as the SDK counts it, compressed or not."""
    response_id = new_id("chatcmpl")
    answer = json_answer(chat_completion(response_id))
    upstream.route(OPENAI, "/v1/chat/completions", gzipped(answer) if compressed else answer)

    completion = openai_client.chat.completions.create(
        model="gpt-5.4", messages=[{"role": "user", "content": "Hi"}]
    )

    assert chat_buckets(completion.usage) == CHAT_BUCKETS
    check(
        proxy.record(),
        upstream,
        **CHAT,
        **CHAT_BUCKETS,
        **NO_AUDIO,
        transport="json",
        streaming=False,
        response_id=response_id,
        model=GPT,
        request_model="gpt-5.4",
        stop_reason="stop",
        service_tier="default",
    )


@pytest.mark.parametrize("http2", [False, True], ids=["http1", "http2"])
def test_openai_chat_stream(upstream: Upstream, proxy: Proxy, http2: bool) -> None:
    """A stream that was asked to include its usage is counted, over either HTTP version."""
    response_id = new_id("chatcmpl")
    upstream.route(
        OPENAI, "/v1/chat/completions", sse_answer(*chat_chunks(response_id, usage=True))
    )
    transport = openai.DefaultHttpxClient(http2=http2)

    with openai.OpenAI(api_key="sk-test", max_retries=0, http_client=transport) as client:
        stream = client.chat.completions.create(
            model="gpt-5.4",
            messages=[{"role": "user", "content": "Hi"}],
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = list(stream)

    assert upstream.served[0].request.http_version == ("2" if http2 else "1.1")
    assert chat_buckets(chunks[-1].usage) == CHAT_BUCKETS
    check(
        proxy.record(),
        upstream,
        **CHAT,
        **CHAT_BUCKETS,
        **NO_AUDIO,
        transport="sse",
        streaming=True,
        response_id=response_id,
        model=GPT,
        request_model="gpt-5.4",
        stop_reason="stop",
    )


def test_openai_chat_stream_without_usage(
    openai_client: openai.OpenAI, upstream: Upstream, proxy: Proxy
) -> None:
    """A stream that was not asked for its usage is recorded with unknown counts, never zeros."""
    response_id = new_id("chatcmpl")
    upstream.route(
        OPENAI, "/v1/chat/completions", sse_answer(*chat_chunks(response_id, usage=False))
    )

    stream = openai_client.chat.completions.create(
        model="gpt-5.4", messages=[{"role": "user", "content": "Hi"}], stream=True
    )

    assert all(chunk.usage is None for chunk in stream)
    record = proxy.record()
    assert record["coverage"] == "no_usage"
    check(
        record,
        upstream,
        **CHAT,
        transport="sse",
        streaming=True,
        response_id=response_id,
        model=GPT,
        request_model="gpt-5.4",
        stop_reason="stop",
    )


def test_openai_embeddings(openai_client: openai.OpenAI, upstream: Upstream, proxy: Proxy) -> None:
    """Embeddings use input tokens only."""
    body = {
        "object": "list",
        "model": "text-embedding-3-small",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}],
        "usage": {"prompt_tokens": 8, "total_tokens": 8},
    }
    upstream.route(OPENAI, "/v1/embeddings", json_answer(body))

    embeddings = openai_client.embeddings.create(
        model="text-embedding-3-small", input="Hello", encoding_format="float"
    )

    assert embeddings.usage.prompt_tokens == 8
    check(
        proxy.record(),
        upstream,
        **{**CHAT, "api": "openai_embeddings"},
        **buckets(input_tokens=8),
        transport="json",
        streaming=False,
        model="text-embedding-3-small",
        request_model="text-embedding-3-small",
    )


RESPONSES_USAGE = {
    "input_tokens": 1200,
    "input_tokens_details": {
        "cached_tokens": 1000,
        "cache_write_tokens": 150,
        "cache_write_tokens_details": {"ttl_30m_tokens": 100, "ttl_12h_tokens": 50},
    },
    "output_tokens": 90,
    "output_tokens_details": {"reasoning_tokens": 64},
    "total_tokens": 1290,
}
RESPONSES_BUCKETS = buckets(
    input_tokens=50,
    cache_read_tokens=1000,
    cache_write_tokens=150,
    cache_write_30m_tokens=100,
    cache_write_12h_tokens=50,
    output_tokens=90,
    reasoning_tokens=64,
)
RESPONSES = {**CHAT, "api": "openai_responses"}


def responses_buckets(response: Any) -> dict[str, int]:
    """What the SDK reports of a Response, in our buckets."""
    usage: openai.types.responses.ResponseUsage = response.usage
    details = usage.input_tokens_details
    by_ttl = details.cache_write_tokens_details
    assert by_ttl is not None
    return {
        "input_tokens": usage.input_tokens - details.cached_tokens - details.cache_write_tokens,
        "cache_read_tokens": details.cached_tokens,
        "cache_write_tokens": details.cache_write_tokens,
        "cache_write_30m_tokens": by_ttl.ttl_30m_tokens or 0,
        "cache_write_12h_tokens": by_ttl.ttl_12h_tokens or 0,
        "output_tokens": usage.output_tokens,
        "reasoning_tokens": usage.output_tokens_details.reasoning_tokens,
        "total_tokens": usage.total_tokens,
    }


def response_object(response_id: str, status: str) -> dict[str, Any]:
    """A Response, in progress or completed."""
    completed = status == "completed"
    content = {"type": "output_text", "text": "Hello", "annotations": []}
    message = {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": [content],
    }
    return {
        "id": response_id,
        "object": "response",
        "created_at": 1,
        "status": status,
        "model": GPT,
        "output": [message] if completed else [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "service_tier": "default",
        "usage": RESPONSES_USAGE if completed else None,
    }


def response_events(response_id: str) -> tuple[dict[str, Any], ...]:
    """The events of a streamed Response."""
    delta = {
        "item_id": "msg_1",
        "output_index": 0,
        "content_index": 0,
        "delta": "Hello",
        "logprobs": [],
    }
    return (
        {
            "type": "response.created",
            "sequence_number": 0,
            "response": response_object(response_id, "in_progress"),
        },
        {"type": "response.output_text.delta", "sequence_number": 1, **delta},
        {
            "type": "response.completed",
            "sequence_number": 2,
            "response": response_object(response_id, "completed"),
        },
    )


def test_openai_responses(openai_client: openai.OpenAI, upstream: Upstream, proxy: Proxy) -> None:
    """A whole Response is counted as the SDK counts it, cache writes by time to live."""
    response_id = new_id("resp")
    upstream.route(OPENAI, "/v1/responses", json_answer(response_object(response_id, "completed")))

    response = openai_client.responses.create(model="gpt-5.4", input="Hi")

    assert responses_buckets(response) == RESPONSES_BUCKETS
    check(
        proxy.record(),
        upstream,
        **RESPONSES,
        **RESPONSES_BUCKETS,
        transport="json",
        streaming=False,
        response_id=response_id,
        model=GPT,
        request_model="gpt-5.4",
        service_tier="default",
    )


def test_openai_responses_stream(
    openai_client: openai.OpenAI, upstream: Upstream, proxy: Proxy
) -> None:
    """A streamed Response is counted from its last event."""
    response_id = new_id("resp")
    upstream.route(OPENAI, "/v1/responses", sse_answer(*response_events(response_id)))

    events = list(openai_client.responses.create(model="gpt-5.4", input="Hi", stream=True))

    last = events[-1]
    assert last.type == "response.completed"
    assert responses_buckets(last.response) == RESPONSES_BUCKETS
    check(
        proxy.record(),
        upstream,
        **RESPONSES,
        **RESPONSES_BUCKETS,
        transport="sse",
        streaming=True,
        response_id=response_id,
        model=GPT,
        request_model="gpt-5.4",
        service_tier="default",
    )


# openai 3.52 calls websockets 17's `connect` in the old way.
@pytest.mark.filterwarnings(
    r"ignore:connect\(\) must be used as a context manager:DeprecationWarning"
)
def test_openai_responses_websocket(
    openai_client: openai.OpenAI, upstream: Upstream, proxy: Proxy
) -> None:
    """Each turn on one socket is a separate call, written when it ends and not when the socket
    closes."""
    ids = [new_id("resp"), new_id("resp")]

    async def turns(request: Request, websocket: Socket) -> None:
        await websocket.accept()
        for response_id in ids:
            await websocket.receive()
            for event in response_events(response_id):
                await websocket.send(json_text(event))
        await websocket.receive()

    upstream.route_socket(OPENAI, "/v1/responses", turns)
    reported = []
    with openai_client.responses.connect(max_retries=0) as socket:
        for number in (1, 2):
            socket.response.create(model="gpt-5.4", input="Hi")
            last = next(event for event in socket if event.type == "response.completed")
            reported.append(responses_buckets(last.response))
            proxy.records(number)

    assert reported == [RESPONSES_BUCKETS, RESPONSES_BUCKETS]
    for record, response_id in zip(proxy.records(2), ids, strict=True):
        frames = [json_text(event) for event in response_events(response_id)]
        assert record.pop("request_bytes") > 0
        check(
            record,
            upstream,
            **RESPONSES,
            **RESPONSES_BUCKETS,
            transport="websocket",
            streaming=True,
            status=101,
            response_id=response_id,
            model=GPT,
            request_model="gpt-5.4",
            service_tier="default",
            response_bytes=sum(map(len, frames)),
        )


def json_text(value: Mapping[str, Any]) -> str:
    """JSON as one WebSocket frame."""
    return json_answer(value).body.decode()


# Anthropic: input excludes both caches.

CLAUDE = "claude-opus-4-8"
CLAUDE_USAGE = {
    "input_tokens": 12,
    "cache_creation_input_tokens": 1800,
    "cache_read_input_tokens": 20000,
    "cache_creation": {"ephemeral_5m_input_tokens": 300, "ephemeral_1h_input_tokens": 1500},
    "service_tier": "standard",
}
CLAUDE_BUCKETS = buckets(
    input_tokens=12,
    cache_read_tokens=20000,
    cache_write_tokens=1800,
    cache_write_1h_tokens=1500,
    output_tokens=410,
)
MESSAGES = {
    "provider": "anthropic",
    "api": "anthropic_messages",
    "client": "anthropic-python",
    "client_version": anthropic.__version__,
    "model": CLAUDE,
    "request_model": CLAUDE,
}
ASK: Any = {"model": CLAUDE, "max_tokens": 1000, "messages": [{"role": "user", "content": "Hi"}]}


def claude_buckets(usage: Any) -> dict[str, int]:
    """What the SDK reports of a message, in our buckets."""
    return buckets(
        input_tokens=usage.input_tokens,
        cache_read_tokens=usage.cache_read_input_tokens,
        cache_write_tokens=usage.cache_creation_input_tokens,
        cache_write_1h_tokens=usage.cache_creation.ephemeral_1h_input_tokens,
        output_tokens=usage.output_tokens,
    )


def claude_message(message_id: str, **changes: Any) -> dict[str, Any]:
    """The body of a whole Anthropic message."""
    return {
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "model": CLAUDE,
        "content": [{"type": "text", "text": "Hello"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {**CLAUDE_USAGE, "output_tokens": 410},
        **changes,
    }


def test_anthropic_message_with_caching(
    anthropic_client: anthropic.Anthropic, upstream: Upstream, proxy: Proxy
) -> None:
    """Cache reads and writes, by time to live, are separate from the input, not part of it."""
    message_id = new_id("msg")
    upstream.route(ANTHROPIC, "/v1/messages", json_answer(claude_message(message_id)))

    message = anthropic_client.messages.create(**ASK)

    assert claude_buckets(message.usage) == CLAUDE_BUCKETS
    check(
        proxy.record(),
        upstream,
        **MESSAGES,
        **CLAUDE_BUCKETS,
        transport="json",
        streaming=False,
        response_id=message_id,
        stop_reason="end_turn",
        service_tier="standard",
    )


def test_anthropic_tool_use(
    anthropic_client: anthropic.Anthropic, upstream: Upstream, proxy: Proxy
) -> None:
    """A message that asks for a tool is a whole call, and tools the provider ran are counted by
    name."""
    message_id = new_id("msg")
    usage = {**CLAUDE_USAGE, "output_tokens": 410, "server_tool_use": {"web_search_requests": 2}}
    tool = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Bonn"}}
    body = claude_message(message_id, content=[tool], stop_reason="tool_use", usage=usage)
    upstream.route(ANTHROPIC, "/v1/messages", json_answer(body))

    message = anthropic_client.messages.create(**ASK)

    assert message.usage.server_tool_use is not None
    assert message.usage.server_tool_use.web_search_requests == 2
    check(
        proxy.record(),
        upstream,
        **MESSAGES,
        **CLAUDE_BUCKETS,
        transport="json",
        streaming=False,
        response_id=message_id,
        stop_reason="tool_use",
        service_tier="standard",
        server_tools={"web_search": 2},
    )


def test_anthropic_stream(
    anthropic_client: anthropic.Anthropic, upstream: Upstream, proxy: Proxy
) -> None:
    """A stream is counted as the SDK accumulates it: input from its start, output from its end."""
    message_id = new_id("msg")
    upstream.route(
        ANTHROPIC,
        "/v1/messages",
        sse_answer(*anthropic_events(message_id, CLAUDE, CLAUDE_USAGE, 410, ("Hel", "lo"))),
    )

    with anthropic_client.messages.stream(**ASK) as stream:
        message = stream.get_final_message()

    assert claude_buckets(message.usage) == CLAUDE_BUCKETS
    check(
        proxy.record(),
        upstream,
        **MESSAGES,
        **CLAUDE_BUCKETS,
        transport="sse",
        streaming=True,
        response_id=message_id,
        stop_reason="end_turn",
        service_tier="standard",
    )


def test_anthropic_overload_retried(upstream: Upstream, proxy: Proxy) -> None:
    """A refused attempt is a record without tokens; the SDK's retry is the call that counts."""
    message_id = new_id("msg")
    overloaded = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    refusal = json_answer(overloaded, status=529).with_headers(retry_after_ms="1")
    answers = iter((refusal, json_answer(claude_message(message_id))))

    async def second_time_lucky(request: Request, reply: Reply) -> None:
        await next(answers)(request, reply)

    upstream.route(ANTHROPIC, "/v1/messages", second_time_lucky)
    with anthropic.Anthropic(api_key="sk-ant-api03-test", max_retries=1) as client:
        message = client.messages.create(**ASK)

    assert claude_buckets(message.usage) == CLAUDE_BUCKETS
    refused, served = proxy.records(2)
    assert (refused["status"], refused["outcome"], refused["coverage"]) == (529, "error", "error")
    assert refused["error"] == {"type": "overloaded_error", "message": "Overloaded"}
    assert not {name for name in refused if name.endswith("_tokens")}
    assert served["retry"] == 1
    check(
        served,
        upstream,
        **MESSAGES,
        **CLAUDE_BUCKETS,
        transport="json",
        streaming=False,
        response_id=message_id,
        stop_reason="end_turn",
        service_tier="standard",
    )


def test_anthropic_error_within_a_stream(
    anthropic_client: anthropic.Anthropic, upstream: Upstream, proxy: Proxy
) -> None:
    """An error event under HTTP 200 is an error with the input that was spent; the placeholder for
    the output is not believed."""
    message_id = new_id("msg")
    begun = anthropic_events(message_id, CLAUDE, CLAUDE_USAGE, 410, ("four" * 5,))[:3]
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    upstream.route(ANTHROPIC, "/v1/messages", sse_answer(*begun, error))

    with pytest.raises(anthropic.APIStatusError), anthropic_client.messages.stream(**ASK) as stream:
        stream.until_done()

    check(
        proxy.record(),
        upstream,
        **MESSAGES,
        **{
            **CLAUDE_BUCKETS,
            **buckets(
                input_tokens=12, cache_read_tokens=20000, cache_write_tokens=1800, output_tokens=5
            ),
        },
        transport="sse",
        streaming=True,
        response_id=message_id,
        outcome="error",
        error={"type": "overloaded_error", "message": "Overloaded"},
        estimated=True,
        reported_output_tokens=1,
        service_tier="standard",
    )


def test_anthropic_stream_left_by_the_client(
    anthropic_client: anthropic.Anthropic, upstream: Upstream, proxy: Proxy
) -> None:
    """A user who stops a stream has spent its input, and an estimate of the output is flagged as
    one."""
    message_id = new_id("msg")
    begun = sse(*anthropic_events(message_id, CLAUDE, CLAUDE_USAGE, 410, ("four" * 5,))[:3])

    async def go_on_for_ever(request: Request, reply: Reply) -> None:
        await reply.head(200, [("content-type", "text/event-stream")])
        for event in begun:
            await reply.send(event)
        await Gate().opened()

    upstream.route(ANTHROPIC, "/v1/messages", go_on_for_ever)
    with anthropic_client.messages.stream(**ASK) as stream:
        assert next(iter(stream.text_stream)) == "four" * 5

    check(
        proxy.record(),
        upstream,
        **MESSAGES,
        **{
            **CLAUDE_BUCKETS,
            **buckets(
                input_tokens=12, cache_read_tokens=20000, cache_write_tokens=1800, output_tokens=5
            ),
        },
        transport="sse",
        streaming=True,
        response_id=message_id,
        outcome="client_aborted",
        estimated=True,
        reported_output_tokens=1,
        service_tier="standard",
    )


def test_anthropic_token_counting_is_no_call(
    anthropic_client: anthropic.Anthropic, upstream: Upstream, proxy: Proxy
) -> None:
    """Counting tokens spends none: the only record is that of the message after it."""
    message_id = new_id("msg")
    upstream.route(ANTHROPIC, "/v1/messages/count_tokens", json_answer({"input_tokens": 12}))
    upstream.route(ANTHROPIC, "/v1/messages", json_answer(claude_message(message_id)))

    counted = anthropic_client.messages.count_tokens(model=CLAUDE, messages=ASK["messages"])
    anthropic_client.messages.create(**ASK)

    assert counted.input_tokens == 12
    assert proxy.record()["response_id"] == message_id


# Gemini: the prompt includes the cache; thoughts and tool prompts are separate.

FLASH = "gemini-3.8-flash"
GEMINI_USAGE = {
    "promptTokenCount": 500,
    "cachedContentTokenCount": 200,
    "candidatesTokenCount": 40,
    "thoughtsTokenCount": 60,
    "totalTokenCount": 600,
}
GEMINI_BUCKETS = buckets(
    input_tokens=300, cache_read_tokens=200, output_tokens=100, reasoning_tokens=60
)
GENERATE = {
    "provider": "gemini",
    "api": "gemini_generate",
    "client": "google-genai-python",
    "client_version": genai.__version__,
    "model": f"{FLASH}-001",
    "request_model": FLASH,
    "stop_reason": "STOP",
}


def gemini_buckets(usage: Any) -> dict[str, int]:
    """What the SDK reports of a generation, in our buckets."""
    return {
        "input_tokens": usage.prompt_token_count - usage.cached_content_token_count,
        "cache_read_tokens": usage.cached_content_token_count,
        "output_tokens": usage.candidates_token_count + usage.thoughts_token_count,
        "reasoning_tokens": usage.thoughts_token_count,
        "total_tokens": usage.total_token_count,
    }


def gemini_part(
    response_id: str, text: str, usage: Mapping[str, int], **candidate: str
) -> dict[str, Any]:
    """A whole generation, or one event of a streamed one."""
    content = {"role": "model", "parts": [{"text": text}]}
    return {
        "candidates": [{"content": content, "index": 0, **candidate}],
        "usageMetadata": usage,
        "modelVersion": f"{FLASH}-001",
        "responseId": response_id,
    }


def test_google_genai(gemini_client: genai.Client, upstream: Upstream, proxy: Proxy) -> None:
    """A generation is counted as the SDK counts it, thoughts as output."""
    response_id = new_id("gen")
    body = gemini_part(response_id, "Hello", GEMINI_USAGE, finishReason="STOP")
    upstream.route(GEMINI, rf"/v1(beta)?/models/{FLASH}:generateContent", json_answer(body))

    response = gemini_client.models.generate_content(model=FLASH, contents="Hi")

    assert gemini_buckets(response.usage_metadata) == GEMINI_BUCKETS
    check(
        proxy.record(),
        upstream,
        **GENERATE,
        **GEMINI_BUCKETS,
        transport="json",
        streaming=False,
        response_id=response_id,
    )


def test_google_genai_stream(gemini_client: genai.Client, upstream: Upstream, proxy: Proxy) -> None:
    """Every event has counts so far; only the last ones are the call's."""
    response_id = new_id("gen")
    first = gemini_part(
        response_id,
        "Hel",
        {"promptTokenCount": 500, "cachedContentTokenCount": 200, "totalTokenCount": 500},
    )
    second = gemini_part(response_id, "lo", GEMINI_USAGE, finishReason="STOP")
    upstream.route(
        GEMINI,
        rf"/v1(beta)?/models/{FLASH}:streamGenerateContent\?alt=sse",
        sse_answer(first, second),
    )

    chunks = list(gemini_client.models.generate_content_stream(model=FLASH, contents="Hi"))

    assert gemini_buckets(chunks[-1].usage_metadata) == GEMINI_BUCKETS
    check(
        proxy.record(),
        upstream,
        **GENERATE,
        **GEMINI_BUCKETS,
        transport="sse",
        streaming=True,
        response_id=response_id,
    )


# Mistral: OpenAI's shape.

MISTRAL_USAGE = {
    "prompt_tokens": 90,
    "completion_tokens": 30,
    "total_tokens": 120,
    "prompt_tokens_details": {"cached_tokens": 64},
}
MISTRAL_BUCKETS = buckets(input_tokens=26, cache_read_tokens=64, output_tokens=30)
MISTRAL_CALL = {
    "provider": "mistral",
    "api": "openai_chat",
    "client": "mistralai-python",
    "model": "mistral-large-2512",
    "request_model": "mistral-large-latest",
    "stop_reason": "stop",
}


def mistral_body(response_id: str, kind: str, **choice: Any) -> dict[str, Any]:
    """A chat completion, or its last chunk."""
    choices = [{"index": 0, "finish_reason": "stop", **choice}]
    return {
        "id": response_id,
        "object": kind,
        "created": 1,
        "model": "mistral-large-2512",
        "choices": choices,
        "usage": MISTRAL_USAGE,
    }


QUESTION: Any = [{"role": "user", "content": "Hi"}]


def mistral_reports(usage: Any) -> tuple[int, int, int]:
    """The SDK's figures; it reports what the wire said."""
    return usage.prompt_tokens, usage.completion_tokens, usage.total_tokens


def test_mistral(
    mistral_client: mistralai.client.Mistral, upstream: Upstream, proxy: Proxy
) -> None:
    """A chat completion is counted as the SDK counts it."""
    response_id = new_id("mistral")
    body = mistral_body(
        response_id, "chat.completion", message={"role": "assistant", "content": "Hello"}
    )
    upstream.route(MISTRAL, "/v1/chat/completions", json_answer(body))

    completion = mistral_client.chat.complete(model="mistral-large-latest", messages=QUESTION)

    assert mistral_reports(completion.usage) == (90, 30, 120)
    check(
        proxy.record(),
        upstream,
        **MISTRAL_CALL,
        **MISTRAL_BUCKETS,
        client_version=mistralai.client.VERSION,
        transport="json",
        streaming=False,
        response_id=response_id,
    )


def test_mistral_stream(
    mistral_client: mistralai.client.Mistral, upstream: Upstream, proxy: Proxy
) -> None:
    """The chunk that finishes the stream has its usage, unasked."""
    response_id = new_id("mistral")
    last = mistral_body(response_id, "chat.completion.chunk", delta={"content": "Hello"})
    upstream.route(MISTRAL, "/v1/chat/completions", sse_answer(last, "[DONE]"))

    with mistral_client.chat.stream(model="mistral-large-latest", messages=QUESTION) as stream:
        events = list(stream)

    assert mistral_reports(events[-1].data.usage) == (90, 30, 120)
    check(
        proxy.record(),
        upstream,
        **MISTRAL_CALL,
        **MISTRAL_BUCKETS,
        client_version=mistralai.client.VERSION,
        transport="sse",
        streaming=True,
        response_id=response_id,
    )


# Bedrock: the model stands in the path alone; input excludes both caches.

SONNET = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
CONVERSE_USAGE = {
    "inputTokens": 30,
    "outputTokens": 628,
    "totalTokens": 2158,
    "cacheReadInputTokens": 1000,
    "cacheWriteInputTokens": 500,
    "cacheDetails": [{"ttl": "1h", "inputTokens": 500}],
}
CONVERSE_BUCKETS = buckets(
    input_tokens=30,
    cache_read_tokens=1000,
    cache_write_tokens=500,
    cache_write_1h_tokens=500,
    output_tokens=628,
)
BEDROCK_CALL = {
    "provider": "aws_bedrock",
    "client": "boto3",
    "client_version": boto3.__version__,
    "request_model": SONNET,
    "stop_reason": "end_turn",
}
CONVERSATION = [{"role": "user", "content": [{"text": "Hi"}]}]


def converse_buckets(usage: Mapping[str, Any]) -> dict[str, int]:
    """What boto3 reports of a conversation, in our buckets."""
    return {
        "input_tokens": usage["inputTokens"],
        "cache_read_tokens": usage["cacheReadInputTokens"],
        "cache_write_tokens": usage["cacheWriteInputTokens"],
        "cache_write_1h_tokens": usage["cacheDetails"][0]["inputTokens"],
        "output_tokens": usage["outputTokens"],
        "total_tokens": usage["totalTokens"],
    }


def test_bedrock_converse(bedrock_client: Any, upstream: Upstream, proxy: Proxy) -> None:
    """A whole conversation turn is counted as boto3 counts it."""
    message = {"role": "assistant", "content": [{"text": "Hello"}]}
    body = {
        "output": {"message": message},
        "stopReason": "end_turn",
        "usage": CONVERSE_USAGE,
        "metrics": {"latencyMs": 5},
    }
    upstream.route(BEDROCK, "/model/.*/converse", json_answer(body))

    response = bedrock_client.converse(modelId=SONNET, messages=CONVERSATION)

    assert converse_buckets(response["usage"]) == CONVERSE_BUCKETS
    check(
        proxy.record(),
        upstream,
        **BEDROCK_CALL,
        **CONVERSE_BUCKETS,
        api="bedrock_converse",
        transport="json",
        streaming=False,
    )


def test_bedrock_converse_stream(bedrock_client: Any, upstream: Upstream, proxy: Proxy) -> None:
    """A streamed turn ends with an event that has its usage."""
    answer = eventstream_answer(
        ("messageStart", {"role": "assistant"}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Hello"}}),
        ("contentBlockStop", {"contentBlockIndex": 0}),
        ("messageStop", {"stopReason": "end_turn"}),
        ("metadata", {"usage": CONVERSE_USAGE, "metrics": {"latencyMs": 5}}),
    )
    upstream.route(BEDROCK, "/model/.*/converse-stream", answer)

    events = list(bedrock_client.converse_stream(modelId=SONNET, messages=CONVERSATION)["stream"])

    assert converse_buckets(events[-1]["metadata"]["usage"]) == CONVERSE_BUCKETS
    check(
        proxy.record(),
        upstream,
        **BEDROCK_CALL,
        **CONVERSE_BUCKETS,
        api="bedrock_converse",
        transport="eventstream",
        streaming=True,
    )


def test_bedrock_invoke_with_response_stream(
    bedrock_client: Any, upstream: Upstream, proxy: Proxy
) -> None:
    """A model's own events inside AWS's: Anthropic's usage, counted as Anthropic means it."""
    message_id = new_id("msg_bdrk")
    events = anthropic_events(
        message_id, "claude-sonnet-4-5-20250929", CLAUDE_USAGE, 410, ("Hello",)
    )
    upstream.route(BEDROCK, "/model/.*/invoke-with-response-stream", invoke_answer(*events))

    body = (
        '{"anthropic_version":"bedrock-2023-05-31","max_tokens":1000,"messages":[{"role":"user",'
        '"content":"Hi"}]}'
    )
    chunks = list(
        bedrock_client.invoke_model_with_response_stream(modelId=SONNET, body=body)["body"]
    )

    assert [chunk["chunk"]["bytes"] for chunk in chunks] == [
        json_answer(event).body for event in events
    ]
    check(
        proxy.record(),
        upstream,
        **BEDROCK_CALL,
        **CLAUDE_BUCKETS,
        api="bedrock_invoke",
        transport="eventstream",
        streaming=True,
        response_id=message_id,
        model="claude-sonnet-4-5-20250929",
        service_tier="standard",
    )


# Ollama: plain HTTP, NDJSON, a server on this machine.


def test_ollama_chat_stream(upstream: Upstream, proxy: Proxy) -> None:
    """A local server's tokens are counted, from the last line, and cost nothing."""
    line = {"model": "llama3.2", "created_at": "2026-11-20T00:00:00Z", "done": False}
    end = {"done": True, "done_reason": "stop", "prompt_eval_count": 26, "eval_count": 290}
    hello = {"message": {"role": "assistant", "content": "Hello"}}
    upstream.route(OLLAMA, "/api/chat", ndjson_answer({**line, **hello}, {**line, **hello, **end}))

    with ollama.Client(host=f"http://{OLLAMA}:11434") as client:
        parts = list(
            client.chat(model="llama3.2", messages=[{"role": "user", "content": "Hi"}], stream=True)
        )

    assert (parts[-1].prompt_eval_count, parts[-1].eval_count) == (26, 290)
    assert upstream.served[0].request.scheme == "http"
    record = proxy.record()
    assert (record["cost_usd"], record["cost_source"]) == (0, "local")
    check(
        record,
        upstream,
        **buckets(input_tokens=26, output_tokens=290),
        provider="local",
        api="ollama",
        client="ollama-python",
        client_version=importlib.metadata.version("ollama"),
        transport="ndjson",
        streaming=True,
        model="llama3.2",
        request_model="llama3.2",
        stop_reason="stop",
        billing="local",
    )
