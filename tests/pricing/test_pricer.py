"""Prices against figures worked out by hand from the providers' published rates."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtally.pricing import Pricer, overlay
from llmtally.pricing.pricer import CARDS_CAP
from llmtally.providers import PRICE_IDS
from llmtally.record import COUNT_CAP, TOKEN_FIELDS, Call, Cost, Part, Usage
from pricing_calls import (
    AN_HOUR,
    AUDIO_ONLY,
    BEDROCK_GOV,
    CLAUDE_GLOBAL,
    CLAUDE_IN_US_EAST5,
    FEW,
    FROM_THE_DATA,
    HAIKU_3,
    MILLION,
    SONNET_4_5,
    US_EAST5,
    VERTEX,
    case,
    make_call,
    tokens,
)

PRICER = Pricer()


def price(*args: Any, **kwargs: Any) -> Cost:
    return PRICER.price(make_call(*args, **kwargs))


CORRECTED = [
    case("mistral-large-latest", 2.0, "mistral", "mistral-large-latest"),
    case("mistral-large-latest-cached", 0.05, "mistral", "mistral-large-latest", tokens(0, MILLION)),
    case("ultrafast-astra", 0.36, "openai", "gpt-6-astra", FEW, service_tier="ultrafast"),
    case("ultrafast-sol", 0.072, "openai", "gpt-6.1-sol", FEW, service_tier="ultrafast"),
    case("gemini-flex", 5.25, "gemini", "gemini-3.5-flash", service_tier="flex"),
    case("gemini-priority", 18.9, "gemini", "gemini-3.5-flash", service_tier="priority"),
    case("vertex-priority", 18.9, "gcp_vertex", "gemini-3.5-flash", service_tier="ON_DEMAND_PRIORITY"),
    case("gemini-3.5-batch", 5.25, "gemini", "gemini-3.5-flash", api="gemini_batch"),
    case("gemini-3.7-batch", 2.25, "gemini", "gemini-3.7-flash", api="gemini_batch"),
    case("grok-4.7-batch", 0.0064, "x_ai", "grok-4.7", FEW, api="openai_batch"),
    case("gpt-4o-audio", 120.0, "openai", "gpt-4o-audio-preview", AUDIO_ONLY),
    case("gpt-4o-mini-audio", 30.0, "openai", "gpt-4o-mini-audio-preview-2024-12-17", AUDIO_ONLY),
    case("gpt-4o-audio-text", 12.5, "openai", "gpt-4o-audio-preview"),
    case("deepseek-chat", 0.42, "deepseek", "deepseek-chat", at="2026-07-01T02:00:00+00:00"),
    case("deepseek-reasoner", 0.42, "deepseek", "deepseek-reasoner", at="2026-07-01T02:00:00+00:00"),
    case("azure-deepseek", 5.753, "azure_openai", "deepseek-v4-pro"),
]  # fmt: skip

SURCHARGED = [
    case("inference-geo-us", 33.0, "anthropic", "claude-opus-4-6", inference_geo="us"),
    case("inference-geo-us-on-aws", 26.4, "aws_anthropic", "claude-opus-5-5", inference_geo="us"),
    # Half for the batch, 1.1 for the place.
    case("inference-geo-us-in-a-batch", 13.2, "anthropic", "claude-opus-5-5", service_tier="batch", inference_geo="us"),
    case("inference-geo-global", 30.0, "anthropic", "claude-opus-4-6", inference_geo="global"),
    case("inference-geo-before-4.6", 30.0, "anthropic", "claude-opus-4-5-20251101", inference_geo="us"),
    case("openai-eu", 0.01925, "openai", "gpt-5.4-2026-03-05", FEW, host="eu.api.openai.com"),
    case("openai-us", 0.0132, "openai", "gpt-6.1-sol", FEW, host="us.api.openai.com"),
    case("openai-eu-older-model", 0.01, "openai", "gpt-4.1", FEW, host="eu.api.openai.com"),
    case("vertex-region-claude", 0.0198, "gcp_vertex", None, FEW, request_model=SONNET_4_5, host=US_EAST5),
    case("vertex-global-claude", 0.018, "gcp_vertex", None, FEW, request_model=SONNET_4_5, host=VERTEX),
    case("vertex-region-older-claude", 90.0, "gcp_vertex", None, request_model="claude-opus-4-1@20250805", host=US_EAST5),
    case("vertex-multi-region-gemini", 11.55, "gcp_vertex", "gemini-3.5-flash", host="aiplatform.eu.rep.googleapis.com"),
    case("vertex-region-flash-lite", 1.925, "gcp_vertex", "gemini-3.1-flash-lite", host=US_EAST5),
    case("vertex-region-older-gemini", 2.8, "gcp_vertex", "gemini-2.5-flash", host=US_EAST5),
    case("claude-on-google-region", 26.4, "google_anthropic", "claude-opus-5-5", path=CLAUDE_IN_US_EAST5),
    case("claude-on-google-global", 24.0, "google_anthropic", "claude-opus-5-5", path=CLAUDE_GLOBAL),
    case("together-region", 12.5, "together", "Qwen/Qwen3.7-Max", host="us-api.together.ai"),
    # 1.2 x 10 and 1.2 x 50: on the global price, not on the regional one.
    case("govcloud-profile", 72.0, "aws_bedrock", None, request_model="us-gov.anthropic.claude-fable-5-1-v1:0"),
    case("govcloud-host", 1.8, "aws_bedrock", None, request_model=HAIKU_3, host=BEDROCK_GOV),
    case("vertex-1h-write", 30.0, "gcp_vertex", None, AN_HOUR, request_model="claude-opus-4@20250514"),
    case("deepseek-peak", 5.28, "deepseek", "deepseek-v4-pro", at="2026-11-20T02:00:00+00:00"),
    case("deepseek-off-peak", 2.64, "deepseek", "deepseek-v4-pro", at="2026-11-20T04:00:00+00:00"),
    case("deepseek-weekend", 2.64, "deepseek", "deepseek-v4-pro", at="2026-11-21T02:00:00+00:00"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "usd"), [*FROM_THE_DATA, *CORRECTED, *SURCHARGED])
def test_published_rates(call: Call, usd: float) -> None:
    """A call costs what the published rates come to."""
    assert PRICER.price(call).cost_usd == pytest.approx(usd, rel=1e-12)


@pytest.mark.parametrize(
    "call", [p.values[0] for p in FROM_THE_DATA], ids=[str(p.id) for p in FROM_THE_DATA]
)
def test_data_is_named_as_source(call: Call) -> None:
    """A price straight from the data says so, and is exact."""
    cost = PRICER.price(call)

    assert (cost.source, cost.approximate) == ("prices", False)


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("anthropic", "claude-opus-4-8"),
        ("anthropic", "claude-opus-4-8-20260601"),
        ("anthropic", "claude-opus-4-8-latest"),
        ("gcp_vertex", "claude-opus-4-6@default"),
        ("gcp_vertex", "claude-3-5-sonnet-v2@20241022"),
        ("aws_bedrock", "arn:aws:bedrock:us-east-1:1:inference-profile/us.amazon.nova-pro-v1:0"),
        ("gemini", "gemini-2.5-pro-preview-05-06"),
        ("gemini", "gemini-3.1-pro-preview-customtools"),
        ("gemini", "gemma-3-27b-it"),
        ("openai", "gpt-5.2-20251211"),
        ("openai", "ft:gpt-3.5-turbo-0125:acme::abc"),
    ],
)
def test_a_release_of_a_model_has_its_price(provider: str, model: str) -> None:
    """A date, a channel, a region or the owner of a fine-tuned model leave the price as exact as it
    was."""
    cost = price(provider, model, FEW, request_model=model)

    assert (cost.source, cost.approximate) == ("prices", False)


@pytest.mark.parametrize(
    ("provider", "model", "like"),
    [
        ("anthropic", "claude-opus-4-8-future", "claude-opus-4-8"),
        ("anthropic", "claude-opus-4-10", "claude-opus-4-1"),
        ("gemini", "gemini-2.5-pro-ultra", "gemini-2.5-pro"),
        ("deepseek", "deepseek-v4-pro-2", "deepseek-v4-pro"),
    ],
)
def test_what_only_begins_like_a_model_is_approximate(provider: str, model: str, like: str) -> None:
    """It is priced as the nearest that is known, and not told as if it were that."""
    cost = price(provider, model, FEW)

    assert (cost.cost_usd, cost.approximate) == (price(provider, like, FEW).cost_usd, True)


@pytest.mark.parametrize(
    "call", [p.values[0] for p in CORRECTED], ids=[str(p.id) for p in CORRECTED]
)
def test_corrections_are_named_as_source(call: Call) -> None:
    """A price that our overlay corrected says so."""
    assert PRICER.price(call).source == "overlay"


def test_corrections_start_with_their_date() -> None:
    """Before a row's date the data is believed: a past call is priced as it was."""
    assert price(
        "deepseek", "deepseek-chat", at="2026-04-23T02:00:00+00:00"
    ).cost_usd == pytest.approx(0.27 + 1.1)
    assert price(
        "mistral", "mistral-large-latest", at="2025-12-01T00:00:00+00:00"
    ).cost_usd == pytest.approx(8.0)
    assert price(
        "anthropic", "claude-opus-4-6", inference_geo="us", at="2026-02-04T00:00:00+00:00"
    ).rates == {
        "input_tokens": 10.0,
        "output_tokens": 37.5,
    }


def test_every_correction_has_its_proof() -> None:
    """No row of the overlay goes without saying who says so."""
    rows: tuple[Any, ...] = (*overlay.ALIASES, *overlay.ROWS, *overlay.TIERS, *overlay.SURCHARGES)

    assert all(len(row.proof) > 20 for row in rows)
    assert all(price.why for price in overlay.DISPUTED_PRICES)


APPROXIMATE = [
    case("nova-outside-the-us", 4.0, "aws_bedrock", None, request_model="eu.amazon.nova-pro-v1:0"),
    case("in-region-claude", 26.4, "aws_bedrock", None, request_model="anthropic.claude-opus-5-5"),
    case("azure-resells", 0.00375, "azure_openai", "grok-4.3", FEW),
    case("azure-deepseek", 5.753, "azure_openai", "deepseek-v4-pro"),
    case("tier-of-another-list", 0.024, "azure_openai", "gpt-5.6-sol", FEW, service_tier="flex"),
    case("tier-only-asked-for", 0.024, "openai", "gpt-6.1-sol", FEW, request_service_tier="priority"),
    case("tier-paid-beforehand", 24.0, "anthropic", "claude-opus-5-5", service_tier="priority"),
    case("tier-before-its-first-price", 0.005, "openai", "o3", FEW, service_tier="flex", at="2026-01-01T00:00:00+00:00"),
    case("cached-without-a-rate", 1.25, "openai", "gpt-4-turbo", tokens(0, 125_000)),
    case("written-for-12-hours", 0.005, "openai", "gpt-6.1-sol", tokens(0, 0, 1000, cache_write_12h_tokens=1000)),
    case("audio-as-text", 0.0025, "openai", "gpt-4o", tokens(1000, input_audio_tokens=1000)),
    # 200 of text, 800 of audio, and 1,000 cached of which it is not said whether they are audio.
    case("audio-perhaps-cached", 0.00089, "gemini", "gemini-2.5-flash", tokens(1000, 1000, input_audio_tokens=800)),
    case("more-audio-than-input", 0.001, "gemini", "gemini-2.5-flash", tokens(1000, input_audio_tokens=5000)),
    case("more-1h-than-written", 0.008, "anthropic", "claude-opus-5-5", tokens(0, 0, 1000, cache_write_1h_tokens=2000)),
    case("google-searches", 0.014, "gemini", "gemini-3.5-flash", tokens(server_tools={"web_search": 1})),
    case("gpt-4.1-searches", 0.01, "openai", "gpt-4.1", tokens(server_tools={"web_search": 1})),
    case("tool-without-a-rate", 0.004, "anthropic", "claude-opus-5-5", tokens(1000, server_tools={"code_execution": 1})),
    case("search-price-by-depth", 0.032, "perplexity", "sonar-pro", FEW),
    case("aborted-before-the-output", 4.0, "anthropic", "claude-opus-5-5", Usage(input_tokens=MILLION), outcome="client_aborted"),
    # A loop of server tools reports its turns as one sum; none of them may have been above 100,000
    # tokens.
    case("tool-loop-above-a-threshold", 0.12, "anthropic", "claude-haiku-5-5", tokens(200_000, server_tools={"web_search": 2})),
]  # fmt: skip


@pytest.mark.parametrize(("call", "usd"), APPROXIMATE)
def test_inexact_prices_say_so(call: Call, usd: float) -> None:
    """Where a rule is known to be inexact the cost is given and marked."""
    cost = PRICER.price(call)

    assert cost.cost_usd == pytest.approx(usd)
    assert cost.approximate


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(make_call("openai", "gpt-99-nova"), id="unknown-model"),
        pytest.param(make_call("anthropic", None), id="no-model"),
        pytest.param(make_call("vercel", "claude-opus-5-5"), id="no-price-list"),
        pytest.param(make_call("unknown", "gpt-4o"), id="unknown-provider"),
        pytest.param(make_call("ollama_cloud", "gpt-oss:120b"), id="the-cloud-of-a-local-server"),
        pytest.param(make_call("openai", "ft:gpt-4.1-mini-2025-04-14:acme::abc"), id="fine-tuned"),
        pytest.param(
            make_call(
                "aws_bedrock",
                None,
                request_model="arn:aws:bedrock:us-east-1:1:application-inference-profile/claude-opus-5-5",
            ),
            id="application-inference-profile",
        ),
        pytest.param(make_call("openai", "gpt-4", service_tier="flex"), id="tier-without-a-price"),
        pytest.param(make_call("openai", "gpt-transcribe"), id="sold-by-the-hour"),
        pytest.param(make_call("openai", "text-embedding-3-small"), id="output-without-a-rate"),
        pytest.param(make_call("anthropic", "claude-opus-5-5", Usage()), id="no-usage"),
        pytest.param(
            make_call(
                "cohere", None, Usage(server_tools={"search_unit": 1}), request_model="command-a"
            ),
            id="only-unknown-tools",
        ),
        pytest.param(make_call("openai", "gpt-4o")._replace(timestamp=math.inf), id="no-time"),
        pytest.param(make_call("openai", "gpt-4o")._replace(timestamp=1e300), id="no-such-time"),
    ],
)
def test_unpriced_is_no_price(call: Call) -> None:
    """What has no price has no cost, not a cost of 0."""
    cost = PRICER.price(call)

    assert (cost.cost_usd, cost.source) == (None, None)


def test_embeddings_need_no_output() -> None:
    """A model that is sold by its input alone is priced as long as it puts nothing out."""
    assert price(
        "openai", "text-embedding-3-small", Usage(input_tokens=MILLION)
    ).cost_usd == pytest.approx(0.02)


def test_local_is_free() -> None:
    """A server of yours costs nothing for models that people run themselves, whatever was
    cached."""
    usage = tokens(5, 5, 5, 5, input_audio_tokens=1, server_tools={"web_search": 1})

    for provider in ("local", "openai"):
        cost = price(provider, "qwen3-coder", usage, billing="local")
        assert (cost.cost_usd, cost.source) == (0.0, "local")
    assert price("local", "gpt-oss:20b", billing="local").approximate is False


@pytest.mark.parametrize(
    ("model", "usd"),
    [
        ("claude-opus-4-8", 30.0),
        ("anthropic/claude-opus-4-8", 30.0),
        ("bedrock/us.anthropic.claude-opus-4-8-v1:0", 30.0),
        ("openai/gpt-4o", 12.5),
        ("gemini/gemini-3.5-flash", 10.5),
        ("grok-4-0709", 18.0),
        ("command-r-08-2024", 0.75),
    ],
)
def test_a_gateway_of_ones_own_is_not_free(model: str, usd: float) -> None:
    """What only a vendor sells costs what the vendor asks, approximately, however private the
    address is that resells it."""
    for billing in ("api", "local", "subscription"):
        cost = price("local", model, FEW, billing=billing)
        assert cost.cost_usd == pytest.approx(usd / 1000)
        assert (cost.source, cost.approximate) == ("prices", True)


@pytest.mark.parametrize("model", ["claude-opus-99", "gpt-99-nova"])
def test_a_vendors_model_without_a_price_is_not_free(model: str) -> None:
    """Unpriced is said, also at home."""
    assert price("local", model, billing="api").cost_usd is None


def test_subscription_is_priced_like_the_api() -> None:
    """On a plan the cost is what the API would have charged."""
    assert price(
        "chatgpt_codex", "gpt-6.1-sol", FEW, billing="subscription"
    ).cost_usd == pytest.approx(0.012)


@pytest.mark.parametrize("stated", [0.0, 1.5])
def test_stated_cost_wins(stated: float) -> None:
    """A cost the provider stated is kept, also a 0, and our figure is kept with it."""
    cost = price("anthropic", "claude-opus-5-5", cost_usd=stated, cost_source="provider")

    assert (stated, "provider", False, 24.0) == (
        cost.cost_usd,
        cost.source,
        cost.approximate,
        cost.list_cost_usd,
    )


def test_stated_cost_needs_no_price() -> None:
    """A stated cost is used alone if we have no price."""
    cost = price("openrouter", "nobody/knows:free", cost_usd=0.0, cost_source="provider")

    assert (cost.cost_usd, cost.source, cost.list_cost_usd) == (0.0, "provider", None)


def test_rates_explain_the_cost() -> None:
    """Buckets times rates are the cost."""
    call = make_call(
        "anthropic",
        "claude-opus-5-5",
        tokens(10, 20, 30, 40, cache_write_1h_tokens=5, server_tools={"web_search": 1}),
    )
    rates = PRICER.price(call).rates

    assert rates == {
        "input_tokens": 4.0,
        "cache_read_tokens": 0.2,
        "cache_write_tokens": 5.0,
        "cache_write_1h_tokens": 8.0,
        "output_tokens": 20.0,
        "web_search": 10.0,
    }


def test_surcharged_rates_have_few_digits() -> None:
    """A rate times 1.1 is shown as people would write it."""
    assert price("anthropic", "claude-opus-4-6", inference_geo="us").rates == {
        "input_tokens": 5.5,
        "output_tokens": 27.5,
    }


def with_parts(*parts: Part, tools: dict[str, int] | None = None) -> Call:
    """A call of Haiku 4.5 with further parts; server tools are reported for all of them
    together."""
    usage = sum((part.usage for part in parts), Usage())._replace(server_tools=tools)
    return make_call("anthropic", "claude-haiku-4-5", usage, parts=parts)


def test_parts_cost_what_their_models_cost() -> None:
    """Each part is priced at its own model, and the call is their sum."""
    cost = PRICER.price(
        with_parts(
            Part("message", "claude-haiku-4-5", tokens(MILLION)),
            Part("advisor", "claude-opus-5-5", tokens(MILLION)),
            tools={"web_search": 1},
        )
    )

    assert cost.parts == pytest.approx((1.01, 4.0))
    assert cost.cost_usd == pytest.approx(5.01)
    assert (cost.source, cost.approximate) == ("prices", False)


def test_unpriced_part_leaves_the_call_unpriced() -> None:
    """A sum that leaves a part out is not shown as a cost; what is known of the parts is."""
    cost = PRICER.price(
        with_parts(
            Part("message", "claude-haiku-4-5", tokens(MILLION)),
            Part("advisor", "claude-99", tokens(MILLION)),
        )
    )

    assert (cost.cost_usd, cost.source, cost.parts) == (None, None, (1.0, None))


def test_part_without_a_model() -> None:
    """The first part has the call's model; a later one of unknown model is not taken to be the
    same."""
    cost = PRICER.price(
        with_parts(
            Part("message", None, tokens(MILLION)), Part("image_generation", None, tokens(MILLION))
        )
    )

    assert cost.parts == (1.0, None)


def test_parts_keep_the_region_of_the_request() -> None:
    """A part that names the served model is sold, on Bedrock, as what was asked for."""
    call = make_call(
        "aws_bedrock",
        "claude-opus-5-5",
        request_model="us.anthropic.claude-opus-5-5",
        parts=(
            Part("message", "claude-opus-5-5", tokens(MILLION)),
            Part("compaction", "claude-opus-5-5", tokens(0, 0, 0, MILLION)),
        ),
    )

    assert PRICER.price(call).parts == pytest.approx((4.4, 22.0))


def test_parts_above_a_threshold_are_approximate() -> None:
    """A part may be the sum of turns that were each below the threshold."""
    parts = (
        Part("message", "claude-haiku-5-5", tokens(150_000)),
        Part("advisor", "claude-opus-5-5", tokens(1)),
    )

    assert PRICER.price(with_parts(*parts)).approximate


def test_provider_without_row_in_the_price_table() -> None:
    """Providers are found in the data by the table handed in."""
    pricer = Pricer(price_ids={"my_gateway": "anthropic"})

    assert pricer.price(make_call("my_gateway", "claude-opus-5-5")).cost_usd == 24.0
    assert pricer.price(make_call("anthropic", "claude-opus-5-5")).cost_usd is None


def test_price_lists_exist() -> None:
    """Every price id of the provider table is one of the data's."""
    pricer = Pricer()

    assert set(PRICE_IDS.values()) <= set(pricer._catalogue._providers)


def test_memory_is_bounded() -> None:
    """A million model names leave no more sheets than the cap, and none in the library's own
    caches."""
    pricer = Pricer()
    for n in range(CARDS_CAP + 100):
        pricer.price(make_call("openai", f"gpt-hostile-{n}"))

    assert len(pricer._cards) <= CARDS_CAP


def test_importing_and_pricing_touches_no_network_and_no_thread() -> None:
    """The package can be imported and used in a thread, opens no socket and starts no thread."""
    script = """
import sys, threading
opened = []
sys.addaudithook(lambda event, args: opened.append(event) if event.startswith("socket.") else None)
before = threading.active_count()
def work():
    from llmtally.pricing import Pricer
    from pricing_calls import make_call
    assert Pricer().price(make_call("anthropic", "claude-opus-5-5")).cost_usd == 24.0
thread = threading.Thread(target=work)
thread.start()
thread.join()
assert threading.active_count() == before, threading.enumerate()
assert not opened, opened
print("done")
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.stdout, done.stderr) == ("done\n", "")


PROVIDERS = st.sampled_from([*sorted(PRICE_IDS), "local", "unknown", ""])
MODELS = st.one_of(
    st.none(),
    st.text(max_size=300),
    st.sampled_from(
        [
            "claude-haiku-5-5",
            "gpt-6.1-sol",
            "gemini-2.5-flash",
            "gpt-realtime",
            "us-gov.anthropic.claude-opus-5-5",
        ]
    ),
)
COUNTS = st.one_of(st.none(), st.integers(0, 300_000), st.integers(0, COUNT_CAP))
USAGES = st.builds(
    Usage,
    **dict.fromkeys(TOKEN_FIELDS, COUNTS),
    server_tools=st.one_of(
        st.none(),
        st.dictionaries(st.sampled_from(["web_search", "file_search", "x"]), st.integers(0, 99)),
    ),
)
WORDS = st.one_of(
    st.none(),
    st.text(max_size=20),
    st.sampled_from(["flex", "priority", "fast", "batch", "ultrafast", "us"]),
)
CALLS = st.builds(
    lambda provider, model, usage, began, **fields: make_call(
        provider, model, usage, **fields
    )._replace(timestamp=began),
    PROVIDERS,
    MODELS,
    USAGES,
    st.floats(allow_nan=True, allow_infinity=True) | st.floats(0, 2e9),
    request_model=MODELS,
    service_tier=WORDS,
    request_service_tier=WORDS,
    speed=WORDS,
    inference_geo=WORDS,
    host=st.sampled_from(
        ["eu.api.openai.com", US_EAST5, "bedrock-runtime.us-gov-west-1.amazonaws.com", ""]
    ),
    parts=st.lists(st.builds(Part, st.text(max_size=9), MODELS, USAGES), max_size=3).map(tuple),
)


@given(CALLS)
def test_never_raises_and_never_pays_back(call: Call) -> None:
    """Whatever a peer made the call look like, there is a cost of 0 or more, or none."""
    cost = PRICER.price(call)

    assert cost.cost_usd is None or (cost.cost_usd >= 0 and math.isfinite(cost.cost_usd))
    assert (cost.cost_usd is None) == (cost.source is None)
    assert len(cost.parts) == len(call.parts)
    call.priced(cost)


@given(
    st.sampled_from(
        [
            ("openai", "gpt-6.1-sol"),
            ("anthropic", "claude-haiku-5-5"),
            ("anthropic", "claude-opus-5-5"),
            ("mistral", "x"),
        ]
    ),
    st.tuples(*[st.integers(0, 400_000)] * 4),
    st.tuples(*[st.integers(0, 400_000)] * 4),
)
def test_more_tokens_never_cost_less(
    model: tuple[str, str], some: tuple[int, ...], more: tuple[int, ...]
) -> None:
    """The cost grows with every bucket, over thresholds too."""
    less = price(*model, tokens(*some)).cost_usd
    greater = price(*model, tokens(*(a + b for a, b in zip(some, more, strict=True)))).cost_usd

    assert (less is None and greater is None) or (
        less is not None and greater is not None and less <= greater
    )
