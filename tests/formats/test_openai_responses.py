"""Responses and what is built from them: what the captures do not show."""

from __future__ import annotations

from typing import Any

import pytest

from llmtally.formats.format import Turn
from llmtally.formats.openai_batch import batch_turn
from llmtally.formats.openai_live import read_live
from llmtally.formats.openai_live import socket_turn as live_turn
from llmtally.formats.openai_realtime import TRANSCRIPTION_LANE, read_session
from llmtally.formats.openai_realtime import socket_turn as realtime_turn
from llmtally.formats.openai_responses import (
    OPENAI_RESPONSES,
    content_length,
    read_request,
    read_response,
    socket_turn,
)
from llmtally.record import Part, Reading, Usage


def test_counting_is_no_call() -> None:
    """An answer of `/responses/input_tokens` only counts, and is not usage."""
    assert read_response(
        {"object": "response.input_tokens", "input_tokens": 99}, Reading()
    ) == Reading(counting_only=True)


@pytest.mark.parametrize("status", ["queued", "in_progress"])
def test_background_response_is_pending_until_its_end(status: str) -> None:
    """A whole body that is still being made is pending; a stream that begins so is not."""
    assert read_response({"id": "r", "status": status, "usage": None}, Reading()).pending
    assert not read_response(
        {"type": "response.created", "response": {"id": "r", "status": status}}, Reading()
    ).pending
    assert not read_response({"id": "r", "status": "completed"}, Reading(pending=True)).pending


def test_usage_before_the_end_is_not_the_end() -> None:
    """Only a terminal event says that the response has ended."""
    response = {"id": "r", "usage": {"input_tokens": 1, "output_tokens": 1}}

    assert not read_response(
        {"type": "response.in_progress", "response": response}, Reading()
    ).finished
    for kind in ("completed", "incomplete", "failed", "done"):
        assert read_response({"type": f"response.{kind}", "response": response}, Reading()).finished


def test_image_tool_is_a_part_and_folding_twice_adds_nothing() -> None:
    """The image model's bill is separate from the message's, and seeing the same end again changes
    nothing."""
    event = {
        "type": "response.completed",
        "response": {
            "model": "m",
            "usage": {"input_tokens": 10, "output_tokens": 2},
            "tool_usage": {
                "image_gen": {"input_tokens": 5, "output_tokens": 100},
                "web_search": {"num_requests": 1},
            },
        },
    }
    once = read_response(event, Reading())

    assert once.usage == Usage(input_tokens=15, output_tokens=102, server_tools={"web_search": 1})
    assert once.parts == (
        Part("message", "m", Usage(input_tokens=10, output_tokens=2)),
        Part("image_generation", None, Usage(input_tokens=5, output_tokens=100)),
    )
    assert read_response(event, once) == once


def test_an_error_of_null_is_none() -> None:
    """A response with `error: null` did not fail."""
    assert read_response({"id": "r", "status": "completed", "error": None}, Reading()).error is None


@pytest.mark.parametrize(
    ("message", "from_client", "turn"),
    [
        ({"type": "response.create"}, True, Turn("", "request")),
        ({"type": "response.create", "stream_id": "a"}, True, Turn("a", "request")),
        ({"type": "response.steer"}, True, None),
        ({"type": "response.created", "stream_id": "a"}, False, Turn("a", "read")),
        ({"type": "response.completed"}, False, Turn("", "end")),
        ({"type": "response.failed"}, False, Turn("", "end")),
        ({"type": "error", "status": 429}, False, Turn("", "close")),
        ({"type": "error", "error": {"code": "websocket_connection_limit_reached"}}, False, None),
        ({"type": "codex.rate_limits"}, False, None),
        ({"type": "codex.response.metadata"}, False, None),
        ({"type": "responsesapi.websocket_timing"}, False, None),
    ],
)
def test_frames(message: dict[str, Any], from_client: bool, turn: Turn | None) -> None:
    """Which frames ask, which are read, which end a response, and which are none of this
    format's."""
    assert socket_turn(message, from_client) == turn


def test_warmup() -> None:
    """Only an explicit `generate: false` is a warm-up."""
    assert read_request({"model": "m", "generate": False}).warmup
    assert not read_request({"model": "m"}).warmup
    assert not read_request({"model": "m", "generate": None}).warmup


def test_content() -> None:
    """Deltas of text, reasoning and arguments deliver; their `.done` repetition does not."""
    assert content_length({"type": "response.output_text.delta", "delta": "é"}) == 2
    assert content_length({"type": "response.function_call_arguments.delta", "delta": "{}"}) == 2
    assert content_length({"type": "response.output_text.done", "text": "all of it"}) == 0


def test_needles() -> None:
    """Every event with a response or an error is taken out of the stream, a delta is not."""
    wanted = (
        b'{"type":"response.completed","response":{"id":"r"}}',
        b'{"type": "error", "code": "x"}',
        b'{"response": {}}',
    )
    passed_over = rb'{"type":"response.output_text.delta","delta":"\"response\": \"error\""}'

    for event in wanted:
        assert any(needle in event for needle in OPENAI_RESPONSES.needles)
    assert not any(needle in passed_over for needle in OPENAI_RESPONSES.needles)


def test_realtime_session_names_both_models() -> None:
    """GA and beta sessions name the transcription's model in different places; one that names none
    leaves it unknown."""
    created = read_session(
        {"type": "session.created", "session": {"model": "rt", "input_audio_transcription": None}}
    )
    beta = read_session(
        {"type": "session.update", "session": {"input_audio_transcription": {"model": "whisper-1"}}}
    )
    current = read_session(
        {
            "type": "session.updated",
            "session": {"audio": {"input": {"transcription": {"model": "asr"}}}},
        }
    )

    assert {lane: asked.model for lane, asked in created.items()} == {
        "": "rt",
        TRANSCRIPTION_LANE: None,
    }
    assert {lane: asked.model for lane, asked in beta.items()} == {TRANSCRIPTION_LANE: "whisper-1"}
    assert {lane: asked.model for lane, asked in current.items()} == {TRANSCRIPTION_LANE: "asr"}
    assert read_session({"type": "response.created"}) == {}


def test_realtime_frames() -> None:
    """Responses share one lane, transcriptions have their own; errors are about what the client
    sent."""
    assert realtime_turn({"type": "response.create"}, True) is None
    assert realtime_turn({"type": "response.output_audio.delta"}, False) == Turn("", "read")
    assert realtime_turn({"type": "response.done"}, False) == Turn("", "end")
    assert realtime_turn(
        {"type": "conversation.item.input_audio_transcription.completed"}, False
    ) == Turn(TRANSCRIPTION_LANE, "end")
    assert (
        realtime_turn({"type": "conversation.item.input_audio_transcription.delta"}, False) is None
    )
    assert realtime_turn({"type": "error"}, False) is None


def test_live_seconds_are_no_tokens() -> None:
    """The session's meter of seconds is passed over; only what it delegates counts."""
    seconds = {"type": "session.usage.updated", "usage": {"seconds": 12.5}}

    assert live_turn(seconds, False) is None
    assert read_live(seconds, Reading()).usage is None


def test_batch_lines() -> None:
    """Lines of results are calls, lines of a batch's input are not."""
    assert batch_turn({"custom_id": "c1", "response": {"body": {}}}, False) == Turn("c1", "end")
    assert batch_turn({"custom_id": "c1", "method": "POST", "body": {}}, False) is None
