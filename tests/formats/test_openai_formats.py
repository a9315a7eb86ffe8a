"""What holds for every format of the OpenAI family, whatever a peer sends."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtally.formats import FORMATS, OPENAI_IMAGES
from llmtally.formats.format import Format
from llmtally.record import Reading
from llmtally.wire import json_body
from openai_json import objects, values
from wire_capture import CAPTURES

OPENAI = [fmt for fmt in FORMATS if fmt.name.startswith("openai_")]
every_format = pytest.mark.parametrize("fmt", OPENAI, ids=lambda fmt: fmt.name)


@every_format
@given(messages=st.lists(values() | objects(), max_size=4))
def test_any_messages_fold(fmt: Format, messages: list[Any]) -> None:
    """No JSON makes a reader raise, and content is never negative."""
    reading = Reading()
    for message in messages:
        reading = fmt.read(message, reading)
        assert fmt.content(message) >= 0


@every_format
@given(message=values() | objects(), from_client=st.booleans())
def test_any_message_has_a_place_or_none(fmt: Format, message: Any, from_client: bool) -> None:
    """No frame makes the dispatch or the session's reader raise."""
    if fmt.turn is not None:
        turn = fmt.turn(message, from_client)
        assert turn is None or isinstance(turn.lane, str)
    if fmt.read_session is not None:
        assert all(isinstance(lane, str) for lane in fmt.read_session(message))


@every_format
@given(
    body=objects(),
    headers=st.dictionaries(
        st.sampled_from(["openai-model", "x-litellm-response-cost"]), st.text(max_size=8)
    ),
)
def test_any_request_and_headers(
    fmt: Format, body: dict[str, Any], headers: dict[str, str]
) -> None:
    """No request body and no header makes a format raise."""
    fmt.read_request(body)
    if fmt.read_headers is not None:
        fmt.read_headers(headers, Reading())


def test_needles_miss_nothing_that_matters() -> None:
    """In every captured stream, a message after the first content that holds no needle leaves the
    reading as it is."""
    tried = 0
    for fmt in OPENAI:
        for path in (CAPTURES / fmt.name).glob("*.http") if fmt.needles else ():
            reading, quiet = Reading(), False
            for line in path.read_bytes().splitlines():
                if not line.startswith(b"data: {"):
                    continue
                try:
                    message = json.loads(line[6:])
                except ValueError:
                    continue
                folded = fmt.read(message, reading)
                if quiet and not any(needle in line for needle in fmt.needles):
                    tried += 1
                    assert folded == reading, (path.name, line)
                reading, quiet = folded, quiet or fmt.content(message) > 0
    assert tried > 10


def test_a_large_partial_image_is_content() -> None:
    """That its megabytes are not parsed does not make an event empty."""
    event = b'{"type":"image_generation.partial_image","b64_json":"%s"}' % (
        b"A" * 2 * json_body.PRUNE_ABOVE
    )

    assert OPENAI_IMAGES.content(json_body.load(event)) > 0
    assert OPENAI_IMAGES.content({"type": "image_generation.completed"}) == 0
