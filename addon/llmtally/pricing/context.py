"""What the price of a call depends on, apart from how much was used: read from the `Call`, in
normalised spelling."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import unquote

from ..providers import LOCAL
from ..record import TEXT_CAP, Call
from .vendors import proprietary_vendor

_MODEL_IN_PATH = frozenset({"aws_bedrock", "bedrock_mantle", "gcp_vertex"})
"""Providers whose answers name the model without the region it is sold in, so that the price
follows from the model that was asked for."""

_TIERS = {"flex": "flex", "priority": "priority", "fast": "priority", "ultrafast": "ultrafast"}
"""Tiers that have prices. OpenAI calls one tier `priority` up to GPT-5.6 and `fast` from GPT-6
on."""
_STANDARD = frozenset(
    {"", "default", "auto", "standard", "standard_only", "unspecified", "on_demand"}
)
_TIERED = frozenset({"openai", "azure", "google"})
"""Price lists with prices by tier. Elsewhere (Anthropic's `priority`, OpenAI's `scale`, provisioned
throughput) a tier is capacity that was paid for beforehand, or a word without a published price:
list price, approximately."""

_PUBLISHER = re.compile(r"^(?:projects/[^/]+/locations/[^/]+/)?publishers/[^/]+/models/|^models/")
_DATE = re.compile(r"(?:[-@]\d{8}|-\d{4}-\d{2}-\d{2})$")
_CLAUDE = re.compile(r"claude-(?:[a-z]+-)?(\d+)(?:[-.](\d{1,2}))?(?!\d)")
_GEMINI = re.compile(r"gemini-(\d+)(?:\.(\d+))?(?!\d)")


@dataclass(frozen=True, slots=True)
class PricingContext:
    """Which provider sold which model, how the call was processed, and when."""

    provider: str
    """The call's provider, a row of `providers.py`."""
    price_id: str | None
    """The provider's id in the price data; None: the data does not have it."""
    host: str
    """The call's host: some are regions that cost more."""
    path: str
    """The call's path, for the same reason."""
    name: str
    """The model, normalised; empty where it is not known."""
    ref: str
    """The same without a prefix that a gateway added."""
    tier: tuple[str, str] | None
    """How the call was processed, as the price data spells it: `("service_tier", "flex")`,
    `("processing", "batch")`, `("speed", "fast")`; None: as usual."""
    vague: bool
    """Whether the tier was only asked for, or has no published price."""
    inference_geo: str
    """The region that served, in lower case; empty where it is not known."""
    local: bool
    """Whether a server of yours runs the model."""
    resold: bool
    """A gateway of yours answered with a model that only its vendor sells: the vendor's list price
    is the best guess."""
    when: datetime
    """When the call was made: prices change."""

    @property
    def claude(self) -> tuple[int, int] | None:
        """Version of the Claude model, if it is one."""
        return _version(_CLAUDE, self.ref)

    @property
    def gemini(self) -> tuple[int, int] | None:
        """Version of the Gemini model, if it is one."""
        return _version(_GEMINI, self.ref)


def pricing_context(call: Call, model: str | None, price_id: str | None) -> PricingContext:
    """Read what the price of `model` (the call's, or that of one of its parts) depends on."""
    name = ref = normalise(model or "")
    resold = proprietary_vendor(name) if call.provider == LOCAL.name else None
    if resold is not None:
        price_id, ref = resold
    tier, vague = _price_tier(call, price_id)
    return PricingContext(
        provider=call.provider,
        price_id=price_id,
        host=call.host,
        path=call.path,
        name=name,
        ref=ref,
        tier=tier,
        vague=vague,
        inference_geo=(call.inference_geo or "").lower(),
        local=call.billing == "local" and resold is None,
        resold=resold is not None,
        when=datetime.fromtimestamp(call.timestamp, UTC),
    )


def billed_model(call: Call) -> str | None:
    """The model whose price applies: the one that served, unless only the request's name determines
    the price."""
    if call.provider in _MODEL_IN_PATH:
        return call.request_model or call.model
    return call.model or call.request_model


def normalise(model: str) -> str:
    """One spelling of a model's name, for wire and price file alike. Its region and date stay, as
    the price can depend on them."""
    ref = unquote(model[:TEXT_CAP]).strip().lower()
    return _PUBLISHER.sub("", ref).removesuffix("[1m]")


def undated(ref: str) -> str:
    """The name without the date of a snapshot."""
    return _DATE.sub("", ref)


def _price_tier(call: Call, price_id: str | None) -> tuple[tuple[str, str] | None, bool]:
    """The tier as the price data spells it, and whether that is uncertain."""
    tier = _normalise_tier(call.service_tier)
    if call.api.endswith("_batch") or tier == "batch":
        return ("processing", "batch"), False
    if (call.speed or "").lower() == "fast":
        return ("speed", "fast"), False
    served = bool(tier)
    if not served:
        tier = _normalise_tier(call.request_service_tier)
    if tier in _STANDARD:
        return None, False
    if price_id in _TIERED and tier in _TIERS:
        # a tier that was asked for may not have been given
        return ("service_tier", _TIERS[tier]), not served
    return None, True


def _normalise_tier(value: str | None) -> str:
    """One spelling of a tier: `ON_DEMAND_FLEX` (Vertex) and `flex` are the same."""
    tier = (value or "").lower().removeprefix("service_tier_")
    return tier.removeprefix("on_demand_") or tier


def _version(pattern: re.Pattern[str], ref: str) -> tuple[int, int] | None:
    found = pattern.search(ref)
    return (int(found[1]), int(found[2] or 0)) if found else None
