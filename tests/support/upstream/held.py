"""Answers of Anthropic for tests that end something in the middle of them."""

from __future__ import annotations

from .answers import SSE, anthropic_events, sse
from .handler import Gate, Reply, Request

HOST = "api.anthropic.com"
PATH = "/v1/messages"
MODEL = "claude-opus-4-8"
USAGE = {"input_tokens": 12, "cache_creation_input_tokens": 5, "cache_read_input_tokens": 7}


class Held:
    """A stream that stops after its first text until the test lets it go on."""

    def __init__(self, message_id: str) -> None:
        self.events = sse(*anthropic_events(message_id, MODEL, USAGE, 410, ("four" * 5,)))
        self.size = len(b"".join(self.events[:3]))
        self.go_on = Gate()

    async def __call__(self, request: Request, reply: Reply) -> None:
        """Send the first events, and the others once the gate is open."""
        await reply.head(200, [("content-type", SSE)])
        for event in self.events[:3]:
            await reply.send(event)
        await self.go_on.opened()
        for event in self.events[3:]:
            await reply.send(event)
        await reply.end()


def whole(message_id: str) -> dict[str, object]:
    """A message in one piece."""
    return {
        "id": message_id,
        "type": "message",
        "model": MODEL,
        "stop_reason": "end_turn",
        "usage": {**USAGE, "output_tokens": 410},
    }
