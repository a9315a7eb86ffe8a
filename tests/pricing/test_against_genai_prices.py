"""Our sums against those of the library the rates come from: its own engine is written
independently of ours."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import pytest
from genai_prices import Usage as TheirUsage
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, Provider

from llmtally.pricing import Pricer
from llmtally.pricing.catalogue import Catalogue
from llmtally.providers import PRICE_IDS
from llmtally.record import Call, Usage
from pricing_calls import FROM_THE_DATA, NOW, make_call
from recorded import BODIES, Recorded

SNAPSHOT = get_snapshot()
PROVIDERS = {provider.id: provider for provider in SNAPSHOT.providers}
PRICER = Pricer(price_ids={provider_id: provider_id for provider_id in PROVIDERS})
"""Here every provider goes by its name in the data."""
OURS = Pricer()
CATALOGUE = Catalogue()


def theirs(
    provider_id: str,
    ref: str,
    usage: Usage,
    context: dict[str, str] | None = None,
    when: datetime | None = None,
) -> float | None:
    """What the library itself makes of it; None where it knows no such model or cannot do the
    sum."""
    provider = PROVIDERS[provider_id]
    model = provider.find_model(ref, all_providers=SNAPSHOT.providers)
    if model is None:
        return None
    tools = usage.server_tools or {}
    counts = {
        "input_tokens": sum(
            n or 0 for n in (usage.input_tokens, usage.cache_read_tokens, usage.cache_write_tokens)
        ),
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "cache_write_1h_tokens": usage.cache_write_1h_tokens,
        "output_tokens": usage.output_tokens,
        "output_reasoning_tokens": usage.reasoning_tokens,
        "input_audio_tokens": usage.input_audio_tokens,
        "cache_audio_read_tokens": usage.cache_read_audio_tokens,
        "output_audio_tokens": usage.output_audio_tokens,
        "input_image_tokens": usage.input_image_tokens,
        "output_image_tokens": usage.output_image_tokens,
        "web_searches": tools.get("web_search"),
        "storage_searches": tools.get("file_search"),
    }
    try:
        priced = model.calc_price(
            TheirUsage(**counts),
            provider,
            genai_request_timestamp=when or datetime.fromisoformat(NOW),
            price_context=context,
        )
    except ValueError:  # counts that contradict each other, by its rules
        return None
    return float(priced.total_price)


def test_data_has_the_big_providers() -> None:
    """The private names of the library that we use still lead to its data."""
    assert {"anthropic", "openai", "google", "aws"} <= PROVIDERS.keys()
    assert all(
        len(PROVIDERS[name].models) > 20 for name in ("anthropic", "openai", "google", "aws")
    )


SHAPES = {
    "short": Usage(input_tokens=1_000, output_tokens=500, reasoning_tokens=200),
    "cached": Usage(
        input_tokens=10, cache_read_tokens=900, cache_write_tokens=90, output_tokens=50
    ),
    "long": Usage(
        input_tokens=100_000, cache_read_tokens=500_000, cache_write_tokens=1, output_tokens=7
    ),
    "at-200k": Usage(input_tokens=200_000, output_tokens=1),
    "audio": Usage(
        input_tokens=900, input_audio_tokens=300, output_tokens=80, output_audio_tokens=40
    ),
    "images": Usage(
        input_tokens=900, input_image_tokens=300, output_tokens=80, output_image_tokens=40
    ),
    "input-only": Usage(input_tokens=1_000),
}


def listed_models() -> Iterator[tuple[Provider, ModelInfo]]:
    for provider in SNAPSHOT.providers:
        for model in provider.models:
            yield provider, model


@pytest.mark.parametrize("shape", SHAPES)
def test_every_model_of_the_data(shape: str) -> None:
    """For every model the data lists our sum is the library's own, unless our overlay corrected the
    price."""
    compared = 0
    for provider, model in listed_models():
        cost = PRICER.price(make_call(provider.id, model.id, SHAPES[shape]))
        if (
            cost.source == "prices"
            and (expected := theirs(provider.id, model.id, SHAPES[shape])) is not None
        ):
            assert cost.cost_usd == pytest.approx(expected, rel=1e-12), (provider.id, model.id)
            compared += 1

    assert compared > 2_000


def test_no_model_of_the_data_is_taken_for_another() -> None:
    """Under its own name each is found by more than how it begins, so what is only like one of them
    stays the exception."""
    found = [
        (provider.id, model.id, listing.named)
        for provider, model in listed_models()
        if (
            listing := CATALOGUE.find(
                provider.id, model.id.lower(), {}, datetime.fromisoformat(NOW)
            )
        )
        is not None
    ]

    assert len(found) > 2_000
    assert [(provider_id, name) for provider_id, name, named in found if not named] == []


WAYS = {
    ("processing", "batch"): {"api": "any_batch"},
    ("speed", "fast"): {"speed": "fast"},
    ("service_tier", "flex"): {"service_tier": "flex"},
    ("service_tier", "priority"): {"service_tier": "priority"},
    ("service_tier", "fast"): {"service_tier": "fast"},
}
"""What the data calls a variant, and how a call shows it."""


@pytest.mark.parametrize(("context", "fields"), WAYS.items(), ids=[value for _, value in WAYS])
def test_every_variant_of_the_data(context: tuple[str, str], fields: dict[str, Any]) -> None:
    """For every model that the data prices by tier, speed or processing our sum is the library's
    own."""
    compared, way = 0, dict([context])
    for provider, model in listed_models():
        if not any(variant.when == way for variant in model.price_variants or ()):
            continue
        for usage in (SHAPES["cached"], SHAPES["long"]):
            cost, expected = (
                PRICER.price(make_call(provider.id, model.id, usage, **fields)),
                theirs(provider.id, model.id, usage, way),
            )
            # the library leaves out what has no rate (an embedding's output); we say unpriced
            if cost.cost_usd is None:
                assert expected is None or "output_mtok" not in vars(
                    model.get_prices(datetime.fromisoformat(NOW))
                )
            else:
                assert cost.cost_usd == pytest.approx(expected, rel=1e-12), model.id
                compared += 1

    assert compared >= 8


@pytest.mark.parametrize(
    "when",
    ["2025-01-15T09:30:00", "2026-02-01T03:00:00", "2026-08-19T06:59:00", "2026-08-19T20:00:00"],
)
def test_history(when: str) -> None:
    """Past calls are priced as the library prices them."""
    at = datetime.fromisoformat(when).replace(tzinfo=UTC)
    for provider, model in listed_models():
        cost = PRICER.price(make_call(provider.id, model.id, SHAPES["short"], at=at.isoformat()))
        if (
            cost.source == "prices"
            and (expected := theirs(provider.id, model.id, SHAPES["short"], when=at)) is not None
        ):
            assert cost.cost_usd == pytest.approx(expected, rel=1e-12), (provider.id, model.id)


SOLD_AS = {
    "anthropic_messages": "anthropic",
    "cohere_chat": "cohere",
    "gemini_generate": "google",
    "openai_chat": "openai",
    "openai_embeddings": "openai",
    "openai_responses": "openai",
}
"""Bodies of Converse are left out: they do not name their model."""


def provider_of(recorded: Recorded) -> str | None:
    """The provider that a body came from, by the name of the test that recorded it, else by its
    format."""
    file = str(recorded.body["file"])
    for name in ("mistral", "groq", "openrouter", "cerebras", "deepseek", "zai"):
        if name in file:
            return name
    return SOLD_AS.get(recorded.format.name)


def test_recorded_bodies() -> None:
    """What our format read and our engine priced is what the library's engine makes of the same
    counts."""
    compared = 0
    for recorded in BODIES:
        provider, model = provider_of(recorded), recorded.reading.model
        if provider is None or model is None or recorded.reading.parts:
            continue
        cost = PRICER.price(make_call(provider, model, recorded.usage))
        expected = theirs(provider, model, recorded.usage)
        if cost.source == "prices" and expected is not None:
            assert cost.cost_usd == pytest.approx(expected, rel=1e-12), recorded.line
            compared += 1

    assert compared > 800


def context_of(call: Call) -> dict[str, str]:
    """The library's words for how the call was processed."""
    if call.api == "openai_batch" or call.api == "anthropic_batch" or call.service_tier == "batch":
        return {"processing": "batch"}
    if call.speed == "fast":
        return {"speed": "fast"}
    return {"service_tier": call.service_tier} if call.service_tier else {}


@pytest.mark.parametrize(
    "call", [p.values[0] for p in FROM_THE_DATA], ids=[str(p.id) for p in FROM_THE_DATA]
)
def test_reference_cases(call: Call) -> None:
    """The cases worked out by hand come out the same in the library."""
    model = (
        call.request_model if call.provider == "aws_bedrock" else call.model or call.request_model
    )
    ref = unquote(model or "").removeprefix("models/").removesuffix("[1m]")
    expected = theirs(
        PRICE_IDS[call.provider],
        ref,
        call.usage,
        context_of(call),
        datetime.fromtimestamp(call.timestamp, UTC),
    )

    assert OURS.price(call).cost_usd == pytest.approx(expected, rel=1e-12)
