"""What attribution may see of a request, and where each API puts the conversation in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from ..formats.format import items, mapping

HEADER_CAP = 512
"""Characters of a header that are searched: a User-Agent's product stands first, browsers' run to
about 200."""
EMBEDDED_JSON_CAP = 64 * 1024
"""Characters of JSON within a string or header that are parsed: Codex's turn metadata stays under 8
K."""
PROMPT_PARTS = 16
"""Parts of one prompt or message looked at."""
PROMPT_DEPTH = 4
"""Levels of nesting that are read: message, content and part; what is deeper is not a prompt."""


@dataclass(slots=True, repr=False)  # its headers hold credentials
class RequestView:
    """What attribution may see of a request. Not frozen: one is made for every call, and freezing
    doubles what that costs."""

    provider: str
    host: str
    path: str
    """The request's path, without its query."""
    headers: Mapping[str, str]
    """Names in lower case, several values joined by `, `."""
    body: Mapping[str, Any] | None = None
    """The parsed JSON request, or the client's frame on a socket."""
    query: Mapping[str, str] = field(default_factory=dict)
    peer: str | None = None
    """Id of the client's connection."""
    _embedded: dict[str, Any] = field(default_factory=dict, init=False, compare=False)

    def embedded(self, text: str) -> Any:
        """The JSON object in a string of the request; None if there is none. Parsed once: one such
        string states many facts."""
        if not text.startswith("{") or len(text) > EMBEDDED_JSON_CAP:
            return None
        if text not in self._embedded:
            try:
                self._embedded[text] = orjson.loads(text)
            except orjson.JSONDecodeError:
                self._embedded[text] = None
        return self._embedded[text]

    @property
    def payload(self) -> Mapping[str, Any]:
        """The actual request: Code Assist wraps Gemini's in `request`."""
        body = mapping(self.body)
        return mapping(body.get("request")) or body

    @property
    def messages(self) -> list[Any]:
        """The conversation so far, whatever the API calls it; empty where `input` is something else
        (embeddings, speech)."""
        payload = self.payload
        messages = (
            items(payload.get("messages")) or items(payload.get("contents")) or payload.get("input")
        )
        if isinstance(messages, str) and (
            self.path.endswith("/responses") or payload.get("type") == "response.create"
        ):
            return [{"role": "user", "content": messages}]
        return items(messages)


def texts_in(value: Any, depth: int = PROMPT_DEPTH) -> Iterator[str]:
    """The texts of a prompt, a message or a list of such, in order, down to `depth` levels."""
    if isinstance(value, str):
        yield value
    elif depth and isinstance(value, list):
        for part in value[:PROMPT_PARTS]:
            # nearly always
            if isinstance(part, dict) and isinstance(text := part.get("text"), str):
                yield text
            else:
                yield from texts_in(part, depth - 1)
    elif depth and isinstance(value, dict):
        yield from texts_in(
            value.get("text") or value.get("content") or value.get("parts"), depth - 1
        )
