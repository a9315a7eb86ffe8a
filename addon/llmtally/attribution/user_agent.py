"""Finds a client's row, by its User-Agent and by headers that only it sends."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping

from ..redact import holds_known_key, looks_like_key
from .clients import CLIENTS, Client, as_any
from .request import HEADER_CAP
from .sources import clean

_BY_PRODUCT = {product: client for client in CLIENTS for product in client.products}
_MARKS = tuple(
    (client, name, re.compile(pattern, re.IGNORECASE))
    for client in CLIENTS
    for name, pattern in client.marks
)
_MARK_HEADERS = frozenset(name for _, name, _ in _MARKS) - {"user-agent"}

# `AsyncAzureOpenAI/Python 3.52.0`, `AnthropicBedrock/Python 2.11.0`: one SDK per vendor and
# language, whatever the class.
_STAINLESS = re.compile(
    r"(?:async)?(?:azure)?(\w+?)(?:bedrock\w*|vertex|foundry|aws)?/(python|js|go|java|kotlin|ruby|php|c#)\s+(\S+)",
    re.IGNORECASE,
)
_PRODUCT = re.compile(r"([^/\s]+)(?:/([^/\s]+))?")
_VERSION = re.compile(r"[\w.+-]{1,64}", re.ASCII)


def identify(headers: Mapping[str, str]) -> tuple[Client, str | None]:
    """The row of the client and its version; a client without a row is named by its User-Agent."""
    named, version = _named(headers.get("user-agent", "")[:HEADER_CAP])
    if _MARK_HEADERS.isdisjoint(headers):
        return named, version
    for client, name, pattern in _MARKS:
        if name in headers and pattern.match(headers[name]):
            return client, version if client is named else None
    return named, version


def version_of(text: str | None) -> str | None:
    """A version as it is; None where the text is something else, a sentence or a key."""
    return text if text and _VERSION.fullmatch(text) and not holds_known_key(text) else None


@functools.lru_cache(maxsize=1024)
def _named(user_agent: str) -> tuple[Client, str | None]:
    """The row and the version by the User-Agent alone."""
    for client, name, pattern in _MARKS:
        if name == "user-agent" and pattern.match(user_agent):
            return client, None
    product, version = _read_user_agent(user_agent)
    named = _BY_PRODUCT.get(product) or _BY_PRODUCT.get(
        re.split("[-_]", product, maxsplit=1)[0] + "*"
    )
    return named or as_any(Client(clean(product) or "")), version_of(version)


def _read_user_agent(user_agent: str) -> tuple[str, str | None]:
    if found := _STAINLESS.match(user_agent):
        vendor, language, version = found.groups()
        return f"{vendor}-{language}".lower(), version
    if found := _PRODUCT.match(user_agent):
        product, version = found.groups()
        name = re.sub(r"[^a-z0-9._-]+", "-", product.lower()).strip("-._")
        return "" if looks_like_key(product) else name, version
    return "", None
