"""A JSON object whose members are parsed only when they are looked up.

Agents send 50 to 500 kB with every request, nearly all of it messages and tools; what is read of
them is the name of a model and a dozen small fields. Finding where the members begin and end takes
a third of the time that parsing them all takes.
"""

from __future__ import annotations

from typing import Any

import msgspec
import orjson

from ..record import WireError
from . import json_body

WORTHWHILE = 8 * 2**10
"""Bytes from which on members are parsed on demand: a shorter text is parsed in 10 microseconds."""

ON_DEMAND = 512 * 2**10
"""Bytes up to which members are parsed on demand. A longer text is read in a thread, which parses
all of it: a member parsed later would block mitmproxy's loop for a millisecond."""

_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Members(dict[str, Any]):
    """The members of an object, as a dict. A value that cannot be parsed is None."""

    def __getitem__(self, name: str) -> Any:
        value = super().__getitem__(name)
        if isinstance(value, msgspec.Raw):
            value = self[name] = _parsed(value)
        return value

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a member, or the default."""
        try:
            return self[name]
        except KeyError:
            return default

    def values(self) -> Any:
        """All values; the whole text is parsed for them."""
        return self._whole().values()

    def items(self) -> Any:
        """All members; the whole text is parsed for them."""
        return self._whole().items()

    def _whole(self) -> dict[str, Any]:
        return {name: self[name] for name in self}


def load(data: bytes) -> Any:
    """The value that `read` gives."""
    return read(data).value


def read(data: bytes) -> json_body.Parsed:
    """What `json_body.read` gives; an object of middling size becomes `Members`. Raises
    WireError."""
    if WORTHWHILE <= len(data) <= ON_DEMAND:
        try:
            return json_body.Parsed(Members(_decoder.decode(data)), missed=False)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass  # not an object, or not strict JSON
    return json_body.read(data)


def _parsed(value: msgspec.Raw) -> Any:
    text = bytes(value)
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass
    try:
        return json_body.load(text)
    except WireError:
        return None
