"""Recognises that a request continues an earlier conversation that no client names, by hashes of
what was said so far."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from .sources import INSTRUCTION_ROLES

PREFIX_MESSAGES = 64
"""Messages hashed per request: conversations with as many equal messages count as one."""
PREFIX_SCAN = 512
"""Messages searched to find those."""
PREFIX_NODES = 64
"""JSON values hashed of one message: real ones have far fewer."""
PREFIX_TEXT = 2048
"""Characters hashed from either end of a string: templates differ at the start or at the end."""
PREFIX_BUDGET = 64 * 1024
"""Characters hashed per request, which bounds its cost to about 0.1 ms."""

_NOT_THE_USERS = frozenset({"assistant", "model"}) | INSTRUCTION_ROLES
_MODELS_OWN_TYPES = frozenset(
    {"reasoning", "function_call", "custom_tool_call", "item_reference", "compaction"}
)

_VOLATILE = frozenset(
    {
        "type",
        "id",
        "status",
        "cache_control",
        "cachePoint",
        "thoughtSignature",
        "signature",
        "encrypted_content",
    }
)
"""Keys whose values come and go while a message stays the same."""


def conversation_hashes(key: bytes, seed: str, messages: Iterable[Any]) -> list[str]:
    """The running keyed hash after each message of the user and of tools.

    A later request of the same conversation begins with the same hashes. The model's own turns are
    left out, clients rewrite them (thinking is dropped, calls are renumbered); so are instructions,
    which may hold the time of day.
    """
    state = hashlib.blake2b(seed.encode("utf-8", "surrogatepass"), digest_size=8, key=key)
    hashes: list[str] = []
    budget = PREFIX_BUDGET
    for message in islice(messages, PREFIX_SCAN):
        if not isinstance(message, dict) or _is_not_the_users(message):
            continue
        said = "".join([f"{len(text)}:{_ends(text)}" for text in _strings(message)]) + "\n"
        state.update(said.encode("utf-8", "surrogatepass"))
        hashes.append(state.hexdigest())
        budget -= len(said)
        if budget <= 0 or len(hashes) == PREFIX_MESSAGES:
            break
    return hashes


def _is_not_the_users(message: Mapping[str, Any]) -> bool:
    role = message.get("role")
    if isinstance(role, str):
        return role in _NOT_THE_USERS
    kind = message.get("type")
    return isinstance(kind, str) and kind in _MODELS_OWN_TYPES


def _ends(text: str) -> str:
    return text if len(text) <= 2 * PREFIX_TEXT else text[:PREFIX_TEXT] + text[-PREFIX_TEXT:]


def _strings(message: Mapping[str, Any]) -> Iterable[str]:
    """The strings within a message, in order, without what is volatile."""
    if (
        len(message) == 2
        and isinstance(message.get("role"), str)
        and isinstance(message.get("content"), str)
    ):
        return message.values()  # as below, at a third of the cost
    return _strings_within(message)


def _strings_within(message: Mapping[str, Any]) -> Iterator[str]:
    stack: list[Any] = [message]
    for _ in range(PREFIX_NODES):
        if not stack:
            return
        node = stack.pop()
        if isinstance(node, str):
            yield node
        elif isinstance(node, dict):
            stack.extend(
                [
                    node[name]
                    for name in islice(reversed(node), PREFIX_NODES)
                    if name not in _VOLATILE
                ]
            )
        elif isinstance(node, list):
            stack.extend(node[PREFIX_NODES - 1 :: -1])
