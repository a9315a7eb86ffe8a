"""What a proxy and a tally in another process say to each other, over a Unix socket.

A message is four bytes with its length and then msgpack: a list of observations, or of what the
tally answers. The first one of each side says who speaks, and in which version.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec

from .observations import AnyObservation

PROTOCOL = 1
"""Raised when a message changes in a way that an older version cannot read."""

MESSAGE_CAP = 256 * 2**20
"""Bytes of a message: the largest request body and the largest answer that mitmproxy holds, with
room to spare."""

_LENGTH = 4


class Settings(msgspec.Struct, array_like=True):
    """The options of a directory, as a proxy has them."""

    prices: str | None = None
    """Path of the user's price file."""
    limits: list[str] = msgspec.field(default_factory=list)
    """Values of `usage_limits`."""
    web: bool = False
    """Whether the page is wanted."""
    web_host: str = "127.0.0.1"
    web_port: int = 0
    token: str = ""


class Hello(msgspec.Struct, array_like=True, tag=20):
    """A proxy says who it is."""

    protocol: int
    version: str
    proxy: str
    """A random name, the same for all connections of one proxy."""
    settings: Settings


class Welcome(msgspec.Struct, array_like=True, tag=30):
    """The tally says who it is."""

    protocol: int
    version: str
    pid: int


class Settled(msgspec.Struct, array_like=True, tag=31):
    """Calls were settled in a flow: their lines."""

    key: int
    lines: list[str]


class Acknowledged(msgspec.Struct, array_like=True, tag=32):
    """These flows are in the journal, so nobody needs to keep them."""

    keys: list[int]


class Alert(msgspec.Struct, array_like=True, tag=33):
    """Something that a person should read."""

    text: str


class Shown(msgspec.Struct, array_like=True, tag=34):
    """What the tally shows: the page's host, port and URL, and the text of `usage.summary`."""

    host: str | None
    port: int
    page: str | None
    summary: str


FromProxy: TypeAlias = Hello | AnyObservation
FromTally: TypeAlias = Welcome | Settled | Acknowledged | Alert | Shown

_encode = msgspec.msgpack.Encoder().encode
Message = TypeVar("Message")


def pack(messages: Sequence[Any]) -> bytes:
    """The bytes of a message. Raises UnicodeEncodeError for text that is not Unicode."""
    body = _encode(messages)
    return len(body).to_bytes(_LENGTH, "big") + body


class Unpacker(Generic[Message]):
    """Puts messages together out of the pieces in which a socket delivers them."""

    def __init__(self, kind: Any) -> None:
        self._decode = msgspec.msgpack.Decoder(list[kind]).decode
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[list[Message]]:
        """The messages that these bytes complete. Raises ValueError if they are none."""
        self._buffer += data
        start = 0
        while len(self._buffer) - start >= _LENGTH:
            body = start + _LENGTH
            length = int.from_bytes(self._buffer[start:body], "big")
            if length > MESSAGE_CAP:
                raise ValueError(f"a message of {length} bytes")
            if len(self._buffer) < body + length:
                break
            with memoryview(self._buffer) as whole:
                messages = self._decode(whole[body : body + length])
            start = body + length
            yield messages
        del self._buffer[:start]


def from_proxy() -> Unpacker[FromProxy]:
    """Reads what proxies send."""
    return Unpacker(FromProxy)


def from_tally() -> Unpacker[FromTally]:
    """Reads what a tally sends."""
    return Unpacker(FromTally)
