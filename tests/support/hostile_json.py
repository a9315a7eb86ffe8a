"""What a hostile or careless peer may send: real messages with parts of them replaced by anything,
and what must hold then."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, get_type_hints

from hypothesis import strategies as st

from llmtally.formats.format import Format
from llmtally.record import TOKEN_FIELDS, Reading, Usage, WireError

TEXT_FIELDS = [name for name, hint in get_type_hints(Reading).items() if hint == str | None]
"""Fields of a reading that are text off the wire."""

Path = tuple[str | int, ...]

values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=0, max_value=2**53)
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["error", "message", "usage", "content", "type"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=8,
)


@st.composite
def damaged(draw: st.DrawFn, *samples: Any) -> Any:
    """One of the samples with up to four of its values replaced by any JSON; or any JSON."""
    message = copy.deepcopy(draw(st.sampled_from(samples)))
    for _ in range(draw(st.integers(min_value=1, max_value=4))):
        path = draw(st.sampled_from(list(_paths(message))))
        message = _replaced(message, path, draw(values))
    return message


def _paths(value: Any, path: Path = ()) -> Iterator[Path]:
    yield path
    entries = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, inner in entries:
        yield from _paths(inner, (*path, key))


def _replaced(value: Any, path: Path, new: Any) -> Any:
    if not path:
        return new
    value[path[0]] = _replaced(value[path[0]], path[1:], new)
    return value


def holds(fmt: Format, message: Any) -> None:
    """Nothing but `WireError` is raised, and what was read can be counted and priced."""
    try:
        message = fmt.unwrap(message) if fmt.unwrap is not None else message
    except WireError:
        return
    assert fmt.content(message) >= 0
    if fmt.turn is not None:
        fmt.turn(message, True)
        fmt.turn(message, False)
    if isinstance(message, dict):
        fmt.read_request(message)
    started = Reading(
        usage=Usage(input_tokens=7, cache_read_tokens=3, output_tokens=1, reasoning_tokens=1),
        output_provisional=True,
    )
    for before in (Reading(), started):
        try:
            reading = fmt.read(message, before)
        except WireError:
            continue
        for usage in (reading.usage, *(part.usage for part in reading.parts)):
            if usage is not None:
                assert all(
                    n is None or (isinstance(n, int) and 0 <= n < 2**63)
                    for n in map(usage.__getattribute__, TOKEN_FIELDS)
                )
        assert all(
            value is None or (isinstance(value, str) and 0 < len(value) <= 256)
            for value in map(reading.__getattribute__, TEXT_FIELDS)
        )


def fold(fmt: Format, *messages: Any, before: Reading | None = None) -> Reading:
    """The reading of messages in order, as they are on the wire."""
    reading = before or Reading()
    for message in messages:
        reading = fmt.read(fmt.unwrap(message) if fmt.unwrap is not None else message, reading)
    return reading


def usage(reading: Reading) -> dict[str, Any]:
    """What is known of the usage."""
    known = reading.usage._asdict() if reading.usage is not None else {}
    return {name: value for name, value in known.items() if value is not None}
