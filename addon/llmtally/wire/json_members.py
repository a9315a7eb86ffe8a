"""A JSON object of which little will be asked: its members are found at once, and each is parsed
when it is asked for.

Agents send 50 to 500 kB with every request, nearly all of it messages and tools; what is read of
them is the name of a model and a dozen small fields. Finding where the members begin and end takes
a third of the time that parsing them takes.
"""

from __future__ import annotations

from typing import Any

import msgspec
import orjson

from ..record import WireError
from . import json_body

WORTHWHILE = 8 * 2**10
"""Bytes from which it is: shorter texts are parsed in 10 microseconds."""

ON_DEMAND = 512 * 2**10
"""Bytes up to which it is: a longer text is parsed by a thread, and no member of it later by the
loop, which 1 ms would hold up."""

_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Members(dict[str, Any]):
    """The members of an object. A value that cannot be parsed is None."""

    def __getitem__(self, name: str) -> Any:
        value = super().__getitem__(name)
        if isinstance(value, msgspec.Raw):
            value = self[name] = _parsed(value)
        return value

    def get(self, name: str, default: Any = None) -> Any:
        """As of any dict."""
        try:
            return self[name]
        except KeyError:
            return default

    def values(self) -> Any:
        """As of any dict; all of them are parsed."""
        return self._whole().values()

    def items(self) -> Any:
        """As of any dict; all of them are parsed."""
        return self._whole().items()

    def _whole(self) -> dict[str, Any]:
        return {name: self[name] for name in self}


def load(data: bytes) -> Any:
    """The value of one JSON text as `json_body.load` gives it; an object of middling size by its
    members. Raises WireError."""
    if WORTHWHILE <= len(data) <= ON_DEMAND:
        try:
            return Members(_decoder.decode(data))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass  # no object, or nothing that strict JSON allows
    return json_body.load(data)


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
