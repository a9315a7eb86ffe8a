"""Answers in providers' shapes, for handlers: event streams, NDJSON, AWS event streams, content
codings."""

from __future__ import annotations

import base64
import gzip
import json
import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import brotli  # type: ignore[import-untyped]
import zstandard

from .handler import Answer

SSE = "text/event-stream; charset=utf-8"
NDJSON = "application/x-ndjson"
EVENTSTREAM = "application/vnd.amazon.eventstream"

Json = Mapping[str, Any]


def json_answer(body: Any, status: int = 200) -> Answer:
    """A plain JSON answer."""
    return Answer((json.dumps(body).encode(),), status=status)


def sse(*events: Json | str) -> tuple[bytes, ...]:
    """Events; one with a `type` is named by it, as Anthropic and OpenAI's Responses do. A string is
    the data as it is."""
    return tuple(_event(event) for event in events)


def sse_answer(*events: Json | str) -> Answer:
    """An event stream, one chunk an event."""
    return Answer(sse(*events), SSE, chunked=True)


def _event(event: Json | str) -> bytes:
    if isinstance(event, str):
        return f"data: {event}\n\n".encode()
    name = f"event: {event['type']}\n" if "type" in event else ""
    return f"{name}data: {json.dumps(event)}\n\n".encode()


def ndjson_answer(*lines: Json) -> Answer:
    """Newline-delimited JSON, one chunk a line."""
    return Answer(tuple(json.dumps(line).encode() + b"\n" for line in lines), NDJSON, chunked=True)


def eventstream_answer(*messages: tuple[str, Json]) -> Answer:
    """An AWS event stream of `(event type, payload)`."""
    return Answer(
        tuple(eventstream_message(kind, payload) for kind, payload in messages),
        EVENTSTREAM,
        chunked=True,
    )


def invoke_answer(*events: Json) -> Answer:
    """Bedrock's `invoke-with-response-stream`: the model's own events as base64 in `chunk`
    messages."""
    return eventstream_answer(
        *(
            ("chunk", {"bytes": base64.b64encode(json.dumps(event).encode()).decode()})
            for event in events
        )
    )


def eventstream_message(kind: str, payload: Json) -> bytes:
    """One message.
    https://docs.aws.amazon.com/transcribe/latest/dg/streaming-setting-up.html#streaming-event-stream"""
    headers = b"".join(
        _eventstream_header(name, value)
        for name, value in (
            (":event-type", kind),
            (":content-type", "application/json"),
            (":message-type", "event"),
        )
    )
    body = json.dumps(payload).encode()
    prelude = struct.pack(">II", 16 + len(headers) + len(body), len(headers))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + body
    return message + struct.pack(">I", zlib.crc32(message))


def _eventstream_header(name: str, value: str) -> bytes:
    return (
        struct.pack(">B", len(name))
        + name.encode()
        + struct.pack(">BH", 7, len(value))
        + value.encode()
    )


def flushed(coding: str, pieces: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """The pieces in a content coding, flushed after each one, as servers do for event streams."""
    compress, flush, finish = CODERS[coding]()
    coded = [compress(piece) + flush() for piece in pieces]
    return (*coded, finish())


Coder = tuple[Callable[[bytes], bytes], Callable[[], bytes], Callable[[], bytes]]


def _zlib(wbits: int) -> Coder:
    coder = zlib.compressobj(wbits=wbits)
    return coder.compress, lambda: coder.flush(zlib.Z_SYNC_FLUSH), coder.flush


def _brotli() -> Coder:
    coder = brotli.Compressor()
    return coder.process, coder.flush, coder.finish


def _zstd() -> Coder:
    coder = zstandard.ZstdCompressor().compressobj()
    return coder.compress, lambda: coder.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK), coder.flush


CODERS: dict[str, Callable[[], Coder]] = {
    "gzip": lambda: _zlib(31),
    "deflate": lambda: _zlib(15),
    "br": _brotli,
    "zstd": _zstd,
}


def anthropic_events(
    message_id: str,
    model: str,
    usage: Json,
    output_tokens: int,
    texts: tuple[str, ...],
    **more: Any,
) -> tuple[Json, ...]:
    """A whole Anthropic stream that ends well; `usage` is what `message_start` says, with `more`
    beside it; the rest comes last."""
    start: dict[str, Any] = {
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {**usage, "output_tokens": 1},
        **more,
    }
    return (
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *(
            {
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "text_delta", "text": text},
            }
            for text in texts
        ),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": output_tokens},
        },
        {"type": "message_stop"},
    )


def gzipped(answer: Answer) -> Answer:
    """The whole body in gzip."""
    return Answer(
        (gzip.compress(answer.body),),
        answer.content_type,
        answer.status,
        (*answer.headers, ("content-encoding", "gzip")),
    )
