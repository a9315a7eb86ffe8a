"""AWS event streams, as Bedrock writes them."""

from __future__ import annotations

import struct
from zlib import crc32


def header(name: str, value: str) -> bytes:
    """One string header."""
    return (
        bytes([len(name)])
        + name.encode()
        + b"\x07"
        + struct.pack(">H", len(value.encode()))
        + value.encode()
    )


def frame(payload: bytes, headers: bytes) -> bytes:
    """One message, as AWS sends it."""
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    body = prelude + struct.pack(">I", crc32(prelude)) + headers + payload
    return body + struct.pack(">I", crc32(body))


def event(kind: str, payload: bytes) -> bytes:
    """One event, with the headers Bedrock sends."""
    return frame(
        payload,
        header(":event-type", kind)
        + header(":content-type", "application/json")
        + header(":message-type", "event"),
    )
