"""Vertex `:predict` text embeddings.
https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api

One body; each prediction counts the tokens of its text, as a float:
`predictions[].embeddings.statistics.token_count`. Images and videos are made under the same path
and report no tokens.
"""

from __future__ import annotations

from typing import Any

from ..record import Reading, Usage
from .format import Format, count, items, mapping, text
from .gemini import read_error


def read_message(message: Any, reading: Reading) -> Reading:
    """Fold the answer, or an error."""
    message = mapping(message)
    if (error := read_error(message.get("error"))) is not None:
        return reading._replace(error=error)
    if "predictions" not in message:
        return reading
    embeddings = [
        mapping(mapping(prediction).get("embeddings"))
        for prediction in items(message.get("predictions"))
    ]
    counts = [
        n
        for each in embeddings
        if (n := count(mapping(each.get("statistics")).get("token_count"))) is not None
    ]
    return reading._replace(
        model=text(message.get("modelDisplayName")) or reading.model,
        usage=Usage(input_tokens=count(sum(counts))) if counts else reading.usage,
        cost_approximate=0 < len(counts) < len(embeddings),
        finished=True,
    )


VERTEX_PREDICT = Format(name="vertex_predict", read=read_message, counts_tokens=False)
