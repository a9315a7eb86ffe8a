"""Calls to be priced, for the tests of prices."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from llmtally.record import Call, Usage

NOW = "2026-11-20T15:00:00+00:00"
"""A Friday after every date in the price data's past, off-peak at DeepSeek."""

MILLION = 1_000_000


def make_call(
    provider: str = "anthropic",
    model: str | None = None,
    usage: Usage | None = None,
    *,
    at: str = NOW,
    **fields: Any,
) -> Call:
    """A settled call; one million tokens in and out unless told otherwise, so that its cost reads
    as the sum of two rates."""
    began = datetime.fromisoformat(at).timestamp()
    known: dict[str, Any] = {
        "timestamp": began,
        "request_id": "1",
        "provider": provider,
        "api": "api",
        "host": "api.example.com",
        "path": "/v1/messages",
        "transport": "json",
        "outcome": "complete",
        "coverage": "unpriced",
        "started": began,
        "ended": began,
        "model": model,
        "usage": Usage(input_tokens=MILLION, output_tokens=MILLION) if usage is None else usage,
    }
    return Call(**{**known, **fields})


def tokens(fresh: int = 0, read: int = 0, write: int = 0, output: int = 0, **subsets: Any) -> Usage:
    return Usage(
        input_tokens=fresh,
        cache_read_tokens=read,
        cache_write_tokens=write,
        output_tokens=output,
        **subsets,
    )


def case(
    name: str,
    usd: float,
    provider: str,
    model: str | None,
    usage: Usage | None = None,
    **fields: Any,
) -> Any:
    """A call and what it costs. Without a usage it is a million tokens in and a million out."""
    return pytest.param(make_call(provider, model, usage, **fields), usd, id=name)


FEW = tokens(1000, 0, 0, 1000)
"""Below every threshold; costs a thousandth of the sum of the two rates."""

AUDIO_ONLY = tokens(MILLION, 0, 0, MILLION, input_audio_tokens=MILLION, output_audio_tokens=MILLION)
IMAGES = tokens(1000, 0, 0, 1000, input_image_tokens=600, output_image_tokens=1000)
CACHED_AUDIO = tokens(0, 1000, input_audio_tokens=1000, cache_read_audio_tokens=1000)
AN_HOUR = tokens(0, 0, MILLION, cache_write_1h_tokens=MILLION)

ARN = (
    "arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2F"
    "us.anthropic.claude-sonnet-4-5-20250929-v1%3A0"
)
BEDROCK_GOV = "bedrock-runtime.us-gov-west-1.amazonaws.com"
VERTEX = "aiplatform.googleapis.com"
US_EAST5 = "us-east5-aiplatform.googleapis.com"
CLAUDE_IN_US_EAST5 = "/v1/projects/p/locations/us-east5/workspaces/w/invoke/v1/messages"
CLAUDE_GLOBAL = "/v1/projects/p/locations/global/workspaces/w/invoke/v1/messages"
SONNET_4_5 = "claude-sonnet-4-5@20250929"
HAIKU_3 = "anthropic.claude-3-haiku-20240307-v1:0"

FROM_THE_DATA = [
    # 12 x 4 + 20,000 x 0.2 + 300 x 5 + 1,500 x 8 + 410 x 20, in millionths of a dollar.
    case("every-bucket", 0.025748, "anthropic", "claude-opus-5-5", tokens(12, 20_000, 1_800, 410, cache_write_1h_tokens=1_500)),
    # 8 x 5 + 4,012 x 6.25: what OpenRouter charged for this very call, before the price went down
    # on 2026-08-21.
    case("cache-write", 0.025115, "openai", "gpt-5.6-sol", tokens(8, 0, 4_012), at="2026-07-01T00:00:00+00:00"),
    case("reasoning-is-output", 0.0125, "openai", "gpt-6.1-sol", tokens(0, 0, 0, 1_250, reasoning_tokens=1_000)),
    case("before-a-price-cut", 50.0, "openai", "o3", at="2025-06-09T23:59:59+00:00"),
    case("after-a-price-cut", 10.0, "openai", "o3", at="2025-06-10T00:00:00+00:00"),
    case("introductory", 12.0, "gemini", "gemini-4-argon", at="2026-11-30T23:59:59+00:00"),
    case("no-longer-introductory", 24.0, "gemini", "gemini-4-argon", at="2026-12-01T00:00:00+00:00"),
    # A threshold is a cliff: one token more, and all tokens, output too, cost the higher rate.
    case("up-to-272k", 0.554, "openai", "gpt-6.1-sol", tokens(272_000, 0, 0, 1_000)),
    case("above-272k", 1.103004, "openai", "gpt-6.1-sol", tokens(272_001, 0, 0, 1_000)),
    case("threshold-counts-reads", 0.00500255, "anthropic", "claude-haiku-5-5", tokens(0, 100_001, 0, 1)),
    case("threshold-counts-writes", 0.062503125, "anthropic", "claude-haiku-5-5", tokens(0, 0, 100_001, 1)),
    case("up-to-200k-at-x-ai", 0.399998, "x_ai", "grok-4.7", tokens(199_999)),
    case("from-200k-on-at-x-ai", 0.8, "x_ai", "grok-4.7", tokens(200_000)),
    case("up-to-200k-at-google", 0.26, "gemini", "gemini-2.5-pro", tokens(200_000, 0, 0, 1_000)),
    case("above-200k-at-google", 0.5150025, "gemini", "gemini-2.5-pro", tokens(200_001, 0, 0, 1_000)),
    case("above-200k-at-anthropic", 1.222506, "anthropic", "claude-sonnet-4-5-20250929", tokens(200_001, 0, 0, 1_000)),
    # Tiers, speed, batches.
    case("default-tier", 0.012, "openai", "gpt-6.1-sol", FEW, service_tier="default"),
    case("flex", 0.006, "openai", "gpt-6.1-sol", FEW, service_tier="flex"),
    case("priority", 0.024, "openai", "gpt-6.1-sol", FEW, service_tier="priority"),
    case("fast-is-priority", 0.024, "openai", "gpt-6.1-sol", FEW, service_tier="fast"),
    case("served-tier-wins", 0.012, "openai", "gpt-6.1-sol", FEW, service_tier="default", request_service_tier="priority"),
    case("openai-batch", 0.006, "openai", "gpt-6.1-sol", FEW, api="openai_batch", service_tier="default"),
    case("anthropic-batch", 12.0, "anthropic", "claude-opus-5-5", service_tier="batch"),
    case("anthropic-batch-file", 12.0, "anthropic", "claude-opus-5-5", api="anthropic_batch"),
    case("anthropic-fast", 48.0, "anthropic", "claude-opus-5-5", speed="fast"),
    case("fast-cached", 0.4, "anthropic", "claude-opus-5-5", tokens(0, MILLION), speed="fast"),
    case("mistral-batch", 1.4, "mistral", "mistral-large-4", api="openai_batch"),
    case("groq-batch", 0.375, "groq", "openai/gpt-oss-120b", api="openai_batch"),
    case("batch-of-1h-writes", 4.0, "anthropic", "claude-opus-5-5", AN_HOUR, service_tier="batch"),
    # 300,000 x 4 / 2 + 1,000 x 15 / 2, and twice 300,000 x 4 + 1,000 x 15: a tier's factor is on
    # the band's rates.
    case("flex-above-272k", 0.6075, "openai", "gpt-6.1-sol", tokens(300_000, 0, 0, 1_000), service_tier="flex"),
    case("priority-above-272k", 2.43, "openai", "gpt-6.1-sol", tokens(300_000, 0, 0, 1_000), service_tier="priority"),
    case("batch-above-100k", 0.02500025, "anthropic", "claude-haiku-5-5", tokens(100_001), service_tier="batch"),
    case("written-for-30-minutes", 0.0025, "openai", "gpt-6.1-sol", tokens(0, 0, 1000, cache_write_30m_tokens=1000)),
    case("gemini-tts-flex", 4.75, "gemini", "gemini-3.8-flash-tts", service_tier="flex"),
    # Subsets with separate rates.
    case("audio", 0.064, "openai", "gpt-realtime", tokens(1000, 0, 0, 500, input_audio_tokens=1000, output_audio_tokens=500)),
    case("cached-audio", 0.0004, "openai", "gpt-realtime", CACHED_AUDIO),
    case("image", 0.03, "gemini", "gemini-2.5-flash-image", tokens(0, 0, 0, 1000, output_image_tokens=1000)),
    # 400 x 5 + 600 x 10 + 1,000 x 40.
    case("image-both-ways", 0.048, "openai", "gpt-image-1", IMAGES),
    # 100 x 2.5 + 900 x 6 + 100 x 10.
    case("transcription", 0.00665, "openai", "gpt-4o-transcribe", tokens(1000, 0, 0, 100, input_audio_tokens=900)),
    # Server tools by the call.
    case("web-search", 0.03, "anthropic", "claude-opus-5-5", tokens(server_tools={"web_search": 3})),
    case("file-search", 0.005, "openai", "gpt-6.1-sol", tokens(server_tools={"file_search": 2})),
    case("web-fetch-is-free", 0.024, "anthropic", "claude-opus-5-5", tokens(1000, 0, 0, 1000, server_tools={"web_fetch": 4})),
    # Where the data is right and other lists are not.
    case("mistral-large-4", 2.8, "mistral", "mistral-large-4"),
    case("open-mistral-nemo", 0.3, "mistral", "open-mistral-nemo"),
    case("together-qwen", 10.0, "together", "Qwen/Qwen3.7-Max"),
    case("given-away", 0.0, "gemini", "gemma-4-31b-it"),
    # The path tells Bedrock's price, the body does not.
    case("bedrock-global", 24.0, "aws_bedrock", "claude-opus-5-5", request_model="global.anthropic.claude-opus-5-5"),
    case("bedrock-region", 26.4, "aws_bedrock", "claude-opus-5-5", request_model="us.anthropic.claude-opus-5-5"),
    case("bedrock-arn", 0.0198, "aws_bedrock", None, FEW, request_model=ARN),
    case("cohere-names-no-model", 12.5, "cohere", None, request_model="command-a-03-2025"),
    # Other spellings of a model.
    case("context-suffix", 24.0, "anthropic", "claude-opus-5-5[1m]"),
    case("gemini-resource", 2.8, "gemini", "models/gemini-2.5-flash"),
    case("capitals", 24.0, "anthropic", "Claude-Opus-5-5"),
    # Azure keeps OpenAI's and Anthropic's prices.
    case("azure-openai", 0.024, "azure_openai", "gpt-5.6-sol", FEW),
    case("azure-anthropic", 24.0, "azure_openai", "claude-opus-5-5"),
]  # fmt: skip
