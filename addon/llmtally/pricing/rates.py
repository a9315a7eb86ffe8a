"""Rates and the sums done with them.

Rates are named like the buckets of `Usage` they apply to (`cache_read_tokens`), in USD per million
tokens; those of server tools (`web_search`, `file_search`, `request`) in USD per thousand calls.
The four buckets are disjoint; where a subset has its own rate, its tokens are taken out of
their bucket first, so every token is paid for exactly once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from ..record import Usage

Rates = Mapping[str, float]
Source = Literal["override", "overlay", "prices", "local"]

PER_TOKEN = 1e6
PER_CALL = 1e3

BASE = -1
"""Threshold of the lowest band: below every count."""


@dataclass(frozen=True, slots=True)
class RateCard:
    """The rates of a model in a pricing context."""

    source: Source
    """Where the rates come from; the record's `cost_source`."""
    bands: tuple[tuple[int, Rates], ...]
    """`(threshold, rates)`, highest threshold first: with more input tokens than the threshold,
    *all* tokens of the call, output too, cost these rates. The last begins at `BASE`."""
    approximate: bool = False
    """The card is known to be inexact, whichever of its rates a call uses."""
    guessed: frozenset[str] = frozenset()
    """Rates that nobody published: a call that uses one is approximate."""

    def band(self, input_tokens: int) -> tuple[int, Rates]:
        """The band for a call with that many input tokens, caches included."""
        for band in self.bands:
            if input_tokens > band[0]:
                return band
        return self.bands[-1]

    def map(self, change: Callable[[Rates], Rates]) -> RateCard:
        """This card, with `change` applied to the rates of every band."""
        return dataclasses.replace(
            self, bands=tuple((threshold, change(rates)) for threshold, rates in self.bands)
        )

    def scaled(self, factor: float) -> RateCard:
        """This card, with its token rates multiplied; calls of server tools cost the same
        everywhere.

        Published rates have few digits: twelve decimals keep all of them, and 5.5 from becoming
        5.500000000000001."""
        return self.map(
            lambda rates: {
                name: round(rate * factor, 12) if is_token_rate(name) else rate
                for name, rate in rates.items()
            }
        )

    def completed(self, *, claude: bool) -> RateCard:
        """This card, with rates for the buckets that have none, as far as they follow from
        others."""
        guessed = set(self.guessed)
        for _, rates in self.bands:
            if rates.get("input_tokens"):
                guessed.update(
                    {"cache_read_tokens", "cache_write_tokens", "cache_write_12h_tokens"}
                    - rates.keys()
                )
        return dataclasses.replace(
            self.map(lambda rates: _complete(rates, claude=claude)), guessed=frozenset(guessed)
        )


FREE = RateCard("local", ((BASE, {"input_tokens": 0.0, "output_tokens": 0.0}),))


def is_token_rate(name: str) -> bool:
    """Whether a rate is per token, not per call."""
    return name.endswith("_tokens")


def _complete(rates: Rates, *, claude: bool) -> Rates:
    """Add the rates that follow from others. Cached input without a price costs what input costs.
    Keeping it for long costs more: with Anthropic an hour is twice the input
    (https://platform.claude.com/docs/en/build-with-claude/prompt-caching#pricing); with OpenAI 12
    hours are twice the ordinary write, going by the one model whose rate is known (gpt-6.1-terra:
    2.50 beside 1.25)."""
    if (base := rates.get("input_tokens")) is None:
        return rates
    derived = {"cache_read_tokens": base, "cache_write_tokens": base}
    if claude:
        derived["cache_write_1h_tokens"] = 2 * base
    if "cache_write_tokens" in rates:
        derived["cache_write_12h_tokens"] = 2 * rates["cache_write_tokens"]
    return {**derived, **rates}


class Charge(NamedTuple):
    """What one usage costs by one card."""

    cost_usd: float
    """The sum of tokens and tools, in USD."""
    rates: Rates
    """The rates that were applied."""
    approximate: bool
    """The card, or how the tokens were split, is inexact."""
    threshold: int
    """Where the band that was applied begins."""


def charge(usage: Usage, card: RateCard) -> Charge | None:
    """Price the tokens and the server tools; None where tokens were used that have no rate at
    all."""
    threshold, rates = card.band(usage.context_tokens or 0)
    tokens, approximate = split(usage, rates)
    applied: dict[str, float] = {}
    cost = 0.0
    for name, n in tokens.items():
        if n:
            rate = rates.get(name)
            if rate is None:
                return None
            applied[name] = rate
            cost += n * rate
    cost /= PER_TOKEN
    if "request" in rates:
        applied["request"] = rates["request"]
        cost += rates["request"] / PER_CALL
    if usage.server_tools and card.source != "local":
        tools_cost, complete = _charge_tools(usage.server_tools, rates, applied)
        if not (complete or applied):
            return None
        cost += tools_cost
        # The turns between the tool calls are reported as one sum, of which perhaps none was long
        # enough for this band.
        approximate = approximate or not complete or threshold > BASE
    approximate = approximate or card.approximate or not card.guessed.isdisjoint(applied)
    return Charge(cost, applied, approximate, threshold)


_SUBSETS = (
    ("cache_write_1h_tokens", "cache_write_tokens", True),
    ("cache_write_12h_tokens", "cache_write_tokens", True),
    ("reasoning_tokens", "output_tokens", False),
    ("output_audio_tokens", "output_tokens", True),
    ("output_image_tokens", "output_tokens", False),
)
"""Subset, its bucket, and whether it is a guess to bill it like the rest of the bucket where it has
no rate. (Image tokens and reasoning are billed like text unless a list says otherwise; audio is
dearer nearly everywhere.)"""


def split(usage: Usage, rates: Rates) -> tuple[dict[str, int], bool]:
    """Disjoint token counts by the rate they are to be billed at, and whether that took a guess."""
    tokens = {
        "input_tokens": usage.input_tokens or 0,
        "cache_read_tokens": usage.cache_read_tokens or 0,
        "cache_write_tokens": usage.cache_write_tokens or 0,
        "output_tokens": usage.output_tokens or 0,
    }
    guess = False
    for subset, bucket, differs in _SUBSETS:
        if wanted := getattr(usage, subset):
            guess |= _move(tokens, subset, bucket, wanted) if subset in rates else differs
    if usage.input_audio_tokens:
        guess |= _split_audio(tokens, usage, rates)
    if (images := usage.input_image_tokens) and "input_image_tokens" in rates:
        guess |= _move(tokens, "input_image_tokens", "input_tokens", images) or bool(
            tokens["cache_read_tokens"]
        )
    return tokens, guess


def _split_audio(tokens: dict[str, int], usage: Usage, rates: Rates) -> bool:
    """Take audio out of the input buckets, which all include it, and return whether that took a
    guess. What is not known to be cached counts as fresh."""
    cached = min(usage.cache_read_audio_tokens or 0, usage.input_audio_tokens or 0)
    fresh = (usage.input_audio_tokens or 0) - cached
    guess = bool(tokens["cache_read_tokens"]) and usage.cache_read_audio_tokens is None
    if cached:
        guess |= (
            _move(tokens, "cache_read_audio_tokens", "cache_read_tokens", cached)
            if "cache_read_audio_tokens" in rates
            else True
        )
    if fresh:
        guess |= (
            _move(tokens, "input_audio_tokens", "input_tokens", fresh)
            if "input_audio_tokens" in rates
            else True
        )
    return guess


def _move(tokens: dict[str, int], subset: str, bucket: str, wanted: int) -> bool:
    """Take a subset out of its bucket; True if the bucket does not hold that much."""
    taken = min(wanted, tokens[bucket])
    tokens[bucket] -= taken
    tokens[subset] = taken
    return taken < wanted


_TOOL_RATES = {
    "web_search": "web_search",
    "google_search": "web_search",
    "file_search": "file_search",
}
"""Server tools that are sold by the call, and the rate they are sold at."""
_FREE_TOOLS = frozenset({"web_fetch"})
"""Anthropic bills a fetch by its tokens alone."""


def _charge_tools(
    calls: Mapping[str, int], rates: Rates, applied: dict[str, float]
) -> tuple[float, bool]:
    """Cost of the calls of server tools, and whether all of them had a rate."""
    cost, complete = 0.0, True
    for tool, n in calls.items():
        if not n or tool in _FREE_TOOLS:
            continue
        name = _TOOL_RATES.get(tool, "")
        rate = rates.get(name)
        if rate is None:
            complete = False
        else:
            applied[name] = rate
            cost += n * rate / PER_CALL
    return cost, complete
