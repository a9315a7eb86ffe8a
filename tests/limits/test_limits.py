"""Limit windows: every dialect's captured example with its numbers worked out by hand, and that
garbage never raises."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from limit_samples import (
    ERRORS,
    EVENTS,
    HEADERS,
    NOW,
    QUOTA_ANSWERS,
    classic,
)
from llmtally.limits import (
    EVENT_NEEDLES,
    READINGS_CAP,
    quota_endpoints,
    read_error,
    read_event,
    read_headers,
)
from llmtally.limits.values import reset_time
from llmtally.record import LimitReading, rfc3339


@pytest.mark.parametrize("name", HEADERS)
def test_headers(name: str) -> None:
    """Each header family gives its windows in percent, epoch seconds and one vocabulary of keys."""
    provider, headers, expected = HEADERS[name]
    assert list(read_headers(headers, provider=provider, now=NOW)) == expected


@pytest.mark.parametrize(
    ("headers", "resets_at"),
    [
        ({"retry-after": "51811"}, NOW + 51_811),
        ({"retry-after": "1.5"}, NOW + 1.5),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, 1_792_567_680.0),
        ({"retry-after": "9", "retry-after-ms": "250"}, NOW + 0.25),
    ],
)
def test_retry_after_of_a_refusal(headers: dict[str, str], resets_at: float) -> None:
    """A 429 that names no window still says until when, in seconds, milliseconds or as a date."""
    expected = classic("retry_after", resets_at=resets_at, status="rejected")
    assert read_headers(headers, provider="deepseek", now=NOW, status=429) == (expected,)
    assert read_headers(headers, provider="deepseek", now=NOW, status=503) == ()


def test_retry_after_stands_back() -> None:
    """Where a 429 names its windows, `retry-after` adds nothing."""
    provider, headers, expected = HEADERS["anthropic_subscription_refused_for_one_model"]
    assert list(read_headers(headers, provider=provider, now=NOW, status=429)) == expected


@pytest.mark.parametrize("name", EVENTS)
def test_events(name: str) -> None:
    """Windows that come as events are read as those in headers are."""
    event, expected = EVENTS[name]
    assert list(read_event(event, now=NOW)) == expected


@pytest.mark.parametrize("name", EVENTS)
def test_every_event_holds_a_needle(name: str) -> None:
    """The byte search that spares the parser never passes over an event with windows."""
    assert any(needle in orjson.dumps(EVENTS[name][0]) for needle in EVENT_NEEDLES)


@pytest.mark.parametrize("needle", EVENT_NEEDLES)
def test_needles_do_not_stand_in_text(needle: bytes) -> None:
    """A model that writes about rate limits does not make its text look like one."""
    assert needle not in orjson.dumps({"delta": f"before {needle.decode()} after"})


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str) -> None:
    """A refusal's body names its window, or at least when to come back."""
    provider, status, body, expected = ERRORS[name]
    assert list(read_error(body, provider=provider, status=status, now=NOW)) == expected


@pytest.mark.parametrize("name", QUOTA_ANSWERS)
def test_quota_answers(name: str) -> None:
    """An answer about the plan seen passing gives the same keys as the headers do."""
    host, path, body, expected = QUOTA_ANSWERS[name]
    endpoint = quota_endpoints.find(host, path)
    assert endpoint is not None
    assert list(endpoint.read(body, NOW)) == expected


def test_other_endpoints_are_no_quota_answers() -> None:
    """Only host and path together make an endpoint that answers about usage."""
    assert quota_endpoints.find("api.openai.com", "/api/oauth/usage") is None
    assert quota_endpoints.find("api.anthropic.com", "/v1/messages") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("  ", None),
        ("-1", None),
        ("-5s", None),
        ("2025-08-21T12:40:59Z", 1_755_780_059.0),
        ("2025-08-21T12:40:59.123456789Z", 1_755_780_059.123456),
        ("2025-08-21T14:40:59+02:00", 1_755_780_059.0),
        ("2025-08-21T12:40:59", 1_755_780_059.0),
        ("Tomorrow", None),
        ("1s", NOW + 1),
        ("6m0s", NOW + 360),
        ("120ms", NOW + 0.12),
        ("8.64s", NOW + 8.64),
        ("1h2m3s", NOW + 3723),
        ("1d", NOW + 86_400),
        ("500us", NOW + 0.0005),
        ("500µs", NOW + 0.0005),
        ("0s", NOW),
        ("5x", None),
        ("5s later", None),
        ("0s" * 33, None),
        ("0", NOW),
        ("60.5", NOW + 60.5),
        ("1785600000", 1_785_600_000.0),
        ("1785600000000", 1_785_600_000.0),
        ("nan", None),
        ("inf", None),
        ("9" * 30, None),
        ("9" * 30 + "d", None),
    ],
)
def test_reset_time(text: str, expected: float | None) -> None:
    """A reset is RFC 3339 if it has a `T`, a duration if it has units, else a number whose size
    shows its unit."""
    assert reset_time(text, now=NOW) == expected


@pytest.fixture
def far_from_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This machine in a zone that is never UTC."""
    monkeypatch.setenv("TZ", "EAST-9")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("far_from_utc")
def test_reset_without_a_zone_is_utc() -> None:
    """The zone of this machine has no say in a provider's time."""
    assert reset_time("2025-08-21T12:40:59", now=NOW) == 1_755_780_059.0


def test_keys_off_the_wire_are_cut_and_cleaned() -> None:
    """No peer writes a key longer than 64 characters or of anything but `a-z 0-9 _ . -`."""
    (reading,) = read_headers(
        {f"x-ratelimit-limit-tokens <b>{'a' * 200}": "5"}, provider="unknown", now=NOW
    )
    assert reading.key == ("tokens__b_" + "a" * 200)[:64]


def test_names_can_be_written_as_json() -> None:
    """A lone surrogate, which header decoding makes of a stray byte, does not reach the journal."""
    headers = {"x-codex-primary-used-percent": "5", "x-codex-limit-name": "sp\udcffrk"}
    (reading,) = read_headers(headers, provider="chatgpt_codex", now=NOW)
    assert reading.name == "sp?rk"


def test_readings_of_one_response_are_capped() -> None:
    """A peer cannot fill the record or the tracker with windows."""
    headers = {f"x-ratelimit-limit-kind{n}": "5" for n in range(1000)}
    assert len(read_headers(headers, provider="unknown", now=NOW)) == READINGS_CAP
    event = {
        "type": "rate_limits.updated",
        "rate_limits": [{"name": f"kind{n}", "limit": 5} for n in range(1000)],
    }
    assert len(read_event(event, now=NOW)) == READINGS_CAP


REAL_NAMES = sorted(
    {name for _, headers, _ in HEADERS.values() for name in headers} | {"retry-after-ms"}
)
REAL_VALUES = sorted({value for _, headers, _ in HEADERS.values() for value in headers.values()})
NUMBERS = st.floats() | st.integers() | st.floats().map(str) | st.integers().map(str)
HEADER_NAMES = (
    st.sampled_from(REAL_NAMES)
    | st.text()
    | st.builds("{}-{}".format, st.sampled_from(REAL_NAMES), st.text(max_size=5))
)
HEADER_VALUES = st.text() | st.sampled_from(REAL_VALUES) | NUMBERS.map(str)


def check(readings: tuple[LimitReading, ...] | None) -> None:
    """What every reading must be, so that nothing behind this module has to look again."""
    for reading in readings or ():
        orjson.dumps(tuple(reading))
        assert reading.key
        assert len(reading.key) <= 64
        assert set(reading.key) <= set("abcdefghijklmnopqrstuvwxyz0123456789_.-")
        assert reading.utilization is None or reading.utilization >= 0
        if reading.resets_at is not None:
            rfc3339(reading.resets_at)


@given(
    st.dictionaries(HEADER_NAMES, HEADER_VALUES, max_size=12),
    st.sampled_from(["anthropic", "groq", "together", "x"]),
)
@example({"retry-after": "Mon, 99 Xyz 99999999999999999999 00:00:00 GMT"}, "x")
@example({"retry-after": "Mon, 01 Jan 0001 00:00:00 +2359"}, "x")
@example({"x-ratelimit-limit-a": "1", "x-ratelimit-reset-a": "0001-01-01T00:00:00+23:59"}, "x")
def test_any_headers(headers: dict[str, str], provider: str) -> None:
    """Whatever the headers say, nothing raises, and what is read is sound."""
    check(read_headers(headers, provider=provider, now=NOW, status=429))


def keys_of(value: Any) -> set[str]:
    """All keys of objects, at any depth."""
    if isinstance(value, dict):
        return set(value) | {key for inner in value.values() for key in keys_of(inner)}
    if isinstance(value, list | tuple):
        return {key for inner in value for key in keys_of(inner)}
    return set()


def strings_of(value: Any) -> set[str]:
    """All strings at any depth that are not keys."""
    if isinstance(value, str):
        return {value}
    inner = (
        value.values()
        if isinstance(value, dict)
        else value
        if isinstance(value, list | tuple)
        else ()
    )
    return {text for item in inner for text in strings_of(item)}


BODIES = [event for event, _ in EVENTS.values()] + [
    case[2] for case in (*ERRORS.values(), *QUOTA_ANSWERS.values())
]
KEYS = st.sampled_from(sorted(keys_of(BODIES))) | st.text(max_size=5)
SCALARS = (
    st.none()
    | st.booleans()
    | NUMBERS
    | st.text(max_size=8)
    | st.sampled_from(sorted(strings_of(BODIES)))
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=15,
)


def mutated(body: Any, draw: st.DrawFn) -> Any:
    """A real body in which any value may be replaced by anything."""
    if draw(st.integers(0, 7)) == 0:
        return draw(JSON)
    if isinstance(body, dict):
        return {key: mutated(value, draw) for key, value in body.items()}
    if isinstance(body, list):
        return [mutated(value, draw) for value in body]
    return body


@st.composite
def nearly_real(draw: st.DrawFn) -> Any:
    """A body close enough to real ones to reach every branch."""
    return mutated(draw(st.sampled_from(BODIES)), draw)


@given(JSON | nearly_real())
def test_any_json(body: Any) -> None:
    """Whatever the JSON says, nothing raises, and what is read is sound."""
    check(read_event(body, now=NOW))
    check(read_error(body, provider="openrouter", status=429, now=NOW))
    for endpoint in quota_endpoints.ENDPOINTS:
        check(tuple(endpoint.read(body, NOW)))
