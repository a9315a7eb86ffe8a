"""The six users who call, as their clients present themselves, in live traffic and in last week's
records."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

ANTHROPIC = "api.anthropic.com"
CHATGPT = "chatgpt.com"
GEMINI = "generativelanguage.googleapis.com"
OPENAI = "api.openai.com"
OPENROUTER = "openrouter.ai"

UNPRICED_MODEL = "mystery-model-1"
"""A model that no price list has."""


@dataclass(frozen=True, slots=True)
class User:
    """One client at work on one project."""

    provider: str
    api: str
    host: str
    path: str
    model: str
    headers: dict[str, str]
    """What the client says about itself in each request. The keys are made up."""
    client: str | None = None
    """The SDK that is used, if the headers do not name the client."""
    project: str | None = None
    """The working directory; None: the one that the script runs in."""
    agents: dict[str, str] = field(default_factory=dict)
    """The types of agents that it starts, and their models."""
    shared: int = 12_000
    """Tokens of instructions and tools, which all its conversations begin with."""
    talkative: float = 1.0
    """How much is said in a turn, as a multiple of the usual."""
    daily_sessions: int = 9
    """Sessions on each of the last days."""

    @property
    def directory(self) -> str:
        """The working directory of the client."""
        return self.project or str(Path.cwd())

    @property
    def open_session(self) -> str:
        """The session that this user is in the middle of when the demo begins."""
        return str(uuid5(NAMESPACE_URL, f"{self.client} {self.project}"))


CLAUDE_CODE = {
    "authorization": "Bearer sk-ant-oat01-made-up",
    "user-agent": "claude-cli/2.1.197 (external, cli)",
    "x-app": "cli",
}


def _claude_code(project: str, model: str, agents: dict[str, str]) -> User:
    return User(
        "anthropic",
        "anthropic_messages",
        ANTHROPIC,
        "/v1/messages",
        model,
        CLAUDE_CODE,
        None,
        project,
        agents,
        14_000,
    )


HAIKU = "claude-haiku-4-5"
SHOP = _claude_code(
    "/home/you/shop", "claude-opus-4-8", {"Explore": HAIKU, "Plan": "claude-sonnet-5"}
)
DOCS = _claude_code("/home/you/handbook", "claude-sonnet-5", {"Explore": HAIKU})

API_SERVER = User(
    "chatgpt_codex",
    "openai_responses",
    CHATGPT,
    "/backend-api/codex/responses",
    "gpt-5.6-sol",
    {
        "authorization": "Bearer made-up",
        "user-agent": "codex_cli_rs/0.169.0 (Linux; x86_64)",
        "originator": "codex_cli_rs",
        "chatgpt-account-id": "made-up",
        "x-codex-turn-metadata": json.dumps({"workspaces": {"/home/you/api-server": {}}}),
    },
    project="/home/you/api-server",
    agents={"review": "gpt-5.6-sol"},
    shared=9_000,
)

GAME = User(
    "openrouter",
    "openai_chat",
    OPENROUTER,
    "/api/v1/chat/completions",
    "moonshotai/kimi-k2.5",
    {
        "authorization": "Bearer sk-or-made-up",
        "user-agent": "opencode/1.18.33 ai-sdk/provider-utils/3.0.20 runtime/bun/1.3.5",
    },
    project="/home/you/game",
    shared=8_000,
)

EVALS = User(
    "openai",
    "openai_chat",
    OPENAI,
    "/v1/chat/completions",
    "gpt-5.4-nano",
    {"authorization": "Bearer sk-proj-made-up"},
    client="openai-python",
    shared=1_100,
    talkative=0.5,
    daily_sessions=12,
)
SUMMARIES = User(
    "gemini",
    "gemini_generate",
    GEMINI,
    "/v1beta/models/gemini-3.8-flash:streamGenerateContent",
    "gemini-3.8-flash",
    {"x-goog-api-key": "made-up"},
    client="google-genai-python",
    shared=3_000,
    talkative=2.0,
)

USERS = (SHOP, DOCS, API_SERVER, GAME, EVALS, SUMMARIES)
