"""`wire/json_skim.py`: no more than its allowance becomes a tree, and what matters is still read."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtally.formats.format import Format
from llmtally.record import Reading, WireError
from llmtally.wire import framing, json_body, json_skim
from llmtally.wire.json_body import TooLargeError, read
from llmtally.wire.json_skim import (
    CONTAINERS,
    MAX_ELEMENTS,
    MAX_TEXT,
    MAX_VALUES,
    Skimmer,
    count_values,
)
from wire_capture import HTTP_CAPTURES, SOCKET_CAPTURES, load, route_of

DENSE = {
    "empty objects": b"[" + b'{},"",' * 300_000 + b"0]",
    "empty arrays in arrays": b"[" + b'[[],""],' * 300_000 + b"0]",
    "small objects": b"[" + b'{"a":1},' * 300_000 + b"0]",
    "members": b"{" + b'"a":0,' * 300_000 + b'"z":0}',
    "members that matter": b"{" + b'"usage":{"a":0},' * 150_000 + b'"z":0}',
    "in an object that matters": b'{"usage":{' + b'"a":0,' * 300_000 + b'"z":0}}',
    "short strings": b"[" + b'"ab",' * 300_000 + b"0]",
    "numbers among strings": b"[" + b'1,2,"",' * 300_000 + b"0]",
}
"""What becomes a hundred or a thousand times as many objects as real answers have."""

NOTHING_MISSED = (b'{"a"', b'{"usage":{"a":0},')
"""Beginnings of those in which no member matters, or only the last of many with one name."""

JUNK = [[], {"zzz": [{}, ""]}] * 40
"""Stands for what makes a real answer dense: alternatives of each token, words with times."""


def texts_parsed(data: bytes) -> tuple[Any, bool, list[bytes]]:
    """What is read of a text, and the texts of which a tree was made for that."""
    handed: list[bytes] = []
    parse = json_body._parse

    def noted(text: bytes) -> Any:
        handed.append(text)
        return parse(text)

    with patch.object(json_body, "_parse", noted):
        value, missed = read(data)
    return value, missed, handed


@pytest.mark.parametrize("text", DENSE.values(), ids=DENSE)
def test_no_more_than_the_allowance_becomes_a_tree(text: bytes) -> None:
    """Whatever makes a text dense, and that something was passed over is said."""
    _, missed, handed = texts_parsed(text)

    assert sum(count_values(part, 0) for part in handed) <= MAX_VALUES
    assert sum(map(len, handed)) <= MAX_TEXT
    assert missed is not text.startswith(NOTHING_MISSED)


@pytest.mark.parametrize("text", DENSE.values(), ids=DENSE)
def test_large_and_dense_is_refused_whole(text: bytes) -> None:
    """Far beyond the limits nothing is parsed at all."""
    with pytest.raises(TooLargeError):
        texts_parsed(b"[" + (text + b",") * (40 * 2**20 // len(text)) + b'"",0]')


@given(
    st.recursive(
        st.none() | st.integers(-9, 2**40) | st.text('ab,[{"\\:', max_size=9),
        lambda inner: (
            st.lists(inner, max_size=5) | st.dictionaries(st.text('a,["\\', max_size=3), inner)
        ),
        max_leaves=30,
    ),
    st.integers(0, 40),
)
def test_values_are_never_counted_too_low(value: Any, most: int) -> None:
    """The count holds for any JSON, however many commas and brackets its strings hold."""
    text = orjson.dumps(value)

    assert count_values(text, most) >= len(list(_values(value))) - 1


def _values(value: Any) -> Iterator[Any]:
    """Every value in a tree, but empty containers once: they have a bracket and no comma."""
    yield value
    entries = value.values() if isinstance(value, dict) else value
    for entry in entries if isinstance(value, list | dict) else ():
        yield from _values(entry)


def test_punctuation_in_text_is_not_density() -> None:
    """Code and tables in strings are read whole, and so are quotes in them."""
    rows = [f'x[{n}] = {{"a": [1, 2, 3]}}, "\\\\", ' * 100 for n in range(300)]
    text = orjson.dumps({"messages": rows, "unknown": 1})

    value, missed = read(text)

    assert text.count(b",") > 0.5 * MAX_VALUES
    assert (value, missed) == (json.loads(text), False)


def answer(alternatives: int) -> dict[str, Any]:
    """A chat answer with the alternatives of each of its tokens."""
    entry = {"token": " the", "logprob": -0.25, "bytes": [32, 116, 104, 101]}
    tokens = [entry | {"top_logprobs": [entry] * 5}] * alternatives
    return {
        "id": "chatcmpl-1",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "the " * alternatives},
                "logprobs": {"content": tokens},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 10, "completion_tokens": alternatives, "total_tokens": 10},
        "model": "gpt-5.4",
    }


def test_what_matters_beside_what_is_dense_is_read() -> None:
    """The alternatives of 8,000 tokens are passed over without a fault: nothing reads them."""
    text = orjson.dumps(answer(8_000))
    assert count_values(text, 0) > MAX_VALUES

    value, missed = read(text)

    assert not missed
    assert value["usage"]["completion_tokens"] == 8_000
    assert value["choices"][0]["finish_reason"] == "stop"
    assert value["choices"][0]["message"] == answer(8_000)["choices"][0]["message"]


def test_missing_elements_and_levels_are_said() -> None:
    """An array is read as far as its allowance of elements goes, and not too deep."""
    dense = b"{" + b'"zzz":[],' * MAX_VALUES
    long = b"[" + b",".join(dense + b'"id":%d}' % at for at in range(2)) + b"]"
    many = b"[" + b"{}," * MAX_ELEMENTS + dense + b'"id":1}]'
    deep = b'{"response":' * 7 + dense + b'"id":1}' + b"}" * 7

    assert read(long) == ([{"id": 0}, {"id": 1}], False)
    assert read(many) == ([{}] * MAX_ELEMENTS, True)
    assert read(deep).missed


@pytest.mark.parametrize("text", [b'{"usage":{}} x', b'{"usage"', b"[1,2", b"[" * 2_000])
def test_what_is_not_json_is_a_wire_error(text: bytes) -> None:
    """Also where it is skimmed."""
    with patch.object(json_skim, "MAX_VALUES", 0), pytest.raises(WireError):
        Skimmer(json_body._parse).read(b"[" * 0 + text)


def messages() -> Iterator[tuple[Format, Any]]:
    """Every JSON message of the captures, with the format that reads it."""
    for path in (*HTTP_CAPTURES, *SOCKET_CAPTURES):
        capture = load(path)
        route = route_of(capture)
        body = framing.choose(
            capture.response_headers.get("content-type", ""),
            hint="json_array" if route.streams_json else None,
        )
        found = [*body.feed(capture.body)]
        rest = body.finish()
        found += [*rest.messages, *([rest.unfinished] if rest.unfinished else [])]
        found += [message for from_client, message in capture.frames if not from_client]
        for message in found:
            try:
                value = json_body.load(message)
            except WireError:
                continue
            if isinstance(value, dict):
                yield route.format, value


def with_junk(value: Any, depth: int = 2) -> Any:
    """A message with a dense member that nobody reads in it, and in the objects and first elements
    within it."""
    if isinstance(value, list):
        return [with_junk(value[0], depth), *value[1:]] if value else value
    if not isinstance(value, dict) or not value or depth < 0:
        return value
    inner = {
        name: with_junk(entry, depth - 1) if name in CONTAINERS else entry
        for name, entry in value.items()
    }
    return {**inner, "zzz": JUNK}


def reading(fmt: Format, value: Any) -> Any:
    """All that a format says about a message."""
    if fmt.unwrap is not None:
        value = fmt.unwrap(value)
    turn = fmt.turn(value, False) if fmt.turn is not None else None
    return fmt.read(value, Reading()), turn


def test_every_format_reads_the_same_of_a_skimmed_message() -> None:
    """No member that any format needs is missing from the list: in each message of the captures,
    what is dense is passed over, and all that is said about the response is still read."""
    skimmed = 0
    for fmt, value in messages():
        try:
            expected = reading(fmt, copy.deepcopy(value))
        except WireError:
            continue
        text = orjson.dumps(with_junk(value))
        with patch.object(json_skim, "MAX_VALUES", 150):
            skimmer = Skimmer(json_body._parse)
            read_value = skimmer.read(text)
        if skimmer.missed:
            continue
        assert reading(fmt, read_value) == expected, (fmt.name, value)
        skimmed += 1
    assert skimmed > 900
