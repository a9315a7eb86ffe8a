"""The user's price file: JSON, in any of three shapes, also mixed.

    {"anthropic/claude-opus-5-5": {"input": 4, "output": 20, "cache_read": 0.2, "cache_write": 5}}
    {"rates_usd_per_million": {"anthropic/claude-opus-5-5": {...}}}
    {"together_ai/some/model": {"input_cost_per_token": 1e-06, ...}}

The first two are in USD per million tokens, under `provider/model` or, as the default of a
provider, `provider/*`. A rate that is not named is inherited from the price data, and what is named
is final: no tier or surcharge of ours is put on top. The third is an entry of litellm's price file,
in USD per token; such are used where nothing else has a price:
https://github.com/BerriAI/litellm `model_prices_and_context_window.json`
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from .context import PricingContext, normalise, undated
from .rates import BASE, RateCard, Rates

FILE_CAP = 32 * 2**20
"""Bytes of a price file that are read: litellm's has about 2 MB."""

_FIELDS = {
    **{
        name: f"{name}_tokens"
        for name in (
            "input",
            "output",
            "cache_read",
            "cache_write",
            "cache_write_1h",
            "cache_write_12h",
        )
    },
    **{
        name: f"{name}_tokens"
        for name in ("input_audio", "output_audio", "input_image", "output_image", "reasoning")
    },
    "cache_read_audio": "cache_read_audio_tokens",
    "web_search": "web_search",
    "file_search": "file_search",
}
"""Names in the file to rates. `web_search` and `file_search` are in USD per thousand calls."""

_LITELLM_FIELDS = {
    "input_cost_per_token": "input_tokens",
    "output_cost_per_token": "output_tokens",
    "cache_read_input_token_cost": "cache_read_tokens",
    "cache_creation_input_token_cost": "cache_write_tokens",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h_tokens",
    "input_cost_per_audio_token": "input_audio_tokens",
    "output_cost_per_audio_token": "output_audio_tokens",
    "output_cost_per_reasoning_token": "reasoning_tokens",
}
_LITELLM_MARKS = ("input_cost_per_token", "output_cost_per_token")
_LITELLM_NAMES = {
    "aws_bedrock": ("bedrock", "bedrock_converse"),
    "azure_openai": ("azure", "azure_ai"),
    "cohere": ("cohere", "cohere_chat"),
    "fireworks": ("fireworks_ai",),
    "gcp_vertex": ("vertex_ai",),
    "nvidia": ("nvidia_nim",),
    "together": ("together_ai",),
    "vercel": ("vercel_ai_gateway",),
    "x_ai": ("xai",),
}
"""litellm's names for our providers, where they differ."""


class PriceFileError(ValueError):
    """The price file cannot be used; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Override:
    """What the user's price file says about one model."""

    rates: Rates
    """The rates that the file names."""
    tiers: tuple[tuple[int, Rates], ...] = ()
    """`(threshold, rates)` for calls with more input than the threshold."""

    def over(self, listed: RateCard | None, context: PricingContext) -> RateCard:
        """The rate card of this override; rates that it does not name come from the price data's
        card."""
        known = listed or RateCard("override", ((BASE, {}),))
        thresholds = {threshold for threshold, _ in (*known.bands, *self.tiers)}
        bands = tuple(
            (threshold, self._rates(known, threshold))
            for threshold in sorted(thresholds, reverse=True)
        )
        inherited = frozenset(bands[-1][1]) - self.rates.keys()
        return RateCard(
            "override",
            bands,
            # The user's rates are for ordinary calls; whether they also hold for this kind is not
            # known.
            approximate=context.tier is not None or context.vague,
            guessed=inherited if known.approximate else known.guessed & inherited,
        )

    def _rates(self, known: RateCard, threshold: int) -> Rates:
        _, inherited = known.band(threshold + 1)
        tier = next(
            (rates for start, rates in sorted(self.tiers, reverse=True) if threshold >= start), {}
        )
        return {**inherited, **self.rates, **tier}


@dataclass(frozen=True, slots=True)
class Overrides:
    """All entries of a price file."""

    own: Mapping[str, Override] = field(default_factory=dict)
    """Entries in our shape, by normalised `provider/model`."""
    litellm: Mapping[str, Override] = field(default_factory=dict)
    """Entries in litellm's shape, by its normalised `provider/model`."""

    def find(self, context: PricingContext) -> Override | None:
        """The entry for a model: by its full name, then without the date of the snapshot, then the
        provider's default."""
        providers = dict.fromkeys((context.provider, context.price_id or context.provider))
        for ref in (context.name, context.ref, undated(context.ref), "*"):
            for provider in providers:
                if ref and (found := self.own.get(f"{provider}/{ref}")) is not None:
                    return found
        return None

    def find_litellm(self, context: PricingContext) -> RateCard | None:
        """The rate card from litellm's entries, for a model that has no other price."""
        for name in _LITELLM_NAMES.get(context.provider, (context.provider,)):
            if context.ref and (found := self.litellm.get(f"{name}/{context.ref}")) is not None:
                return found.over(None, context)
        return None


def read_file(path: Path) -> Overrides:
    """Read a price file. Raises PriceFileError, naming what is wrong."""
    try:
        with path.open("rb") as file:
            data = file.read(FILE_CAP + 1)
    except OSError as error:
        raise PriceFileError(f"cannot be read: {error.strerror or error}") from error
    if len(data) > FILE_CAP:
        raise PriceFileError(f"is larger than {FILE_CAP >> 20} MiB")
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise PriceFileError(f"is not JSON: {error}") from error
    return read_document(document)


def read_document(document: Any) -> Overrides:
    """Sort the entries of a price file by shape. Raises PriceFileError."""
    if not isinstance(document, dict):
        raise PriceFileError("must be a JSON object of `provider/model` to rates")
    entries = dict(document)
    nested = entries.pop("rates_usd_per_million", {})
    if not isinstance(nested, dict):
        raise PriceFileError(
            "`rates_usd_per_million` must be an object of `provider/model` to rates"
        )
    own: dict[str, Override] = {}
    litellm: dict[str, Override] = {}
    for key, entry in {**entries, **nested}.items():
        if isinstance(entry, dict) and any(mark in entry for mark in _LITELLM_MARKS):
            litellm.update(_litellm_entry(key, entry))
        # litellm also lists what is not sold by tokens
        elif not isinstance(entry, dict) or "litellm_provider" not in entry:
            own[_key(key)] = _entry(key, entry)
    return Overrides(own, litellm)


def _key(key: str) -> str:
    provider, slash, model = key.partition("/")
    if not (provider and slash and model):
        raise PriceFileError(f"{key!r} must be `provider/model`, or `provider/*`")
    return f"{provider.strip().lower()}/{normalise(model)}"


def _entry(key: str, entry: Any) -> Override:
    if isinstance(entry, dict):
        entry = entry.get("rates_usd_per_million", entry)
    if not isinstance(entry, dict):
        raise PriceFileError(f"{key!r} must be an object of rates")
    entry = dict(entry)
    tiers = entry.pop("tiers", [])
    if not isinstance(tiers, list):
        raise PriceFileError(f"{key!r}: `tiers` must be an array")
    return Override(_rates(key, entry), tuple(_tier(key, tier) for tier in tiers))


def _tier(key: str, tier: Any) -> tuple[int, Rates]:
    threshold = tier.get("above") if isinstance(tier, dict) else None
    if not isinstance(threshold, int) or isinstance(threshold, bool) or threshold < 0:
        raise PriceFileError(
            f'{key!r}: a tier is `{{"above": input tokens, "input": ..., "output": ...}}`'
        )
    return threshold, _rates(key, {name: value for name, value in tier.items() if name != "above"})


def _rates(key: str, entry: Mapping[str, Any]) -> Rates:
    if unknown := entry.keys() - _FIELDS.keys():
        raise PriceFileError(
            f"{key!r}: unknown {', '.join(sorted(unknown))}; known are {', '.join(_FIELDS)}, tiers"
        )
    for name, value in entry.items():
        if not _is_rate(value):
            raise PriceFileError(f"{key!r}: `{name}` must be a number of USD, 0 or more")
    return {_FIELDS[name]: float(value) for name, value in entry.items()}


def _litellm_entry(key: str, entry: Mapping[str, Any]) -> dict[str, Override]:
    """One entry of litellm's file, under its provider's name. Fields that are not rates are
    ignored."""
    rates = {
        ours: entry[theirs] * 1e6
        for theirs, ours in _LITELLM_FIELDS.items()
        if _is_rate(entry.get(theirs))
    }
    search = entry.get("search_context_cost_per_query")
    if isinstance(search, dict) and _is_rate(search.get("search_context_size_medium")):
        rates["web_search"] = search["search_context_size_medium"] * 1e3
    provider = entry.get("litellm_provider")
    name = (
        key
        if not isinstance(provider, str) or key.startswith(f"{provider}/")
        else f"{provider}/{key}"
    )
    provider, slash, model = name.partition("/")
    return (
        {f"{provider.lower()}/{normalise(model)}": Override(rates, _litellm_tiers(entry))}
        if slash
        else {}
    )


def _litellm_tiers(entry: Mapping[str, Any]) -> tuple[tuple[int, Rates], ...]:
    """The rates for long input, from fields like `input_cost_per_token_above_200k_tokens`."""
    tiers: dict[int, dict[str, float]] = {}
    for name, value in entry.items():
        theirs, _, size = name.removesuffix("k_tokens").rpartition("_above_")
        ours = _LITELLM_FIELDS.get(theirs)
        if (
            ours is not None
            and name.endswith("k_tokens")
            and size.isdecimal()
            and len(size) < 6
            and _is_rate(value)
        ):
            tiers.setdefault(int(size) * 1000, {})[ours] = value * 1e6
    return tuple(tiers.items())


def _is_rate(value: Any) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and value >= 0
    )
