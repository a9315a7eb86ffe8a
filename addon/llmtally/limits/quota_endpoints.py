"""How full a plan's windows are, as its provider's own endpoints answer: read where a client asks
them, or asked by us.

Asking is opt-in and for Anthropic only: `GET /api/oauth/usage` with the newest OAuth token that
passed, which is held in memory only. The endpoint is itself rate-limited: it is asked every five
minutes, and not sooner after an error.
"""

from __future__ import annotations

import urllib.request
from collections.abc import Callable, Mapping

from .. import limits
from ..record import LimitReading, WireError
from ..wire import json_body
from ..wire.content_coding import decode_whole

PROVIDERS = {
    "api.anthropic.com": "anthropic",
    "chatgpt.com": "chatgpt_codex",
    "api.github.com": "github_copilot",
    "cloudcode-pa.googleapis.com": "code_assist",
    "openrouter.ai": "openrouter",
}
"""Whose windows an endpoint speaks of, by its host."""

HOST = "api.anthropic.com"
PATH = "/api/oauth/usage"
INTERVAL = 300.0
"""Seconds between two questions."""
TIMEOUT = 15.0
"""Seconds an answer may take."""
MAX_ANSWER = 64 * 2**10
"""Bytes of an answer that are read, on the wire and out of its content coding; a real one has about
2 kB. As much of the densest JSON holds up the loop for 2 ms."""

Ask = Callable[[str], bytes]


def read_answer(
    host: str, path: str, coding: str, body: bytes, *, now: float
) -> tuple[LimitReading, ...]:
    """The windows in the answer of a quota endpoint; none where it says something else."""
    try:
        answer = json_body.load(decode_whole(coding, body[:MAX_ANSWER], cap=MAX_ANSWER))
    except WireError:
        return ()
    return limits.read_quota_answer(host, path, answer, now=now) or ()


def oauth_token(headers: Mapping[str, str]) -> str | None:
    """The subscription's token in a request's headers, if it has one."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" and token.startswith("sk-ant-oat") else None


def ask(token: str, url: str = f"https://{HOST}{PATH}") -> bytes:
    """The answer's body. Blocks. Raises OSError."""
    request = urllib.request.Request(  # noqa: S310  always https
        url, headers={"Authorization": f"Bearer {token}", "anthropic-beta": "oauth-2025-04-20"}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never through ourselves
    with opener.open(request, timeout=TIMEOUT) as answer:
        body: bytes = answer.read(MAX_ANSWER)
        return body


class QuotaPoll:
    """Asks when it is time; `answered` is told `(token, body)` on the thread that asked."""

    def __init__(
        self,
        in_thread: Callable[..., object],
        answered: Callable[[str, bytes], None],
        ask: Ask = ask,
    ) -> None:
        self._in_thread = in_thread
        self._answered = answered
        self._ask = ask
        self._due = 0.0

    def seen(self, token: str, now: float) -> None:
        """This token has just passed; `now` is on a clock that does not go back."""
        if now >= self._due:
            self._due = now + INTERVAL
            self._in_thread(self._question, token)

    def _question(self, token: str) -> None:
        try:
            answer = self._ask(token)
        except OSError:
            return  # the headers of the next response tell the same
        self._answered(token, answer)
