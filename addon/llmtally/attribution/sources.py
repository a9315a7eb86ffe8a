"""Places in a request where clients say things. A `Source` reads one of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from ..formats.format import mapping
from ..record import TEXT_CAP
from .request import RequestView, messages_of, payload_of, texts_in

EMBEDDED_JSON_CAP = 64 * 1024
"""Characters of JSON within a string or header that are parsed: Codex's turn metadata stays under 8 K."""
PROMPT_CAP = 256 * 1024
"""Characters of one prompt text searched for a working directory: system prompts stay under 120 K."""
PROMPT_MESSAGES = 3
"""First messages searched for a working directory: clients say it in the system prompt or the opening message."""
PATH_BLANKS = 3
"""Blanks in a path that is believed: `/home/ana/My Documents/New Project`. Prose has more."""
MARKER_TRIES = 3
"""Occurrences of a marker tried per text, so that prose which mentions it does not hide the real one."""

INSTRUCTION_ROLES = frozenset({"system", "developer"})
"""Roles of messages that the client, not the user, wrote."""


@dataclass(frozen=True, slots=True)
class Source:
    """One place where a client says something."""

    where: Literal["header", "body"]
    read: Callable[[RequestView], str | None]
    name: str = ""
    """The header's name."""


ANY_KEY = "*"
"""A step of a path: the object's first key itself, for objects keyed by what is looked for."""


def in_header(name: str, *path: str) -> Source:
    """The value of a header; with a path, a member of the JSON in it."""
    if not path:
        return Source("header", lambda view: view.headers.get(name), name)
    return Source("header", lambda view: _member(view.headers.get(name), path), name)


def in_body(*path: str) -> Source:
    """A member of the body. A string on the way is read as JSON: clients put JSON into strings."""
    return Source("body", lambda view: _member(view.body, path))


def in_prompt(marker: str, end: str = "\n") -> Source:
    """A file path between a marker at the start of a line and `end`, where the client itself speaks. Only the path is kept.

    Searched from the end of each text: the environment stands last in a system prompt, after 50 K of instructions.
    """

    def read(view: RequestView) -> str | None:
        for text in _prompt_texts(view):
            before = text[:PROMPT_CAP]
            for _ in range(MARKER_TRIES):
                before, found, _ = before.rpartition(marker)
                if not found:
                    break
                if _MARKER_LEAD.fullmatch(before, before.rfind("\n") + 1) and (path := _path_at(text, len(before + found), end)):
                    return path
        return None

    return Source("body", read)


def _path_at(text: str, start: int, end: str) -> str | None:
    """The file path that takes up all from `start` to `end` or the end of the text; None where something else stands."""
    window = text[start : start + TEXT_CAP + len(end) + 2]
    line, found, _ = window.partition(end)
    path = line.strip()
    if not (found or len(text) == start + len(window)) or len(path) > TEXT_CAP or "\n" in path:
        return None
    return path if _FILE_PATH.match(path) and path.count(" ") <= PATH_BLANKS and not _PROSE.search(path) else None


def matching(pattern: str, source: Source) -> Source:
    """The first group of a pattern matched at the start of another source's value, of which only so much is looked at."""
    compiled = re.compile(pattern)

    def read(view: RequestView) -> str | None:
        found = compiled.match((source.read(view) or "")[: 2 * TEXT_CAP])
        return found.group(1) if found else None

    return Source(source.where, read, source.name)


_FILE_PATH = re.compile(r"/|~|[A-Za-z]:[\\/]|\\\\")
_PROSE = re.compile(r"[,;:.!?](?:\s|$)")
"""Ends a clause; in the name of a directory hardly anybody would."""
_MARKER_LEAD = re.compile(r"[\s*-]*(?:<[\w-]+>)*(?:Primary w|W|I'm |I am )?")
"""What may stand before a marker in its line; what else does is a sentence of somebody's."""
_CLIENT_SPEAKS = re.compile(r"\s*(?:<[\w-]+>|This is the Gemini CLI\b)")
"""How a message begins that a client wrote in the user's place: `<environment_context>`, `<session_context>`."""


def _member(value: Any, path: Sequence[str]) -> str | None:
    for step in path:
        holder = value if isinstance(value, dict) else mapping(_embedded(value))
        value = next(iter(holder), None) if step == ANY_KEY else holder.get(step)
    return value if isinstance(value, str) else None


def _embedded(value: Any) -> Any:
    if not isinstance(value, str) or not value.startswith("{") or len(value) > EMBEDDED_JSON_CAP:
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return None


def _prompt_texts(view: RequestView) -> Iterator[str]:
    """The texts a client opens a conversation with: the system prompt, and what it wrote into the first messages."""
    payload = payload_of(view)
    for key in ("system", "instructions", "systemInstruction", "system_instruction"):
        yield from texts_in(payload.get(key))
    for message in messages_of(view)[:PROMPT_MESSAGES]:
        for text in texts_in(message):
            if message.get("role") in INSTRUCTION_ROLES or _CLIENT_SPEAKS.match(text):
                yield text


def first(sources: Iterable[Source], view: RequestView) -> str | None:
    """What the first of these sources that says something says, fit for a record."""
    for source in sources:
        if value := clean(source.read(view)):
            return value
    return None


def clean(value: str | None) -> str | None:
    """Text fit for a record: capped, without control characters, never empty."""
    if not value:
        return None
    value = value[:TEXT_CAP]
    if not value.isprintable():
        value = "".join(character for character in value if character.isprintable())
    return value.strip() or None
