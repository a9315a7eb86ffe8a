"""The usage object: one table of what each dialect means, and what holds for any JSON."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtally.formats.openai_usage import read_error, read_usage, with_usage
from llmtally.record import ApiError, Reading, Usage
from openai_json import objects

COUNTS = st.integers(min_value=0, max_value=10**9)


def openai_chat(read: int, written: int) -> dict[str, Any]:
    return {"prompt_tokens_details": {"cached_tokens": read, "cache_write_tokens": written}}


def litellm(read: int, written: int) -> dict[str, Any]:
    return {"cache_read_input_tokens": read, "cache_creation_input_tokens": written}


def moonshot(read: int, written: int) -> dict[str, Any]:
    return {"cached_tokens": read, "cache_write_tokens": written}


def default_zero_beside_the_count(read: int, written: int) -> dict[str, Any]:
    return {
        "prompt_tokens_details": {"cached_tokens": 0},
        "num_cached_tokens": read,
        "cache_write_tokens": written,
    }


INCLUSIVE = pytest.mark.parametrize(
    "dialect", [openai_chat, litellm, moonshot, default_zero_beside_the_count]
)


@INCLUSIVE
@given(uncached=COUNTS, read=COUNTS, written=COUNTS, output=COUNTS)
def test_inclusive_prompt_is_split(
    dialect: Any, uncached: int, read: int, written: int, output: int
) -> None:
    """Where the total is prompt and completion, the prompt holds the cache, whatever the cache's
    keys are called."""
    prompt = uncached + read + written
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
        **dialect(read, written),
    }

    counted, contradicting = read_usage(usage)

    assert (counted.input_tokens, counted.cache_read_tokens, counted.cache_write_tokens) == (
        uncached,
        read,
        written,
    )
    assert counted.output_tokens == output
    assert not contradicting


@given(uncached=COUNTS, read=COUNTS, written=COUNTS, output=COUNTS)
def test_total_tells_that_the_cache_is_outside(
    uncached: int, read: int, written: int, output: int
) -> None:
    """Where the total comes out right only with the cache added, the prompt does not hold it."""
    usage = {
        "prompt_tokens": uncached,
        "completion_tokens": output,
        "total_tokens": uncached + read + written + output,
    }

    counted, contradicting = read_usage({**usage, **litellm(read, written)})

    assert (counted.input_tokens, counted.cache_read_tokens, counted.cache_write_tokens) == (
        uncached,
        read,
        written,
    )
    assert counted.output_tokens == output
    assert not contradicting


@given(uncached=COUNTS, read=COUNTS, visible=COUNTS, reasoning=COUNTS)
def test_total_tells_that_reasoning_is_outside(
    uncached: int, read: int, visible: int, reasoning: int
) -> None:
    """Where the total exceeds prompt and completion, the rest is output too: xAI's reasoning."""
    usage = {
        "prompt_tokens": uncached + read,
        "completion_tokens": visible,
        "total_tokens": uncached + read + visible + reasoning,
        "prompt_tokens_details": {"cached_tokens": read},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }
    counted, _ = read_usage(usage)

    assert counted.output_tokens == visible + reasoning
    assert counted.input_tokens == uncached


def test_reasoning_larger_than_its_completion_stands_beside_it() -> None:
    """A part can't exceed its whole; without a total that tells, the two are added and the cost is
    a guess."""
    reading = with_usage(
        Reading(),
        {
            "prompt_tokens": 5,
            "completion_tokens": 10,
            "completion_tokens_details": {"reasoning_tokens": 30},
        },
    )

    assert reading.usage == Usage(input_tokens=5, output_tokens=40, reasoning_tokens=30)
    assert reading.cost_approximate


def test_anthropic_keys_beside_input_tokens_are_exclusive() -> None:
    """Anthropic's own object keeps its meaning on an OpenAI-shaped body."""
    usage = {
        "input_tokens": 12,
        "output_tokens": 3,
        "cache_read_input_tokens": 500,
        "cache_creation": {"ephemeral_1h_input_tokens": 40},
    }

    assert read_usage(usage)[0] == Usage(
        input_tokens=12,
        output_tokens=3,
        cache_read_tokens=500,
        cache_write_tokens=40,
        cache_write_1h_tokens=40,
    )


def test_anthropic_keys_are_exclusive_where_the_cache_exceeds_the_prompt() -> None:
    """A total without the cache does not make a prompt that is smaller than the cache hold it."""
    usage = {
        "input_tokens": 12,
        "output_tokens": 3,
        "total_tokens": 15,
        "cache_read_input_tokens": 500,
    }

    assert read_usage(usage) == (
        Usage(input_tokens=12, output_tokens=3, cache_read_tokens=500),
        False,
    )


@pytest.mark.parametrize("damaged", ["many", -1, 2.5, True, [5], {"tokens": 5}, 2**60])
def test_a_count_that_is_none_makes_the_cost_a_guess(damaged: Any) -> None:
    """What cannot be read is unknown, and what is derived without it is not presented as exact."""
    usage = {
        "prompt_tokens": 9,
        "completion_tokens": 2,
        "prompt_tokens_details": {"cached_tokens": damaged},
    }
    reading = with_usage(Reading(), usage)

    assert reading.usage == Usage(input_tokens=9, output_tokens=2)
    assert reading.cost_approximate
    assert with_usage(reading, {"prompt_tokens": 9, "completion_tokens": 2}).cost_approximate


def test_nothing_counted_is_no_usage() -> None:
    """An object of which no count can be read leaves the usage unknown."""
    assert with_usage(Reading(), {"prompt_tokens": "?"}) == Reading(cost_approximate=True)
    assert with_usage(Reading(), {"type": "duration", "seconds": 12.5}) == Reading()


def test_an_object_silent_about_the_cache_leaves_what_is_known() -> None:
    """A second copy without details must not turn cached input into fresh input."""
    full = {
        "prompt_tokens": 100,
        "completion_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 80, "cache_write_tokens": 5},
    }
    reading = with_usage(
        with_usage(Reading(), full), {"prompt_tokens": 100, "completion_tokens": 6}
    )

    assert reading.usage == Usage(
        input_tokens=15, cache_read_tokens=80, cache_write_tokens=5, output_tokens=6
    )


def test_unknown_stays_unknown() -> None:
    """Absent and null counts are None, not 0."""
    usage = {
        "prompt_tokens": 3,
        "completion_tokens": None,
        "prompt_tokens_details": None,
        "total_tokens": 3,
    }

    assert read_usage(usage)[0] == Usage(input_tokens=3)


def test_a_stated_cost_is_exact_even_if_the_counts_are_not() -> None:
    """Contradicting counts make our price a guess, not the provider's."""
    usage = {
        "prompt_tokens": 1,
        "completion_tokens": 1,
        "prompt_tokens_details": {"cached_tokens": 5},
    }

    assert with_usage(Reading(), usage).cost_approximate
    assert not with_usage(Reading(), {**usage, "cost": 0.1}).cost_approximate


def test_server_tools_of_all_dialects() -> None:
    """Tools are named by what they do; those that were not called are left out."""
    usage = {
        "prompt_tokens": 1,
        "num_search_queries": 4,
        "num_sources_used": 2,
        "server_side_tool_usage_details": {"x_search_calls": 3, "mcp_calls": 0},
        "server_tool_use_details": {"tool_calls_requested": 9, "tool_calls_executed": 9},
        "tool_calls_details": {"fetch_url": {"invocation": 5}},
    }
    assert read_usage(usage)[0].server_tools == {
        "search_sources": 2,
        "web_search": 4,
        "x_search": 3,
        "fetch_url": 5,
    }


def test_a_tool_under_two_names_is_counted_once() -> None:
    """A null under one name does not undo the count under another."""
    usage = {"num_search_queries": 4, "server_tool_use_details": {"web_search_requests": None}}

    assert read_usage(usage)[0].server_tools == {"web_search": 4}


def test_server_tools_are_capped() -> None:
    """A peer can't fill memory with tool names."""
    tools = {f"tool{n}_calls": 1 for n in range(1000)} | {"x" * 1000 + "_calls": 1}
    found = read_usage({"server_side_tool_usage_details": tools})[0].server_tools

    assert found is not None
    assert len(found) <= 32
    assert max(map(len, found)) <= 64


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"error": {"type": "t", "message": "m"}}, ApiError("t", "m")),
        ({"error": "text"}, ApiError("error", "text")),
        ({"error": "text", "error_type": "validation"}, ApiError("validation", "text")),
        (
            {"type": "conversation.response.error", "code": 3000, "message": "m"},
            ApiError("3000", "m"),
        ),
        ({"object": "error", "type": "t", "message": "m"}, ApiError("t", "m")),
        ({"base_resp": {"status_code": 1004, "status_msg": "m"}}, ApiError("1004", "m")),
        ({"base_resp": {"status_code": 0, "status_msg": "success"}}, None),
        ({"x_groq": {"error": "m"}}, ApiError("error", "m")),
        ({"detail": "Not Found"}, ApiError("error", "Not Found")),
        ({"detail": [{"loc": ["body"]}]}, ApiError("error", "")),
        ({"choices": [], "detail": "about the answer"}, None),
        ({"error": None}, None),
    ],
)
def test_errors_of_all_dialects(body: dict[str, Any], error: ApiError | None) -> None:
    """Wherever a dialect says that something went wrong, it is read; where it says success, it is
    not."""
    assert read_error(body) == error


@given(objects(), objects())
def test_any_object_gives_disjoint_counts(first: dict[str, Any], second: dict[str, Any]) -> None:
    """Whatever an object holds: no exception, no negative count, reasoning within the output;
    folding it twice adds nothing."""
    once = with_usage(with_usage(Reading(), first), second)
    usage = once.usage or Usage()

    assert all(
        n is None or n >= 0
        for n in (
            usage.input_tokens,
            usage.cache_read_tokens,
            usage.cache_write_tokens,
            usage.output_tokens,
        )
    )
    assert with_usage(once, second) == once


def test_what_connectors_put_before_the_model_is_input() -> None:
    """Mistral counts it beside the prompt; what it costs is not known for sure."""
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "connector_tokens": 100,
        "connectors": {"web_search": 2},
    }

    assert read_usage({**usage, "total_tokens": 115}) == (
        Usage(input_tokens=110, output_tokens=5, server_tools={"web_search": 2}),
        True,
    )
    assert read_usage({**usage, "total_tokens": 15})[0].input_tokens == 10
