"""A request's body as the client sent it: out of its content coding, JSON or a form's text
fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..record import WireError
from ..wire import json_members, multipart
from ..wire.content_coding import decode_whole

MAX_REQUEST_BODY = 64 * 2**20
"""Bytes of a request body that are read; providers refuse larger ones."""


def read(raw: bytes | None, headers: Mapping[str, str]) -> Mapping[str, Any] | None:
    """The fields of a body, parsed when they are asked for; None where it is missing or no object.
    `headers`: in lower case."""
    if not raw:
        return None
    content_type = headers.get("content-type", "")
    try:
        if encoding := headers.get("content-encoding", ""):
            raw = decode_whole(encoding, raw, cap=MAX_REQUEST_BODY)
        if content_type.startswith("multipart/"):
            return multipart.text_fields(raw, content_type)
        body = json_members.load(raw)
    except WireError:
        return None
    return body if isinstance(body, dict) else None
