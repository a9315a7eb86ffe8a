"""Batch output: what the captures of `tests/wire/openai_batch` do not show."""

from __future__ import annotations

from hostile_json import fold
from llmtally.formats.openai_batch import OPENAI_BATCH


def test_a_body_without_an_id_is_known_by_its_line() -> None:
    """Embeddings have no id: downloading the file again must not count them again."""
    embeddings = {"object": "list", "model": "m", "usage": {"prompt_tokens": 8, "total_tokens": 8}}
    line = {"id": "batch_req_3", "custom_id": "c", "response": {"status_code": 200, "body": embeddings}}
    answer = {"id": "chatcmpl-1", "object": "chat.completion", "usage": {"prompt_tokens": 8, "completion_tokens": 1}}

    assert fold(OPENAI_BATCH, line).response_id == "batch_req_3"
    assert fold(OPENAI_BATCH, {**line, "response": {"status_code": 200, "body": answer}}).response_id == "chatcmpl-1"
