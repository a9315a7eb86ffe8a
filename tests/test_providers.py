"""The provider table: which request leads where."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtally import formats
from llmtally.providers import PROVIDERS, Method, RouteTable, custom, is_local

ROUTES: list[tuple[Method, str, str, str | None, str | None, str | None]] = [
    # method, host, path, provider, format, model in the path
    ("POST", "api.openai.com", "/v1/chat/completions", "openai", "openai_chat", None),
    ("POST", "eu.api.openai.com", "/v1/completions", "openai", "openai_completions", None),
    ("GET", "api.openai.com", "/v1/responses/resp_1", "openai", "openai_responses", None),
    ("SOCKET", "api.openai.com", "/v1/responses", "openai", "openai_responses", None),
    ("GET", "api.openai.com", "/v1/chat/completions/chatcmpl-1", None, None, None),
    ("GET", "api.openai.com", "/v1/models", None, None, None),
    ("SOCKET", "api.openai.com", "/v1/live/sessions/live_1/fork", "openai", "openai_live", None),
    ("POST", "api.openai.com", "/v1/agents/sessions/sess_1/events", None, None, None),
    ("POST", "api.cohere.ai", "/compatibility/v1/embeddings", "cohere", "openai_embeddings", None),
    ("POST", "localhost", "/api/v1/chat", "local", "lm_studio", None),
    ("POST", "api.anthropic.com", "/v1/messages", "anthropic", "anthropic_messages", None),
    ("POST", "api.anthropic.com", "/v1/messages/count_tokens", None, None, None),
    ("POST", "api.anthropic.com", "/api/event_logging/v2/batch", None, None, None),
    (
        "POST",
        "chatgpt.com",
        "/backend-api/codex/responses",
        "chatgpt_codex",
        "openai_responses",
        None,
    ),
    ("POST", "chatgpt.com", "/backend-api/codex/analytics-events/events", None, None, None),
    (
        "POST",
        "my.openai.azure.com",
        "/openai/deployments/gpt/chat/completions",
        "azure_openai",
        "openai_chat",
        None,
    ),
    (
        "POST",
        "my.services.ai.azure.com",
        "/anthropic/v1/messages",
        "azure_openai",
        "anthropic_messages",
        None,
    ),
    (
        "POST",
        "bedrock-mantle.us-east-1.api.aws",
        "/anthropic/v1/messages",
        "bedrock_mantle",
        "anthropic_messages",
        None,
    ),
    (
        "POST",
        "aws-external-anthropic.us-east-1.api.aws",
        "/v1/messages",
        "aws_anthropic",
        "anthropic_messages",
        None,
    ),
    (
        "POST",
        "bedrock-runtime.eu-west-1.amazonaws.com",
        "/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse-stream",
        "aws_bedrock",
        "bedrock_converse",
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    ),
    (
        "POST",
        "us-east5-aiplatform.googleapis.com",
        "/v1/projects/p/locations/us-east5/publishers/anthropic/models/claude-sonnet-4-5@20250929:streamRawPredict",
        "gcp_vertex",
        "anthropic_messages",
        "claude-sonnet-4-5@20250929",
    ),
    (
        "POST",
        "generativelanguage.googleapis.com",
        "/v1beta/models/gemini-2.5-pro:streamGenerateContent",
        "gemini",
        "gemini_generate",
        "gemini-2.5-pro",
    ),
    (
        "POST",
        "generativelanguage.googleapis.com",
        "/v1beta/models/gemini-2.5-pro:countTokens",
        None,
        None,
        None,
    ),
    (
        "POST",
        "generativelanguage.googleapis.com",
        "/v1beta/tunedModels/t:generateContent",
        "gemini",
        "gemini_generate",
        "t",
    ),
    (
        "POST",
        "aiplatform.googleapis.com",
        "/v1/projects/p/locations/l/endpoints/1:generateContent",
        "gcp_vertex",
        "gemini_generate",
        "1",
    ),
    (
        "POST",
        "cloudcode-pa.googleapis.com",
        "/v1internal:generateContent",
        "code_assist",
        "gemini_generate",
        None,
    ),
    (
        "POST",
        "daily-cloudcode-pa.googleapis.com",
        "/v1internal:streamGenerateContent",
        "code_assist",
        "gemini_generate",
        None,
    ),
    ("POST", "cloudcode-pa.googleapis.com", "/v1internal:retrieveUserQuota", None, None, None),
    ("POST", "api.githubcopilot.com", "/chat/completions", "github_copilot", "openai_chat", None),
    ("POST", "127.0.0.1", "/v1/chat/completions", "local", "openai_chat", None),
    ("POST", "gateway.example.com", "/llm/v1/chat/completions", "unknown", "openai_chat", None),
    ("POST", "chat.example.com", "/messages", None, None, None),
    ("POST", "notapi.openai.com.example.com", "/v1/models", None, None, None),
]


@pytest.mark.parametrize(
    ("method", "host", "path", "provider", "fmt", "model"),
    ROUTES,
    ids=lambda value: str(value)[:60],
)
def test_route(
    method: Method, host: str, path: str, provider: str | None, fmt: str | None, model: str | None
) -> None:
    """A request leads to its provider's row and format, or nowhere."""
    route = RouteTable().route(method, host, path)

    found = (
        (route.provider.name, route.format.name, route.model)
        if route is not None
        else (None, None, None)
    )
    assert found == (provider, fmt, model)


def test_names_and_hosts_are_unique() -> None:
    """No two rows claim one name or one host."""
    names = [row.name for row in PROVIDERS]
    hosts = [host for row in PROVIDERS for host in row.hosts]

    assert sorted(set(names)) == sorted(names)
    assert sorted(set(hosts)) == sorted(hosts)


def test_unknown_hosts_need_confirmation() -> None:
    """On a host without a row the path alone proves nothing."""
    unknown, known = (
        RouteTable().route("POST", host, "/v1/chat/completions")
        for host in ("x.example.com", "api.openai.com")
    )

    assert unknown is not None
    assert known is not None
    assert (unknown.confirmed, known.confirmed) == (False, True)


def test_custom_host() -> None:
    """A row a user added comes first: its well-known paths as usual, every other POST in the format
    named."""
    directory = RouteTable([custom("llm.example.com", "openai_chat")])

    usual = directory.route("POST", "llm.example.com", "/v1/messages")
    other = directory.route("POST", "llm.example.com", "/ask")

    assert usual is not None
    assert other is not None
    assert (usual.format, other.format) == (formats.ANTHROPIC_MESSAGES, formats.OPENAI_CHAT)
    assert (usual.provider.name, usual.confirmed) == ("llm.example.com", True)


def test_custom_host_with_unknown_format() -> None:
    """A format nobody knows is refused, and the known ones are named."""
    with pytest.raises(ValueError, match="openai_chat"):
        custom("llm.example.com", "openai")


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("::1", True),
        ("192.168.1.20", True),
        ("10.0.0.1", True),
        ("gpu-box", True),
        ("studio.local", True),
        ("8.8.8.8", False),
        ("api.openai.com", False),
    ],
)
def test_is_local(host: str, local: bool) -> None:
    """Servers on this machine and in its private network cost nothing; all others do."""
    assert is_local(host) is local


@given(
    method=st.sampled_from(["POST", "GET", "SOCKET"]),
    host=st.text(max_size=300),
    path=st.text(max_size=500),
)
def test_never_raises(method: Method, host: str, path: str) -> None:
    """Hosts and paths come from the client, whoever that is."""
    RouteTable().route(method, host, path)
