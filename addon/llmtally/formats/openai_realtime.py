"""Realtime, over WebSocket. https://platform.openai.com/docs/api-reference/realtime

Every response, asked for or begun by voice detection, ends with `response.done`, whose `usage`
counts the whole conversation so far as input: that is how it is billed. Its details are named in
the singular, `input_token_details`. The model stands in the session. Transcribing the user's speech
is billed apart: it is a separate call, under the model that the session names for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..record import ApiError, Reading
from .format import Format, RequestReading, Turn, api_error, mapping, text, utf8_len
from .openai_usage import with_usage

TRANSCRIPTION_LANE = "transcription"

_TRANSCRIBED = "conversation.item.input_audio_transcription.completed"


def read_realtime(message: Any, reading: Reading) -> Reading:
    """Fold one event of a response, or a finished transcription."""
    message = mapping(message)
    if message.get("type") == _TRANSCRIBED:
        reading = reading._replace(response_id=text(message.get("item_id")), finished=True)
        return with_usage(reading, message.get("usage"))
    response = mapping(message.get("response"))
    if not response:
        return reading
    status, details = text(response.get("status")), mapping(response.get("status_details"))
    error = (api_error(details.get("error")) or ApiError("failed")) if status == "failed" else None
    reading = reading._replace(
        response_id=text(response.get("id")) or reading.response_id,
        model=text(response.get("model")) or reading.model,
        stop_reason=text(details.get("reason")) or reading.stop_reason,
        stopped_early=status in ("incomplete", "cancelled"),
        finished=message.get("type") == "response.done",
        error=error or reading.error,
    )
    return with_usage(reading, response.get("usage"))


def read_session(message: Any) -> Mapping[str, RequestReading]:
    """Which models later calls of each lane are asked of, from `session.created`, `.updated` or the
    client's `.update`."""
    session = mapping(mapping(message).get("session"))
    asked: dict[str, RequestReading] = {}
    if mapping(message).get("type") == "session.created":
        # Until the session names one, a transcription's model is unknown; it is not the model that
        # answers.
        asked[TRANSCRIPTION_LANE] = RequestReading()
    if (model := text(session.get("model"))) is not None:
        asked[""] = RequestReading(model=model)
    audio_input = mapping(mapping(session.get("audio")).get("input"))
    # The second place is that of the beta API.
    transcription = mapping(audio_input.get("transcription")) or mapping(
        session.get("input_audio_transcription")
    )
    if (model := text(transcription.get("model"))) is not None:
        asked[TRANSCRIPTION_LANE] = RequestReading(model=model)
    return asked


def content_length(message: Any) -> int:
    """Bytes of text, transcript, tool arguments or audio (base64 as it is) in one
    `response.*.delta` event."""
    message = mapping(message)
    kind = text(message.get("type")) or ""
    return utf8_len(message.get("delta")) if kind.startswith("response.") else 0


def socket_turn(message: Any, from_client: bool) -> Turn | None:
    """A response begins with `response.created`, whoever asked for it; error events are about what
    a client sent."""
    kind = text(mapping(message).get("type"))
    if from_client or kind is None:
        return None
    if kind == _TRANSCRIBED:
        return Turn(TRANSCRIPTION_LANE, "end")
    if not kind.startswith("response."):
        return None
    return Turn("", "end" if kind == "response.done" else "read")


OPENAI_REALTIME = Format(
    name="openai_realtime",
    read=read_realtime,
    needles=(b'"response":', b'"usage":', b'"session":'),
    content=content_length,
    turn=socket_turn,
    read_session=read_session,
    self_terminating=True,
)
