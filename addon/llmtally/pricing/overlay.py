"""Dated corrections for where the price data is wrong or silent, each with its proof.

Checked 2026-11-20 against the data of genai-prices 0.2.3. Delete a row when the data has caught up;
the tests name each.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase

from .catalogue import Catalogue, Listing
from .context import PricingContext
from .rates import RateCard, Rates

UNDATED = date.min
"""`since` of a row whose first day nobody states: it applies from the beginning."""


@dataclass(frozen=True, slots=True)
class Alias:
    """A name that the data resolves to the wrong model."""

    price_id: str
    """The provider's id in the price data, as in the rows below."""
    ref: str
    """The name on the wire, normalised."""
    to: str
    """The model it means, as the data spells it."""
    since: date
    """From this day on (UTC), as in the rows below."""
    proof: str
    """The source of this correction, as in the rows below."""


@dataclass(frozen=True, slots=True)
class Row:
    """Rates that replace the data's, bucket by bucket."""

    price_id: str
    refs: str
    """Shell-style pattern of the models' names."""
    since: date
    rates: Rates
    """Only those that differ; the data's others stay."""
    proof: str
    approximate: bool = False
    """The proof is weak: a call at these rates is approximate."""


@dataclass(frozen=True, slots=True)
class Tier:
    """A tier the data has no rates for, as a multiple of the standard token rates."""

    price_id: str
    refs: tuple[str, ...]
    """Shell-style patterns of the models' names."""
    tier: tuple[str, str]
    """The tier, spelled as in `PricingContext`."""
    factor: float
    """What the standard token rates are multiplied with."""
    since: date
    proof: str


@dataclass(frozen=True, slots=True)
class Surcharge:
    """A factor on the token rates for where the call was processed."""

    applies: Callable[[PricingContext], bool]
    """Whether the surcharge applies to a call in this context."""
    factor: float
    """What the token rates are multiplied with."""
    since: date
    proof: str


@dataclass(frozen=True, slots=True)
class DisputedPrice:
    """A price on which the sources disagree: calls at it are approximate."""

    price_id: str
    """Shell-style pattern, as is the next."""
    refs: str
    why: str
    """How the sources disagree."""
    rate: str | None = None
    """The rate in question: only calls that use it are approximate. None: all calls."""


ALIASES = (
    Alias(
        "mistral",
        "mistral-large-latest",
        "mistral-large-2512",
        date(2025, 12, 2),
        "Mistral Large 3 took the name over at 0.5/1.5; litellm, models.dev, Portkey and "
        "pi-ai agree, the data still has Large 2.",
    ),
)

ROWS = (
    Row(
        "openai",
        "gpt-4o-audio-preview*",
        date(2024, 12, 17),
        {"input_audio_tokens": 40.0, "output_audio_tokens": 80.0},
        "litellm and Portkey price its audio apart from its text; the data bills audio as text.",
    ),
    Row(
        "openai",
        "gpt-4o-mini-audio-preview*",
        date(2024, 12, 17),
        {"input_audio_tokens": 10.0, "output_audio_tokens": 20.0},
        "As for gpt-4o-audio-preview; the same audio rates as its successor gpt-audio-mini.",
    ),
    *(
        Row(
            "deepseek",
            name,
            date(2026, 4, 24),
            {"input_tokens": 0.14, "cache_read_tokens": 0.0028, "output_tokens": 0.28},
            "From the release of V4 until it was withdrawn on 2026-07-24 the name led to V4 "
            "Flash, by DeepSeek's own notice.",
        )
        for name in ("deepseek-chat", "deepseek-reasoner")
    ),
    Row(
        "azure",
        "deepseek-v4-pro",
        date(2026, 11, 10),
        {"input_tokens": 1.925, "output_tokens": 3.828},
        "pi-ai 1.5.2, the only source that has Azure's price; the data falls back to what "
        "DeepSeek itself asks.",
        approximate=True,
    ),
)

TIERS = (
    Tier(
        "openai",
        ("gpt-6-astra*", "gpt-6.1-sol*"),
        ("service_tier", "ultrafast"),
        6.0,
        UNDATED,
        "litellm, and Vercel's changelog; the data would silently answer with the standard rate.",
    ),
    Tier(
        "google",
        ("gemini-*",),
        ("service_tier", "flex"),
        0.5,
        date(2026, 4, 2),
        "Google's announcement of the tiers; litellm.",
    ),
    Tier(
        "google",
        ("gemini-*",),
        ("service_tier", "priority"),
        1.8,
        date(2026, 4, 2),
        "As flex; the data's own comments say 1.8x.",
    ),
    Tier(
        "google",
        ("gemini-3.5-flash", "gemini-3.5-flash-preview*", "gemini-3.7-flash*"),
        ("processing", "batch"),
        0.5,
        UNDATED,
        "litellm; the data's comments say that batch halves the price, without rates.",
    ),
    Tier(
        "x-ai",
        ("grok-4.7*",),
        ("processing", "batch"),
        0.8,
        UNDATED,
        "litellm; the same discount as grok-4.3 in the data.",
    ),
)


def _us_inference(context: PricingContext) -> bool:
    return (
        context.inference_geo == "us"
        and context.price_id in ("anthropic", "azure")
        and (context.claude or (0, 0)) >= (4, 6)
    )


_RESIDENCY_FAMILIES = ("gpt-5.4", "gpt-5.5", "gpt-5.6", "gpt-6")
"""Families of models released on 2026-03-05 and later."""


def _openai_residency(context: PricingContext) -> bool:
    return context.host.endswith(".api.openai.com") and context.ref.startswith(_RESIDENCY_FAMILIES)


def _vertex_region(context: PricingContext) -> bool:
    if context.provider != "gcp_vertex" or not _is_regional(context.host):
        return False
    if context.claude is not None:
        return context.claude >= (4, 5)
    return context.ref.startswith("gemini-3.1-flash-lite") or (context.gemini or (0, 0)) >= (3, 5)


def _is_regional(host: str) -> bool:
    """Whether the host is a region's (`{region}-aiplatform.googleapis.com`) or a multi-region's
    (`aiplatform.{us,eu}.rep.googleapis.com`)."""
    return "-aiplatform." in host or host.endswith(".rep.googleapis.com")


def _managed_region(context: PricingContext) -> bool:
    regional = "/locations/" in context.path and "/locations/global/" not in context.path
    return (
        context.provider == "google_anthropic" and regional and (context.claude or (0, 0)) >= (4, 5)
    )


def _together_region(context: PricingContext) -> bool:
    return context.host in ("us-api.together.ai", "ca-api.together.ai")


def is_govcloud(context: PricingContext) -> bool:
    """Whether a Bedrock call went to AWS GovCloud: by its inference profile, or by its host."""
    return context.price_id == "aws" and ("us-gov." in context.ref or ".us-gov-" in context.host)


SURCHARGES = (
    Surcharge(
        _us_inference,
        1.1,
        date(2026, 2, 5),
        "Anthropic and AWS: `inference_geo` us costs 1.1x from Claude 4.6 on.",
    ),
    Surcharge(
        _openai_residency,
        1.1,
        date(2026, 3, 5),
        "OpenAI's guide: 10 % for data residency on models released from then on; litellm.",
    ),
    Surcharge(
        _vertex_region,
        1.1,
        date(2025, 9, 29),
        "Google's price page: regions and multi-regions cost 10 % more than global; litellm.",
    ),
    Surcharge(
        _managed_region,
        1.1,
        date(2025, 9, 29),
        "Anthropic: the premium of Claude on Google Cloud is the same as on Vertex.",
    ),
    Surcharge(_together_region, 1.25, UNDATED, "docs.together.ai: both regional hosts cost 1.25x."),
    Surcharge(
        is_govcloud,
        1.2,
        UNDATED,
        "AWS's page, as quoted in litellm #27120 and #39764: 20 % on the commercial price; "
        "Portkey.",
    ),
)

DISPUTED_PRICES = (
    DisputedPrice(
        "aws",
        "anthropic.claude-*",
        "In-Region Claude: the data adds 10 %, litellm and pi-ai have the global rate.",
    ),
    *(
        DisputedPrice(
            "aws", f"*{area}.amazon.nova*", "Nova outside the US is dearer; by how much differs."
        )
        for area in ("eu", "apac", "jp", "ca")
    ),
    DisputedPrice(
        "openai", "gpt-5.6-cyber", "Whether its long prompts cost more is not published."
    ),
    DisputedPrice("together", "meta-llama/llama-3.3-70b*", "0.88 or 1.04."),
    DisputedPrice(
        "openai",
        "gpt-4.1*",
        "10 or 25 USD a thousand, by the version of the tool.",
        rate="web_search",
    ),
    DisputedPrice("openai", "gpt-4o*", "As gpt-4.1.", rate="web_search"),
    DisputedPrice(
        "google",
        "*",
        "A number of searches a day is free, and whether queries or prompts count changed.",
        rate="web_search",
    ),
    DisputedPrice(
        "*",
        "*",
        "Only the highest of several prices by search depth is in the data.",
        rate="request",
    ),
)

_WEEKDAY_PEAKS = datetime(2026, 8, 17, tzinfo=UTC)
"""When DeepSeek's peak hours became a matter of weekdays."""
_OFF_PEAK_HOUR = 12
"""A time of day (UTC) at which DeepSeek is off-peak all week."""
_OWN_LISTS = frozenset({"openai", "anthropic"})
"""Price lists that Azure charges by, too."""


def price_listed(context: PricingContext, catalogue: Catalogue) -> RateCard | None:
    """The rate card from the price data, corrected; None where the data has no price for this
    context."""
    if context.price_id is None or not context.ref:
        return None
    alias = _alias(context)
    listing = _find(context, alias.to if alias else context.ref, catalogue)
    if listing is None:
        return None
    card = RateCard(
        "overlay" if alias else "prices",
        listing.bands,
        approximate=_is_approximate(context, listing),
    )
    for row in ROWS:
        if (
            row.price_id == context.price_id
            and fnmatchcase(context.ref, row.refs)
            and _has_begun(row.since, context)
        ):
            card = _with_row(card, row)
    tiered = _with_tier(card, context, listing)
    return _with_surcharges(tiered, context) if tiered else None


def _alias(context: PricingContext) -> Alias | None:
    for alias in ALIASES:
        is_meant = alias.price_id == context.price_id and alias.ref == context.ref
        if is_meant and _has_begun(alias.since, context):
            return alias
    return None


def _find(context: PricingContext, ref: str, catalogue: Catalogue) -> Listing | None:
    tier = dict([context.tier]) if context.tier else {}
    for name in _spellings(context, ref):
        listing = catalogue.find(context.price_id or "", name, tier, _price_time(context))
        if listing is not None:
            return listing
    return None


def _spellings(context: PricingContext, ref: str) -> tuple[str, ...]:
    """The names to look up, the best first. GovCloud's 20 % are on Claude's global price, not on
    the regional one that the data has for every other prefix."""
    if is_govcloud(context) and context.claude:
        return "global." + ref[ref.find("anthropic.") :], ref
    return (ref,)


def _price_time(context: PricingContext) -> datetime:
    """The time whose price applies. DeepSeek has no peak hours on Saturday and Sunday, which the
    data cannot say: it knows times of day, but no weekdays."""
    if (
        context.price_id == "deepseek"
        and context.when >= _WEEKDAY_PEAKS
        and context.when.weekday() >= 5
    ):
        return context.when.replace(hour=_OFF_PEAK_HOUR)
    return context.when


def _is_approximate(context: PricingContext, listing: Listing) -> bool:
    resold = context.resold or (
        context.price_id == "azure" and listing.origin not in ("azure", *_OWN_LISTS)
    )
    tier_of_another = bool(context.tier) and listing.origin != context.price_id
    return context.vague or resold or tier_of_another or listing.backdated or not listing.named


def _with_row(card: RateCard, row: Row) -> RateCard:
    patched = card.map(lambda rates: {**rates, **row.rates})
    return dataclasses.replace(
        patched, source="overlay", approximate=card.approximate or row.approximate
    )


def _with_tier(card: RateCard, context: PricingContext, listing: Listing) -> RateCard | None:
    """The card for the tier of the call; None where nobody published a price for it."""
    if context.tier is None or listing.tier_known or listing.origin != context.price_id:
        return card
    for tier in TIERS:
        known = (
            tier.price_id == context.price_id
            and tier.tier == context.tier
            and _has_begun(tier.since, context)
        )
        if known and any(fnmatchcase(context.ref, refs) for refs in tier.refs):
            return dataclasses.replace(card.scaled(tier.factor), source="overlay")
    return None


def _with_surcharges(card: RateCard, context: PricingContext) -> RateCard:
    for surcharge in SURCHARGES:
        if surcharge.applies(context) and _has_begun(surcharge.since, context):
            card = card.scaled(surcharge.factor)
    disputed = [
        price
        for price in DISPUTED_PRICES
        if fnmatchcase(context.price_id or "", price.price_id)
        and fnmatchcase(context.ref, price.refs)
    ]
    return dataclasses.replace(
        card,
        approximate=card.approximate or any(price.rate is None for price in disputed),
        guessed=card.guessed | {price.rate for price in disputed if price.rate is not None},
    )


def _has_begun(since: date, context: PricingContext) -> bool:
    return context.when.date() >= since
