"""What clients send and providers answer, for the page to show: each call goes through the proxy as
a client's would."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from uuid import uuid4

from upstream.answers import SSE, anthropic_events, json_answer, sse
from upstream.client import Http1Client
from upstream.handler import Answer, Reply, Request
from upstream.proxy import Proxy
from upstream.server import Upstream

ANTHROPIC = "api.anthropic.com"
OPENAI = "api.openai.com"
MESSAGES = "/v1/messages"
CHAT = "/v1/chat/completions"
OPUS = "claude-opus-4-8"
HAIKU = "claude-haiku-4-5"
GPT = "gpt-5-mini"

SESSION = "5e551017-0000-4000-8000-000000000001"

_LOGIN = re.compile(r"the page is at (http://\S+)")


@dataclass
class Traffic:
    """Clients of one proxy, and the providers behind it."""

    proxy: Proxy
    upstream: Upstream
    used_pct: float = 40.0
    """Utilization of the plan's 5-hour window, in percent."""
    _numbers: Any = field(default_factory=lambda: count(1))
    _answers: dict[str, Answer] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for host, path in ((ANTHROPIC, MESSAGES), (OPENAI, CHAT)):
            self.upstream.route(host, path, self._answer)

    async def _answer(self, request: Request, reply: Reply) -> None:
        await self._answers[request.header("x-answer") or ""](request, reply)

    @property
    def login_url(self) -> str:
        """The address that mitmdump printed."""
        self.proxy.wait_for_log("the page is at http")
        found = _LOGIN.search(self.proxy.log)
        assert found is not None
        return found[1]

    def claude(
        self,
        model: str = OPUS,
        *,
        usage: Mapping[str, int] | None = None,
        output: int = 410,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """A streamed answer to Claude Code with a subscription."""
        read = {
            "input_tokens": 12,
            "cache_creation_input_tokens": 1_800,
            "cache_read_input_tokens": 20_000,
            **(usage or {}),
        }
        events = sse(*anthropic_events(f"msg_{uuid4().hex}", model, read, output, ("Hello",)))
        answer = Answer(events, SSE, 200, self._unified(), chunked=True)
        who = {
            "authorization": "Bearer sk-ant-oat01-fake",
            "user-agent": "claude-cli/2.1.197 (external, cli)",
            "x-claude-code-session-id": SESSION,
            **(headers or {}),
        }
        self._call(ANTHROPIC, MESSAGES, {"model": model, "stream": True}, answer, who)

    def subagent(self) -> None:
        """A call of an agent that Claude Code started."""
        who = {
            "x-claude-code-agent-id": "a9e47",
            "x-claude-code-agent-type": "Explore",
            "x-claude-code-request-class": "subagent",
        }
        self.claude(HAIKU, usage={"cache_read_input_tokens": 3_000}, output=90, headers=who)

    def openai(self, model: str = GPT, *, tokens: int = 900, output: int = 120) -> None:
        """An answer to a script with a key."""
        usage = {
            "prompt_tokens": tokens,
            "completion_tokens": output,
            "total_tokens": tokens + output,
        }
        choice = {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": "Hi"},
        }
        body = {
            "id": f"chatcmpl-{uuid4().hex}",
            "object": "chat.completion",
            "model": model,
            "choices": [choice],
            "usage": usage,
        }
        self._call(OPENAI, CHAT, {"model": model}, json_answer(body), _SCRIPT)

    def refusal(
        self, message: str = "Overloaded", kind: str = "overloaded_error", model: str = OPUS
    ) -> None:
        """An answer that is an error."""
        body = {"type": "error", "error": {"type": kind, "message": message}}
        self._call(
            ANTHROPIC,
            MESSAGES,
            {"model": model},
            json_answer(body, 529),
            {"x-api-key": "sk-ant-api03-fake"},
        )

    def _call(
        self,
        host: str,
        path: str,
        body: Mapping[str, Any],
        answer: Answer,
        headers: Mapping[str, str],
    ) -> None:
        name = str(next(self._numbers))
        self._answers[name] = answer
        with Http1Client(self.proxy, host) as client:
            sent = {"content-type": "application/json", "x-answer": name, **headers}
            client.request("POST", path, json.dumps(body).encode(), sent).read()

    def _unified(self) -> tuple[tuple[str, str], ...]:
        prefix = "anthropic-ratelimit-unified"
        windows = (("5h", self.used_pct, 5_400), ("7d", 30.0, 200_000))
        return tuple(
            pair
            for key, used, seconds in windows
            for pair in (
                (f"{prefix}-{key}-status", "allowed"),
                (f"{prefix}-{key}-utilization", str(used / 100)),
                (f"{prefix}-{key}-reset", str(int(time.time()) + seconds)),
            )
        )

    def lively(self) -> None:
        """Send some of everything that is ordinary, and one call that is refused."""
        for turn in range(6):
            self.claude(
                usage={"cache_read_input_tokens": 20_000 + 9_000 * turn}, output=200 + 90 * turn
            )
            self.subagent()
        for turn in range(4):
            self.openai(tokens=700 + 50 * turn)
        self.refusal()


_SCRIPT = {"authorization": "Bearer sk-proj-fake", "user-agent": "OpenAI/Python 1.99.0"}
