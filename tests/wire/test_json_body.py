"""`wire/json_body.py`: whole documents, arrays element by element, and pruning that changes nothing
but long strings and arrays."""

from __future__ import annotations

import base64
import json
import random
import time
import tracemalloc
from typing import Any
from unittest.mock import patch

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtally.record import WireError
from llmtally.wire import json_body
from llmtally.wire.json_body import JsonArray, JsonBody, load, prune
from llmtally.wire.messages import Rest
from splits import cuts, every_byte, messages, split

STRIDE = 8
"""For the tests of `prune`, so that small examples reach every case."""

texts = st.lists(
    st.sampled_from(
        ['"', "\\", "a", "bcdefghijklmnopqrst", "é", "[", "}", ",", "\n", "😀", "\\" * 20, "x" * 40]
    ),
    max_size=8,
).map("".join)
keys = st.sampled_from(["", "a", "b", '"', "\\", "é", "]}"])
scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)
containers = st.lists(values, max_size=4) | st.dictionaries(keys, values, max_size=4)


def dump(value: Any, *, ascii_only: bool, indent: int | None) -> bytes:
    """The value as JSON, in one of the ways servers write it."""
    return json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()


def pruned(text: bytes, *, above: int = 0) -> bytes:
    """`prune` with small limits."""
    with patch.multiple(json_body, PRUNE_ABOVE=above, STRIDE=STRIDE, LONG_STRING=STRIDE):
        return prune(text)


def is_plain_array(value: list[Any], *, longer_than: int) -> bool:
    """Whether a list holds no strings and no lists, and is longer than that in one line."""
    plain = all(each == {} or not isinstance(each, str | list | dict) for each in value)
    return plain and len(dump(value, ascii_only=True, indent=None)) > longer_than


def assert_same_but_for_long_values(before: Any, after: Any) -> None:
    """The same shape, keys, numbers and short strings; strings without quotes and escapes, and
    arrays without strings, are whole or empty."""
    assert type(before) is type(after)
    if isinstance(before, dict):
        assert list(before) == list(after)
        for key, value in before.items():
            assert_same_but_for_long_values(value, after[key])
    elif isinstance(before, list) and before and not after:
        assert is_plain_array(before, longer_than=0)
    elif isinstance(before, list):
        assert len(before) == len(after)
        assert not is_plain_array(before, longer_than=2 * STRIDE + 2)
        for one, other in zip(before, after, strict=True):
            assert_same_but_for_long_values(one, other)
    elif isinstance(before, str) and len(json.dumps(before)) > STRIDE:
        plain = json.dumps(before) == f'"{before}"'
        if plain and len(before) >= 2 * STRIDE:
            assert after == ""
        assert len(after) <= len(before)
    else:
        assert before == after


@given(containers, st.booleans(), st.sampled_from([None, 1, 12]))
def test_prune_changes_nothing_but_long_values(
    value: Any, ascii_only: bool, indent: int | None
) -> None:
    """Quotes, backslashes, brackets, whitespace and nesting never make pruning touch anything but a
    long string or array."""
    text = dump([value, "end"], ascii_only=ascii_only, indent=indent)

    assert_same_but_for_long_values([value, "end"], orjson.loads(pruned(text)))


@pytest.mark.parametrize(
    ("text", "result"),
    [
        (b'{"b":"' + b"A" * 40 + b'","usage":{"n":1}}', b'{"b":"","usage":{"n":1}}'),
        (b'["' + b"A" * 40 + rb'\\","x"]', rb'["\\","x"]'),
        (b'["' + b"A" * 40 + rb"\"" + b"B" * 40 + b'","x"]', rb'["\"","x"]'),
        (b"[" + b"1," * 40 + b'1,"x"]', b"[" + b"1," * 40 + b'1,"x"]'),
        (b'{"a":[' + b"1," * 40 + b'1],"x":2}', b'{"a":[],"x":2}'),
        (b"[[" + b"1," * 40 + b"1],[2],[" + b"3, " * 40 + b"4]]", b"[[],[2],[]]"),
        (b"[[1],[2],[3],[4],[5],[" + b"1," * 40 + b"{},null]]", b"[[1],[2],[3],[4],[5],[]]"),
        (b'["' + b"[1,2]" * 20 + b'",[' + b"1," * 20 + b'1],"]"]', b'["",[],"]"]'),
        (b"[1],[" + b"2," * 40, b"[1],[" + b"2," * 40),
        (b'["' + b"\\\\" * 40 + b'","x"]', b'["' + b"\\\\" * 40 + b'","x"]'),
        (b'{"a":' + b" " * 40 + b'"x"}', b'{"a":' + b" " * 40 + b'"x"}'),
    ],
)
def test_prune_by_example(text: bytes, result: bytes) -> None:
    """Only what is inside strings is emptied, and a backslash before a quote stays with it."""
    assert pruned(text) == result


@given(st.binary(max_size=200))
def test_prune_takes_arbitrary_bytes(text: bytes) -> None:
    """Pruning what is not JSON raises nothing and makes nothing longer."""
    assert len(pruned(text)) <= len(text)


def test_short_texts_are_not_pruned() -> None:
    """Up to `PRUNE_ABOVE` bytes a text stays as it is."""
    text = b'["' + b"A" * (json_body.PRUNE_ABOVE - 4) + b'"]'

    assert prune(text) is text
    assert prune(text + b" ") != text


def test_strings_of_middling_length_are_kept() -> None:
    """What a prompt of some pages says stays readable; of arrays of numbers nothing is read."""
    filler = b'"",' * json_body.PRUNE_ABOVE
    prompt, image = b"a" * (json_body.LONG_STRING - 1), b"a" * (json_body.LONG_STRING + 1)

    assert prune(
        b'[%s"%s","%s",[%s]]' % (filler, prompt, image, b"1," * json_body.STRIDE)
    ) == b'[%s"%s","",[]]' % (filler, prompt)


@pytest.mark.parametrize("indent", [None, 2])
def test_megabytes_of_embeddings_cost_milliseconds(indent: int | None) -> None:
    """20 MB of vectors are not parsed, and what stands around them is kept."""
    vector = [round(random.Random(1).uniform(-1, 1), 8) for _ in range(1536)]
    data = [{"index": n, "embedding": vector} for n in range(400)]
    text = dump(
        {"data": data, "nested": [vector] * 400, "usage": {"prompt_tokens": 5}},
        ascii_only=True,
        indent=indent,
    )
    tracemalloc.start()
    try:
        value = load(text)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert value == {
        "data": [{"index": n, "embedding": []} for n in range(400)],
        "nested": [[]] * 400,
        "usage": {"prompt_tokens": 5},
    }
    assert peak < 2**20


def test_megabytes_of_base64_cost_milliseconds() -> None:
    """20 MB of images load in a small part of the time their parsing takes, and what stands around
    them is kept."""
    image = base64.b64encode(random.Random(1).randbytes(7_500_000))
    text = b'{"data":[{"b64_json":"%s"},{"b64_json":"%s"}],"usage":{"total_tokens":5}}' % (
        image,
        image,
    )
    tracemalloc.start()
    try:
        value = load(text)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert value == {"data": [{"b64_json": ""}, {"b64_json": ""}], "usage": {"total_tokens": 5}}
    assert peak < 2**16


@pytest.mark.parametrize(
    "text",
    [
        b'["' + b"\\" * 2**25 + b'"]',
        b'"' * 2**22,
        b'["' + b'\\"' * 2**21 + b'"]',
        b'["' + (b"x" * 2**17 + b'","') * 50 + b'"]',
        b'"' + b" " * 2**22,
        b"[" * 2**22,
        b"[]" * 2**21,
        b"]" * 2**22,
        b"0" * 2**22,
        (b"[" + b"0" * 2**11) * 2**11,
        (b"0" * 2**11 + b"]") * 2**11,
        (b'[""' + b"0," * 2**11 + b"]") * 2**10,
    ],
)
def test_hostile_texts_are_pruned_in_linear_time(text: bytes) -> None:
    """Runs of backslashes, quotes and brackets cost no more than reading them: a quadratic walk
    takes minutes."""
    began = time.process_time()
    prune(text)
    messages(JsonArray(), [text[at : at + 4096] for at in range(0, len(text), 4096)])

    assert time.process_time() - began < 10


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'\xef\xbb\xbf{"a":1}', {"a": 1}),
        (b'\r\n \t{"a":1}\n', {"a": 1}),
        (b'{"a":"\\ud83d","usage":1}', {"a": "?", "usage": 1}),
        (b'{"\\udc00":-Infinity,"b":NaN}', {"?": "-Infinity", "b": "NaN"}),
        (
            b'{"a":1e400,"b":-12,"c":1.5,"d":' + b"9" * 5000 + b"}",
            {"a": "1e400", "b": -12, "c": 1.5, "d": "9" * 5000},
        ),
        (b'{"a":"\xc3"}', {"a": "\ufffd"}),
        (b'{"a":"x\ny"}', {"a": "x\ny"}),
        (b"12345678901234567890123", 12345678901234567890123.0),
    ],
)
def test_load_is_lenient_where_servers_are_sloppy(text: bytes, value: Any) -> None:
    """What real servers get wrong is read, and every string can be written as UTF-8 again."""
    loaded = load(text)

    assert loaded == value
    assert orjson.loads(orjson.dumps(loaded)) == value


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"  ",
        b"[DONE]",
        b'{"a":',
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 2000 + b"1" + b"}" * 2000,
    ],
)
def test_load_refuses_what_is_no_json(text: bytes) -> None:
    """What is not JSON, or nested without end, is a WireError."""
    with pytest.raises(WireError):
        load(text)


@given(st.binary(max_size=100) | texts.map(str.encode))
def test_load_raises_only_wire_error(text: bytes) -> None:
    """No bytes make `load` raise anything but WireError, and what it gives can be written again."""
    try:
        orjson.dumps(load(text))
    except WireError as error:
        assert str(error)


@given(st.binary(max_size=100), cuts)
def test_document_is_delivered_at_its_end(body: bytes, at: list[int]) -> None:
    """A document comes out once, whole, however it was cut; blanks around it do not."""
    decoder = JsonBody()
    pieces = list(split(body, at))

    assert [message for piece in pieces for message in decoder.feed(piece)] == []
    assert decoder.finish() == Rest(unfinished=body.strip(b" \t\r\n") or None)
    assert decoder.finish() == Rest()


def test_document_beyond_the_cap_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """An endless document is dropped, once, and not held."""
    monkeypatch.setattr(json_body, "MAX_BODY", 2**20)
    decoder = JsonBody()
    tracemalloc.start()
    try:
        for _ in range(100):
            decoder.feed(b"x" * 2**16)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert decoder.finish() == Rest()
    assert decoder.faults == 1
    assert peak < 3 * 2**20


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b'[{"a":1}]\n{"b":2}\n[[3]]', [b'{"a":1}', b'{"b":2}', b"[3]"]),
        (b'[["' + b"\\" * 301 + b'"],["]]', [b'["' + b"\\" * 301 + b'"],["]']),
        (b'[1,"{",-2.5e3,null,{}]', [b"{}"]),
        (b'{"error":{"code":400}}', [b'{"error":{"code":400}}']),
        (b'[{"a":1', []),
    ],
)
def test_elements_by_example(body: bytes, found: list[bytes]) -> None:
    """Documents may follow each other, long runs of backslashes are counted right, and only objects
    and arrays are elements."""
    assert messages(JsonArray(), [body]) == found
    assert messages(JsonArray(), every_byte(body)) == found


def test_elements_come_as_they_are_completed() -> None:
    """Each element of an array is given with the byte that ends it, whatever stands between."""
    decoder = JsonArray()
    given_with = [
        (byte, decoder.feed(byte))
        for byte in every_byte(b' [{"a":"]}\\"","b":[{}]}\r\n,\n\n[1,[2]] ,{}  ] ')
    ]

    assert [(byte, found) for byte, found in given_with if found] == [
        (b"}", [b'{"a":"]}\\"","b":[{}]}']),
        (b"]", [b"[1,[2]]"]),
        (b"}", [b"{}"]),
    ]


@given(st.lists(values, max_size=5), cuts, st.booleans(), st.sampled_from([None, 1]))
def test_any_split_gives_the_same_elements(
    elements: list[Any], at: list[int], ascii_only: bool, indent: int | None
) -> None:
    """However the array is cut, its objects and arrays come out, in order, as they were written."""
    body = dump(elements, ascii_only=ascii_only, indent=indent)
    found = messages(JsonArray(), split(body, at))

    assert [orjson.loads(message) for message in found] == [
        element for element in elements if isinstance(element, dict | list)
    ]
    assert all(message in body for message in found)


@given(st.dictionaries(keys, values, max_size=4), cuts)
def test_object_in_place_of_the_array_is_one_element(value: dict[str, Any], at: list[int]) -> None:
    """A refusal comes as one object where an array was asked for."""
    body = dump(value, ascii_only=False, indent=None)

    assert messages(JsonArray(), split(b"\n" + body + b"\n", at)) == [body]


@given(st.binary(max_size=100) | st.lists(st.sampled_from(list(b'[]{}"\\, x'))).map(bytes), cuts)
def test_array_takes_arbitrary_bytes(body: bytes, at: list[int]) -> None:
    """No bytes make the decoder raise, and no split changes what it finds."""
    assert messages(JsonArray(), split(body, at)) == messages(JsonArray(), [body])


@pytest.mark.parametrize("width", [1, 13, 150, 10_000])
def test_element_beyond_the_cap_is_dropped_alone(
    monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    """A too long element is a fault; those before and after it come out, however the array is
    cut."""
    monkeypatch.setattr(json_body, "MAX_ELEMENT", 100)
    body = b'[{"a":1},{"b":"' + b'\\\\\\"}]' * 300 + b'","c":[{}]},{"d":2}]'
    decoder = JsonArray()

    assert messages(decoder, [body[at : at + width] for at in range(0, len(body), width)]) == [
        b'{"a":1}',
        b'{"d":2}',
    ]
    assert decoder.faults == 1


@pytest.mark.parametrize("piece", [b"[", b'{"a":"', b'\\"', b" ", b'"', b'{"":['])
def test_endless_array_takes_bounded_memory(monkeypatch: pytest.MonkeyPatch, piece: bytes) -> None:
    """An array that never completes an element is not held beyond the cap."""
    monkeypatch.setattr(json_body, "MAX_ELEMENT", 2**16)
    decoder = JsonArray()
    data = piece * (2**12 // len(piece))
    tracemalloc.start()
    try:
        decoder.feed(b'[{"')
        for _ in range(60):
            decoder.feed(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 2**18


@pytest.mark.parametrize("unit", [b"[{}],", b'"a","b",'])
def test_the_end_of_a_dense_element_is_not_sought_for_long(unit: bytes) -> None:
    """Each bracket and string takes time: beyond a number of them the array is given up, and what
    came before stands."""
    array = JsonArray()

    assert array.feed(b'[{"a": 1}, {"b": [' + unit * 40_000) == [b'{"a": 1}']
    assert array.faults == 1
    assert array.feed(b"0]}, {}]") == []
