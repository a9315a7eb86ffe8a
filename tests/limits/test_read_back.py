"""What is written can be read back: whatever numbers a peer sends, in limits or in counts, the
record of the call is the same after it was written and read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calls import a_call
from limit_samples import ERRORS, EVENTS, HEADERS, NOW, QUOTA_ANSWERS
from llmtally.limits import capped, quota_endpoints, read_error, read_event, read_headers
from llmtally.record import Call, LimitReading, WireError
from llmtally.schema import from_line, to_line, to_record
from llmtally.wire import json_body
from wire_capture import HTTP_CAPTURES, SOCKET_CAPTURES, Capture, load, run, run_buffered

POISON = (
    *("1e400", "-1e400", "NaN", "Infinity", "-1", "-0.0", "0", "0.5", "5e-324", "1e308"),
    *("1" + "0" * 400, str(2**53 - 1), str(2**53), str(2**63 - 1), str(2**63), str(-(2**63))),
    *("253402300799", "253402300800", "62135596800", "62135596801", "1e12", "9e15", "true"),
    *("null", '"12"', '"1e400"', '"nan"', '"-1"', '"1_0"', '"\\u0661"', '"\\ud800"', '"9e15d"'),
    *('"0000-01-01T00:00:00Z"', '"0001-01-01T00:00:00+23:59"', '"9999-12-31T23:59:59-23:59"'),
    *('"99999-01-01T00:00:00Z"', '"9999-12-31T23:59:59Z"', '"Fri, 31 Dec 9999 23:59:59 GMT"'),
    *('"99999999999999999d"', '"1e9"', '"' + "9" * 400 + '"', "[]", "{}", '""'),
)
"""JSON texts in place of a number or a time."""

HEADER_POISON = sorted({text.strip('"') for text in POISON} | {"5h", "99999d", "\udcff", "²"})

_SCALAR = re.compile(
    rb'(?<=[:\[,])\s*(?:-?\d[\d.eE+-]*|"[^"\\]{0,40}"|null|true|false)(?=\s*[,\]}])'
)


@st.composite
def poisoned(draw: st.DrawFn, text: bytes) -> bytes:
    """A text with JSON in it, up to six of whose values are replaced."""
    places = [found.span() for found in _SCALAR.finditer(text)]
    if not places:
        return text
    chosen = draw(st.lists(st.sampled_from(places), min_size=1, max_size=6, unique=True))
    for begin, end in sorted(chosen, reverse=True):
        text = text[:begin] + draw(st.sampled_from(POISON)).encode() + text[end:]
    return text


def assert_read_back(call: Call) -> None:
    """The call is the same after it was written and read. A record has `billing` once."""
    call = call._replace(attribution=call.attribution._replace(billing=None))
    assert to_record(from_line(to_line(call))) == to_record(call)
    assert from_line(to_line(call)) == call


def assert_limits_read_back(found: Iterable[LimitReading]) -> None:
    """Limits are the same as a call brings them."""
    assert_read_back(a_call(limits=tuple(found)))


@given(st.data())
@settings(max_examples=400)
def test_headers(data: st.DataObject) -> None:
    """Every header of every dialect, and the period for which a refused client must wait."""
    provider, headers, _ = data.draw(st.sampled_from(list(HEADERS.values())))
    headers = {**headers, "retry-after": "1", "retry-after-ms": "1"}
    for name in data.draw(st.lists(st.sampled_from(sorted(headers)), max_size=5)):
        headers[name] = data.draw(st.sampled_from(HEADER_POISON))
        if name.startswith(("x-quota", "x-usage")):
            part = data.draw(st.sampled_from(["ent", "rem", "totRem", "rst", "ov"]))
            headers[name] = f"ent=4000&rem=95.7&{part}={headers[name]}"
    status = data.draw(st.sampled_from([200, 429]))

    assert_limits_read_back(read_headers(headers, provider=provider, now=NOW, status=status))


SAMPLES: list[tuple[str, Any]] = [
    *(("event", event) for event, _ in EVENTS.values()),
    *(("error", body) for _, _, body, _ in ERRORS.values()),
    *(("quota", (host, path, body)) for host, path, body, _ in QUOTA_ANSWERS.values()),
]


@given(st.data())
@settings(max_examples=400)
def test_events_errors_and_quota_answers(data: st.DataObject) -> None:
    """Every body in which limits are reported."""
    kind, sample = data.draw(st.sampled_from(SAMPLES))
    body = sample[2] if kind == "quota" else sample
    text = data.draw(poisoned(json.dumps(body).encode()))
    if kind == "quota":
        endpoint = quota_endpoints.find(*sample[:2])
        assert endpoint is not None
        assert_limits_read_back(quota_endpoints.read_answer(endpoint, "", text, now=NOW))
        return
    try:
        value = json_body.load(text)
    except WireError:
        return
    if kind == "event":
        assert_limits_read_back(read_event(value, now=NOW))
    else:
        assert_limits_read_back(read_error(value, provider="groq", status=429, now=NOW))


BEYOND = (float("inf"), float("nan"), -1.0, 1e300, 2.0**53, float(2**63))


@pytest.mark.parametrize("name", ["utilization", "limit", "remaining", "resets_at"])
@pytest.mark.parametrize("value", BEYOND)
def test_what_no_reader_may_say_is_unknown(name: str, value: float) -> None:
    """Every reading passes one check, whichever reader made it."""
    made = LimitReading("5h", "provider_native", 1.0, 2.0, 1.0, NOW, 18_000.0)

    assert capped([made]) == (made,)
    beyond, unknown = ({**made._asdict(), name: told} for told in (value, None))
    assert capped([LimitReading(**beyond)]) == (LimitReading(**unknown),)


TEXTS = [
    capture
    for capture in map(load, (*HTTP_CAPTURES, *SOCKET_CAPTURES))
    if capture.frames or not capture.body[:1] < b"\t"
]
"""Captures whose messages are text."""


@given(st.data())
@settings(max_examples=600, suppress_health_check=list(HealthCheck))
def test_calls(data: st.DataObject) -> None:
    """Whatever any format reads, of a whole body, a stream or a socket."""
    capture = data.draw(st.sampled_from(TEXTS))
    headers = dict(capture.response_headers)
    for name in data.draw(st.lists(st.sampled_from(sorted(headers) or [""]), max_size=1)):
        if name not in ("content-type", "content-encoding", ""):
            headers[name] = data.draw(st.sampled_from(HEADER_POISON))
    capture = replace(
        capture,
        response_headers=headers,
        body=data.draw(poisoned(capture.body)),
        frames=tuple(
            (from_client, data.draw(poisoned(frame))) for from_client, frame in capture.frames
        ),
    )

    for call in _calls(capture):
        if not call.pending:
            assert_read_back(call)


def _calls(capture: Capture) -> list[Call]:
    return run(capture) if capture.frames else [*run(capture), *run_buffered(capture)]
