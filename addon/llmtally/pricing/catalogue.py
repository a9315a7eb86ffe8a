"""The price data: the one module that imports genai-prices.
https://github.com/pydantic/genai-prices

Only its data and its matching of model names are used: its own `calc_price` raises on counts that
contradict each other, and what it offers for whole URLs keeps every URL in memory. Nothing here
goes to the network: without an updater, which we never start, the data is the one that was
installed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time

from genai_prices.data_snapshot import DataSnapshot, get_snapshot
from genai_prices.types import (
    ClauseAnd,
    ClauseContains,
    ClauseOr,
    ClauseStartsWith,
    MatchLogic,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    TieredPrices,
)

from .rates import BASE, Rates

_RATES = {
    "input_mtok": "input_tokens",
    "output_mtok": "output_tokens",
    "cache_read_mtok": "cache_read_tokens",
    "cache_write_mtok": "cache_write_tokens",
    "cache_write_1h_mtok": "cache_write_1h_tokens",
    "input_audio_mtok": "input_audio_tokens",
    "output_audio_mtok": "output_audio_tokens",
    "cache_audio_read_mtok": "cache_read_audio_tokens",
    "input_image_mtok": "input_image_tokens",
    "output_image_mtok": "output_image_tokens",
    "output_reasoning_mtok": "reasoning_tokens",
    "web_searches_kcount": "web_search",
    "storage_searches_kcount": "file_search",
    "requests_kcount": "request",
}
"""The data's names for rates, and ours. The rest (hours of audio, pages, characters) counts what no
usage object reports."""

_FREE: Rates = {"input_tokens": 0.0, "output_tokens": 0.0}
"""The rates of an entry without any price, which is a model that is given away (Gemma on the Gemini
API, moderation)."""

_RELEASE = re.compile(
    r"(?:[-@:]?(?:latest|default|stable|preview|exp|free|customtools|native-audio|e?\d+b-it|v\d+|\d{2,8})|:\d)*"
)
"""What may follow a name that still means the same model: dates, revisions, channels, Gemma's sizes
(all are free). A single digit is another version. Of the 223 entries of litellm's list that the
data finds by their beginning, 219 end this way."""

_ALWAYS = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Listing:
    """What the data says about one model."""

    bands: tuple[tuple[int, Rates], ...]
    """Its rates by the size of the input, as in `RateCard`."""
    origin: str
    """The provider of the list: another one if the requested provider resells the model and does
    not list it."""
    tier_known: bool
    """Whether the data has rates for the requested tier; if not, these are the standard rates."""
    backdated: bool
    """Whether the data has the tier's rates only from a later date on; these are then the first
    known."""
    named: bool
    """Whether the data spells the name out, up to a date or the like; if not, the name only begins
    like one in the data."""


class Catalogue:
    """One snapshot of the data. Give it bounded input only: it does not remember misses."""

    def __init__(self) -> None:
        snapshot: DataSnapshot = get_snapshot()
        self._providers = {provider.id: provider for provider in snapshot.providers}
        self._all = snapshot.providers

    def find(
        self, price_id: str, ref: str, tier: Mapping[str, str], when: datetime
    ) -> Listing | None:
        """The rates of a model at a time; None where the provider lists no such model."""
        provider = self._providers.get(price_id)
        model = provider.find_model(ref, all_providers=self._all) if provider else None
        if provider is None or model is None:
            return None
        origin = self._origin(provider, model)
        if origin != price_id:
            tier = {}  # another provider's tiers are not this one's
        starts = _variant_starts(model, tier)
        backdated = bool(starts) and min(starts) > when
        prices = model.get_prices(min(starts) if backdated else when, tier or None)
        # It is also found with its date written in another way.
        named = not model.is_match(ref) or _is_named(model.match, ref)
        return Listing(_flatten(prices), origin, bool(starts), backdated, named)

    def _origin(self, provider: Provider, model: ModelInfo) -> str:
        owners: tuple[str, ...] = (provider.id, *(provider.fallback_model_providers or ()))
        return next(
            owner
            for owner in owners
            if any(model is listed for listed in self._providers[owner].models)
        )


def _is_named(clause: MatchLogic, ref: str) -> bool:
    """Whether the clause holds for this very name. Where a model is sold may stand before it, and a
    fine-tuned one is called after its owner."""
    match clause:
        case ClauseOr(or_=clauses):
            return any(_is_named(each, ref) for each in clauses)
        case ClauseAnd(and_=clauses):
            return all(_is_named(each, ref) for each in clauses)
        case ClauseStartsWith(starts_with=text) | ClauseContains(contains=text):
            rest = ref.partition(text.lower())[2]
            return clause.is_match(ref) and (
                text.startswith("ft:") or _RELEASE.fullmatch(rest) is not None
            )
    return clause.is_match(ref)


def _variant_starts(model: ModelInfo, tier: Mapping[str, str]) -> list[datetime]:
    """The date since which the model has rates for this tier; empty if it has none."""
    if not tier:
        return []
    return [
        _start(variant.constraint)
        for variant in model.price_variants or ()
        if all(tier.get(key) == value for key, value in variant.when.items())
    ]


def _start(constraint: object) -> datetime:
    return (
        datetime.combine(constraint.start_date, time(), UTC)
        if isinstance(constraint, StartDateConstraint)
        else _ALWAYS
    )


def _flatten(prices: ModelPrice) -> tuple[tuple[int, Rates], ...]:
    listed = {key: value for key, value in prices.__dict__.items() if value is not None}
    if not listed:
        return ((BASE, _FREE),)
    known = {name: listed[key] for key, name in _RATES.items() if key in listed}
    thresholds = {
        tier.start
        for value in known.values()
        if isinstance(value, TieredPrices)
        for tier in value.tiers
    }
    return tuple(
        (threshold, {name: _rate(value, threshold) for name, value in known.items()})
        for threshold in sorted(thresholds | {BASE}, reverse=True)
    )


def _rate(value: object, threshold: int) -> float:
    """The rate with more input than `threshold`."""
    if isinstance(value, TieredPrices):
        return float(
            next(
                (tier.price for tier in reversed(value.tiers) if threshold >= tier.start),
                value.base,
            )
        )
    return float(str(value))
