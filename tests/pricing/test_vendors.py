"""A model's name shows whether only its vendor sells it."""

from __future__ import annotations

import pytest

from llmtally.pricing.vendors import proprietary_vendor


@pytest.mark.parametrize(
    ("model", "sold"),
    [
        ("claude-opus-4-8", ("anthropic", "claude-opus-4-8")),
        ("anthropic/Claude-Opus-4-8", ("anthropic", "claude-opus-4-8")),
        ("bedrock/eu.anthropic.claude-sonnet-5-5-v1:0", ("anthropic", "claude-sonnet-5-5-v1:0")),
        ("azure/gpt-6.1-sol", ("openai", "gpt-6.1-sol")),
        ("o4-mini", ("openai", "o4-mini")),
        ("text-embedding-3-small", ("openai", "text-embedding-3-small")),
        ("vertex_ai/gemini-3.5-flash", ("google", "gemini-3.5-flash")),
        ("grok-4.7", ("x-ai", "grok-4.7")),
        ("mistral/mistral-large-latest", ("mistral", "mistral-large-latest")),
        ("codestral-latest", ("mistral", "codestral-latest")),
        ("command-a-03-2025", ("cohere", "command-a-03-2025")),
    ],
)
def test_closed_models(model: str, sold: tuple[str, str]) -> None:
    """What only its vendor sells is known by its name, whatever a gateway puts before it."""
    assert proprietary_vendor(model) == sold


@pytest.mark.parametrize(
    "model",
    [
        *(
            "",
            "m",
            "llama3.2:1b",
            "meta-llama/Llama-3.1-8B",
            "qwen3-coder",
            "google/gemma-3-12b-it",
            "deepseek-v4-pro",
            "phi-4",
        ),
        *(
            "openai/gpt-oss-20b",
            "gpt-oss:120b-cloud",
            "gpt-j-6b",
            "gpt2",
            "mistral-large:latest",
            "mistral-large-2512",
            "mixtral",
        ),
        *(
            "command-r:35b",
            "command-r7b",
            "CohereForAI/c4ai-command-r-08-2024",
            "text-embedding-nomic-embed-text-v1.5",
            "kimi-k3",
        ),
        *(
            "reedmayhew/claude-3.7-sonnet-reasoning-gemma3-12B",
            "claude-opus-distill-8b",
            "gpt-3.5-turbo",
            "olmo-3",
            "orca-mini",
        ),
    ],
)
def test_models_people_run(model: str) -> None:
    """Public weights, models tuned to resemble a closed one, and what llama.cpp's server calls any
    model, cost nothing at home."""
    assert proprietary_vendor(model) is None
