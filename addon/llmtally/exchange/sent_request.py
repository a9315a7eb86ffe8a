"""The HTTP request of an exchange as it went out. Its body is read only when its calls are settled,
which is after the client has the response."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..formats.format import Format, RequestReading
from ..record import Reading, WireError
from ..wire import json_members, multipart
from ..wire.content_coding import decode_whole
from ..wire.json_body import TooLargeError
from .values import Lane, RequestHead

MAX_DECODED = 32 * 2**20
"""Bytes of a request body that are read out of a content coding; providers refuse larger ones."""


class SentRequest:
    """What was asked, and when."""

    def __init__(self, head: RequestHead, fmt: Format) -> None:
        self.method = head.method
        self._head = head
        self._format = fmt
        self._started = head.timestamp
        self._size: int | None = None
        self._raw: bytes | None = None
        """The body, until it is read."""
        self._read: tuple[RequestReading, Mapping[str, Any] | None] | None = None
        """What the body says, and its fields."""
        self._missed = False
        """Something in the body was too large or too dense to be read."""

    def went_out(self, body: bytes | None, size: int | None, at: float) -> None:
        """Note that the request has been sent: its body (None if it was not kept), its size in
        bytes, and when."""
        self._raw = body
        self._size = size
        self._started = max(at, self._head.timestamp)

    def read(self) -> tuple[RequestReading, Mapping[str, Any] | None]:
        """What the body says, and its fields."""
        if self._read is None:
            fields, self._missed = read_body(self._raw, self._head.headers)
            asked = self._format.read_request(fields) if fields is not None else RequestReading()
            self._read = asked, fields
        return self._read

    def open_lane(self, reading: Reading) -> Lane:
        """Open a lane for a response to this request, of which only `reading` is known."""
        return Lane(
            RequestReading(),
            None,
            timestamp=self._head.timestamp,
            started=self._started,
            reading=reading,
        )

    def fill(self, lane: Lane) -> None:
        """Fill in what the request asked for, as far as it is known by now."""
        lane.request, lane.body = self.read()
        lane.echo_unknown = self._missed
        lane.started, lane.request_bytes = self._started, self._size

    def release(self) -> None:
        """Release the memory of the body's bytes."""
        self._raw = None


def read_body(
    raw: bytes | None, headers: Mapping[str, str]
) -> tuple[Mapping[str, Any] | None, bool]:
    """The fields of a JSON object or a form, and whether something in it was too large or too dense
    to be read. No fields where the body is missing or is neither.

    Header names are in lower case. Fields of a long JSON text are parsed when they are looked up.
    """
    if not raw:
        return None, False
    content_type = headers.get("content-type", "")
    try:
        if encoding := headers.get("content-encoding", ""):
            raw = decode_whole(encoding, raw, cap=MAX_DECODED)
        if content_type.startswith("multipart/"):
            return multipart.text_fields(raw, content_type), False
        body, missed = json_members.read(raw)
    except WireError as error:
        return None, isinstance(error, TooLargeError)
    return (body if isinstance(body, dict) else None), missed
