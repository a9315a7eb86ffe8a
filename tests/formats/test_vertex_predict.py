"""Vertex `:predict`: what the captures of `tests/captures/vertex_predict` do not show."""

from __future__ import annotations

from typing import Any

from hypothesis import given

from hostile_json import damaged, fold, holds, usage, values
from llmtally.formats.vertex_predict import VERTEX_PREDICT

ANSWER = {
    "predictions": [
        {"embeddings": {"statistics": {"token_count": 4.0}}},
        {"embeddings": {"statistics": {"token_count": 5}}},
    ]
}


@given(damaged(ANSWER, {"error": {"status": "X", "message": "m"}}) | values)
def test_any_json_is_survived(message: Any) -> None:
    """Whatever JSON comes, nothing is raised and counts stay counts."""
    holds(VERTEX_PREDICT, message)


def test_texts_of_one_request_are_one_call() -> None:
    """Each prediction counts its own text; the call is their sum."""
    assert usage(fold(VERTEX_PREDICT, ANSWER)) == {"input_tokens": 9}


def test_what_is_not_counted_is_unknown() -> None:
    """Pictures have no tokens, and that is not 0."""
    assert fold(VERTEX_PREDICT, {"predictions": [{"bytesBase64Encoded": ""}]}).usage is None
