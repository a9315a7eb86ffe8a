"""Objects that are parsed member by member: the same values as parsed whole."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtally.record import WireError
from llmtally.wire import json_body, json_members
from llmtally.wire.json_members import ON_DEMAND, WORTHWHILE, Members, load

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def padded(document: dict[str, Any], size: int = WORTHWHILE) -> bytes:
    return json.dumps({**document, "padding": "x" * size}).encode()


@given(st.dictionaries(st.text(), JSON, max_size=6))
def test_members_are_the_values(document: dict[str, Any]) -> None:
    """Asked one by one, by `get`, by `items` or by `values`, they are what parsing it whole
    gives."""
    text = padded(document)
    whole = json_body.load(text)

    assert isinstance(load(text), Members)
    assert {name: load(text)[name] for name in whole} == whole
    assert {name: load(text).get(name) for name in load(text)} == whole
    assert dict(load(text).items()) == whole
    assert list(load(text).values()) == list(whole.values())
    assert load(text).get("no such member", 7) == 7


@pytest.mark.parametrize(("size", "kind"), [(10, dict), (WORTHWHILE, Members), (ON_DEMAND, dict)])
def test_only_texts_of_middling_size(size: int, kind: type) -> None:
    """A short text is parsed at once; of a long one nothing is left for later."""
    assert type(load(padded({"a": 1}, size))) is kind


def test_a_member_is_parsed_once() -> None:
    """Whoever asks again gets the same object."""
    members = load(padded({"a": [1]}))

    assert members["a"] is members["a"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'{"a": 1, "a": 2, %b}', 2),  # the last one counts
        (b'{"a": "\\ud83d", %b}', "?"),  # half an emoji
        (b'{"a": "\xff", %b}', "\ufffd"),
        (b'{"\xff": 0, "a": 1, %b}', 1),
        (b'{"a": NaN, %b}', "NaN"),
        (b'{"a": "b\nc", %b}', "b\nc"),
        (b'\xef\xbb\xbf {"a": 1, %b} ', 1),
    ],
)
def test_what_strict_json_forbids(text: bytes, value: object) -> None:
    """It is read as leniently as whole texts are."""
    text = text % (b'"padding": "' + b"x" * WORTHWHILE + b'"')

    assert load(text)["a"] == value == json_body.load(text)["a"]


@pytest.mark.parametrize(
    "text",
    [b"[" + b" " * WORTHWHILE + b"1]", b"[" * WORTHWHILE, b'{"a":' * WORTHWHILE, b"x" * WORTHWHILE],
)
def test_what_is_no_object(text: bytes) -> None:
    """An array is loaded as an array; text that is not JSON, or is too deep, raises a `WireError`
    as ever."""
    try:
        expected = json_body.load(text)
    except WireError:
        with pytest.raises(WireError):
            load(text)
    else:
        assert load(text) == expected


@given(st.binary(max_size=50))
def test_nothing_but_wire_errors(data: bytes) -> None:
    """Whatever stands in a member, asking for it raises nothing."""
    text = b'{"padding": "' + b"x" * WORTHWHILE + b'", "a": ' + data + b"}"
    try:
        value = json_members.load(text)
    except WireError:
        return
    if isinstance(value, dict):
        dict(value.items())
