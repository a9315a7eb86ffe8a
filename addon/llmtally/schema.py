"""The record: a call as one JSON object, the contract of the journal: docs/record.md.

A record is a flattened `Call`: the schema, the call's own fields, those of its usage,
`total_tokens`, those of its attribution, its parts and its limits, under the names they have in
record.py. A field added there, in any place, is written and read back without an edit here;
renaming one or changing a meaning is a new `SCHEMA`. What is unknown is absent, never 0.

A line with a `kind` and without a `schema` is not a call but something else that must survive a
restart: `QuotaAnswer` or `NotCounted`. Versions before these kinds skip such lines, and this one
skips kinds that it does not know.

A line is what `read_line` says it is, to every reader of the journal. It checks all fields, so that
a number that cannot be one makes the line damaged for all of them, and no line half believed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from operator import itemgetter
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from .record import (
    CLOCK_RANGE,
    USAGE_FIELDS,
    Attribution,
    Call,
    LimitReading,
    NotCounted,
    Part,
    QuotaAnswer,
    Usage,
    rfc3339,
)

SCHEMA = 1


class RecordError(ValueError):
    """A line is not a record of this schema; the message says why."""


_NESTED = ("usage", "attribution", "parts", "limits")
"""Fields of a call that hold values with fields: a record has those fields in their place."""
_NOT_WRITTEN = ("pending",)
_OWN = tuple(name for name in Call._fields if name not in (*_NESTED, *_NOT_WRITTEN))
"""Fields that a record takes from the call itself."""
_ATTRIBUTED = tuple(name for name in Attribution._fields if name != "billing")
"""Fields that a record takes from the attribution; `billing` is the call's, which has settled
it."""

_TIMES = ("timestamp", "started", "ended")
_ALWAYS: dict[str, Callable[[], Any]] = {
    "streaming": bool,
    "billing": lambda: "api",
    "cost_usd": lambda: None,
    "cost_source": lambda: None,
}
"""Fields that are written even where they have their default: how a call was answered, billed and
priced. Each has a factory, because msgspec leaves out a plain default, never what a factory
made."""

_CLOCK = Annotated[float, msgspec.Meta(ge=-CLOCK_RANGE, le=CLOCK_RANGE)] | None
"""Seconds that a calendar can show, also when they are added to or taken from a time of today."""

_COUNT = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""A number that every reader can hold: 64 bits."""

_TIME = Annotated[datetime, msgspec.Meta(tz=True)]
"""Read as a time, written as the text that `rfc3339` makes."""

_Field = tuple[str, Any] | tuple[str, Any, Any]


def _fields_of(kind: type, names: tuple[str, ...], defaults: Mapping[str, Any]) -> list[_Field]:
    hints = get_type_hints(kind)
    return [_field(name, hints[name], defaults) for name in names]


def _field(name: str, hint: Any, defaults: Mapping[str, Any]) -> _Field:
    # A word out of a fixed list may be any text here, so that a line of a later version is read.
    kind = str if get_origin(hint) is Literal else _bounded(hint)
    kind = _TIME if name in _TIMES else kind
    kind = _CLOCK if name in ("resets_at", "window_seconds") else kind
    if name in _ALWAYS:
        return name, kind, msgspec.field(default_factory=_ALWAYS[name])
    return (name, kind, defaults[name]) if name in defaults else (name, kind)


def _bounded(hint: Any) -> Any:
    """The type with its whole numbers bounded."""
    if hint is int:
        return _COUNT
    if get_origin(hint) in (Union, UnionType, dict):
        origin = Union if get_origin(hint) is not dict else dict
        return origin[tuple(map(_bounded, get_args(hint)))]
    return hint


_LimitRecord = msgspec.defstruct(
    "LimitRecord",
    _fields_of(LimitReading, LimitReading._fields, LimitReading._field_defaults),
    omit_defaults=True,
    gc=False,
)
_PartRecord = msgspec.defstruct(
    "PartRecord",
    [
        *((name, get_type_hints(Part)[name]) for name in ("kind", "model")),
        *_fields_of(Usage, USAGE_FIELDS, Usage._field_defaults),
        ("cost_usd", float | None, None),
    ],
    gc=False,
)
"""A part as it is read."""
_Record = msgspec.defstruct(
    "Record",
    [
        ("schema", Literal[SCHEMA]),
        *_fields_of(Call, _OWN, Call._field_defaults),
        *_fields_of(Usage, USAGE_FIELDS, Usage._field_defaults),
        ("total_tokens", _COUNT | None, None),
        *_fields_of(Attribution, _ATTRIBUTED, Attribution._field_defaults),
        ("parts", list[_PartRecord], msgspec.field(default_factory=list)),  # type: ignore[valid-type]  # a class made at run time
        ("limits", list[_LimitRecord], msgspec.field(default_factory=list)),  # type: ignore[valid-type]
    ],
    omit_defaults=True,
    gc=False,
)

FIELDS: tuple[str, ...] = _Record.__struct_fields__
"""Every field a record may have."""


def _picker(wanted: tuple[str, ...], names: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    """Make a function that takes the values named `wanted` out of a tuple of values named
    `names`."""
    places = [names.index(name) for name in wanted]
    run = slice(places[0], places[-1] + 1)
    if places == list(range(run.start, run.stop)):
        return itemgetter(run)  # neighbours in their order: a slice takes half the time
    return itemgetter(*places)


# Every call is taken apart by position, for speed. The positions are looked up here, once and by
# name, so the order in which record.py declares its fields does not matter.
_own_of = _picker(_OWN, Call._fields)
_attributed_of = _picker(_ATTRIBUTED, Attribution._fields)
_as_call = _picker(Call._fields, (*_OWN, *_NOT_WRITTEN, *_NESTED))
_as_attribution = _picker(Attribution._fields, (*_ATTRIBUTED, "billing"))
_TIMES_AT = tuple(map(_OWN.index, _TIMES))

_USAGE = 1 + len(_OWN)
"""Where the usage begins in a record; before it stand the schema and the call's own fields."""
_TOTAL = _USAGE + len(USAGE_FIELDS)
_PARTS = FIELDS.index("parts")

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
    own = list(_own_of(call))
    for at in _TIMES_AT:
        own[at] = rfc3339(own[at])
    usage = call.usage
    who = _attributed_of(call.attribution)
    parts = [_part_fields(part) for part in call.parts]
    limits = [_LimitRecord(*limit) for limit in call.limits]
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
    return _call(_decoded(_decoder, line, f"schema {SCHEMA}"))


def _decoded(decoder: msgspec.json.Decoder[Any], line: bytes, kind: str) -> Any:
    try:
        return decoder.decode(line)
    except (msgspec.DecodeError, ValueError) as error:
        if type(error) in (msgspec.DecodeError, UnicodeDecodeError):
            raise RecordError("not JSON" if line.endswith(b"\n") else "cut off") from None
        raise RecordError(f"not a record of {kind}: {error}") from None
    except RecursionError:
        raise RecordError("nested too deeply") from None


def _call(record: msgspec.Struct) -> Call:
    fields = msgspec.structs.astuple(record)
    own = list(fields[1:_USAGE])
    for at in _TIMES_AT:
        own[at] = own[at].timestamp()
    pending = False  # such a call is not written
    usage = Usage._make(fields[_USAGE:_TOTAL])
    attribution = Attribution._make(_as_attribution((*fields[_TOTAL + 1 : _PARTS], None)))
    parts = tuple(map(_part, fields[_PARTS]))
    return Call._make(_as_call((*own, pending, usage, attribution, parts, _limits(fields[-1]))))


def _part(record: msgspec.Struct) -> Part:
    kind, model, *usage, cost_usd = msgspec.structs.astuple(record)
    return Part(kind, model, Usage._make(usage), cost_usd)


def _limits(records: list[msgspec.Struct]) -> tuple[LimitReading, ...]:
    return tuple([LimitReading._make(msgspec.structs.astuple(limit)) for limit in records])


# Lines of other kinds

_QUOTA = "quota"

_QuotaRecord = msgspec.defstruct(
    "QuotaRecord",
    [
        ("kind", str),
        *_fields_of(QuotaAnswer, ("timestamp", "provider", "account"), {"account": None}),
        ("limits", list[_LimitRecord], msgspec.field(default_factory=list)),  # type: ignore[valid-type]
    ],
    omit_defaults=True,
)
_NotCountedRecord = msgspec.defstruct(
    "NotCountedRecord",
    _fields_of(NotCounted, NotCounted.__slots__, {"host": None, "reason": None}),
    omit_defaults=True,
)


class _Kind(msgspec.Struct):
    """What tells a line of another kind from a call."""

    kind: str
    schema: None = None


_kind_decoder = msgspec.json.Decoder(_Kind)
_quota_decoder = msgspec.json.Decoder(_QuotaRecord)
_not_counted_decoder = msgspec.json.Decoder(_NotCountedRecord)

Entry = Call | QuotaAnswer | NotCounted
"""All that a line of the journal may say."""


def entry_line(entry: QuotaAnswer | NotCounted) -> bytes:
    """The line of something that is not a call, newline included. Raises ValueError as `to_line`
    does."""
    at = rfc3339(entry.timestamp)
    if isinstance(entry, QuotaAnswer):
        limits = [_LimitRecord(*limit) for limit in entry.limits]
        record = _QuotaRecord(_QUOTA, at, entry.provider, entry.account, limits)
    else:
        record = _NotCountedRecord(entry.kind, at, entry.count, entry.host, entry.reason)
    return _encoder.encode(record) + b"\n"


def read_line(line: bytes) -> Entry | None:
    """What a line of the journal says, or None if it is of a kind that this version does not know.
    Raises RecordError if it is damaged."""
    try:
        return from_line(line)
    except RecordError:
        kind = kind_of(line)
        if kind is None:
            raise
    if kind == _QUOTA:
        record = _decoded(_quota_decoder, line, f"kind {kind}")
        _, timestamp, provider, account, limits = msgspec.structs.astuple(record)
        return QuotaAnswer(timestamp.timestamp(), provider, account, _limits(limits))
    if kind in KINDS:
        _, timestamp, *rest = msgspec.structs.astuple(
            _decoded(_not_counted_decoder, line, f"kind {kind}")
        )
        return NotCounted(kind, timestamp.timestamp(), *rest)
    return None


KINDS = (_QUOTA, "bypassed", "unparsed", "lost")
"""The kinds of lines that this version knows, beside calls."""


def kind_of(line: bytes) -> str | None:
    """The kind of a line that is not a call; None if it states none."""
    try:
        return _kind_decoder.decode(line).kind
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None


def check_line(line: bytes) -> str | None:
    """The kind that `read_line` would find, without the work of making it: None for a call. Raises
    RecordError."""
    try:
        _decoded(_decoder, line, f"schema {SCHEMA}")
    except RecordError:
        if (kind := kind_of(line)) is None:
            raise
        if kind in KINDS:
            read_line(line)
        return kind
    return None
