"""The user's price file: its shapes, its precedence, and what happens when it changes or is
wrong."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtally.pricing import Pricer
from llmtally.pricing.overrides import FILE_CAP, PriceFileError, read_document
from llmtally.record import Cost, Usage
from pricing_calls import make_call

FEW = Usage(input_tokens=1000, cache_read_tokens=1000, cache_write_tokens=1000, output_tokens=1000)


@pytest.fixture
def price_file(tmp_path: Path) -> Path:
    """Where the user's prices are; not there yet."""
    return tmp_path / "prices.json"


def pricer_with(path: Path, document: Any) -> Pricer:
    path.write_text(json.dumps(document))
    pricer = Pricer(override_path=path)
    assert pricer.reload_if_changed() is None
    return pricer


def priced(
    pricer: Pricer,
    provider: str = "anthropic",
    model: str = "claude-opus-5-5",
    usage: Usage = FEW,
    **fields: Any,
) -> Cost:
    return pricer.price(make_call(provider, model, usage, **fields))


PLAIN = {"input": 1, "output": 2, "cache_read": 3, "cache_write": 4}


@pytest.mark.parametrize(
    "document",
    [
        {"anthropic/claude-opus-5-5": PLAIN},
        {"rates_usd_per_million": {"anthropic/claude-opus-5-5": PLAIN}},
        {"anthropic/claude-opus-5-5": {"rates_usd_per_million": PLAIN}},
        {"Anthropic/Claude-Opus-5-5": PLAIN},
        {"anthropic/models/claude-opus-5-5": PLAIN},
        {"anthropic/*": PLAIN},
        {"anthropic/*": {"input": 9, "output": 9}, "anthropic/claude-opus-5-5": PLAIN},
    ],
)
def test_shapes(price_file: Path, document: Any) -> None:
    """Both shapes of our own are read, keys are normalised like names on the wire, and a model goes
    before `*`."""
    cost = priced(pricer_with(price_file, document))

    assert cost.cost_usd == pytest.approx(0.010)
    assert cost.source == "override"
    assert cost.approximate is False


def test_dated_snapshots_are_meant_too(price_file: Path) -> None:
    """A name without a date covers its snapshots; one with its date goes before it."""
    pricer = pricer_with(
        price_file,
        {
            "openai/gpt-5.4": {"input": 1, "output": 1},
            "openai/gpt-5.4-2026-03-05": {"input": 7, "output": 7},
        },
    )
    usage = Usage(input_tokens=1_000_000)

    assert priced(pricer, "openai", "gpt-5.4-2026-09-09", usage).cost_usd == 1.0
    assert priced(pricer, "openai", "gpt-5.4-2026-03-05", usage).cost_usd == 7.0


def test_provider_may_be_called_as_in_the_price_data(price_file: Path) -> None:
    """`google/...` covers what we call gemini and gcp_vertex."""
    pricer = pricer_with(price_file, {"google/gemini-2.5-pro": {"input": 1, "output": 1}})

    assert priced(pricer, "gemini", "gemini-2.5-pro", Usage(input_tokens=1_000_000)).cost_usd == 1.0


def test_missing_rates_are_inherited(price_file: Path) -> None:
    """A rate that is not named is the listed one, not 0."""
    cost = priced(pricer_with(price_file, {"anthropic/claude-opus-5-5": {"input": 1}}))

    assert cost.rates == {
        "input_tokens": 1.0,
        "cache_read_tokens": 0.2,
        "cache_write_tokens": 5.0,
        "output_tokens": 20.0,
    }
    assert cost.source == "override"


def test_missing_rates_without_a_list(price_file: Path) -> None:
    """Where nothing is listed either, caches cost what input costs, approximately, and output stays
    unpriced."""
    pricer = pricer_with(
        price_file, {"vercel/x": {"input": 1, "output": 2}, "vercel/y": {"input": 1}}
    )

    assert priced(pricer, "vercel", "x").cost_usd == pytest.approx(0.005)
    assert priced(pricer, "vercel", "x").approximate
    assert priced(pricer, "vercel", "y").cost_usd is None


def test_rates_of_every_kind(price_file: Path) -> None:
    """Long cache writes, searches and tiers can be named."""
    rates = {
        "input": 1,
        "output": 2,
        "cache_write": 3,
        "cache_write_1h": 4,
        "web_search": 5,
        "tiers": [{"above": 100, "input": 10}],
    }
    pricer = pricer_with(price_file, {"vercel/x": rates})
    below = Usage(
        input_tokens=50,
        cache_write_tokens=50,
        cache_write_1h_tokens=20,
        output_tokens=1,
        server_tools={"web_search": 2},
    )

    assert priced(pricer, "vercel", "x", below).cost_usd == pytest.approx(
        (50 * 1 + 30 * 3 + 20 * 4 + 1 * 2) / 1e6 + 2 * 5 / 1e3
    )
    assert priced(
        pricer, "vercel", "x", Usage(input_tokens=101, output_tokens=1)
    ).cost_usd == pytest.approx((101 * 10 + 2) / 1e6)


def test_flat_override_of_a_tiered_list(price_file: Path) -> None:
    """A named rate holds in every band; the rest keeps the band's rates."""
    cost = priced(
        pricer_with(price_file, {"openai/gpt-6.1-sol": {"input": 1}}),
        "openai",
        "gpt-6.1-sol",
        Usage(input_tokens=300_000, output_tokens=1),
    )

    assert cost.rates == {"input_tokens": 1.0, "output_tokens": 15.0}


def test_tier_of_the_call_is_a_doubt(price_file: Path) -> None:
    """The user's rate is final, but whether it was meant for flex is not known."""
    cost = priced(
        pricer_with(price_file, {"openai/gpt-6.1-sol": PLAIN}),
        "openai",
        "gpt-6.1-sol",
        service_tier="flex",
    )

    assert cost.cost_usd == pytest.approx(0.010)
    assert cost.approximate is True


def test_local_servers_can_be_given_a_price(price_file: Path) -> None:
    """An override goes before `local costs nothing`."""
    pricer = pricer_with(
        price_file, {"local/*": {"input": 1, "output": 1, "cache_read": 0, "cache_write": 0}}
    )

    assert priced(pricer, "local", "llama", billing="local").cost_usd == pytest.approx(0.002)


@pytest.mark.parametrize("key", ["local/openai/gpt-4o", "local/gpt-4o", "local/*", "openai/gpt-4o"])
def test_gateways_of_ones_own_can_be_given_a_price(price_file: Path, key: str) -> None:
    """What it resells may be named as the gateway does, as the vendor does, or all at once; then it
    is not approximate."""
    cost = priced(pricer_with(price_file, {key: PLAIN}), "local", "openai/gpt-4o")

    assert cost.cost_usd == pytest.approx(0.010)
    assert (cost.source, cost.approximate) == ("override", False)


def test_stated_cost_goes_before_the_file(price_file: Path) -> None:
    """What the provider says it charged is not overridden."""
    cost = priced(
        pricer_with(price_file, {"anthropic/*": PLAIN}), cost_usd=5.0, cost_source="provider"
    )

    assert cost.cost_usd == 5.0
    assert cost.source == "provider"
    assert cost.list_cost_usd == pytest.approx(0.010)


LITELLM = {
    "sample_spec": {
        "input_cost_per_token": 0.0,
        "output_cost_per_token": 0.0,
        "litellm_provider": "one of ...",
        "mode": "chat",
    },
    "deepinfra/acme/model": {
        "input_cost_per_token": 1e-06,
        "output_cost_per_token": 2e-06,
        "cache_read_input_token_cost": 1e-07,
        "cache_creation_input_token_cost": 3e-06,
        "input_cost_per_token_above_128k_tokens": 4e-06,
        "search_context_cost_per_query": {"search_context_size_medium": 0.01},
        "litellm_provider": "deepinfra",
        "max_tokens": "lots",
    },
    "bare-name": {
        "input_cost_per_token": 5e-06,
        "output_cost_per_token": 5e-06,
        "litellm_provider": "nvidia_nim",
    },
    "claude-opus-5-5": {
        "input_cost_per_token": 1.0,
        "output_cost_per_token": 1.0,
        "litellm_provider": "anthropic",
    },
    "dall-e-3": {"input_cost_per_pixel": 4e-08, "litellm_provider": "openai"},
    "gpt-broken": {
        "input_cost_per_token": "free",
        "output_cost_per_token": None,
        "litellm_provider": "openai",
    },
}


def test_litellm_file(price_file: Path) -> None:
    """A downloaded litellm price file prices what nothing else does, and only that."""
    pricer = pricer_with(price_file, LITELLM)
    usage = Usage(
        input_tokens=1000,
        cache_read_tokens=1000,
        cache_write_tokens=1000,
        output_tokens=1000,
        server_tools={"web_search": 1},
    )

    cost = priced(pricer, "deepinfra", "acme/model", usage)
    assert cost.cost_usd == pytest.approx(0.0061 + 0.01)
    assert cost.source == "override"
    assert cost.approximate is False
    assert priced(
        pricer, "deepinfra", "acme/model", Usage(input_tokens=128_001)
    ).cost_usd == pytest.approx(0.512004)
    assert priced(
        pricer, "nvidia", "bare-name", Usage(input_tokens=1000)
    ).cost_usd == pytest.approx(0.005)
    assert priced(pricer).source == "prices"
    assert priced(pricer, "openai", "gpt-broken").cost_usd is None
    assert priced(pricer, "novita", "bare-name").cost_usd is None


def test_shapes_may_be_mixed(price_file: Path) -> None:
    """Users can add their rates to a downloaded file."""
    pricer = pricer_with(price_file, {**LITELLM, "anthropic/claude-opus-5-5": PLAIN})

    assert priced(pricer).cost_usd == pytest.approx(0.010)


def test_changed_file_is_read_again(price_file: Path) -> None:
    """A change is seen at the next look, and the calls after it cost the new price."""
    pricer = pricer_with(price_file, {"anthropic/*": PLAIN})
    assert priced(pricer).cost_usd == pytest.approx(0.010)

    price_file.write_text(json.dumps({"anthropic/*": {**PLAIN, "input": 1001}}))

    assert priced(pricer).cost_usd == pytest.approx(0.010)
    assert pricer.reload_if_changed() is None
    assert priced(pricer).cost_usd == pytest.approx(1.010)


def test_a_file_that_load_prices_has_read_is_not_read_again(
    price_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading is for a thread: until the prices are asked to change they do not, and then nothing
    is left to be read."""
    pricer = pricer_with(price_file, {"anthropic/*": PLAIN})
    price_file.write_text(json.dumps({"anthropic/*": {**PLAIN, "input": 1001}}))
    pricer.load_prices()
    assert pricer.outdated
    assert priced(pricer).cost_usd == pytest.approx(0.010)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", lambda *_: pytest.fail("read again"))
        assert pricer.reload_if_changed() is None

    assert not pricer.outdated
    assert priced(pricer).cost_usd == pytest.approx(1.010)


def test_a_change_after_load_prices_is_seen(price_file: Path) -> None:
    """What was read is as old as its reading."""
    pricer = pricer_with(price_file, {"anthropic/*": PLAIN})
    price_file.write_text(json.dumps({"anthropic/*": {**PLAIN, "input": 101}}))
    pricer.load_prices()
    price_file.write_text(json.dumps({"anthropic/*": {**PLAIN, "input": 1001}}))

    pricer.reload_if_changed()
    assert pricer.outdated
    pricer.reload_if_changed()
    assert priced(pricer).cost_usd == pytest.approx(1.010)


def test_same_size_and_time_is_no_change(price_file: Path) -> None:
    """Only what stat tells is looked at: an unchanged file is not read."""
    pricer = pricer_with(price_file, {"anthropic/*": PLAIN})
    stat = price_file.stat()
    price_file.write_bytes(b"x" * stat.st_size)
    os.utime(price_file, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    assert pricer.reload_if_changed() is None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "is not JSON"),
        ("[]", "must be a JSON object"),
        ('{"gpt-4o": {"input": 1}}', "'gpt-4o' must be `provider/model`"),
        ('{"openai/gpt-4o": 3}', "'openai/gpt-4o' must be an object"),
        ('{"openai/gpt-4o": {"input": "1"}}', "`input` must be a number"),
        ('{"openai/gpt-4o": {"input": -1}}', "`input` must be a number"),
        ('{"openai/gpt-4o": {"input": true}}', "`input` must be a number"),
        ('{"openai/gpt-4o": {"inptu": 1}}', "unknown inptu"),
        ('{"openai/gpt-4o": {"tiers": 1}}', "`tiers` must be an array"),
        ('{"openai/gpt-4o": {"tiers": [{"input": 1}]}}', "a tier is"),
        ('{"openai/gpt-4o": {"rates_usd_per_million": 1}}', "must be an object"),
        ('{"rates_usd_per_million": 1}', "`rates_usd_per_million` must be"),
    ],
)
def test_bad_file_is_said_and_prices_stay(price_file: Path, text: str, complaint: str) -> None:
    """A file that cannot be used is complained about once, by name and place, and the prices in
    force stay."""
    pricer = pricer_with(price_file, {"anthropic/*": PLAIN})
    price_file.write_text(text)

    warning = pricer.reload_if_changed()

    assert warning is not None
    assert str(price_file) in warning
    assert complaint in warning
    assert pricer.reload_if_changed() is None
    assert priced(pricer).cost_usd == pytest.approx(0.010)


def test_missing_file(price_file: Path) -> None:
    """A file that is not there is said at the first look, and read when it appears."""
    pricer = Pricer(override_path=price_file)

    assert "cannot be read" in (pricer.reload_if_changed() or "")
    assert pricer.reload_if_changed() is None
    assert priced(pricer).source == "prices"

    price_file.write_text(json.dumps({"anthropic/*": PLAIN}))
    assert pricer.reload_if_changed() is None
    assert priced(pricer).source == "override"


def test_removed_file_leaves_its_prices(price_file: Path) -> None:
    """Taking the file away does not change prices silently."""
    pricer = pricer_with(price_file, {"anthropic/*": PLAIN})
    price_file.unlink()

    assert "cannot be read" in (pricer.reload_if_changed() or "")
    assert priced(pricer).source == "override"


def test_huge_file_is_refused(price_file: Path) -> None:
    """What is read of a file is bounded."""
    with price_file.open("wb") as file:
        file.truncate(FILE_CAP + 1)

    assert "larger than 32 MiB" in (Pricer(override_path=price_file).reload_if_changed() or "")


KEYS = st.sampled_from(
    [
        "a/b", "a/*", "rates_usd_per_million", "input", "output", "tiers", "above", "litellm_provider",
        "input_cost_per_token", "output_cost_per_token", "input_cost_per_token_above_200k_tokens", "search_context_cost_per_query",
    ]
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=9), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(JSON)
def test_only_complaints_come_out_of_a_file(document: Any) -> None:
    """Any JSON is either read or complained about, and what was read is a rate of 0 or more."""
    try:
        overrides = read_document(document)
    except PriceFileError:
        return
    for override in (*overrides.own.values(), *overrides.litellm.values()):
        assert all(rate >= 0 for rate in override.rates.values())
