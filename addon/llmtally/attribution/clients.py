"""Where each client states facts about itself: a row for each client, and one for what any client
may state.

A client is known by the first product of its User-Agent or by headers that only it sends. A row
lists, for each fact, the places where the client states it; the first place with a value counts.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

from ..formats.format import items, mapping
from .request import HEADER_CAP, RequestView, texts_in
from .sources import ANY_KEY, Source, in_body, in_header, in_prompt, matching

RequestClass = Literal["main", "subagent", "workflow", "compaction", "auxiliary", "probe", "warmup"]
"""What a request was for. The list is closed, because metrics use it as a label: other values are
not passed on."""

GEMINI_TOOLS = 16
"""Entries of Gemini's `tools` looked at: one has all the functions, further ones are searches and
the like."""


@dataclass(frozen=True, slots=True)
class Client:
    """One row: how a client is recognised, and where it states which fact. Of several sources the
    first with a value counts."""

    name: str
    products: tuple[str, ...] = ()
    """First product of its User-Agent in lower case; a final `*` takes in what follows a `-` or `_`
    (`codex*`: `codex_exec`)."""
    marks: tuple[tuple[str, str], ...] = ()
    """Headers that only this client sends, whatever its User-Agent, and the pattern that their
    value starts with."""
    version: tuple[Source, ...] = ()
    """Where the client states its version, if not in the User-Agent."""
    session: tuple[Source, ...] = ()
    agent: tuple[Source, ...] = ()
    """Where the client names the agent. If it is absent or equal to the session, it is the main
    agent."""
    parent_agent: tuple[Source, ...] = ()
    agents_are_sessions: bool = False
    """Whether each agent runs under a separate session id, and `parent_agent` names the session
    that started it."""
    agent_type: tuple[Source, ...] = ()
    request_class: tuple[Source, ...] = ()
    classes: Mapping[str, RequestClass] = field(default_factory=dict)
    """The request class for each of the client's words."""
    recognise: Callable[[RequestView], RequestClass | None] | None = None
    """Finds the class by the shape of the request, if the client does not state it."""
    default_class: RequestClass | None = None
    """The class of an ordinary request; None for libraries, which know of no classes."""
    project: tuple[Source, ...] = ()
    account: tuple[Source, ...] = ()
    device: tuple[Source, ...] = ()
    """An id of the installation, used as the account if all else is a credential that rotates."""


def _claude_code_class(view: RequestView) -> RequestClass | None:
    body = mapping(view.body)
    if body.get("max_tokens") == 1:
        return "probe"  # asks for the limits in the response's headers, not for the token
    if "x-claude-code-compaction" in view.headers:
        return "compaction"
    if "x-claude-code-agent-id" in view.headers or _is_claude_code_subagent(body.get("system")):
        return "subagent"
    answer = mapping(mapping(body.get("output_config")).get("format"))
    if answer.get("type") == "json_schema" and body.get("tools") == []:
        return "auxiliary"  # the title of the conversation, by a small model
    return None


def _is_claude_code_subagent(system: object) -> bool:
    """Whether the first text of the system prompt, which looks like a header line, names a
    subagent."""
    line = next(texts_in(system), "")[:HEADER_CAP]
    return line.startswith("x-anthropic-billing-header") and "cc_is_subagent=true" in line


def _gemini_cli_class(view: RequestView) -> RequestClass | None:
    """Agents always have functions and never ask for JSON; the router, the summarizer and the
    search tool are otherwise."""
    payload = view.payload
    config = mapping(payload.get("generationConfig"))
    if "responseJsonSchema" in config or "responseSchema" in config:
        return "auxiliary"
    tools = islice(items(payload.get("tools")), GEMINI_TOOLS)
    return None if any("functionDeclarations" in mapping(tool) for tool in tools) else "auxiliary"


def _opencode_class(view: RequestView) -> RequestClass | None:
    """Agents always have tools; the title call has none."""
    if "x-parent-session-id" in view.headers or not view.messages:
        return None
    return None if view.payload.get("tools") else "auxiliary"


def _copilot_agent(view: RequestView) -> str | None:
    """VS Code repeats the request's own id here for the main agent."""
    task = view.headers.get("x-agent-task-id")
    return None if task == view.headers.get("x-request-id") else task


_CODEX_METADATA = "x-codex-turn-metadata"
_SPEAKEASY_VERSION = matching(r"speakeasy-sdk/\w+ (\S+)", in_header("user-agent"))

_ANY_SESSION = (
    in_header("x-grok-conv-id"),
    in_header("x-session-affinity"),
    in_body("conversation", "id"),
    in_body("conversation"),
    in_body("conversation_id"),
    in_body("session_id"),
    in_body("prompt_cache_key"),
)
_ANY_ACCOUNT = (
    in_header("chatgpt-account-id"),
    in_header("openai-organization"),
    in_header("x-goog-user-project"),
    Source("header", lambda view: _cloud_project(view.path)),
)

PREVIOUS_RESPONSE = (
    in_body("previous_response_id"),
    in_body("previous_interaction_id"),
    in_body("diagnostics", "previous_message_id"),
)
"""Where a request names the response that it continues."""

_VERTEX_PROJECT = re.compile(r"/v\w+/projects/([^/]+)/")


def _cloud_project(path: str) -> str | None:
    """The Google Cloud project that a Vertex path names: it pays, and its tokens change every
    hour."""
    found = _VERTEX_PROJECT.match(path) if "/projects/" in path else None
    return found.group(1) if found else None


def as_any(client: Client) -> Client:
    """The client's row, with the sources that any client may use after the client's own."""
    return dataclasses.replace(
        client, session=(*client.session, *_ANY_SESSION), account=(*client.account, *_ANY_ACCOUNT)
    )


_ROWS: tuple[Client, ...] = (
    # https://code.claude.com/docs/en/llm-gateway-protocol; `metadata.user_id` is JSON, before 2.1
    # `user_.._account_.._session_..`
    Client(
        name="claude-code",
        products=("claude-cli", "claude-code"),
        marks=(("x-claude-code-session-id", ""), ("x-app", "cli")),
        session=(
            in_header("x-claude-code-session-id"),
            in_body("metadata", "user_id", "session_id"),
            matching(r"user_.*_session_([\w-]+)$", in_body("metadata", "user_id")),
        ),
        agent=(in_header("x-claude-code-agent-id"),),
        parent_agent=(in_header("x-claude-code-parent-agent-id"),),
        agent_type=(in_header("x-claude-code-agent-type"),),
        request_class=(in_header("x-claude-code-request-class"),),
        classes={
            name: name for name in ("main", "subagent", "workflow", "compaction", "auxiliary")
        },
        recognise=_claude_code_class,
        default_class="main",
        # `Primary working directory: `, before 2.1 `Working directory: `
        project=(in_prompt("orking directory:"),),
        account=(
            in_body("metadata", "user_id", "account_uuid"),
            matching(r"user_.*_account_([\w-]+?)_session_", in_body("metadata", "user_id")),
        ),
        device=(
            in_body("metadata", "user_id", "device_id"),
            matching(r"user_(\w+?)_account_", in_body("metadata", "user_id")),
        ),
    ),
    # codex-rs/core/src/{client,turn_metadata}.rs. A socket is one session's, its headers are the
    # handshake's: what a frame says of its turn goes before.
    Client(
        name="codex",
        products=("codex*",),
        marks=(("originator", "codex"),),
        session=(
            in_header("session-id"),
            in_header("session_id"),
            in_header("conversation_id"),
            in_body("client_metadata", "session_id"),
            in_body("client_metadata", _CODEX_METADATA, "session_id"),
            in_header(_CODEX_METADATA, "session_id"),
            in_body("prompt_cache_key"),
        ),
        agent=(
            in_body("client_metadata", "thread_id"),
            in_body("client_metadata", _CODEX_METADATA, "thread_id"),
            in_header("thread-id"),
            in_header(_CODEX_METADATA, "thread_id"),
        ),
        parent_agent=(
            in_body("client_metadata", "x-codex-parent-thread-id"),
            in_body("client_metadata", _CODEX_METADATA, "parent_thread_id"),
            in_header("x-codex-parent-thread-id"),
            in_header(_CODEX_METADATA, "parent_thread_id"),
        ),
        agents_are_sessions=True,  # versions that do not tell threads from sessions
        agent_type=(
            in_body("client_metadata", "x-openai-subagent"),
            in_body("client_metadata", _CODEX_METADATA, "subagent_kind"),
            in_header("x-openai-subagent"),
            in_header(_CODEX_METADATA, "subagent_kind"),
        ),
        request_class=(
            in_body("client_metadata", "x-openai-subagent"),
            in_body("client_metadata", _CODEX_METADATA, "subagent_kind"),
            in_body("client_metadata", _CODEX_METADATA, "request_kind"),
            in_header("x-openai-subagent"),
            in_header(_CODEX_METADATA, "subagent_kind"),
            in_header(_CODEX_METADATA, "request_kind"),
            in_header("x-openai-memgen-request"),  # `true`
        ),
        # Not `prewarm`: a handshake goes on saying so for all turns of its socket. `generate:
        # false` marks a warm-up.
        classes={
            "compact": "compaction",
            "compaction": "compaction",
            "memory_consolidation": "auxiliary",
            "true": "auxiliary",
        },
        default_class="main",
        project=(
            in_body("client_metadata", _CODEX_METADATA, "workspaces", ANY_KEY),
            in_header(_CODEX_METADATA, "workspaces", ANY_KEY),
            in_prompt("<cwd>", "</cwd>"),
        ),
    ),
    # packages/core. Code Assist only; with an API key the body says nothing but the directory. A
    # prompt's id is `<session>########<n>`, `<agent>#<turn>` or the name of a helper; a compaction
    # is asked for again as `<id>-verify`.
    Client(
        name="gemini-cli",
        products=("geminicli*",),
        session=(
            in_body("request", "session_id"),
            matching(r"(.+?)########", in_body("user_prompt_id")),
        ),
        agent=(matching(r"([^#]+)#\d+(?:-verify)?$", in_body("user_prompt_id")),),
        request_class=(
            matching(r"(classifier-router|compress|skill-extraction)", in_body("user_prompt_id")),
            matching(r".*(-verify)$", in_body("user_prompt_id")),
        ),
        classes={
            "classifier-router": "auxiliary",
            "compress": "compaction",
            "-verify": "compaction",
            "skill-extraction": "auxiliary",
        },
        recognise=_gemini_cli_class,
        default_class="main",
        project=(
            in_prompt("**Workspace Directories:**\n  - "),
            in_prompt("currently working in the directory:"),
        ),
        account=(in_body("project"),),
        device=(in_header("x-gemini-api-privileged-user-id"),),
    ),
    # packages/opencode/src/session/llm/request.ts. `x-opencode-project` is an opaque id, so the
    # prompt's path goes before it.
    Client(
        name="opencode",
        products=("opencode",),
        session=(
            in_header("x-opencode-session"),
            in_header("x-session-id"),
            in_header("x-session-affinity"),
        ),
        parent_agent=(in_header("x-parent-session-id"),),
        agents_are_sessions=True,
        recognise=_opencode_class,
        default_class="main",
        project=(in_prompt("orking directory:"), in_header("x-opencode-project")),
    ),
    # aider/llm.py. Its requests are litellm's; only requests to OpenRouter and Copilot name aider.
    Client(
        name="aider",
        products=("aider",),
        marks=(
            ("x-title", "aider$"),
            ("http-referer", "https://aider.chat"),
            ("editor-version", "aider/"),
        ),
        version=(matching(r"aider/(\S+)", in_header("editor-version")),),
    ),
    # src/platform/networking. `prompt_cache_key` is `<conversation>:<model family>`;
    # `vscode-sessionid` is the whole window.
    Client(
        name="github-copilot",
        products=("githubcopilotchat", "githubcopilot", "copilot"),
        marks=(("vscode-sessionid", ""), ("copilot-integration-id", "copilot-developer-cli")),
        version=(matching(r"[^/]*/(\S+)", in_header("editor-plugin-version")),),
        session=(
            matching(r"([^:]+)", in_body("prompt_cache_key")),
            in_header("x-client-session-id"),
            in_header("vscode-sessionid"),
        ),
        agent=(Source("header", _copilot_agent, "x-agent-task-id"),),
        parent_agent=(in_header("x-parent-agent-id"),),
        request_class=(in_header("x-interaction-type"),),
        classes={
            "conversation-agent": "main",
            "conversation-subagent": "subagent",
            "conversation-background": "auxiliary",
        },
        default_class="main",
        project=(in_prompt("working in a workspace with the following folders:\n- "),),
        device=(in_header("vscode-machineid"),),
    ),
    # Observed; the body is protobuf.
    Client(
        name="cursor",
        products=("cursor*",),
        marks=(("x-cursor-client-version", ""), ("x-cursor-client-type", "")),
        version=(in_header("x-cursor-client-version"),),
        session=(in_header("x-session-id"),),
    ),
    Client(
        name="grok-cli",
        products=("grok*",),
        marks=(("x-grok-session-id", ""),),
        session=(in_header("x-grok-session-id"), in_header("x-grok-conv-id")),
    ),
    Client(
        name="pi",
        products=("pi",),
        marks=(("originator", "pi$"),),
        session=(in_header("x-session-affinity"),),
    ),
    Client(name="langchain", products=("langchain*",)),
    Client(name="litellm", products=("litellm",), session=(in_body("litellm_session_id"),)),
    Client(name="llm", products=("llm",)),
    # `ai/<v> ai-sdk/provider-utils/..` for a whole answer, `ai-sdk/openai/<v> ..` for a stream
    Client(
        name="vercel-ai-sdk",
        products=("ai", "ai-sdk"),
        version=(matching(r"ai(?:-sdk/[\w.-]+)?/(\S+)", in_header("user-agent")),),
    ),
    Client(
        name="google-genai-js",
        marks=(("user-agent", r"google-genai-sdk/\S+ gl-node"),),
        version=(matching(r"[^/]*/(\S+)", in_header("user-agent")),),
    ),
    Client(name="google-genai-python", products=("google-genai-sdk",)),
    # On clouds, and before version 2: `speakeasy-sdk/python <v> .. mistralai-gcp`.
    Client(
        name="mistralai-python",
        products=("mistral-client-python",),
        marks=(("user-agent", "speakeasy-sdk/python .*mistralai"),),
        version=(_SPEAKEASY_VERSION,),
    ),
    Client(
        name="mistralai-js",
        products=("mistral-client-typescript",),
        marks=(("user-agent", "speakeasy-sdk/typescript .*mistralai"),),
        version=(_SPEAKEASY_VERSION,),
    ),
    Client(name="boto3", products=("boto3",)),
    Client(name="ollama-python", products=("ollama-python",)),
    Client(name="ollama-js", products=("ollama-js",)),
    Client(name="cohere-python", products=("cohere",), marks=(("x-fern-sdk-name", "cohere$"),)),
)

CLIENTS = tuple(map(as_any, _ROWS))
"""Marks are tried in this order, then User-Agents. SDKs by Stainless need no row: theirs all read
`OpenAI/Python 3.52.0`."""
