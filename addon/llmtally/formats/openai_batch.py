"""Batch output files: JSON lines.
https://platform.openai.com/docs/api-reference/batch/request-output

Each line is the answer to one request of the batch: `{"id", "custom_id", "response":
{"status_code", "body"}, "error"}`, the body in the format of the endpoint it was for. The batch
object's own `usage` is their sum and is not read.
"""

from __future__ import annotations

from typing import Any

from ..record import ApiError, Reading
from .format import Format, Turn, api_error, count, mapping, text
from .openai_chat import read_chat
from .openai_embeddings import read_embeddings
from .openai_responses import read_response

_READERS = {"response": read_response, "list": read_embeddings}


def read_batch_line(message: Any, reading: Reading) -> Reading:
    """Fold the body in one line. Bodies say `service_tier: "default"`, but a batch is billed at its
    own rate."""
    line = mapping(message)
    response = mapping(line.get("response"))
    body, status = mapping(response.get("body")), count(response.get("status_code")) or 0
    reading = (
        _READERS.get(text(body.get("object")) or "", read_chat)(body, reading) if body else reading
    )
    error = (
        reading.error
        or api_error(line.get("error"))
        or (ApiError(f"http_{status}") if status >= 400 else None)
    )
    return reading._replace(
        # embeddings have no id
        response_id=reading.response_id or text(line.get("id")),
        error=error,
        service_tier="batch",
        finished=True,
    )


def batch_turn(message: Any, from_client: bool) -> Turn | None:
    """One line of a batch's output, which is one response. Other files (an upload read back) have
    other lines, which are ignored."""
    line = mapping(message)
    if from_client or "custom_id" not in line or "response" not in line:
        return None
    return Turn(text(line["custom_id"]) or "", "end")


OPENAI_BATCH = Format(name="openai_batch", read=read_batch_line, turn=batch_turn, multiple=True)
