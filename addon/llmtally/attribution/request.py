"""What attribution may see of a request, and where in it the conversation stands, whatever the API calls it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..formats.format import items, mapping

USER_AGENT_CAP = 512
"""Characters of a header that are searched: a User-Agent's product stands first, browsers' run to about 200."""
PROMPT_PARTS = 16
"""Parts of one prompt or message looked at."""
PROMPT_DEPTH = 4
"""Nesting of message, content and part; deeper is not a prompt."""


@dataclass(frozen=True, slots=True)
class RequestView:
    """What attribution may see of a request."""

    provider: str
    host: str
    path: str
    """Without the query."""
    headers: Mapping[str, str]
    """Names in lower case, several values joined by `, `."""
    body: Mapping[str, Any] | None = None
    """The parsed JSON request, or the client's frame on a socket."""
    query: Mapping[str, str] = field(default_factory=dict)
    peer: str | None = None
    """Id of the client's connection."""


def payload_of(view: RequestView) -> Mapping[str, Any]:
    """The request proper: Code Assist wraps Gemini's in `request`."""
    body = mapping(view.body)
    return mapping(body.get("request")) or body


def messages_of(view: RequestView) -> list[Any]:
    """The conversation so far, whatever the API calls it; empty where `input` is something else (embeddings, speech)."""
    payload = payload_of(view)
    messages = items(payload.get("messages")) or items(payload.get("contents")) or payload.get("input")
    if isinstance(messages, str) and (view.path.endswith("/responses") or payload.get("type") == "response.create"):
        return [{"role": "user", "content": messages}]
    return [message for message in items(messages) if isinstance(message, dict)]


def texts_in(value: Any, depth: int = PROMPT_DEPTH) -> Iterator[str]:
    """The texts of a prompt, a message or a list of such, in order, down to `depth` levels."""
    if isinstance(value, str):
        yield value
    elif depth and isinstance(value, list):
        for part in value[:PROMPT_PARTS]:
            yield from texts_in(part, depth - 1)
    elif depth and isinstance(value, dict):
        yield from texts_in(value.get("text") or value.get("content") or value.get("parts"), depth - 1)
