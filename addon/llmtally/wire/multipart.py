"""`multipart/form-data` (RFC 7578), of which only short text fields are read: they hold the model's
name, and no file is needed."""

from __future__ import annotations

MAX_FIELD = 1024
"""Bytes of a text field that are read: model names and flags are shorter, prompts and files are not
wanted."""

MAX_PARTS = 64
"""Parts read: uploads have fewer than twenty in all APIs known."""


def text_fields(body: bytes, content_type: str) -> dict[str, str]:
    """The short text fields by name; of a damaged body, those that can be found."""
    boundary = _parameter(content_type, "boundary")
    if not boundary:
        return {}
    delimiter = b"--" + boundary.encode("latin-1", "replace")
    fields: dict[str, str] = {}
    start = body.find(delimiter)
    for _ in range(MAX_PARTS):
        if start < 0:
            break
        start += len(delimiter)
        end = body.find(delimiter, start)
        head_end = body.find(b"\r\n\r\n", start, start + MAX_FIELD)
        if end < 0 or head_end < 0:
            break
        value = body[head_end + 4 : min(end, head_end + 4 + MAX_FIELD + 1)].removesuffix(b"\r\n")
        head = body[start:head_end].decode("latin-1")
        if (
            len(value) <= MAX_FIELD
            and "filename" not in head.lower()
            and (name := _parameter(head, "name"))
        ):
            fields[name] = value.decode("utf-8", "replace")
        start = end
    return fields


def _parameter(header: str, name: str) -> str | None:
    for piece in header.replace("\r\n", ";").split(";")[1:]:
        key, _, value = piece.strip().partition("=")
        if key.lower() == name:
            return value.strip().strip('"') or None
    return None
