"""The places in a request where clients state facts. A `Source` reads one of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..record import TEXT_CAP
from .request import RequestView, texts_in

PROMPT_CAP = 256 * 1024
"""Characters of one prompt text searched for a working directory: system prompts stay under 120
K."""
PROMPT_MESSAGES = 8
"""First messages searched for a working directory. Codex says it in the sixth, after tools, skills
and roles."""
PATH_BLANKS = 3
"""Blanks in a text that is accepted as a path: `/home/ana/My Documents/New Project`. Prose has
more."""
MARKER_TRIES = 3
"""Occurrences of a marker tried per text, so that prose which mentions it does not hide the real
one."""

INSTRUCTION_ROLES = frozenset({"system", "developer"})
"""Roles of messages that the client, not the user, wrote."""

Read = Callable[[RequestView], str | None]


@dataclass(frozen=True, slots=True)
class Source:
    """One place where a client states a fact."""

    where: Literal["header", "body"]
    """The `session_source` of a session that was found here."""
    read: Read
    """Reads what the client states there; None: nothing."""
    name: str = ""
    """The header's name; empty for a place in the body."""


ANY_KEY = "*"
"""A step of a path that takes the object's first key, for objects whose keys are what is looked
for."""


def in_header(name: str, *path: str) -> Source:
    """The value of a header; with a path, a member of the JSON in it."""
    if not path:
        return Source("header", lambda view: view.headers.get(name), name)
    return Source("header", lambda view: _member(view, view.headers.get(name), path), name)


def in_body(first_step: str, *path: str) -> Source:
    """A member of the body. A string on the way is read as JSON: clients put JSON into strings."""

    def read(view: RequestView) -> str | None:
        if not view.body or first_step not in view.body:
            return None
        return _member(view, view.body[first_step], path)

    return Source("body", read)


def _member(view: RequestView, value: Any, path: Sequence[str]) -> str | None:
    for step in path:
        holder = view.embedded(value) if isinstance(value, str) else value
        if not isinstance(holder, dict):
            return None
        value = next(iter(holder), None) if step == ANY_KEY else holder.get(step)
    return value if isinstance(value, str) else None


def matching(pattern: str, source: Source) -> Source:
    """The first group of a pattern that matches at the start of another source's value."""
    compiled = re.compile(pattern)

    def read(view: RequestView) -> str | None:
        value = source.read(view)
        found = compiled.match(value[: 2 * TEXT_CAP]) if value else None  # bounds the search
        return found.group(1) if found else None

    return Source(source.where, read, source.name)


def in_prompt(marker: str, end: str = "\n") -> Source:
    """A file path between a marker at the start of a line and `end`, where the client itself
    speaks. Only the path is kept.

    Searched from the end of each text: the environment stands last in a system prompt, after 50 K
    of instructions.
    """

    def read(view: RequestView) -> str | None:
        for text in _client_texts(view):
            at = PROMPT_CAP
            for _ in range(MARKER_TRIES):
                at = text.rfind(marker, 0, at)
                if at < 0:
                    break
                line = text.rfind("\n", 0, at) + 1
                if _MARKER_LEAD.fullmatch(text, line, at) and (
                    path := _path_at(text, at + len(marker), end)
                ):
                    return path
        return None

    return Source("body", read)


def _client_texts(view: RequestView) -> Iterator[str]:
    """The texts a client opens a conversation with: the system prompt, and what it wrote into the
    first messages."""
    payload = view.payload
    for key in ("system", "instructions", "systemInstruction", "system_instruction"):
        if key in payload:
            yield from texts_in(payload[key])
    for message in view.messages[:PROMPT_MESSAGES]:
        instructs = isinstance(message, dict) and message.get("role") in INSTRUCTION_ROLES
        for text in texts_in(message):
            if instructs or _CLIENT_SPEAKS.match(text):
                yield text


_MARKER_LEAD = re.compile(r"[\s*-]*(?:<[\w-]+>)*(?:Primary w|W|I'm |I am )?")
"""What may stand before a marker in its line. If anything else does, the line is prose."""
_CLIENT_SPEAKS = re.compile(r"\s*(?:<[\w-]+>|This is the Gemini CLI\b)")
"""How a message begins that a client wrote in the user's place: `<environment_context>`,
`<session_context>`."""


def _path_at(text: str, start: int, end: str) -> str | None:
    """The file path that is all the text from `start` to `end`, or to the end of the text; None
    where something else stands there."""
    window = text[start : start + TEXT_CAP + len(end) + 2]
    line, found, _ = window.partition(end)
    path = line.strip()
    if not (found or len(text) == start + len(window)) or len(path) > TEXT_CAP or "\n" in path:
        return None
    return (
        path
        if is_path(path) and path.count(" ") <= PATH_BLANKS and not _PROSE.search(path)
        else None
    )


_FILE_PATH = re.compile(r"/|~|[A-Za-z]:[\\/]|\\\\")
_PROSE = re.compile(r"[,;:.!?](?:\s|$)")
"""The end of a clause, which hardly any directory has in its name."""


def is_path(text: str) -> bool:
    """Whether a text begins as a file's path does, on any system."""
    return _FILE_PATH.match(text) is not None


def first(sources: Iterable[Source], view: RequestView) -> str | None:
    """The value of the first of these sources that has one, fit for a record."""
    for source in sources:
        if (value := source.read(view)) and (value := clean(value)):
            return value
    return None


def clean(value: str | None) -> str | None:
    """Make text fit for a record: capped and without control characters; None if nothing is
    left."""
    if not value:
        return None
    value = value[:TEXT_CAP]
    if not value.isprintable():
        value = "".join(character for character in value if character.isprintable())
    return value.strip() or None
