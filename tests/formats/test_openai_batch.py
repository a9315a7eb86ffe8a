"""Batch output: what the captures of `tests/captures/openai_batch` do not show."""

from __future__ import annotations

import orjson
import pytest

from hostile_json import fold
from llmtally.formats.openai_batch import OPENAI_BATCH
from wire_capture import START, Capture, open_exchange


def test_a_body_without_an_id_is_known_by_its_line() -> None:
    """Embeddings have no id: downloading the file again must not count them again."""
    embeddings = {"object": "list", "model": "m", "usage": {"prompt_tokens": 8, "total_tokens": 8}}
    line = {
        "id": "batch_req_3",
        "custom_id": "c",
        "response": {"status_code": 200, "body": embeddings},
    }
    answer = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "usage": {"prompt_tokens": 8, "completion_tokens": 1},
    }

    assert fold(OPENAI_BATCH, line).response_id == "batch_req_3"
    assert (
        fold(OPENAI_BATCH, {**line, "response": {"status_code": 200, "body": answer}}).response_id
        == "chatcmpl-1"
    )


@pytest.mark.parametrize(
    "label", ["application/jsonl", "application/octet-stream", "application/json", ""]
)
def test_files_are_read_as_they_pass(label: str) -> None:
    """Whatever a file is labelled, its calls are settled while it comes, not all at its end."""
    body = {"id": "c", "model": "m", "usage": {"prompt_tokens": 1, "completion_tokens": 1}}
    answers = [
        {"custom_id": f"r{n}", "response": {"status_code": 200, "body": {**body, "id": f"c{n}"}}}
        for n in range(9)
    ]
    url = "https://api.openai.com/v1/files/file-1/content"
    capture = Capture("GET", url, {}, b"", 200, {"content-type": label}, b"", "complete")
    exchange = open_exchange(capture)
    calls = [len(exchange.feed(orjson.dumps(answer) + b"\n", START)) for answer in answers]

    assert exchange.route.streams(200, label)
    assert sum(calls[:-1]) == 8
    assert sum(calls) + len(exchange.end("complete", START)) == 9
