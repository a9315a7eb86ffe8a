"""The calls: what each number asks, how it is answered, how it ends, and what the journal must say.

A block of 50 numbers is one session: 45 requests, and a socket with five turns. A number decides
everything about its call, so a run can be repeated, and the ends and the check need not talk.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from . import answers
from .answers import Counts

BLOCK = 50
TURNS = 5
"""Turns of the socket at the end of each block."""

Cut = Literal["none", "by client", "by server", "held"]
"""Who ends a call before it is whole; `held`: nobody, it waits for the proxy's end."""

SESSION_HEADER = "x-litellm-session-id"
NUMBER_HEADER = "x-soak"

SSE, JSON = "text/event-stream", "application/json"
NDJSON, EVENTSTREAM = "application/x-ndjson", "application/vnd.amazon.eventstream"

DELTAS = (1, 3, 8, 20, 60)
LONG, LONG_SHARE = 500, 0.005
"""Pieces of a long answer, and how many are long."""

CUT_SHARE, FAILURE_SHARE = 0.08, 0.05
"""How many are cut off on each side, and how many are refused."""

Fields = Mapping[str, Any]
"""Fields that a record must have; None: it must not be there."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request, its answer, and what the journal must say of it."""

    number: int
    message: bytes
    """The whole request as it is sent to a proxy."""
    status: int
    headers: bytes
    """The answer's headers, but for its framing."""
    pieces: tuple[bytes, ...]
    """The answer's body; the first of them only, where it is cut off."""
    cut: Cut
    answered: bool
    """Whether anything of an answer comes before it is cut off."""
    fields: Fields
    drip: float = 0.0
    """Seconds between two pieces of the answer."""


@dataclass(frozen=True, slots=True)
class Socket:
    """A socket with a turn for each of its numbers."""

    numbers: range
    deltas: int
    cut: Cut
    """How its last turn ends."""
    headers: tuple[tuple[str, str], ...]
    frames: tuple[str, ...] = ()
    """What answers each turn, if it is nothing usual."""

    def fields(self, number: int) -> Fields:
        """What the journal must say of a turn."""
        known = {"api": "openai_responses", "transport": "websocket", "status": 101}
        if number == self.numbers[-1] and self.cut != "none":
            return known | {"outcome": _CUT_OUTCOME[self.cut], **_NOTHING}
        return known | {"outcome": "complete", **_openai_counts(Counts.of(number))}

    def events(self, number: int) -> tuple[str, ...]:
        """The frames that answer a turn; of one that is cut off only the first."""
        if self.frames:
            return self.frames
        made = answers.response_events(_id("resp", number), Counts.of(number), self.deltas)
        if number == self.numbers[-1] and self.cut != "none":
            made = made[:1]
        return tuple(json.dumps(each) for each in made)


Unit = Request | Socket
"""What one connection does at a time."""

_CUT_OUTCOME = {"by client": "client_aborted", "by server": "upstream_aborted"}
_NOTHING = dict.fromkeys(
    ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens")
)

_ID = re.compile(r"_soak-(\d+)$")


def _id(prefix: str, number: int) -> str:
    return f"{prefix}_soak-{number}"


def number_of(record: Fields) -> int | None:
    """Which call a record is of; None if it is none of ours."""
    if found := _ID.search(record.get("response_id") or ""):
        return int(found[1])
    session, retry = record.get("session") or "", record.get("retry")
    if session.startswith("soak-") and retry is not None:
        return int(session.removeprefix("soak-")) * BLOCK + int(retry)
    return None


def units(seed: int, first: int = 0) -> Iterator[Unit]:
    """All calls from a number on, without end. `first` is the first number of a block."""
    while True:
        for number in range(first, first + BLOCK - TURNS):
            yield request(seed, number)
        yield socket(seed, first + BLOCK - TURNS)
        first += BLOCK


def socket(seed: int, first: int) -> Socket:
    """The socket whose first turn has this number."""
    chance = random.Random(f"{seed} {first}")
    cuts: tuple[Cut, ...] = ("none", "by client", "by server")
    cut = chance.choices(cuts, (6, 1, 1))[0]
    headers = (
        (SESSION_HEADER, f"soak-{first // BLOCK}"),
        ("authorization", "Bearer sk-proj-0000000000000000"),
        (NUMBER_HEADER, str(first)),
    )
    return Socket(range(first, first + TURNS), chance.choice(DELTAS), cut, headers)


def request(seed: int, number: int) -> Request:
    """The request with this number."""
    chance = random.Random(f"{seed} {number}")
    kind = chance.choice(KINDS)
    shape = kind(number, chance)
    draw = chance.random()
    if draw < FAILURE_SHARE:
        shape = _refused(shape, chance)
    elif draw < FAILURE_SHARE + CUT_SHARE:
        shape = _cut(shape, "by client", chance)
    elif draw < FAILURE_SHARE + 2 * CUT_SHARE:
        shape = _cut(shape, "by server", chance)
    headers = f"content-type: {shape.content_type}\r\nrequest-id: req_{number}\r\n"
    if shape.gzip:
        headers += "content-encoding: gzip\r\n"
    return Request(
        number,
        _message(shape, number),
        shape.status,
        headers.encode(),
        answers.gzipped(shape.pieces) if shape.gzip else shape.pieces,
        shape.cut,
        shape.answered,
        shape.fields,
    )


def held(number: int) -> Request:
    """A stream whose end never comes: cut off by whoever ends first."""
    chance = random.Random(number)
    counts = Counts.of(number)
    fields = {
        "api": "anthropic_messages",
        "outcome": "client_aborted",
        "input_tokens": counts.input_tokens,
        "estimated": True,
    }
    asked = _asked("claude-opus-4-8", chance, stream=True)
    pieces = answers.anthropic_stream(_id("msg", number), counts, 10)
    shape = Shape(_ANTHROPIC, "/v1/messages", asked, SSE, pieces[:8], fields, fields)
    headers = b"content-type: text/event-stream\r\n"
    return Request(
        number, _message(shape, number), 200, headers, shape.pieces, "held", True, fields
    )


@dataclass(frozen=True, slots=True)
class Shape:
    """One call before it is put into bytes."""

    host: str
    path: str
    asked: dict[str, Any]
    content_type: str
    pieces: tuple[bytes, ...]
    fields: Fields
    partial: Fields
    """What is known of it if it is cut off after its first piece."""
    gzip: bool = False
    status: int = 200
    cut: Cut = "none"
    answered: bool = True


def _message(shape: Shape, number: int) -> bytes:
    body = json.dumps(shape.asked).encode()
    return (
        f"POST http://{shape.host}{shape.path} HTTP/1.1\r\nhost: {shape.host}\r\n"
        f"accept-encoding: gzip\r\nuser-agent: Anthropic/Python 0.71.0\r\n"
        f"x-api-key: sk-ant-api03-0000000000000000\r\n"
        f"{SESSION_HEADER}: soak-{number // BLOCK}\r\n"
        f"x-stainless-retry-count: {number % BLOCK}\r\n{NUMBER_HEADER}: {number}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    ).encode() + body


def _refused(shape: Shape, chance: random.Random) -> Shape:
    status, error = chance.choice(
        ((429, "rate_limit_error"), (529, "overloaded_error"), (500, "api_error"))
    )
    body = json.dumps({"type": "error", "error": {"type": error, "message": "Not now"}}).encode()
    fields = {"api": shape.fields["api"], "outcome": "error", "status": status, **_NOTHING}
    return Shape(shape.host, shape.path, shape.asked, JSON, (body,), fields, fields, status=status)


def _cut(shape: Shape, cut: Cut, chance: random.Random) -> Shape:
    streamed = shape.content_type != JSON
    pieces = shape.pieces[: chance.randint(1, max(1, len(shape.pieces) - 4))] if streamed else ()
    outcome = {"outcome": _CUT_OUTCOME[cut]}
    fields: Fields = {"api": shape.fields["api"], **(shape.partial if streamed else _NOTHING)}
    return Shape(
        shape.host,
        shape.path,
        shape.asked,
        shape.content_type,
        pieces,
        {**fields, **outcome},
        fields,
        gzip=shape.gzip and streamed,
        cut=cut,
        answered=streamed,
    )


def _deltas(chance: random.Random) -> int:
    return LONG if chance.random() < LONG_SHARE else chance.choice(DELTAS)


def _asked(model: str, chance: random.Random, *, stream: bool) -> dict[str, Any]:
    content = answers.WORD * chance.choice((10, 100, 1_000))
    return {"model": model, "stream": stream, "messages": [{"role": "user", "content": content}]}


def _anthropic_fields(counts: Counts) -> dict[str, Any]:
    known = counts._asdict()
    del known["reasoning_tokens"]
    return {"api": "anthropic_messages", "outcome": "complete", **known}


def _anthropic(number: int, chance: random.Random) -> Shape:
    counts, stream = Counts.of(number), chance.random() < 0.7
    asked = _asked("claude-opus-4-8", chance, stream=stream)
    response_id, fields = _id("msg", number), _anthropic_fields(counts)
    known_early = {
        name: fields[name] for name in fields if name not in ("outcome", "output_tokens")
    }
    partial = {**known_early, "estimated": True}
    gzip = chance.random() < 0.3
    if not stream:
        whole = (json.dumps(answers.anthropic_message(response_id, counts)).encode(),)
        return Shape(_ANTHROPIC, "/v1/messages", asked, JSON, whole, fields, partial, gzip)
    pieces = answers.anthropic_stream(response_id, counts, _deltas(chance))
    if chance.random() < 0.03:
        pieces = (*pieces[:3], answers.anthropic_failure())
        fields = {**partial, "outcome": "error"}
        # Nothing may be cut off behind the error: which of the two came first would be chance.
        return Shape(_ANTHROPIC, "/v1/messages", asked, SSE, pieces[:4], fields, partial, gzip)
    return Shape(_ANTHROPIC, "/v1/messages", asked, SSE, pieces, fields, partial, gzip)


def _openai_counts(counts: Counts) -> dict[str, Any]:
    known = counts._asdict()
    return {**known, "cache_write_tokens": None}


def _chat(number: int, chance: random.Random) -> Shape:
    counts, stream = Counts.of(number), chance.random() < 0.6
    asked = _asked("gpt-5", chance, stream=stream)
    response_id = _id("chatcmpl", number)
    fields = {"api": "openai_chat", "outcome": "complete", **_openai_counts(counts)}
    gzip = chance.random() < 0.3
    path = "/v1/chat/completions"
    if stream:
        pieces = answers.chat_stream(response_id, counts, _deltas(chance))
        return Shape(_OPENAI, path, asked, SSE, pieces, fields, _NOTHING, gzip)
    whole = (json.dumps(answers.chat_completion(response_id, counts)).encode(),)
    return Shape(_OPENAI, path, asked, JSON, whole, fields, _NOTHING, gzip)


def _responses(number: int, chance: random.Random) -> Shape:
    counts, stream = Counts.of(number), chance.random() < 0.7
    asked = {"model": "gpt-5", "stream": stream, "input": answers.WORD * 100}
    response_id = _id("resp", number)
    fields = {"api": "openai_responses", "outcome": "complete", **_openai_counts(counts)}
    if stream:
        events = answers.response_events(response_id, counts, _deltas(chance))
        pieces = tuple(map(answers.event, events))
        return Shape(_OPENAI, "/v1/responses", asked, SSE, pieces, fields, _NOTHING)
    whole = (json.dumps(answers.response_object(response_id, "completed", counts)).encode(),)
    return Shape(_OPENAI, "/v1/responses", asked, JSON, whole, fields, _NOTHING)


def _ollama(number: int, chance: random.Random) -> Shape:
    counts = Counts.of(number)
    fields = {
        "api": "ollama",
        "outcome": "complete",
        **_NOTHING,
        "input_tokens": counts.input_tokens,
        "output_tokens": counts.output_tokens,
    }
    pieces = answers.ollama_lines(counts, _deltas(chance))
    asked = _asked("gpt-oss:120b", chance, stream=True)
    return Shape("ollama.com", "/api/chat", asked, NDJSON, pieces, fields, _NOTHING)


def _bedrock(number: int, chance: random.Random) -> Shape:
    counts = Counts.of(number)
    fields = {**_anthropic_fields(counts), "api": "bedrock_converse"}
    asked = {"messages": [{"role": "user", "content": [{"text": answers.WORD * 50}]}]}
    path = "/model/anthropic.claude-opus-4-8/converse-stream"
    pieces = answers.bedrock_messages(counts, _deltas(chance))
    return Shape(_BEDROCK, path, asked, EVENTSTREAM, pieces, fields, _NOTHING)


_ANTHROPIC, _OPENAI = "api.anthropic.com", "api.openai.com"
_BEDROCK = "bedrock-runtime.us-east-1.amazonaws.com"

KINDS: tuple[Callable[[int, random.Random], Shape], ...] = (
    _anthropic,
    _anthropic,
    _chat,
    _responses,
    _ollama,
    _bedrock,
)
