"""Who asked: client, session, agent, project and account, read off a request's headers and body.

Every client says these in places of its own: Claude Code in `x-claude-code-*` headers, Codex in `session-id` and
`x-codex-turn-metadata` (on a socket in each frame's `client_metadata`), Gemini CLI in `user_prompt_id`. The places stand in one
table, `CLIENTS`; a client is added by one row and one fixture in `tests/attribution/`. Of all these headers only Claude Code's
are a documented contract (https://code.claude.com/docs/en/llm-gateway-protocol), the rest were observed and may move.

Where a client names no session, `Attributor` infers one and says how (`session_source`), most trustworthy first:
`header` (a session header set by the user) > `client_header` > `body` > `previous_response` > `prefix` > `connection`.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal, TypeVar

import orjson

from .formats.format import items, mapping
from .record import TEXT_CAP, Attribution, Billing
from .redact import holds_known_key, looks_like_key

RequestClass = Literal["main", "subagent", "workflow", "compaction", "auxiliary", "probe", "warmup"]
"""What a request was for. Closed, because metrics use it as a label: values not known here never pass through."""

SESSION_HEADERS = ("x-session-id", "x-litellm-session-id", "helicone-session-id")
"""Headers that people set on purpose to name a session, whatever the client; more can be configured."""

SESSION_GAP = 30 * 60
"""Seconds of silence after which the same connection counts as a new session: a coffee break is shorter, a meeting is not."""

USER_AGENT_CAP = 512
"""Characters of a User-Agent that are looked at: the product stands first, browsers' run to about 200."""
EMBEDDED_JSON_CAP = 64 * 1024
"""Characters of JSON within a string or header that are parsed: Codex's turn metadata stays under 8 K."""
PROMPT_CAP = 256 * 1024
"""Characters of one prompt text searched for a working directory: system prompts stay under 120 K."""
PROMPT_MESSAGES = 3
"""First messages searched for a working directory: clients say it in the system prompt or the opening message."""
PROMPT_PARTS = 16
"""Parts of one prompt or message searched."""
PROMPT_DEPTH = 4
"""Nesting of message, content and part; deeper is not a prompt."""
PATH_BLANKS = 3
"""Blanks in a path that is believed: `/home/ana/My Documents/New Project`. Prose has more."""
MARKER_TRIES = 3
"""Occurrences of a marker tried per text, so that prose which mentions it does not hide the real one."""

PREFIX_MESSAGES = 64
"""Messages hashed per request: conversations that are alike for longer than that are one."""
PREFIX_SCAN = 512
"""Messages looked at to find those."""
PREFIX_NODES = 64
"""JSON values hashed per message."""
PREFIX_TEXT = 2048
"""Characters hashed from either end of a string: templates differ at the start or at the end."""
PREFIX_BUDGET = 64 * 1024
"""Characters hashed per request, which bounds its cost to about 0.2 ms."""

PREFIXES_CAP = 16_384
"""Conversation states remembered, one per request without a session id."""
RESPONSES_CAP = 16_384
"""Response ids remembered for `previous_response_id`."""
CONNECTIONS_CAP = 4_096
"""Client connections remembered."""
AGENTS_CAP = 4_096
"""Agents whose root session is remembered."""
ACCOUNTS_CAP = 4_096
"""Credential and device hashes whose account is remembered."""


@dataclass(frozen=True, slots=True)
class RequestView:
    """What attribution may see of a request."""

    provider: str
    host: str
    path: str
    """Without the query."""
    headers: Mapping[str, str]
    """Names in lower case, several values joined by `, `."""
    body: Mapping[str, Any] | None = None
    """The parsed JSON request, or the client's frame on a socket."""
    query: Mapping[str, str] = field(default_factory=dict)
    peer: str | None = None
    """Id of the client's connection."""


@dataclass(frozen=True, slots=True)
class Source:
    """One place where a client says something."""

    where: Literal["header", "body"]
    read: Callable[[RequestView], str | None]
    name: str = ""
    """The header's name."""


ANY_KEY = "*"
"""A step of a path: the object's first key itself, for objects keyed by what is looked for."""


def in_header(name: str, *path: str) -> Source:
    """The value of a header; with a path, a member of the JSON in it."""
    if not path:
        return Source("header", lambda view: view.headers.get(name), name)
    return Source("header", lambda view: _member(view.headers.get(name), path), name)


def in_body(*path: str) -> Source:
    """A member of the body. A string on the way is read as JSON: clients put JSON into strings."""
    return Source("body", lambda view: _member(view.body, path))


def in_prompt(marker: str, end: str = "\n") -> Source:
    """A file path between a marker at the start of a line and `end`, where the client itself speaks. Only the path is kept.

    Searched from the end of each text: the environment stands last in a system prompt, after 50 K of instructions.
    """

    def read(view: RequestView) -> str | None:
        for text in _prompt_texts(view):
            before = text[:PROMPT_CAP]
            for _ in range(MARKER_TRIES):
                before, found, _ = before.rpartition(marker)
                if not found:
                    break
                if _MARKER_LEAD.fullmatch(before, before.rfind("\n") + 1) and (path := _path_at(text, len(before + found), end)):
                    return path
        return None

    return Source("body", read)


def _path_at(text: str, start: int, end: str) -> str | None:
    """The file path that takes up all from `start` to `end` or the end of the text; None where something else stands."""
    window = text[start : start + TEXT_CAP + len(end) + 2]
    line, found, _ = window.partition(end)
    path = line.strip()
    if not (found or len(text) == start + len(window)) or len(path) > TEXT_CAP or "\n" in path:
        return None
    return path if _FILE_PATH.match(path) and path.count(" ") <= PATH_BLANKS and not _PROSE.search(path) else None


def matching(pattern: str, source: Source) -> Source:
    """The first group of a pattern matched at the start of another source's value, of which only so much is looked at."""
    compiled = re.compile(pattern)

    def read(view: RequestView) -> str | None:
        found = compiled.match((source.read(view) or "")[: 2 * TEXT_CAP])
        return found.group(1) if found else None

    return Source(source.where, read, source.name)


_FILE_PATH = re.compile(r"/|~|[A-Za-z]:[\\/]|\\\\")
_PROSE = re.compile(r"[,;:.!?](?:\s|$)")
"""Ends a clause; in the name of a directory hardly anybody would."""
_MARKER_LEAD = re.compile(r"[\s*-]*(?:<[\w-]+>)*(?:Primary w|W|I'm |I am )?")
"""What may stand before a marker in its line; what else does is a sentence of somebody's."""
_CLIENT_SPEAKS = re.compile(r"\s*(?:<[\w-]+>|This is the Gemini CLI\b)")
"""How a message begins that a client wrote in the user's place: `<environment_context>`, `<session_context>`."""


def _member(value: Any, path: Sequence[str]) -> str | None:
    for step in path:
        holder = value if isinstance(value, dict) else mapping(_embedded(value))
        value = next(iter(holder), None) if step == ANY_KEY else holder.get(step)
    return value if isinstance(value, str) else None


def _embedded(value: Any) -> Any:
    if not isinstance(value, str) or not value.startswith("{") or len(value) > EMBEDDED_JSON_CAP:
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return None


def _prompt_texts(view: RequestView) -> Iterator[str]:
    """The texts a client opens a conversation with: the system prompt, and what it wrote into the first messages."""
    payload = _payload(view)
    for key in ("system", "instructions", "systemInstruction", "system_instruction"):
        yield from _texts(payload.get(key), PROMPT_DEPTH)
    for message in _messages(view)[:PROMPT_MESSAGES]:
        for text in _texts(message, PROMPT_DEPTH):
            if message.get("role") in _INSTRUCTION_ROLES or _CLIENT_SPEAKS.match(text):
                yield text


def _texts(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif depth and isinstance(value, list):
        for part in value[:PROMPT_PARTS]:
            yield from _texts(part, depth - 1)
    elif depth and isinstance(value, dict):
        yield from _texts(value.get("text") or value.get("content") or value.get("parts"), depth - 1)


def _payload(view: RequestView) -> Mapping[str, Any]:
    """The request proper: Code Assist wraps Gemini's in `request`."""
    body = mapping(view.body)
    return mapping(body.get("request")) or body


def _messages(view: RequestView) -> list[Any]:
    """The conversation so far, whatever the API calls it; empty where `input` is something else (embeddings, speech)."""
    payload = _payload(view)
    messages = items(payload.get("messages")) or items(payload.get("contents")) or payload.get("input")
    if isinstance(messages, str) and (view.path.endswith("/responses") or payload.get("type") == "response.create"):
        return [{"role": "user", "content": messages}]
    return [message for message in items(messages) if isinstance(message, dict)]


@dataclass(frozen=True, slots=True)
class Client:
    """One row: how a client is known, and where it says what. Of several sources the first that says something counts."""

    name: str
    products: tuple[str, ...] = ()
    """First product of its User-Agent in lower case; a final `*` takes in what follows a `-` or `_` (`codex*`: `codex_exec`)."""
    marks: tuple[tuple[str, str], ...] = ()
    """Headers, and the pattern their value starts with, that give it away whatever its User-Agent."""
    version: tuple[Source, ...] = ()
    """Where it is not the version in the User-Agent."""
    session: tuple[Source, ...] = ()
    agent: tuple[Source, ...] = ()
    """Absent, or equal to the session: the main agent."""
    parent_agent: tuple[Source, ...] = ()
    agents_are_sessions: bool = False
    """Each agent has a session id of its own, and `parent_agent` says which session started it."""
    agent_type: tuple[Source, ...] = ()
    request_class: tuple[Source, ...] = ()
    classes: Mapping[str, RequestClass] = field(default_factory=dict)
    """From the client's words in `request_class` to ours."""
    recognise: Callable[[RequestView], RequestClass | None] | None = None
    """Tells the class from the shape of the request, where the client does not say."""
    default_class: RequestClass | None = None
    """The class of an ordinary request; None for libraries, which know of no classes."""
    project: tuple[Source, ...] = ()
    account: tuple[Source, ...] = ()
    device: tuple[Source, ...] = ()
    """An id of the installation: stands in for the account where all else is a credential that rotates."""


def _claude_code_class(view: RequestView) -> RequestClass | None:
    body = mapping(view.body)
    if body.get("max_tokens") == 1:
        return "probe"  # asks for the limits in the response's headers, not for the token
    if "x-claude-code-agent-id" in view.headers:
        return "subagent"
    if "cc_is_subagent=true" in _claude_code_billing(body):
        return "subagent"
    answer = mapping(mapping(body.get("output_config")).get("format"))
    if body.get("tools") == [] and answer.get("type") == "json_schema":
        return "auxiliary"  # the title of the conversation, by a small model
    return None


def _claude_code_billing(body: Mapping[str, Any]) -> str:
    """The line that is a header by its look, but the first text of the system prompt."""
    texts = islice(_texts(body.get("system"), PROMPT_DEPTH), PROMPT_MESSAGES)
    return next((text[:USER_AGENT_CAP] for text in texts if text.startswith("x-anthropic-billing-header")), "")


def _gemini_cli_class(view: RequestView) -> RequestClass | None:
    """The main agent never asks for JSON; the router, the loop check and the edit fixer always do."""
    config = mapping(_payload(view).get("generationConfig"))
    return "auxiliary" if "responseJsonSchema" in config or "responseSchema" in config else None


def _opencode_class(view: RequestView) -> RequestClass | None:
    """Agents always have tools; the title call has none."""
    if "x-parent-session-id" in view.headers or not _messages(view):
        return None
    return None if _payload(view).get("tools") else "auxiliary"


def _copilot_agent(view: RequestView) -> str | None:
    """VS Code repeats the request's own id here for the main agent."""
    task = view.headers.get("x-agent-task-id")
    return None if task == view.headers.get("x-request-id") else task


_CODEX_METADATA = "x-codex-turn-metadata"

CLIENTS: tuple[Client, ...] = (
    # https://code.claude.com/docs/en/llm-gateway-protocol; `metadata.user_id` is JSON, before 2.1 `user_.._account_.._session_..`
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
        classes={name: name for name in ("main", "subagent", "workflow", "compaction", "auxiliary")},
        recognise=_claude_code_class,
        default_class="main",
        project=(in_prompt("orking directory:"),),  # `Primary working directory: `, before 2.1 `Working directory: `
        account=(
            in_body("metadata", "user_id", "account_uuid"),
            matching(r"user_.*_account_([\w-]+?)_session_", in_body("metadata", "user_id")),
        ),
        device=(
            in_body("metadata", "user_id", "device_id"),
            matching(r"user_(\w+?)_account_", in_body("metadata", "user_id")),
        ),
    ),
    # codex-rs/core/src/{client,turn_metadata}.rs. On a socket the headers are the handshake's: what a frame says goes before.
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
        agents_are_sessions=True,  # before threads were told from sessions
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
        ),
        # Not `prewarm`: a handshake goes on saying so for all turns of its socket. `generate: false` tells a warm-up.
        classes={"compact": "compaction", "compaction": "compaction", "memory_consolidation": "auxiliary"},
        default_class="main",
        project=(
            in_body("client_metadata", _CODEX_METADATA, "workspaces", ANY_KEY),
            in_header(_CODEX_METADATA, "workspaces", ANY_KEY),
            in_prompt("<cwd>", "</cwd>"),
        ),
    ),
    # packages/core. Code Assist only; with an API key the body says nothing but the directory.
    Client(
        name="gemini-cli",
        products=("geminicli*",),
        session=(
            in_body("request", "session_id"),
            matching(r"(.+?)########", in_body("user_prompt_id")),
        ),
        agent=(matching(r"([^#]+)#\d+$", in_body("user_prompt_id")),),
        request_class=(matching(r"(classifier-router|compress|skill-extraction)", in_body("user_prompt_id")),),
        classes={"classifier-router": "auxiliary", "compress": "compaction", "skill-extraction": "auxiliary"},
        recognise=_gemini_cli_class,
        default_class="main",
        project=(in_prompt("**Workspace Directories:**\n  - "), in_prompt("currently working in the directory:")),
        account=(in_body("project"),),
        device=(in_header("x-gemini-api-privileged-user-id"),),
    ),
    # packages/opencode/src/session/llm/request.ts. `x-opencode-project` is an opaque id, so the prompt's path goes before it.
    Client(
        name="opencode",
        products=("opencode",),
        session=(in_header("x-opencode-session"), in_header("x-session-id"), in_header("x-session-affinity")),
        parent_agent=(in_header("x-parent-session-id"),),
        agents_are_sessions=True,
        recognise=_opencode_class,
        default_class="main",
        project=(in_prompt("orking directory:"), in_header("x-opencode-project")),
    ),
    # aider/llm.py. Its requests are litellm's; only OpenRouter and Copilot are told who it is.
    Client(
        name="aider",
        products=("aider",),
        marks=(("x-title", "aider$"), ("http-referer", "https://aider.chat"), ("editor-version", "aider/")),
        version=(matching(r"aider/(\S+)", in_header("editor-version")),),
    ),
    # src/platform/networking. `prompt_cache_key` is `<conversation>:<model family>`; `vscode-sessionid` is the whole window.
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
        classes={"conversation-agent": "main", "conversation-subagent": "subagent", "conversation-background": "auxiliary"},
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
    Client(name="pi", products=("pi",), marks=(("originator", "pi$"),), session=(in_header("x-session-affinity"),)),
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
    # Before version 1: `speakeasy-sdk/python <v> .. mistralai`.
    Client(
        name="mistralai-python", products=("mistral-client-python",), marks=(("user-agent", "speakeasy-sdk/python .*mistralai"),)
    ),
    Client(
        name="mistralai-js",
        products=("mistral-client-typescript",),
        marks=(("user-agent", "speakeasy-sdk/typescript .*mistralai"),),
    ),
    Client(name="boto3", products=("boto3",)),
    Client(name="ollama-python", products=("ollama-python",)),
    Client(name="ollama-js", products=("ollama-js",)),
    Client(name="cohere-python", products=("cohere",), marks=(("x-fern-sdk-name", "cohere$"),)),
)
"""Marks are tried in this order, then User-Agents. SDKs by Stainless need no row: theirs all read `OpenAI/Python 3.52.0`."""

ANY = Client(
    name="",
    session=(
        in_header("x-grok-conv-id"),
        in_header("x-session-affinity"),
        in_body("conversation", "id"),
        in_body("conversation"),
        in_body("conversation_id"),
        in_body("session_id"),
        in_body("prompt_cache_key"),
    ),
    account=(
        in_header("chatgpt-account-id"),
        in_header("openai-organization"),
        in_header("x-goog-user-project"),
        Source("header", lambda view: _cloud_project(view.path)),
    ),
)
"""What any client may say; asked after the client's own row."""

PREVIOUS_RESPONSE = (
    in_body("previous_response_id"),
    in_body("previous_interaction_id"),
    in_body("diagnostics", "previous_message_id"),
)
"""Where a request names the response it goes on from."""


def _cloud_project(path: str) -> str | None:
    """The Google Cloud project that a Vertex path names: it pays, and its tokens change every hour."""
    found = re.match(r"/v\w+/projects/([^/]+)/", path)
    return found.group(1) if found else None


_BY_PRODUCT = {product: client for client in CLIENTS for product in client.products}
_MARKED = tuple((client, name, re.compile(pattern, re.IGNORECASE)) for client in CLIENTS for name, pattern in client.marks)

# `AsyncAzureOpenAI/Python 3.52.0`, `AnthropicBedrock/Python 2.11.0`: one SDK per vendor and language, whatever the class.
_STAINLESS = re.compile(
    r"(?:async)?(?:azure)?(\w+?)(?:bedrock\w*|vertex|foundry|aws)?/(python|js|go|java|kotlin|ruby|php|c#)\s+(\S+)", re.IGNORECASE
)
_PRODUCT = re.compile(r"([^/\s]+)(?:/([^/\s]+))?")


def identify(headers: Mapping[str, str]) -> tuple[Client, str | None]:
    """The row of the client and its version; a client without a row is named by its User-Agent."""
    named, version = _named(headers.get("user-agent", "")[:USER_AGENT_CAP])
    for client, name, pattern in _MARKED:
        if name in headers and pattern.match(headers[name]):
            return client, version if client is named else None
    return named, version


@functools.lru_cache(maxsize=1024)
def _named(user_agent: str) -> tuple[Client, str | None]:
    """Row and version by the User-Agent alone."""
    product, version = _read_user_agent(user_agent)
    named = _BY_PRODUCT.get(product) or _BY_PRODUCT.get(re.split("[-_]", product, maxsplit=1)[0] + "*")
    return named or Client(product), version


def _read_user_agent(user_agent: str) -> tuple[str, str | None]:
    if found := _STAINLESS.match(user_agent):
        vendor, language, version = found.groups()
        return f"{vendor}-{language}".lower(), version
    if found := _PRODUCT.match(user_agent):
        product, version = found.groups()
        if version and holds_known_key(version):
            version = None
        name = re.sub(r"[^a-z0-9._-]+", "-", product.lower()).strip("-._")
        return "" if looks_like_key(product) else name, version
    return "", None


_ID = re.compile(r"[\w.:@/+=~#-]{1,128}", re.ASCII)

_ROTATING = ("sk-ant-oat", "ya29.", "eyJ")
"""OAuth access tokens of Anthropic and Google, and JWTs: replaced every few hours."""


@dataclass(frozen=True, slots=True)
class Credential:
    """What a request authenticates with. Never stored: lives as long as the request is looked at."""

    identity: str = field(repr=False)
    """The part that outlives the request: no signature, no expiry."""
    secret: str = field(repr=False)
    rotates: bool = False


def read_credential(view: RequestView) -> Credential | None:
    """The credential wherever a provider takes one, in the order of the commonest."""
    scheme, _, token = view.headers.get("authorization", "").partition(" ")
    if scheme.upper().startswith("AWS4-"):
        found = re.search(r"Credential=([^/,\s]+)", token[:USER_AGENT_CAP])
        return Credential(found.group(1), found.group(1)) if found else None
    secret = token.strip() or scheme
    for name in ("x-api-key", "api-key", "x-goog-api-key"):
        secret = secret or view.headers.get(name, "")
    secret = secret or view.query.get("key", "") or view.query.get("X-Amz-Credential", "").partition("/")[0]
    return _describe(secret) if secret else None


def _describe(secret: str) -> Credential:
    if secret.startswith("tid="):  # Copilot: `tid=<user>;exp=<soon>;..`
        return Credential(secret.partition(";")[0], secret)
    if subject := _jwt_subject(secret):
        return Credential(subject, secret)
    return Credential(secret, secret, rotates=secret.startswith(_ROTATING))


def _jwt_subject(token: str) -> str | None:
    """Issuer and subject of a JWT; not verified, the provider does that."""
    if not token.startswith("eyJ") or len(token) > EMBEDDED_JSON_CAP or token.count(".") != 2:
        return None
    payload = token.split(".")[1]
    try:
        claims = mapping(orjson.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))))
    except ValueError:
        return None
    subject = claims.get("sub")
    return f"{claims.get('iss')}|{subject}" if isinstance(subject, str) and subject else None


def _billing(view: RequestView, credential: Credential | None) -> Billing | None:
    """`subscription` where a plan's credential or a plan's own host says so."""
    if credential is not None and credential.secret.startswith("sk-ant-oat"):
        return "subscription"
    if "chatgpt-account-id" in view.headers or view.host in ("chatgpt.com", "cloudcode-pa.googleapis.com"):
        return "subscription"
    if view.host.endswith(".githubcopilot.com") or view.host == "copilot-proxy.githubusercontent.com":
        return "subscription"
    return None


def _retry(headers: Mapping[str, str]) -> int | None:
    """Retries before this request: Stainless SDKs count from 0, AWS SDKs count attempts from 1."""
    if headers.get("x-stainless-retry-count") == "0":  # nearly always
        return 0
    if found := re.match(r"(\d{1,4})\s*$", headers.get("x-stainless-retry-count", "")):
        return int(found.group(1))
    if found := re.search(r"\battempt=(\d{1,4})\b", headers.get("amz-sdk-request", "")[:USER_AGENT_CAP]):
        return max(int(found.group(1)) - 1, 0)
    return None


def _request_class(view: RequestView, client: Client, *, subagent: bool) -> RequestClass | None:
    if view.body is not None and view.body.get("type") == "response.create" and view.body.get("generate") is False:
        return "warmup"
    for source in client.request_class:
        if known := client.classes.get(source.read(view) or ""):
            return known
    if client.recognise is not None and (recognised := client.recognise(view)):
        return recognised
    return "subagent" if subagent else client.default_class


_MODELS_OWN_ROLES = frozenset({"assistant", "model"})
_INSTRUCTION_ROLES = frozenset({"system", "developer"})
_MODELS_OWN_TYPES = frozenset({"reasoning", "function_call", "custom_tool_call", "item_reference", "compaction"})

_VOLATILE = frozenset({"type", "id", "status", "cache_control", "cachePoint", "thoughtSignature", "signature", "encrypted_content"})
"""Keys whose values come and go while a message stays the same."""


def conversation_hashes(key: bytes, seed: str, messages: Iterable[Any]) -> list[str]:
    """A running keyed hash after each message of the user and of tools.

    A later request of the same conversation begins with the same hashes. The model's own turns are left out, clients rewrite
    them (thinking is dropped, calls are renumbered); so are instructions, which may hold the time of day.
    """
    state = hashlib.blake2b(seed.encode("utf-8", "surrogatepass"), digest_size=8, key=key)
    hashes: list[str] = []
    budget = PREFIX_BUDGET
    for message in islice(messages, PREFIX_SCAN):
        if _is_models_own(message):
            continue
        for text in _strings(message):
            state.update(b"%d:" % len(text))
            for piece in (text,) if len(text) <= 2 * PREFIX_TEXT else (text[:PREFIX_TEXT], text[-PREFIX_TEXT:]):
                state.update(piece.encode("utf-8", "surrogatepass"))
                budget -= len(piece)
        state.update(b"\n")
        hashes.append(state.hexdigest())
        if budget <= 0 or len(hashes) == PREFIX_MESSAGES:
            break
    return hashes


def _is_models_own(message: Mapping[str, Any]) -> bool:
    role = message.get("role")
    if isinstance(role, str):
        return role in _MODELS_OWN_ROLES or role in _INSTRUCTION_ROLES
    kind = message.get("type")
    return isinstance(kind, str) and kind in _MODELS_OWN_TYPES


def _strings(value: Any) -> Iterator[str]:
    """The strings within a JSON value, in order, without what is volatile."""
    stack = [value]
    for _ in range(PREFIX_NODES):
        if not stack:
            return
        node = stack.pop()
        if isinstance(node, str):
            yield node
        elif isinstance(node, list):
            stack.extend(reversed(node[:PREFIX_NODES]))
        elif isinstance(node, dict):
            members = [member for name, member in islice(node.items(), PREFIX_NODES) if name not in _VOLATILE]
            stack.extend(reversed(members))


_V = TypeVar("_V")


def _recall(memory: OrderedDict[str, _V], key: str) -> _V | None:
    value = memory.get(key)
    if value is not None:
        memory.move_to_end(key)
    return value


def _remember(memory: OrderedDict[str, _V], key: str, value: _V, cap: int) -> None:
    memory[key] = value
    memory.move_to_end(key)
    if len(memory) > cap:
        memory.popitem(last=False)


def _clean(value: str | None) -> str | None:
    """Text fit for a record: capped, without control characters, never empty."""
    if not value:
        return None
    value = value[:TEXT_CAP]
    if not value.isprintable():
        value = "".join(character for character in value if character.isprintable())
    return value.strip() or None


def _first(sources: Iterable[Source], view: RequestView) -> str | None:
    for source in sources:
        if value := _clean(source.read(view)):
            return value
    return None


class Attributor:
    """Attributes requests, and remembers what links them. Memory holds ids and keyed hashes, no text and no credential."""

    def __init__(self, key: bytes, *, session_headers: Sequence[str] = ()) -> None:
        self._key = key
        self._chain_key = hashlib.sha256(key).digest()
        self._session_headers = (*(name.lower() for name in session_headers), *SESSION_HEADERS)
        self._prefixes: OrderedDict[str, str] = OrderedDict()
        self._responses: OrderedDict[str, str] = OrderedDict()
        self._connections: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._roots: OrderedDict[str, str] = OrderedDict()
        self._accounts: OrderedDict[str, str] = OrderedDict()

    def attribute(self, view: RequestView, *, now: float) -> Attribution:
        """Who sent this request; `now` is in epoch seconds."""
        client, version = identify(view.headers)
        credential = read_credential(view)
        account = self._account(view, client, credential)
        session, session_source = self._session(view, client, account, now)
        session, agent, parent_agent = self._place(view, client, session)
        agent_type = _first(client.agent_type, view)
        return Attribution(
            client=_clean(client.name),
            client_version=_first(client.version, view) or _clean(version),
            session=session,
            session_source=session_source,
            agent=agent,
            parent_agent=parent_agent,
            agent_type=agent_type,
            request_class=_request_class(view, client, subagent=bool(agent or agent_type)),
            project=_first(client.project, view),
            account=account,
            retry=_retry(view.headers),
            billing=_billing(view, credential),
        )

    def answered(self, response_id: str, session: str | None) -> None:
        """Take note of a response, so that a request which names it as the previous one is of the same session."""
        if session and (known := _clean(response_id)):
            _remember(self._responses, known, session, RESPONSES_CAP)

    def _account(self, view: RequestView, client: Client, credential: Credential | None) -> str | None:
        """One hash per account, whichever way it shows.

        In this order: the account id the client states; the account that this credential (or, for tokens that rotate, this
        device) came with before; the device, for tokens that rotate; the credential.
        """
        stated = _first((*client.account, *ANY.account), view)
        shown = self._hash(credential.identity) if credential else None
        device = None
        if credential is None or credential.rotates:
            device = self._hash(_first(client.device, view))
        aliases = [alias for alias in (shown, device) if alias]
        if stated:
            account = self._hash(stated)
        else:
            known = (_recall(self._accounts, alias) for alias in aliases)
            account = next((found for found in known if found), None) or device or shown
        if account:
            for alias in aliases:
                _remember(self._accounts, alias, account, ACCOUNTS_CAP)
        return account

    def _hash(self, identity: str | None) -> str | None:
        if not identity:
            return None
        return hmac.digest(self._key, identity.encode("utf-8", "surrogatepass"), "sha256").hex()[:12]

    def _identifier(self, value: str | None) -> str | None:
        """An id as it is; its keyed hash where it may be something else, a sentence or a key: the same is still the same."""
        value = value.strip() if value else None
        if not value:
            return None
        return value if _ID.fullmatch(value) and not holds_known_key(value) else self._hash(value)

    def _session(self, view: RequestView, client: Client, account: str | None, now: float) -> tuple[str | None, str | None]:
        for name in self._session_headers:
            if value := self._identifier(view.headers.get(name)):
                own = any(source.name == name for source in client.session)
                return value, "client_header" if own else "header"
        for source in (*client.session, *ANY.session):
            if value := self._identifier(source.read(view)):
                return value, "client_header" if source.where == "header" else "body"
        if previous := _first(PREVIOUS_RESPONSE, view):
            return _recall(self._responses, previous) or self._digest("response", previous), "previous_response"
        if session := self._by_prefix(view, client, account):
            return session, "prefix"
        if session := self._by_connection(view, account, now):
            return session, "connection"
        return None, None

    def _by_prefix(self, view: RequestView, client: Client, account: str | None) -> str | None:
        """The session of the longest conversation seen that this one goes on from; a new one is named by its own hash."""
        hashes = conversation_hashes(self._chain_key, f"{client.name}\n{account}", _messages(view))
        if not hashes:
            return None
        known = (_recall(self._prefixes, state) for state in reversed(hashes))
        session = next((found for found in known if found), hashes[-1])
        _remember(self._prefixes, hashes[-1], session, PREFIXES_CAP)
        return session

    def _by_connection(self, view: RequestView, account: str | None, now: float) -> str | None:
        user_agent = view.headers.get("user-agent", "")[:USER_AGENT_CAP]
        if not (view.peer or user_agent):
            return None
        connection = self._digest("connection", view.peer or "", user_agent, account or "")
        session, seen = _recall(self._connections, connection) or ("", 0.0)
        if not session or now - seen > SESSION_GAP:
            session = self._digest(connection, str(now))
        _remember(self._connections, connection, (session, now), CONNECTIONS_CAP)
        return session

    def _digest(self, *parts: str) -> str:
        data = "\n".join(parts).encode("utf-8", "surrogatepass")
        return hashlib.blake2b(data, digest_size=8, key=self._chain_key).hexdigest()

    def _place(self, view: RequestView, client: Client, session: str | None) -> tuple[str | None, str | None, str | None]:
        """Session, agent and parent agent: the session is the root's, the main agent has no id."""
        agent = self._identifier(_first(client.agent, view))
        parent = self._identifier(_first(client.parent_agent, view))
        if agent == session:
            agent = None
        if client.agents_are_sessions and parent and not agent and parent != session:
            agent, session = session, _recall(self._roots, parent) or parent
        if agent and session:
            _remember(self._roots, agent, session, AGENTS_CAP)
        return session, agent, None if parent == session else parent
