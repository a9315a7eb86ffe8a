"""Anthropic Messages and batches: what the captures of `tests/captures/anthropic_messages` do not
show."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostile_json import damaged, fold, holds, usage, values
from llmtally.formats.anthropic_messages import (
    ANTHROPIC_BATCH,
    ANTHROPIC_MESSAGES,
    STOPPED_EARLY,
    find_turn,
)
from llmtally.formats.format import Turn
from llmtally.record import ApiError

USAGE: dict[str, Any] = {
    "input_tokens": 10,
    "cache_read_input_tokens": 20,
    "cache_creation_input_tokens": 30,
    "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
    "output_tokens": 2,
    "output_tokens_details": {"thinking_tokens": 1},
    "server_tool_use": {"web_search_requests": 1},
    "service_tier": "standard",
}
ITERATIONS = [{"type": "message", **USAGE}, {"type": "advisor_message", "model": "n", **USAGE}]
MESSAGE = {
    "id": "i",
    "type": "message",
    "model": "m",
    "stop_reason": "end_turn",
    "usage": {**USAGE, "iterations": ITERATIONS},
}
START = {"type": "message_start", "message": {"id": "i", "model": "m", "usage": USAGE}}
DELTA = {
    "type": "message_delta",
    "delta": {"stop_reason": "end_turn"},
    "usage": {**USAGE, "iterations": ITERATIONS},
}
FALLBACK = {
    "type": "content_block_start",
    "content_block": {"type": "fallback", "to": {"model": "n"}},
}
ERROR = {"type": "error", "error": {"type": "overloaded_error", "message": "m"}}
STOP = {"type": "message_stop", "usage": USAGE}
TEXT = {
    "type": "content_block_delta",
    "delta": {"text": "é", "thinking": "a", "partial_json": "{}", "content": "s"},
}
SAMPLES = (MESSAGE, START, DELTA, FALLBACK, ERROR, STOP, TEXT, {"input_tokens": 3})
LINES = (
    {"custom_id": "a", "result": {"type": "succeeded", "message": MESSAGE}},
    {"custom_id": "b", "result": {"type": "errored", "error": ERROR}},
)


@given(damaged(*SAMPLES) | values)
def test_any_json_is_survived(message: Any) -> None:
    """Whatever JSON comes, nothing is raised and counts stay counts."""
    holds(ANTHROPIC_MESSAGES, message)


@given(damaged(*LINES) | values)
def test_any_line_is_survived(message: Any) -> None:
    """The same for the lines of a batch."""
    holds(ANTHROPIC_BATCH, message)


def start(**counts: int) -> dict[str, Any]:
    return {"type": "message_start", "message": {"id": "i", "model": "m", "usage": counts}}


def delta(**counts: int) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {}, "usage": counts}


INPUTS = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


@given(
    st.lists(st.tuples(*[st.integers(1, 9)] * 4), min_size=2, max_size=4),
    st.sets(st.sampled_from(INPUTS), max_size=2),
)
def test_the_last_count_wins_and_a_late_0_is_none(
    rows: list[tuple[int, ...]], zeroed: set[str]
) -> None:
    """Counts are totals so far, the first may be a guess; a 0 for an input that was counted undoes
    nothing."""
    first, *later = (dict(zip((*INPUTS, "output_tokens"), row, strict=True)) for row in rows)
    zeros = delta(**dict.fromkeys(zeroed, 0))
    read = usage(
        fold(ANTHROPIC_MESSAGES, start(**first), *(delta(**counts) for counts in later), zeros)
    )

    assert (
        read["input_tokens"],
        read["cache_read_tokens"],
        read["cache_write_tokens"],
        read["output_tokens"],
    ) == rows[-1]


@pytest.mark.parametrize(
    ("first", "last", "split", "approximate"),
    [
        ((8834, None, None), (18, 8831, 0), (18, 8831, 0), False),
        ((8834, 0, 0), (18, 8831, 0), (18, 8831, 0), False),
        ((8834, 0, 0), (18, 31, 8800), (18, 31, 8800), False),
        ((8834, None, None), (None, 8831, None), (3, 8831, None), True),
        ((8834, 0, 0), (0, 8831, 0), (3, 8831, 0), True),
        ((8834, 0, 0), (0, 8834, 0), (0, 8834, 0), False),
        ((18, None, None), (None, 8831, None), (18, 8831, None), False),
        ((18, None, None), (0, 8831, None), (18, 8831, None), False),
        ((None, None, None), (None, 8831, None), (None, 8831, None), False),
        ((340, 128, 0), (0, 128, 0), (340, 128, 0), False),
        ((340, None, 128), (None, 90, None), (340, 90, 128), False),
        ((9000, None, None), (8834, None, None), (8834, None, None), False),
        ((2679, 500, 0), (10682, 9000, 40), (10682, 9000, 40), False),
    ],
    ids=[
        *(
            "cache told at the end",
            "and 0 before",
            "and written",
            "without the rest",
            "with a late 0",
            "all of it cached",
        ),
        *(
            "more than was told before",
            "more, with a late 0",
            "input never told",
            "late 0",
            "split before",
            "estimate before",
            "server tools",
        ),
    ],
)
def test_cached_input_is_counted_once(
    first: tuple[int | None, ...],
    last: tuple[int | None, ...],
    split: tuple[int | None, ...],
    approximate: bool,
) -> None:
    """Where the start holds what the end tells to be cached, the end's split holds; what it leaves
    out is what remains."""
    begin, end = (
        {name: n for name, n in zip(INPUTS, counts, strict=True) if n is not None}
        for counts in (first, last)
    )
    reading = fold(ANTHROPIC_MESSAGES, start(**begin), delta(**end, output_tokens=426))
    read = usage(reading)

    assert (
        tuple(
            read.get(name) for name in ("input_tokens", "cache_read_tokens", "cache_write_tokens")
        )
        == split
    )
    assert reading.cost_approximate is approximate
    assert (
        usage(fold(ANTHROPIC_MESSAGES, start(**begin), *[delta(**end, output_tokens=426)] * 2))
        == read
    )


def test_bedrock_tells_the_cache_in_its_last_event() -> None:
    """Its input never held what was cached."""
    stop = {"type": "message_stop", "usage": {"cache_read_input_tokens": 77}}

    assert usage(
        fold(ANTHROPIC_MESSAGES, start(input_tokens=900), delta(output_tokens=4), stop)
    ) == {
        "input_tokens": 900,
        "cache_read_tokens": 77,
        "output_tokens": 4,
    }


def test_an_omitted_count_stays() -> None:
    """Old streams repeat only the output."""
    assert usage(
        fold(
            ANTHROPIC_MESSAGES,
            start(input_tokens=9, cache_read_input_tokens=4, output_tokens=1),
            delta(output_tokens=7),
        )
    ) == {
        "input_tokens": 9,
        "cache_read_tokens": 4,
        "output_tokens": 7,
    }


def test_the_first_output_is_a_placeholder() -> None:
    """Until a delta counts, the output of the start means nothing; a delta without it changes
    nothing."""
    assert fold(ANTHROPIC_MESSAGES, START).output_provisional
    assert fold(ANTHROPIC_MESSAGES, START, delta(input_tokens=3)).output_provisional
    assert not fold(ANTHROPIC_MESSAGES, START, delta(output_tokens=3)).output_provisional
    assert not fold(ANTHROPIC_MESSAGES, START, STOP).output_provisional


def test_iterations_are_the_bill() -> None:
    """Their sum replaces the top level, which keeps only what they do not have."""
    reading = fold(ANTHROPIC_MESSAGES, MESSAGE)

    assert usage(reading)["input_tokens"] == 20
    assert usage(reading)["cache_write_1h_tokens"] == 40
    assert usage(reading)["server_tools"] == {"web_search": 1}
    assert [(part.kind, part.model) for part in reading.parts] == [
        ("message", "m"),
        ("advisor", "n"),
    ]


def test_hostile_iterations_stay_few() -> None:
    """A thousand models become at most 16 parts, whose sum is still the whole."""
    entries = [{"type": "message", "model": str(n), "input_tokens": 1} for n in range(200)]
    reading = fold(
        ANTHROPIC_MESSAGES, {"type": "message", "usage": {"input_tokens": 1, "iterations": entries}}
    )

    assert len(reading.parts) == 16
    assert usage(reading)["input_tokens"] == 200


WROTE_FOR_1H = {
    "cache_creation_input_tokens": 90,
    "cache_creation": {"ephemeral_1h_input_tokens": 90},
}
WROTE = {"cache_creation_input_tokens": 90, "output_tokens": 1}
HALVES = [
    {**WROTE, "cache_creation_input_tokens": 40},
    {"model": "n", "cache_creation_input_tokens": 50},
]
MIXED = {"cache_creation_input_tokens": 90, "cache_creation": {"ephemeral_1h_input_tokens": 30}}


@pytest.mark.parametrize(
    ("split", "iterations", "written_1h", "by_part", "approximate"),
    [
        (WROTE_FOR_1H, [WROTE], 90, [], False),
        (WROTE_FOR_1H, [WROTE, {"model": "n", "output_tokens": 1}], 90, [90, None], False),
        (
            WROTE_FOR_1H,
            HALVES,
            90,
            [40, 50],
            False,
        ),
        (
            MIXED,
            HALVES,
            30,
            [30, None],
            True,
        ),
        (
            WROTE_FOR_1H,
            [WROTE, {"model": "n", "cache_creation_input_tokens": 50}],
            90,
            [90, None],
            True,
        ),
        (WROTE_FOR_1H, [{**WROTE, **WROTE_FOR_1H}], 90, [], False),
        (WROTE, [WROTE], None, [], False),
    ],
)
def test_iterations_that_do_not_say_for_how_long_the_cache_was_written(
    split: dict[str, Any],
    iterations: list[dict[str, Any]],
    written_1h: int | None,
    by_part: list[int | None],
    approximate: bool,
) -> None:
    """The top level reports it for them; if it is unclear which of them wrote what, the cost is a
    guess."""
    start = {
        "type": "message_start",
        "message": {"id": "i", "model": "m", "usage": {"input_tokens": 1, **split}},
    }
    entries = [{"type": "message", **entry} for entry in iterations]
    end = {
        "type": "message_delta",
        "usage": {"cache_creation_input_tokens": 90, "output_tokens": 2, "iterations": entries},
    }
    reading = fold(ANTHROPIC_MESSAGES, start, end, {"type": "message_stop"})

    assert usage(reading).get("cache_write_1h_tokens") == written_1h
    assert [part.usage.cache_write_1h_tokens for part in reading.parts] == by_part
    assert reading.cost_approximate is approximate
    assert fold(ANTHROPIC_MESSAGES, start, end, end) == fold(ANTHROPIC_MESSAGES, start, end)


def test_a_last_0_does_not_undo_the_output() -> None:
    """Bedrock repeats the usage in `message_stop`; some who copy that leave the output at 0."""
    stop = {"type": "message_stop", "usage": {"input_tokens": 0, "output_tokens": 0}}

    assert (
        usage(fold(ANTHROPIC_MESSAGES, START, delta(output_tokens=10), stop))["output_tokens"] == 10
    )
    assert (
        usage(fold(ANTHROPIC_MESSAGES, START, delta(output_tokens=10), STOP))["output_tokens"] == 2
    )
    assert fold(ANTHROPIC_MESSAGES, START, stop).output_provisional


def test_hostile_tools_stay_few() -> None:
    """A thousand server tools do not fill the record, and sentences do not count as names of
    tools."""
    tools = {**{f"t{n}_requests": 1 for n in range(1000)}, "My password is hunter2_requests": 1}

    assert (
        len(
            usage(
                fold(ANTHROPIC_MESSAGES, {"type": "message", "usage": {"server_tool_use": tools}})
            )["server_tools"]
        )
        == 32
    )


@pytest.mark.parametrize(
    ("reason", "early"),
    [
        ("end_turn", False),
        ("tool_use", False),
        ("pause_turn", False),
        *((reason, True) for reason in sorted(STOPPED_EARLY)),
    ],
)
def test_early_stops(reason: str, early: bool) -> None:
    """Length, a full context and a refusal end an answer early; a pause is the client's to
    continue."""
    assert (
        fold(
            ANTHROPIC_MESSAGES, {"type": "message_delta", "delta": {"stop_reason": reason}}
        ).stopped_early
        is early
    )


def test_needles_find_what_matters_and_nothing_else() -> None:
    """Every event that can change the reading after the first content holds a needle; generated
    text never does."""
    for message in (DELTA, STOP, ERROR, FALLBACK):
        assert any(needle in orjson.dumps(message) for needle in ANTHROPIC_MESSAGES.needles)
    assert not any(needle in orjson.dumps(TEXT) for needle in ANTHROPIC_MESSAGES.needles)
    quoted = orjson.dumps(
        {
            "type": "content_block_delta",
            "delta": {"text": '"error" "message_delta" "message_stop" "fallback"'},
        }
    )
    assert not any(needle in quoted for needle in ANTHROPIC_MESSAGES.needles)


@pytest.mark.parametrize(
    ("frame", "from_client", "turn"),
    [
        ({"model": "m", "messages": []}, True, Turn("", "request")),
        ({"type": "ping"}, True, None),
        ({"type": "ping"}, False, None),
        (START, False, Turn("", "read")),
        (TEXT, False, Turn("", "read")),
        (STOP, False, Turn("", "end")),
        (ERROR, False, Turn("", "end")),
        (MESSAGE, False, Turn("", "end")),
    ],
)
def test_turns_on_a_socket(frame: dict[str, Any], from_client: bool, turn: Turn | None) -> None:
    """One message after the other; a ping belongs to none."""
    assert find_turn(frame, from_client) == turn


def test_content_is_all_that_was_generated() -> None:
    """Text, thinking, tool input and the summary of a compaction."""
    assert ANTHROPIC_MESSAGES.content(TEXT) == 2 + 1 + 2 + 1


def test_counting_is_no_call() -> None:
    """A count-tokens answer is not usage."""
    assert fold(ANTHROPIC_MESSAGES, {"input_tokens": 3}).counting_only


@pytest.mark.parametrize(
    ("result", "error"),
    [
        ({"type": "errored", "error": ERROR}, ApiError("overloaded_error", "m")),
        (
            {"type": "errored", "error": {"type": "api_error", "message": "m"}},
            ApiError("api_error", "m"),
        ),
        ({"type": "canceled"}, ApiError("canceled")),
        ({}, ApiError("error")),
    ],
)
def test_results_that_failed(result: dict[str, Any], error: ApiError) -> None:
    """An error may be wrapped once or twice; what did not run says so in its type."""
    assert fold(ANTHROPIC_BATCH, {"custom_id": "a", "result": result}).error == error
