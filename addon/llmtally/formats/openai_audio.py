"""Transcription, translation and speech. https://platform.openai.com/docs/api-reference/audio

A transcription's `usage` is `{"type": "tokens", ...}` or `{"type": "duration", "seconds"}`, on the
whole body or on `transcript.text.done` (Mistral: `transcription.done`); plain text and subtitles
have none. Speech is a binary body without usage, or a stream that ends with `speech.audio.done`.
The model is the one asked for.
"""

from __future__ import annotations

from typing import Any

from ..record import Reading
from .cost import read_cost_header
from .format import Format, mapping, text, utf8_len
from .openai_usage import read_body


def read_audio(message: Any, reading: Reading) -> Reading:
    """Fold a whole body, one event, or an error."""
    kind = text(mapping(message).get("type"))
    if kind is not None and kind != "error" and not kind.endswith(".done"):
        return reading
    return read_body(message, reading)


def content_length(message: Any) -> int:
    """Bytes of text, or of audio (base64 as it is), in one `*.delta` event."""
    message = mapping(message)
    return utf8_len(message.get("delta")) or utf8_len(message.get("audio"))


OPENAI_TRANSCRIPTION = Format(
    name="openai_transcription",
    read=read_audio,
    read_headers=read_cost_header,
    content=content_length,
    self_terminating=True,
    counts_tokens=False,  # Whisper is billed by the minute
)
OPENAI_SPEECH = Format(
    name="openai_speech",
    read=read_audio,
    read_headers=read_cost_header,
    content=content_length,
    self_terminating=True,
    counts_tokens=False,
)
