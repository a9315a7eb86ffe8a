"""Cursor's agent: Connect frames of protobuf to `api2.cursor.sh`, best effort.

The schema is private and moves. What others have read out of it: a server message holds an
`InteractionUpdate` in field 1, and at the end of a turn that holds a `TurnEnded` in field 14 with
the counts input 1, output 2, cache read 3, cache write 4, reasoning 5. Where it does not match, the
call is recorded with unknown usage; nothing is guessed from other fields.
"""

from __future__ import annotations

from typing import Any

from ..record import Reading, Usage
from ..wire.grpc import fields
from .format import Format, count

_INTERACTION_UPDATE = 1
_TURN_ENDED = 14
_COUNTS = {
    1: "input_tokens",
    2: "output_tokens",
    3: "cache_read_tokens",
    4: "cache_write_tokens",
    5: "reasoning_tokens",
}


def read_message(message: Any, reading: Reading) -> Reading:
    """Fold one server message (protobuf bytes). Raises WireError where it cannot be decoded."""
    if not isinstance(message, bytes):
        return reading
    for number, update in fields(message):
        if number != _INTERACTION_UPDATE or not isinstance(update, bytes):
            continue
        for inner, value in fields(update):
            if inner == _TURN_ENDED and isinstance(value, bytes):
                reading = _read_turn(value, reading)
    return reading


def _read_turn(turn: bytes, reading: Reading) -> Reading:
    counts: dict[str, Any] = {
        _COUNTS[number]: count(value) for number, value in fields(turn) if number in _COUNTS
    }
    usage = Usage(**counts)
    return reading._replace(usage=usage, finished=True, cost_approximate=True) if usage else reading


CURSOR = Format(name="cursor", read=read_message, counts_tokens=False)
