"""Who asked: client, session, agent, project and account, read off a request's headers and body.

Each client states them in different places: Claude Code in `x-claude-code-*` headers, Codex in
`session-id` and `x-codex-turn-metadata` (on a socket in each frame's `client_metadata`), Gemini CLI
in `user_prompt_id`. One table, `clients.CLIENTS`, lists these places; a client is added by one row
and one fixture in `tests/attribution/clients/`. Of all these headers only Claude Code's are a
documented contract (https://code.claude.com/docs/en/llm-gateway-protocol), the others were observed
and may change.

Where a client names no session, `Attributor` infers one and says how (`session_source`). From the
most trustworthy to the least: `header` (a session header set by the user) > `client_header` >
`body` > `previous_response` > `prefix` > `connection`.

`request` is what attribution may see of a request, `sources` reads the places in it, `clients` is
the table of what each client states where, `user_agent` finds a client's row, `credentials` finds
out who pays, `conversation` recognises a continued conversation, and `attributor` combines all this
and remembers what links requests."""

from __future__ import annotations

from .attributor import Attributor
from .request import RequestView

__all__ = ["Attributor", "RequestView"]
