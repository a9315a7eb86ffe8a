"""The record: a call as one JSON object, the contract of the journal: docs/record.md.

A record is a `Call` laid flat: the schema, the call's own fields, those of its usage,
`total_tokens`, those of its attribution, its parts and its limits, under the names they have there.
Adding a field is free; renaming one or changing a meaning is a new `SCHEMA`. What is unknown is
absent, never 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, get_origin, get_type_hints

import msgspec

from .record import USAGE_FIELDS, Attribution, Call, LimitReading, Part, Usage, epoch, rfc3339

SCHEMA = 1

LAST_SECOND = 62_135_596_800
"""As many seconds as lie between the year 1 and 1970: calendars begin there."""


class RecordError(ValueError):
    """A line is no record of this schema; the message says why."""


_OWN = Call._fields.index("pending")
"""So many fields of a call are its own; the others are laid flat, or not written."""
_TIMES = ("timestamp", "started", "ended")
_ALWAYS: dict[str, Callable[[], Any]] = {
    "streaming": bool,
    "billing": lambda: "api",
    "cost_usd": lambda: None,
    "cost_source": lambda: None,
}
"""What is written even if it is the default: how a call was answered, billed and priced. A
factory's value is not left out."""

_CLOCK = Annotated[float, msgspec.Meta(ge=-LAST_SECOND, le=LAST_SECOND)] | None
"""Seconds that a calendar can show: what is computed with others could not be shown."""

_Field = tuple[str, Any] | tuple[str, Any, Any]


def _fields_of(
    kind: type[tuple[Any, ...]], names: tuple[str, ...], defaults: Mapping[str, Any]
) -> list[_Field]:
    hints = get_type_hints(kind)
    return [_field(name, hints[name], defaults) for name in names]


def _field(name: str, hint: Any, defaults: Mapping[str, Any]) -> _Field:
    # A word that has a list of its own is any text here, so that a line of a later version is read.
    kind = str if name in _TIMES or get_origin(hint) is Literal else hint
    kind = _CLOCK if name in ("resets_at", "window_seconds") else kind
    if name in _ALWAYS:
        return name, kind, msgspec.field(default_factory=_ALWAYS[name])
    return (name, kind, defaults[name]) if name in defaults else (name, kind)


_ATTRIBUTED = tuple(name for name in Attribution._fields if name != "billing")
"""Where a call's billing stands, it is the call's."""

_LimitRecord = msgspec.defstruct(
    "LimitRecord",
    _fields_of(LimitReading, LimitReading._fields, LimitReading._field_defaults),
    omit_defaults=True,
    gc=False,
)
_Record = msgspec.defstruct(
    "Record",
    [
        ("schema", Literal[SCHEMA]),
        *_fields_of(Call, Call._fields[:_OWN], Call._field_defaults),
        *_fields_of(Usage, USAGE_FIELDS, Usage._field_defaults),
        ("total_tokens", int | None, None),
        *_fields_of(Attribution, _ATTRIBUTED, Attribution._field_defaults),
        ("parts", list[dict[str, Any]], msgspec.field(default_factory=list)),
        ("limits", list[_LimitRecord], msgspec.field(default_factory=list)),  # type: ignore[valid-type]  # a class made at run time
    ],
    omit_defaults=True,
    gc=False,
)

FIELDS: tuple[str, ...] = _Record.__struct_fields__
"""Every field a record may have."""

_USAGE = FIELDS.index(USAGE_FIELDS[0])
_TOTAL = FIELDS.index("total_tokens")
_TIMES_AT = tuple(map(Call._fields.index, _TIMES))

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Record)


def to_line(call: Call) -> bytes:
    """One line of the journal, newline included. Raises ValueError where a text has no UTF-8 or a
    time no date."""
    return _encoder.encode(_laid_flat(call)) + b"\n"


def to_record(call: Call) -> dict[str, Any]:
    """The same as a JSON object."""
    record: dict[str, Any] = msgspec.to_builtins(_laid_flat(call))
    return record


def _laid_flat(call: Call) -> msgspec.Struct:
    own: list[Any] = list(call[:_OWN])
    for at in _TIMES_AT:
        own[at] = rfc3339(own[at])
    usage = call.usage
    *who, _ = call.attribution
    parts, limits = (
        [_part_fields(part) for part in call.parts],
        [_LimitRecord(*limit) for limit in call.limits],
    )
    return _Record(SCHEMA, *own, *usage, usage.total_tokens, *who, parts, limits)


def _part_fields(part: Part) -> dict[str, Any]:
    known = {
        name: value
        for name, value in zip(USAGE_FIELDS, part.usage, strict=True)
        if value is not None
    }
    if (total := part.usage.total_tokens) is not None:
        known["total_tokens"] = total
    return {"kind": part.kind, "model": part.model, **known, "cost_usd": part.cost_usd}


def from_line(line: bytes) -> Call:
    """Read back what `to_line` wrote; fields it does not know are ignored. Raises RecordError."""
    try:
        return _call(_decoder.decode(line))
    except _REFUSALS as error:
        if type(error) in (msgspec.DecodeError, UnicodeDecodeError):
            raise RecordError("not JSON" if line.endswith(b"\n") else "cut off") from None
        raise _no_record(error) from None
    except RecursionError:
        raise RecordError("nested too deeply") from None


def from_record(record: Mapping[str, Any]) -> Call:
    """Read back what `to_record` gave. Raises RecordError."""
    try:
        return _call(msgspec.convert(record, _Record))
    except _REFUSALS as error:
        raise _no_record(error) from None


_REFUSALS = (msgspec.DecodeError, ValueError, OverflowError)
"""No JSON, a field of another type, a time that is none."""


def _no_record(error: Exception) -> RecordError:
    return RecordError(f"not a record of schema {SCHEMA}: {error}")


def _call(record: msgspec.Struct) -> Call:
    fields = msgspec.structs.astuple(record)
    own = list(fields[1:_USAGE])
    for at in _TIMES_AT:
        own[at] = epoch(own[at])
    return Call._make(
        (
            *own,
            False,  # pending: such are not written
            Usage._make(fields[_USAGE:_TOTAL]),
            Attribution._make((*fields[_TOTAL + 1 : -2], None)),
            tuple(map(_part, fields[-2])),
            tuple(LimitReading._make(msgspec.structs.astuple(limit)) for limit in fields[-1]),
        )
    )


def _part(fields: dict[str, Any]) -> Part:
    return msgspec.convert({**fields, "usage": [fields.get(name) for name in USAGE_FIELDS]}, Part)
