"""What a peer may make llmtally parse: values are bounded, not only bytes, whichever way they come,
and what is passed over is said. Large answers as real servers send them are read exactly."""

from __future__ import annotations

import base64
import gzip
import json
import random
import struct
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import orjson
import pytest

from aws_frames import event
from llmtally.exchange.body import CODED_PIECE, EAGER_MESSAGES
from llmtally.limits import quota_endpoints
from llmtally.record import Call, Usage
from llmtally.wire import grpc, json_body
from llmtally.wire.json_skim import MAX_TEXT, MAX_VALUES, count_values
from llmtally.wire.sse import MAX_EVENT
from wire_capture import START, Capture, open_exchange, run, run_buffered

CHAT = "https://api.openai.com/v1/chat/completions"
RESPONSES = "https://chatgpt.com/backend-api/codex/responses"
MESSAGES = "https://api.anthropic.com/v1/messages"
GEMINI = (
    "https://generativelanguage.googleapis.com/v1beta/models/gemini-3-pro:streamGenerateContent"
)
CONVERSE = "https://bedrock-runtime.us-east-1.amazonaws.com/model/m/converse-stream"
OLLAMA = "http://localhost:11434/api/chat"
BATCH = "https://api.anthropic.com/v1/messages/batches/b1/results"
GRPC = "https://api.x.ai/xai_api.Chat/GetCompletionChunk"

DENSE = b"[" + b'{"a":1},"",' * 150_000 + b"0]"
"""1.6 MB with 450,000 values."""
HUGE = b"[" + b'{"a":1},"",' * 1_000_000 + b"0]"
"""11 MB: more than is skimmed."""

SAID = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


def capture(url: str, body: bytes, content_type: str, **fields: Any) -> Capture:
    request = fields.pop("request", b'{"model":"m","messages":[]}')
    headers = {"content-type": content_type, **fields.pop("headers", {})}
    return Capture(
        **{
            "method": "POST",
            "url": url,
            "request_headers": {"content-type": "application/json"},
            "request_body": request,
            "status": 200,
            "response_headers": headers,
            "body": body,
            "ending": "complete",
            **fields,
        }
    )


@pytest.fixture(autouse=True)
def parsed() -> Iterator[list[bytes]]:
    """The texts that became trees. None of them ever holds more than the allowance."""
    texts: list[bytes] = []
    parse = json_body._parse

    def noted(text: bytes) -> Any:
        texts.append(text)
        return parse(text)

    with patch.object(json_body, "_parse", noted):
        yield texts
    assert max((count_values(text, MAX_VALUES) for text in texts), default=0) <= MAX_VALUES
    assert max(map(len, texts), default=0) <= MAX_TEXT


def one(calls: list[Call]) -> Call:
    assert len(calls) == 1, calls
    return calls[0]


def exact(call: Call) -> bool:
    """Whether a call looks as if all of it had been read."""
    return call.coverage in ("priced", "unpriced") and not call.cost_approximate


class TestWholeBodies:
    """A body that is one JSON text."""

    @pytest.mark.parametrize("read", [run, run_buffered])
    def test_dense_member_that_nobody_reads(self, read: Any) -> None:
        """The counts beside it are exact."""
        body = b'{"id":"c1","model":"m","zzz":%b,"usage":%b}' % (DENSE, orjson.dumps(SAID))

        call = one(read(capture(CHAT, body, "application/json")))

        assert call.usage == Usage(input_tokens=10, output_tokens=5, reasoning_tokens=None)
        assert exact(call)

    @pytest.mark.parametrize("read", [run, run_buffered])
    @pytest.mark.parametrize("dense", [DENSE, HUGE], ids=["dense", "huge"])
    def test_dense_member_that_matters(self, read: Any, dense: bytes) -> None:
        """Counts that are hidden in it are unknown."""
        body = b'{"id":"c1","usage":{"prompt_tokens":10,"completion_tokens":5,"x":%b}}' % dense

        call = one(read(capture(CHAT, body, "application/json")))

        assert (call.coverage, call.usage) == ("unparsed", Usage())

    def test_list_of_messages(self) -> None:
        """Elements beyond the allowance are missed, and that is said."""
        chunk = orjson.dumps({"id": "c1", "usage": SAID})
        body = b"[" + chunk + b"," + DENSE[1:-1] + b"]"

        assert not exact(one(run_buffered(capture(CHAT, body, "application/json"))))


SMALL_EVENT = b'data: {"id":"c1","choices":[{"delta":{"content":"x"}}],"usage":null}\n\n'
LAST_EVENT = b'data: {"id":"c1","choices":[],"usage":%b}\n\ndata: [DONE]\n\n' % orjson.dumps(SAID)


class TestStreams:
    """Messages that are cut out of a stream."""

    @pytest.mark.parametrize("dense", [DENSE, HUGE], ids=["dense", "huge"])
    @pytest.mark.parametrize("first", [b"", SMALL_EVENT])
    def test_event(self, dense: bytes, first: bytes) -> None:
        """The counts that a later event states are flagged: it may not have been the last."""
        body = first + b'data: {"usage":{"prompt_tokens":7,"x":%b}}\n\n' % dense

        before = one(run(capture(CHAT, body, "text/event-stream")))
        after = one(run(capture(CHAT, body + LAST_EVENT, "text/event-stream")))

        assert before.coverage == "unparsed"
        assert (after.usage.input_tokens, after.cost_approximate) == (10, True)

    def test_line(self) -> None:
        """Ollama's lines."""
        body = b'{"message":{"content":"x"},"done":false}\n{"done":true,"eval_count":%b}\n' % HUGE

        assert one(run(capture(OLLAMA, body, "application/x-ndjson"))).coverage == "unparsed"

    @pytest.mark.parametrize("dense", [DENSE, HUGE], ids=["dense", "huge"])
    def test_event_of_aws(self, dense: bytes) -> None:
        """Also their check that a payload is JSON makes no tree."""
        body = event("metadata", b'{"usage":{"inputTokens":1,"x":%b}}' % dense)
        with patch("llmtally.wire.eventstream.orjson", SimpleNamespace(dumps=orjson.dumps)):
            call = one(run(capture(CONVERSE, body, "application/vnd.amazon.eventstream")))

        assert call.coverage == "unparsed"

    @pytest.mark.parametrize("coded", [False, True])
    def test_chunk_of_aws_in_base64(self, coded: bool) -> None:
        """A model's JSON within an event."""
        inner = base64.b64encode(b'{"type":"message_start","message":{"usage":{"x":%b}}}' % DENSE)
        payload = b'{"bytes":"%b"}' % inner if coded else b'{"bytes":%b}' % DENSE
        url = CONVERSE.replace("converse-stream", "invoke-with-response-stream")

        call = one(run(capture(url, event("chunk", payload), "application/vnd.amazon.eventstream")))

        assert not exact(call)

    @pytest.mark.parametrize("dense", [DENSE, HUGE], ids=["dense", "huge"])
    @pytest.mark.parametrize("nested", [False, True])
    def test_element_of_an_array(self, dense: bytes, nested: bool) -> None:
        """Not even its end is sought for long."""
        dense = dense.replace(b"1", b"[]") if nested else dense
        body = b'[{"usageMetadata":{"promptTokenCount":1,"x":%b}}]' % dense

        call = one(run(capture(GEMINI, body, "application/json")))

        assert (call.transport, call.coverage) == ("json_array", "unparsed")

    def test_result_of_a_batch(self) -> None:
        """A line that cannot be read is one more call, without counts; the others are exact."""
        good = orjson.dumps(
            {
                "custom_id": "a",
                "result": {
                    "type": "succeeded",
                    "message": {
                        "id": "msg_1",
                        "model": "claude-opus-4-8",
                        "type": "message",
                        "usage": {"input_tokens": 1, "output_tokens": 2},
                    },
                },
            }
        )
        bad = good.replace(b'"output_tokens":2', b'"output_tokens":2,"x":' + DENSE)
        found = capture(BATCH, good + b"\n" + bad + b"\n", "application/x-jsonl", method="GET")

        calls = run(found)

        assert [exact(call) for call in calls] == [True, False]
        assert calls[1].coverage == "unparsed"

    def test_small_events_of_a_bomb(self, parsed: list[bytes]) -> None:
        """How many messages are looked at depends on what came on the wire."""
        for unit in (b'data: {"usage":null}\n\n', b":\n\n", b"data:1\n\n"):
            body = gzip.compress(unit * (3 * 2**20 // len(unit)))
            parsed.clear()

            call = one(
                run(capture(CHAT, body, "text/event-stream", headers={"content-encoding": "gzip"}))
            )

            assert len(parsed) <= EAGER_MESSAGES + len(body) // CODED_PIECE
            assert call.coverage == "unparsed"

    @pytest.mark.parametrize(
        ("url", "kind", "unit"),
        [
            (GEMINI, "application/json", b"{},"),
            (GEMINI, "application/json", b'"",'),
            (OLLAMA, "application/x-ndjson", b"1\n"),
            (CONVERSE, "application/vnd.amazon.eventstream", event("x", b"{}")),
            (GRPC, "application/grpc", bytes(5)),
        ],
    )
    def test_small_messages_of_a_bomb(self, url: str, kind: str, unit: bytes) -> None:
        """In every framing: it is given up, soon after it went beyond what is allowed."""
        head = b"[" if kind == "application/json" else b""
        body = gzip.compress(head + unit * (3 * 2**20 // len(unit)))
        exchange = open_exchange(capture(url, b"", kind, headers={"content-encoding": "gzip"}))

        exchange.feed(body, START + 1)
        assert exchange._body is not None
        framing = exchange._body._framing
        call = one(exchange.end("complete", START + 2))

        assert framing is None or framing.faults
        assert call.coverage == "unparsed"


class TestGrpc:
    """Protobuf messages."""

    def test_allowance_is_for_the_whole_body(self) -> None:
        """Many small messages that each decode to megabytes are not all decoded."""
        message = gzip.compress(bytes(4 * 2**20 - 1))
        decoder = grpc.GrpcDecoder()
        frames = (b"\x01" + struct.pack(">I", len(message)) + message) * 50

        decoded = sum(map(len, decoder.feed(frames)))

        assert decoded <= 4 * 2**20 + 200 * len(frames)
        assert decoder.faults

    def test_many_fields(self) -> None:
        """A message with more fields than any answer has is not read to its end."""
        message = b"\x08\x01" * 500_000
        body = b"\x00" + struct.pack(">I", len(message)) + message

        assert one(run(capture(GRPC, body, "application/grpc"))).coverage == "unparsed"


def frames(*said: bytes) -> Capture:
    """A socket of Codex on which the server says this after one request."""
    request = b'{"type":"response.create","model":"gpt-5"}'
    opening = ((True, request),) if said else ()
    return capture(
        RESPONSES,
        b"",
        "",
        method="SOCKET",
        status=101,
        request=b"",
        frames=(*opening, *((False, frame) for frame in said)),
    )


CREATED = b'{"type":"response.created","response":{"id":"r1","model":"gpt-5"}}'
COMPLETED = (
    b'{"type":"response.completed","response":{"id":"r1","model":"gpt-5",'
    b'"usage":{"input_tokens":10,"output_tokens":5}%b}}'
)


class TestSockets:
    """Frames of a WebSocket."""

    @pytest.mark.parametrize("dense", [DENSE, HUGE], ids=["dense", "huge"])
    def test_frame_that_cannot_be_read(self, dense: bytes) -> None:
        """The response that was open then is flagged, or unparsed if it says nothing else."""
        frame = b'{"type":"response.completed","response":{"usage":{"x":%b}}}' % dense

        unread = one(run(frames(CREATED, frame)))
        later = run(frames(CREATED, frame, COMPLETED % b""))

        assert unread.coverage == "unparsed"
        assert not exact(later[0])

    def test_frame_with_a_dense_member_that_nobody_reads(self) -> None:
        """The counts beside it are exact."""
        call = one(run(frames(CREATED, COMPLETED % (b',"zzz":' + DENSE))))

        assert (call.usage.input_tokens, call.usage.output_tokens) == (10, 5)
        assert exact(call)

    def test_frame_of_the_client(self) -> None:
        """A request that cannot be read costs what was asked for, not what was counted."""
        request = b'{"type":"response.create","model":"gpt-5","input":%b}' % HUGE
        exchange = open_exchange(frames())
        exchange.frame(request, from_client=True, at=START)
        calls = [
            call
            for frame in (CREATED, COMPLETED % b"")
            for call in exchange.frame(frame, from_client=False, at=START + 1)
        ]

        assert exact(one(calls))


class TestRequests:
    """Request bodies: they are read for the model and for who asked."""

    ANSWER = orjson.dumps({"id": "c1", "usage": SAID})

    @pytest.mark.parametrize("dense", [DENSE, HUGE], ids=["dense", "huge"])
    @pytest.mark.parametrize("coding", ["", "gzip"])
    def test_dense(self, dense: bytes, coding: str) -> None:
        """What is small in it is read, if it is not too large to look for that; the answer's counts
        are exact."""
        request = b'{"messages":%b,"model":"gpt-5"}' % dense
        found = capture(
            CHAT,
            self.ANSWER,
            "application/json",
            request=gzip.compress(request) if coding else request,
            request_headers={"content-type": "application/json", "content-encoding": coding},
        )

        call = one(run(found))

        assert exact(call)
        assert call.request_model == ("gpt-5" if dense is DENSE else None)

    def test_error_that_may_repeat_what_was_not_read(self) -> None:
        """Nothing of its message is kept: what it repeats of the request cannot be told."""
        request = b'{"messages":[{"content":"the secret words of a prompt"},%b]}' % HUGE
        error = b'{"error":{"type":"bad","message":"not allowed: the secret words of a prompt"}}'
        found = capture(CHAT, error, "application/json", request=request, status=400)

        call = one(run(found))

        assert call.error is not None
        assert "secret" not in call.error.message

    def test_form(self) -> None:
        """A form's fields are short or are not read."""
        part = b'--b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
        request = part % (b"x", HUGE) + part % (b"model", b"gpt-image-2") + b"--b--"
        found = capture(
            "https://api.openai.com/v1/images/edits",
            b'{"usage":{"input_tokens":3,"output_tokens":4}}',
            "application/json",
            request=request,
            request_headers={"content-type": "multipart/form-data; boundary=b"},
        )

        assert one(run(found)).request_model == "gpt-image-2"


def test_quota_answer() -> None:
    """An answer about quotas is no longer than its cap."""
    body = b'{"five_hour":{"utilization":1.0},"x":%b}' % DENSE

    assert quota_endpoints.read_answer(quota_endpoints.ANTHROPIC_USAGE, "", body, now=START) == ()


class TestLargeAnswers:
    """Real answers of many megabytes are read exactly."""

    def test_images(self) -> None:
        """20 MB of base64, whole and as an event."""
        image = base64.b64encode(random.Random(1).randbytes(15 * 2**20)).decode()
        usage = {"input_tokens": 50, "output_tokens": 4_160, "total_tokens": 4_210}
        body = orjson.dumps({"created": 1, "data": [{"b64_json": image}], "usage": usage})
        url = "https://api.openai.com/v1/images/generations"
        item = {"type": "image_generation_call", "result": image}
        response = {"id": "r1", "model": "gpt-5", "output": [item], "usage": usage}
        done = orjson.dumps({"type": "response.completed", "response": response})

        whole = one(run_buffered(capture(url, body, "application/json")))
        streamed = one(run(capture(RESPONSES, b"data: " + done + b"\n\n", "text/event-stream")))
        framed = one(run(frames(CREATED, done)))

        assert len(done) < MAX_EVENT
        for call in (whole, streamed, framed):
            assert (call.usage.input_tokens, call.usage.output_tokens) == (50, 4_160)
            assert exact(call)

    @pytest.mark.parametrize("indent", [None, 2])
    def test_embeddings(self, indent: int | None) -> None:
        """10 MB and more of numbers, in one line or each in its own."""
        draw = random.Random(2)
        vector = [draw.uniform(-1, 1) for _ in range(1_536)]
        data = [{"object": "embedding", "index": at, "embedding": vector} for at in range(340)]
        answer: dict[str, Any] = {"object": "list", "data": data, "model": "text-embedding-3-small"}
        answer["usage"] = {"prompt_tokens": 8_000, "total_tokens": 8_000}
        body = json.dumps(answer, indent=indent).encode()
        assert len(body) > 10 * 2**20

        call = one(
            run_buffered(capture("https://api.openai.com/v1/embeddings", body, "application/json"))
        )

        assert call.usage.input_tokens == 8_000
        assert exact(call)

    def test_long_contexts(self) -> None:
        """A request of a million tokens, code with all its punctuation, is read whole."""
        code = 'for (let i = 0; i < n; i++) { out[i] = f(a[i], b[i], {"k": [i, j]}); }\n' * 50
        turn = {"role": "user", "content": [{"type": "tool_result", "content": code}]}
        request = orjson.dumps({"messages": [turn] * 1_000, "model": "claude-opus-4-8"})
        assert len(request) > 3.5 * 2**20

        exchange = open_exchange(capture(MESSAGES, b"", "application/json", request=request))
        _, fields = exchange._sent.read()

        assert fields is not None
        assert fields["messages"] == [turn] * 1_000
        assert fields["model"] == "claude-opus-4-8"
