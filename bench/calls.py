"""Made-up calls, as Claude Code makes them."""

from __future__ import annotations

from typing import Any

from llmtally.record import Attribution, Call, Usage


def claude_code_call(
    ended: float, model: str, usage: Usage, *, attribution: Attribution, **fields: Any
) -> Call:
    """A streamed call that went well; `fields` are its other fields, at least its ids and its
    cost."""
    return Call(
        timestamp=ended - 4.3,
        started=ended - 4.2,
        ended=ended,
        provider="anthropic",
        api="anthropic_messages",
        host="api.anthropic.com",
        path="/v1/messages",
        transport="sse",
        outcome="complete",
        coverage="priced",
        streaming=True,
        status=200,
        model=model,
        usage=usage,
        cost_source="prices",
        ttft_ms=812.0,
        duration_ms=4210.5,
        attribution=attribution._replace(client="claude-code", session_source="client_header"),
        **fields,
    )
