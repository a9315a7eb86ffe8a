"""DashScope: what the captures of `tests/captures/dashscope` do not show."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from hostile_json import damaged, fold, holds, usage, values
from llmtally.formats.dashscope import DASHSCOPE, find_turn
from llmtally.formats.format import Turn
from llmtally.record import ApiError

EVENT: dict[str, Any] = {
    "output": {
        "text": "é",
        "choices": [
            {
                "finish_reason": "stop",
                "message": {"content": [{"text": "ab"}], "reasoning_content": "c"},
            }
        ],
    },
    "usage": {
        "input_tokens": 20,
        "output_tokens": 9,
        "prompt_tokens_details": {"cached_tokens": 5, "cache_creation_input_tokens": 7},
        "input_tokens_details": {"image_tokens": 3, "audio_tokens": 2},
        "output_tokens_details": {"reasoning_tokens": 4},
    },
    "request_id": "r",
    "code": "",
}
FRAME = {"header": {"task_id": "t", "event": "result-generated"}, "payload": EVENT}
RUN = {"header": {"task_id": "t", "action": "run-task"}, "payload": {"model": "m"}}


@given(
    damaged(
        EVENT,
        FRAME,
        RUN,
        {"code": "c", "message": "m"},
        {"header": {"error_code": "c", "error_message": "m"}},
    )
    | values
)
def test_any_json_is_survived(message: Any) -> None:
    """Whatever JSON comes, nothing is raised and counts stay counts."""
    holds(DASHSCOPE, message)


@pytest.mark.parametrize("message", [EVENT, FRAME])
def test_the_input_includes_both_caches(message: dict[str, Any]) -> None:
    """What was read from and written to the cache is taken out of it, on HTTP and on the socket."""
    assert usage(fold(DASHSCOPE, message)) == {
        "input_tokens": 8,
        "cache_read_tokens": 5,
        "cache_write_tokens": 7,
        "output_tokens": 9,
        "reasoning_tokens": 4,
        "input_image_tokens": 3,
        "input_audio_tokens": 2,
    }


def test_a_cache_known_from_before_stays_out_of_the_input() -> None:
    """An event without details does not make cached input fresh."""
    assert (
        usage(fold(DASHSCOPE, EVENT, {"usage": {"input_tokens": 20, "output_tokens": 12}}))[
            "input_tokens"
        ]
        == 8
    )


def test_more_cache_than_input_is_clamped_and_said() -> None:
    """A contradiction never gives a negative count."""
    reading = fold(
        DASHSCOPE, {"usage": {"input_tokens": 3, "prompt_tokens_details": {"cached_tokens": 5}}}
    )

    assert usage(reading) == {"input_tokens": 0, "cache_read_tokens": 5}
    assert reading.cost_approximate


@pytest.mark.parametrize(
    ("reason", "finished"), [("null", False), (None, False), ("stop", True), ("length", True)]
)
def test_the_word_null_is_no_reason(reason: str | None, finished: bool) -> None:
    """Events under way say `"null"`, in quotes."""
    assert fold(DASHSCOPE, {"output": {"finish_reason": reason}}).finished is finished


@pytest.mark.parametrize(
    ("frame", "from_client", "turn"),
    [
        (RUN, True, Turn("t", "request")),
        ({"header": {"task_id": "t", "action": "continue-task"}}, True, None),
        (FRAME, False, Turn("t", "read")),
        ({"header": {"task_id": "t", "event": "task-finished"}}, False, Turn("t", "end")),
        ({"header": {"task_id": "t", "event": "task-failed"}}, False, Turn("t", "end")),
        ({"header": {}}, False, None),
    ],
)
def test_tasks_are_lanes(frame: dict[str, Any], from_client: bool, turn: Turn | None) -> None:
    """Several tasks share a connection: each is a lane."""
    assert find_turn(frame, from_client) == turn


def test_an_empty_code_is_no_error() -> None:
    """Good answers may carry `code: ""`."""
    assert fold(DASHSCOPE, EVENT).error is None
    assert fold(DASHSCOPE, {"code": "Throttling", "message": "m"}).error == ApiError(
        "Throttling", "m"
    )


def test_the_model_is_in_the_body_or_the_payload() -> None:
    """The model is named in a body, or in the payload of a frame."""
    assert DASHSCOPE.read_request({"model": "m"}).model == "m"
    assert DASHSCOPE.read_request(RUN).model == "m"


def test_content() -> None:
    """Text counts in every place where it can stand: two bytes, two, and one."""
    assert DASHSCOPE.content(EVENT) == DASHSCOPE.content(FRAME) == 5
