"""Embeddings and rerankers. https://platform.openai.com/docs/api-reference/embeddings

`{"model", "usage": {"prompt_tokens", "total_tokens"}}`: all of it is input. Voyage gives only the
total.
"""

from __future__ import annotations

from typing import Any

from ..record import Reading
from .cost import read_cost_header
from .format import Format, mapping
from .openai_usage import read_body


def read_embeddings(message: Any, reading: Reading) -> Reading:
    """Fold a whole body of embeddings or of a reranker."""
    message = mapping(message)
    usage = mapping(message.get("usage"))
    if "prompt_tokens" not in usage and "total_tokens" in usage:
        message = {**message, "usage": {**usage, "prompt_tokens": usage["total_tokens"]}}
    return read_body(message, reading)


OPENAI_EMBEDDINGS = Format(
    name="openai_embeddings", read=read_embeddings, read_headers=read_cost_header
)
