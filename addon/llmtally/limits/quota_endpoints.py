"""Endpoints of providers that say how full a plan's windows are. Answers to clients are read, and
llmtally can ask, too.

llmtally asks only if `usage_poll_anthropic` is set, and only Anthropic: `GET /api/oauth/usage` with
the newest OAuth token that passed the proxy, which is held only in memory. The endpoint is itself
rate-limited: it is asked every five minutes, and not sooner after an error.
"""

from __future__ import annotations

import functools
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from ..record import LimitReading, WireError
from ..wire import json_body
from ..wire.content_coding import decode_whole
from . import anthropic, capped, codex, copilot, google, ratelimit


class QuotaEndpoint(NamedTuple):
    """One endpoint that answers questions about a plan's windows."""

    host: str
    path: str
    """The path, without a query."""
    provider: str
    """The provider of the windows, by its name in `providers`."""
    read: Callable[[Any, float], Iterable[LimitReading]]
    """Reads a parsed answer, which came at this time (epoch seconds)."""


ANTHROPIC_USAGE = QuotaEndpoint(
    "api.anthropic.com", "/api/oauth/usage", "anthropic", anthropic.read_usage_answer
)

ENDPOINTS = (
    ANTHROPIC_USAGE,
    QuotaEndpoint(
        "chatgpt.com", "/backend-api/wham/usage", "chatgpt_codex", codex.read_usage_answer
    ),
    QuotaEndpoint("chatgpt.com", "/api/codex/usage", "chatgpt_codex", codex.read_usage_answer),
    QuotaEndpoint(
        "api.github.com", "/copilot_internal/user", "github_copilot", copilot.read_usage_answer
    ),
    QuotaEndpoint(
        "cloudcode-pa.googleapis.com",
        "/v1internal:retrieveUserQuota",
        "code_assist",
        google.read_quota_answer,
    ),
    QuotaEndpoint("openrouter.ai", "/api/v1/key", "openrouter", ratelimit.read_key_answer),
)

HOSTS = frozenset(endpoint.host for endpoint in ENDPOINTS)

INTERVAL = 300.0
"""Seconds between two requests to Anthropic."""
TIMEOUT = 15.0
"""Seconds that an answer may take."""
MAX_ANSWER = 64 * 2**10
"""Bytes of an answer that are read, on the wire and out of its content coding; a real one has about
2 kB. As much of the densest JSON holds up the loop for 2 ms."""

Ask = Callable[[str], bytes]

_BY_URL = {(endpoint.host, endpoint.path): endpoint for endpoint in ENDPOINTS}


def find(host: str, path: str) -> QuotaEndpoint | None:
    """The endpoint that a request goes to, if it is one; the path may have a query."""
    return _BY_URL.get((host, path.partition("?")[0]))


def read_answer(
    endpoint: QuotaEndpoint, coding: str, body: bytes, *, now: float
) -> tuple[LimitReading, ...]:
    """The windows in an endpoint's answer; none where it says something else."""
    try:
        answer = json_body.load(decode_whole(coding, body[:MAX_ANSWER], cap=MAX_ANSWER))
    except WireError:
        return ()
    return capped(endpoint.read(answer, now))


def oauth_token(headers: Mapping[str, str]) -> str | None:
    """The subscription's token in a request's headers, if it has one."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" and token.startswith("sk-ant-oat") else None


def ask(token: str, url: str = f"https://{ANTHROPIC_USAGE.host}{ANTHROPIC_USAGE.path}") -> bytes:
    """Ask Anthropic, and return the answer's body. Blocks. Raises OSError."""
    request = urllib.request.Request(  # noqa: S310  always https
        url, headers={"Authorization": f"Bearer {token}", "anthropic-beta": "oauth-2025-04-20"}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never through ourselves
    with opener.open(request, timeout=TIMEOUT) as answer:
        body: bytes = answer.read(MAX_ANSWER)
        return body


class QuotaPoll:
    """Asks Anthropic when it is time, with the newest token."""

    def __init__(
        self,
        detached: Callable[[Callable[[], bytes | None], Callable[[bytes | None], None]], object],
        answered: Callable[[str, bytes], None],
        ask: Ask = ask,
    ) -> None:
        """`detached` runs a function in a thread and passes its result to another on the thread of
        `seen`; `answered` is called with each answer and the token that asked."""
        self._detached = detached
        self._answered = answered
        self._ask = ask
        self._due = 0.0

    def seen(self, token: str, now: float) -> None:
        """Note a token that has just passed; `now` is on a clock that does not go back."""
        if now >= self._due:
            self._due = now + INTERVAL
            self._detached(
                functools.partial(self._question, token), functools.partial(self._on_answer, token)
            )

    def _question(self, token: str) -> bytes | None:
        try:
            return self._ask(token)
        except OSError:
            return None  # the headers of the next response report the same

    def _on_answer(self, token: str, answer: bytes | None) -> None:
        if answer is not None:
            self._answered(token, answer)
