"""generateContent: what the captures of `tests/captures/gemini_generate` do not show."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostile_json import damaged, fold, holds, usage, values
from llmtally.formats.gemini import GEMINI_GENERATE
from llmtally.record import ApiError

CHUNK: dict[str, Any] = {
    "candidates": [
        {
            "content": {
                "parts": [
                    {"text": "é"},
                    {"functionCall": {"args": {"a": 1}}},
                    {"executableCode": {"code": "x"}},
                ]
            },
            "finishReason": "STOP",
            "groundingMetadata": {"webSearchQueries": ["a"]},
        }
    ],
    "promptFeedback": {"blockReason": "SAFETY"},
    "usageMetadata": {
        "promptTokenCount": 9,
        "cachedContentTokenCount": 4,
        "candidatesTokenCount": 3,
        "thoughtsTokenCount": 2,
        "toolUsePromptTokenCount": 1,
        "totalTokenCount": 15,
        "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 5}],
        "trafficType": "ON_DEMAND",
    },
    "modelVersion": "m",
    "responseId": "r",
}
SAMPLES = (
    CHUNK,
    {"response": CHUNK, "traceId": "t"},
    {"error": {"code": 429, "status": "X", "message": "m"}},
    [CHUNK],
)


@given(damaged(*SAMPLES) | values)
def test_any_json_is_survived(message: Any) -> None:
    """Whatever JSON comes, nothing is raised and counts stay counts."""
    holds(GEMINI_GENERATE, message)


def counts(**metadata: int) -> dict[str, Any]:
    return {"usageMetadata": metadata}


@given(st.lists(st.tuples(*[st.integers(0, 10_000)] * 4), min_size=1, max_size=5))
def test_the_last_chunk_alone_decides(rows: list[tuple[int, int, int, int]]) -> None:
    """Counts are cumulative: folding all chunks gives what the last one says."""
    chunks = [
        counts(
            promptTokenCount=prompt + cached,
            cachedContentTokenCount=cached,
            candidatesTokenCount=candidates,
            thoughtsTokenCount=thoughts,
            totalTokenCount=prompt + cached + candidates + thoughts,
        )
        for prompt, cached, candidates, thoughts in rows
    ]

    assert usage(fold(GEMINI_GENERATE, *chunks)) == usage(fold(GEMINI_GENERATE, chunks[-1]))


def test_the_cache_known_from_an_earlier_chunk_stays_out_of_the_input() -> None:
    """A later chunk that does not repeat the cache does not make it fresh input."""
    reading = fold(
        GEMINI_GENERATE,
        counts(promptTokenCount=100, cachedContentTokenCount=80),
        counts(promptTokenCount=110, candidatesTokenCount=5),
    )

    assert usage(reading) == {"input_tokens": 30, "cache_read_tokens": 80, "output_tokens": 5}


def test_a_late_cache_count_is_taken_out_of_the_input() -> None:
    """The cache may be told after the prompt."""
    reading = fold(
        GEMINI_GENERATE,
        counts(promptTokenCount=100),
        counts(cachedContentTokenCount=80, candidatesTokenCount=5),
    )

    assert usage(reading) == {"input_tokens": 20, "cache_read_tokens": 80, "output_tokens": 5}


def test_late_thoughts_join_the_candidates_known_before() -> None:
    """A chunk with thoughts alone does not lose the candidates."""
    reading = fold(
        GEMINI_GENERATE,
        counts(promptTokenCount=10, candidatesTokenCount=5),
        counts(thoughtsTokenCount=7),
    )

    assert usage(reading) == {"input_tokens": 10, "output_tokens": 12, "reasoning_tokens": 7}


def test_no_output_is_unknown_until_the_answer_has_ended() -> None:
    """An early chunk whose total is the prompt says nothing about the output; a blocked answer's
    total says that there is none."""
    early = {**counts(promptTokenCount=10, totalTokenCount=10), "candidates": [{"content": {}}]}

    assert "output_tokens" not in usage(fold(GEMINI_GENERATE, early))
    assert (
        usage(fold(GEMINI_GENERATE, {**early, "candidates": [{"finishReason": "SAFETY"}]}))[
            "output_tokens"
        ]
        == 0
    )


def test_more_cache_than_prompt_is_clamped_and_said() -> None:
    """A contradiction never gives a negative count."""
    reading = fold(GEMINI_GENERATE, counts(promptTokenCount=10, cachedContentTokenCount=12))

    assert usage(reading) == {"input_tokens": 0, "cache_read_tokens": 12}
    assert reading.cost_approximate


def test_token_counts_asked_for_are_no_call() -> None:
    """A count-tokens answer is not usage."""
    assert fold(GEMINI_GENERATE, {"totalTokens": 12, "cachedContentTokenCount": 4}).counting_only


@pytest.mark.parametrize(
    ("reason", "early"),
    [
        ("STOP", False),
        ("CONTINUATION", False),
        ("MAX_TOKENS", True),
        ("RECITATION", True),
        ("SOMETHING_NEW", True),
    ],
)
def test_every_other_finish_reason_is_early(reason: str, early: bool) -> None:
    """Only the known good ends are whole answers."""
    reading = fold(GEMINI_GENERATE, {"candidates": [{"finishReason": reason}]})

    assert (reading.finished, reading.stopped_early) == (True, early)


def test_errors_are_named_by_status() -> None:
    """`status` names an error; `code` stands in where it is missing."""
    assert fold(
        GEMINI_GENERATE, {"error": {"code": 429, "status": "X", "message": "m"}}
    ).error == ApiError("X", "m")
    assert fold(GEMINI_GENERATE, {"error": {"code": 429, "message": "m"}}).error == ApiError(
        "429", "m"
    )
    assert fold(GEMINI_GENERATE, {"error": "broken"}).error == ApiError("error", "broken")


def test_searches_are_never_forgotten() -> None:
    """A later chunk without grounding does not undo the searches."""
    searched = {
        "candidates": [{"groundingMetadata": {"webSearchQueries": ["a", "b"]}}],
        **counts(promptTokenCount=1),
    }

    assert usage(fold(GEMINI_GENERATE, searched, counts(candidatesTokenCount=3)))[
        "server_tools"
    ] == {"web_search": 2}


def test_content_is_text_code_and_arguments() -> None:
    """Two bytes of text, seven of arguments, one of code."""
    assert GEMINI_GENERATE.content(CHUNK) == 2 + len('{"a":1}') + 1
    assert GEMINI_GENERATE.content({"usageMetadata": {}}) == 0


def test_request_of_code_assist() -> None:
    """The envelope names the model, the inner request the tier."""
    asked = GEMINI_GENERATE.read_request({"model": "m", "request": {"serviceTier": "flex"}})

    assert (asked.model, asked.service_tier) == ("m", "flex")
