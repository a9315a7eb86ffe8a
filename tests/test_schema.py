"""The record: what is written is read back, and what is none is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from calls import a_call
from llmtally.record import USAGE_FIELDS, ApiError, Attribution, Call, LimitReading, Part, Usage
from llmtally.schema import FIELDS, RecordError, from_line, from_record, to_line, to_record

FULL = a_call(
    response_id="msg_1",
    usage=Usage(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, {"web_search": 2}),
    error=ApiError("overloaded_error", "Overloaded"),
    parts=(
        Part("message", "m", Usage(input_tokens=1), 0.5),
        Part("advisor", None, Usage(output_tokens=2)),
    ),
    attribution=Attribution(
        "c",
        "1",
        "s",
        "header",
        "a",
        "p",
        "Explore",
        "subagent",
        "/x",
        "0123456789ab",
        2,
        run="nightly",
    ),
    limits=(
        LimitReading(
            "5h",
            "provider_native",
            31.0,
            100.0,
            69.0,
            1_790_000_000.0,
            18_000.0,
            "allowed",
            "n",
            True,
        ),
    ),
    estimated=True,
    reported_output_tokens=1,
    cost_approximate=True,
    list_cost_usd=0.3,
    service_tier="standard",
    request_service_tier="auto",
    speed="fast",
    inference_geo="us",
    cache_miss_reason="tools_changed",
    cache_missed_tokens=41_300,
    ttft_ms=1.5,
    duration_ms=2.5,
    request_bytes=10,
    response_bytes=20,
    status=200,
    stop_reason="end_turn",
    request_model="m",
    streaming=True,
)


@pytest.mark.parametrize("call", [a_call(), FULL], ids=["few fields", "all fields"])
def test_there_and_back(call: Call) -> None:
    """A call is the same after it was written and read."""
    assert from_line(to_line(call)) == call
    assert from_record(json.loads(to_line(call))) == call
    assert to_record(call) == json.loads(to_line(call))


def test_the_fields() -> None:
    """Every field of the contract is written, no other, each in its place, and the total is the sum
    of the disjoint buckets."""
    record = to_record(FULL)
    own = Call._fields[: Call._fields.index("pending")]

    assert set(record) == set(FIELDS)
    assert (
        "schema",
        *own,
        *USAGE_FIELDS,
        "total_tokens",
        *Attribution._fields[:-1],
        "parts",
        "limits",
    ) == FIELDS
    assert record["total_tokens"] == 1 + 2 + 3 + 7


def test_unknown_is_absent() -> None:
    """What nobody said is not written as 0; only the cost is said to be unknown."""
    record = to_record(a_call()._replace(usage=Usage(), cost_usd=None, cost_source=None))

    assert not [name for name in record if "tokens" in name]
    assert (record["cost_usd"], record["cost_source"]) == (None, None)


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"input_tokens": "12"},
        {"output_tokens": 1.5},
        {"cost_usd": "free"},
        {"timestamp": "yesterday"},
        {"server_tools": {"web_search": "2"}},
        {"error": "x"},
        {"limits": 5},
        {"limits": [{"key": "5h", "source": "provider_native", "resets_at": 1e308}]},
    ],
    ids=str,
)
def test_what_is_no_record(change: dict[str, Any]) -> None:
    """A line edited by hand is refused, not half believed."""
    record = {**to_record(a_call()), **change}

    with pytest.raises(RecordError):
        from_record(record)
    with pytest.raises(RecordError):
        from_line(json.dumps(record).encode())
