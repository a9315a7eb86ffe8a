"""The Live socket: what the captures of `tests/captures/gemini_live` do not show."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from hostile_json import damaged, fold, holds, usage, values
from llmtally.formats.format import Turn
from llmtally.formats.gemini_live import GEMINI_LIVE, find_turn, read_session

USAGE = {
    "promptTokenCount": 9,
    "responseTokenCount": 3,
    "thoughtsTokenCount": 2,
    "totalTokenCount": 14,
}
FRAME: dict[str, Any] = {
    "serverContent": {
        "modelTurn": {"parts": [{"text": "Hi"}]},
        "outputTranscription": {"text": "Hi"},
        "groundingMetadata": {"webSearchQueries": ["a", "a", "b"]},
        "turnComplete": True,
    },
    "usageMetadata": USAGE,
}


@given(
    damaged(FRAME, {"toolCall": {}, "usageMetadata": USAGE}, {"setup": {"model": "models/m"}})
    | values
)
def test_any_json_is_survived(message: Any) -> None:
    """Whatever JSON comes, nothing is raised and counts stay counts."""
    holds(GEMINI_LIVE, message)


@pytest.mark.parametrize(
    ("frame", "from_client", "turn"),
    [
        ({"setup": {"model": "models/m"}}, True, None),
        ({"realtimeInput": {}}, True, None),
        ({"setupComplete": {}}, False, None),
        ({"goAway": {}}, False, None),
        ({"serverContent": {"generationComplete": True}}, False, Turn("", "read")),
        ({"serverContent": {"turnComplete": False}}, False, Turn("", "read")),
        ({"serverContent": {"turnComplete": True}}, False, Turn("", "close")),
        ({"serverContent": {"turnComplete": True}, "usageMetadata": USAGE}, False, Turn("", "end")),
        ({"usageMetadata": USAGE}, False, Turn("", "read")),
        ({"toolCall": {}}, False, Turn("", "read")),
        ({"toolCall": {}, "usageMetadata": USAGE}, False, Turn("", "end")),
        ({"error": {"message": "m"}}, False, Turn("", "end")),
    ],
)
def test_turns(frame: dict[str, Any], from_client: bool, turn: Turn | None) -> None:
    """A turn ends when it is complete, with a counted tool call, or with an error; session frames
    belong to none."""
    assert find_turn(frame, from_client) == turn


def test_the_last_count_of_a_turn_wins() -> None:
    """Two reports within a turn are not added."""
    reading = fold(
        GEMINI_LIVE,
        {"usageMetadata": USAGE},
        {"usageMetadata": {**USAGE, "responseTokenCount": 4, "totalTokenCount": 15}},
    )

    assert usage(reading) == {"input_tokens": 9, "output_tokens": 6, "reasoning_tokens": 2}


def test_searches_are_counted_once_each() -> None:
    """The same query twice is one search."""
    assert usage(fold(GEMINI_LIVE, FRAME))["server_tools"] == {"web_search": 2}


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("models/m", "m"),
        ("projects/p/locations/l/publishers/google/models/m", "m"),
        ("m", "m"),
        ("models/", None),
    ],
)
def test_the_model_is_named_without_its_collection(name: str, model: str | None) -> None:
    """One model has one name, on the socket as in a path."""
    asked = read_session({"setup": {"model": name}})

    assert asked[""].model == model


def test_content_is_text_and_transcript() -> None:
    """Sound has no text to estimate from."""
    assert GEMINI_LIVE.content(FRAME) == 4
    assert (
        GEMINI_LIVE.content(
            {"serverContent": {"modelTurn": {"parts": [{"inlineData": {"data": "AAAA"}}]}}}
        )
        == 0
    )
