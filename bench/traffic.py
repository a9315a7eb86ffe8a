"""The bytes: requests and answers as the providers' own SDKs and servers send them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import orjson

WORDS = (
    "The",
    " proxy",
    " reads",
    " every",
    " answer",
    ",",
    " and",
    " it",
    " changes",
    " no",
    "ne of",
    " them",
    ".\\n",
    " So",
    " what",
)
"""Tokens of an answer, as long as real ones."""

ID = b"%%%%%%%%%%%%%%%%"
"""Placeholder for the response's id, which must be new every time, as a repeated id is not
counted."""

_ids = itertools.count(1)


def fresh(answer: bytes) -> bytes:
    """The answer with an id that no other answer has."""
    return answer.replace(ID, b"%016x" % next(_ids))


@dataclass(frozen=True, slots=True)
class Stream:
    """A streamed answer, and the request path it answers."""

    name: str
    host: str
    path: str
    events: tuple[bytes, ...]


def anthropic_stream(deltas: int) -> Stream:
    """A stream of Anthropic Messages: https://docs.anthropic.com/en/api/messages-streaming."""
    begin = (
        b"event: message_start\ndata: "
        b'{"type":"message_start","message":{"model":"claude-sonnet-4-5-20250929","id":"msg_'
        + ID
        + b'",'
        b'"type":"message","role":"assistant","content":[],"stop_reason":null,'
        b'"stop_sequence":null,"usage":{"input_tokens":12,'
        b'"cache_creation_input_tokens":1800,"cache_read_input_tokens":20000,'
        b'"cache_creation":{"ephemeral_5m_input_tokens":1800,'
        b'"ephemeral_1h_input_tokens":0},"output_tokens":2,"service_tier":"standard"}}}\n\n',
        (
            b"event: content_block_start\ndata: "
            b'{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n'
        ),
        b'event: ping\ndata: {"type": "ping"}\n\n',
    )
    delta = (
        b"event: content_block_delta\ndata: "
        b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"%s"}}\n\n'
    )
    end = (
        b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n',
        (
            b"event: message_delta\ndata: "
            b'{"type":"message_delta","delta":{"stop_reason":"stop"},'
            b'"usage":{"output_tokens":2010}}\n\n'
        ),
        b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
    )
    return Stream(
        "Anthropic Messages",
        "api.anthropic.com",
        "/v1/messages",
        (*begin, *_repeat(delta, deltas), *end),
    )


def chat_stream(deltas: int) -> Stream:
    """A stream of Chat Completions:
    https://platform.openai.com/docs/api-reference/chat/streaming."""
    head = (
        b'data: {"id":"chatcmpl-'
        + ID
        + b'","object":"chat.completion.chunk","created":1790000000,"model":"gpt-5-2025-08-07",'
    )
    head += b'"service_tier":"default","system_fingerprint":null,'
    delta = (
        b'"choices":[{"index":0,"delta":{"content":"%s"},"logprobs":null,"finish_reason":null}],'
        b'"usage":null,'
    )
    delta += b'"obfuscation":"h8Gk2Lw0"}\n\n'
    end = (
        head + b'"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],'
        b'"usage":null,"obfuscation":"x1"}\n\n',
        head + b'"choices":[],"usage":{"prompt_tokens":1500,"completion_tokens":2010,'
        b'"total_tokens":3510,"prompt_tokens_details":'
        b'{"cached_tokens":1024,"audio_tokens":0},'
        b'"completion_tokens_details":{"reasoning_tokens":320}},"obfuscation":""}\n\n',
        b"data: [DONE]\n\n",
    )
    events = (*(head + event for event in _repeat(delta, deltas)), *end)
    return Stream("OpenAI chat", "api.openai.com", "/v1/chat/completions", events)


def responses_stream(deltas: int) -> Stream:
    """A stream of Responses: https://platform.openai.com/docs/api-reference/responses-streaming."""
    answer = (
        b'"response":{"id":"resp_'
        + ID
        + b'","object":"response","created_at":1790000000,"status":"%s","model":"gpt-5-2025-08-07",'
    )
    answer += b'"output":[],"parallel_tool_calls":true,"service_tier":"default","usage":%s}'
    usage = (
        b'{"input_tokens":1500,"input_tokens_details":{"cached_tokens":1024},"output_tokens":2010,'
    )
    usage += b'"output_tokens_details":{"reasoning_tokens":320},"total_tokens":3510}'
    delta = (
        b"event: response.output_text.delta\ndata: "
        b'{"type":"response.output_text.delta","sequence_number":%d,"item_id":"msg_0a1b2c'
    )
    delta += (
        b'3d4e5f","output_index":0,"content_index":0,"delta":"%s","logprobs":[],'
        b'"obfuscation":"h8Gk2Lw0"}\n\n'
    )
    kinds = ((b"created", b"in_progress", b"null"), (b"completed", b"completed", usage))
    first, last = (
        b'event: response.%b\ndata: {"type":"response.%b","sequence_number":0,' % (kind, kind)
        + answer % (status, spent)
        + b"}\n\n"
        for kind, status, spent in (
            (kind, status.replace(b"%", b"%%"), spent) for kind, status, spent in kinds
        )
    )
    words = itertools.islice(itertools.cycle(WORDS), deltas)
    events = (delta % (number, word.encode()) for number, word in enumerate(words, 4))
    return Stream("OpenAI Responses", "api.openai.com", "/v1/responses", (first, *events, last))


def _repeat(delta: bytes, times: int) -> Iterable[bytes]:
    return (delta % word.encode() for word in itertools.islice(itertools.cycle(WORDS), times))


def chunk(event: bytes) -> bytes:
    """An event as one chunk of `Transfer-Encoding: chunked`."""
    return b"%x\r\n%b\r\n" % (len(event), event)


LAST_CHUNK = b"0\r\n\r\n"

RATE_LIMITS = b"".join(
    b"anthropic-ratelimit-%b-limit: 50000\r\nanthropic-ratelimit-%b-remaining: 49000\r\n"
    b"anthropic-ratelimit-%b-reset: 2026-09-21T14:13:20Z\r\n" % (kind, kind, kind)
    for kind in (b"requests", b"tokens", b"input-tokens", b"output-tokens")
)
"""The headers that Anthropic sends to API keys with every answer."""

STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"transfer-encoding: chunked\r\n"
    b"cache-control: no-cache\r\nrequest-id: req_011CSHoEeqs5C35K2UUqR7Fy\r\n"
    + RATE_LIMITS
    + b"\r\n"
)


def post(host: str, path: str, body: bytes) -> bytes:
    """A request as the Anthropic SDK sends it, to a proxy."""
    return (
        b"POST http://%b%b HTTP/1.1\r\nhost: %b\r\naccept: application/json\r\n"
        b"accept-encoding: identity\r\n"
        b"user-agent: Anthropic/Python 0.71.0\r\nx-stainless-lang: python\r\n"
        b"x-stainless-retry-count: 0\r\n"
        b"x-api-key: sk-ant-api03-0000000000000000000000000000000000\r\nanthropic-version: "
        b"2023-06-01\r\n"
        b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
        % (host.encode(), path.encode(), host.encode(), len(body), body)
    )


def ok(body: bytes) -> bytes:
    """A whole JSON answer with status 200."""
    head = (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nrequest-id: "
        b"req_011CSHoEeqs5C35K2UUqR7Fy\r\n"
    )
    return head + RATE_LIMITS + b"content-length: %d\r\n\r\n%b" % (len(body), body)


PROSE = "All that a short request asks and a short answer says, in words of the usual length. "


def short_request(*, stream: bool = False) -> bytes:
    """The body of a request of 2 kB."""
    messages = [{"role": "user", "content": PROSE * 20}]
    system = "You are a helpful assistant."
    document = {
        "model": "claude-sonnet-4-5",
        "max_tokens": 1024,
        "system": system,
        "messages": messages,
        "stream": stream,
    }
    return orjson.dumps(document)


def short_answer() -> bytes:
    """The body of an answer of 2 kB."""
    usage = {
        "input_tokens": 410,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 380,
    }
    return orjson.dumps(
        {
            "model": "claude-sonnet-4-5-20250929",
            "id": f"msg_{ID.decode()}",
            "type": "message",
            "role": "assistant",
            "content": [{"type": "text", "text": PROSE * 20}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": {**usage, "service_tier": "standard"},
        }
    )


IMAGE_ALPHABET = b"iVBORw0KGgoAAAANSUhEUgAABAAAAAQACAIAAADwf7zU"
"""Base64 characters with which a PNG begins."""


def base64_image(size: int) -> str:
    """Something that looks like an image of `size` characters."""
    return (IMAGE_ALPHABET * (size // len(IMAGE_ALPHABET) + 1))[:size].decode()


def image_request(size: int) -> bytes:
    """A Responses request with two images."""
    images = [
        {"type": "input_image", "image_url": f"data:image/png;base64,{base64_image(size // 2)}"}
        for _ in range(2)
    ]
    content = [{"type": "input_text", "text": "What differs?"}, *images]
    return orjson.dumps({"model": "gpt-5", "input": [{"role": "user", "content": content}]})


def image_answer(size: int) -> bytes:
    """A Responses answer with a generated image; a small `size` makes it a short answer."""
    usage = {
        "input_tokens": 1500,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 300,
        "total_tokens": 1800,
    }
    image = {
        "id": "ig_1",
        "type": "image_generation_call",
        "status": "completed",
        "result": base64_image(size),
    }
    return orjson.dumps(
        {
            "id": f"resp_{ID.decode()}",
            "object": "response",
            "created_at": 1790000000,
            "status": "completed",
            "model": "gpt-5-2025-08-07",
            "output": [image],
            "usage": usage,
        }
    )


STAMPED = (
    b"event: content_block_delta\ndata: "
    b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"t%020d"}}\n\n'
)
"""An event that says when it was sent."""


def whole_stream(stream: Stream) -> bytes:
    """The answer as one piece of bytes, with each event in its own chunk."""
    return STREAM_HEAD + b"".join(map(chunk, stream.events)) + LAST_CHUNK
