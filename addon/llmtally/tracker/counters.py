"""Counters for Prometheus. They count since the process began, never fall, and have a bounded set
of labels.

The first models get their own labels and keep them; all later ones are `other`. If a label were
folded into `other` later, as the live view does, Prometheus would see a counter reset. What is read
back from the journal is not counted here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate
from math import inf
from typing import NamedTuple

from ..record import Billing, Call, Outcome
from .ledger import OTHER
from .totals import ZERO, Totals, plus, summed

LABELS_CAP = 200
"""Pairs of provider and model that have their own labels: each is a dozen series in Prometheus."""

TTFT_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
DURATION_SECONDS = (0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
"""Upper bounds of the buckets: from a cached title to an agent's long turn."""


class ModelLabels(NamedTuple):
    """Labels of the token and cost metrics."""

    provider: str
    model: str
    billing: Billing


class CallLabels(NamedTuple):
    """Labels of the metric that counts calls."""

    provider: str
    model: str
    outcome: Outcome


@dataclass(slots=True)
class Histogram:
    """Counts of observations by bucket, and their sum."""

    bounds: tuple[float, ...]
    counts: list[int]
    """One more than there are bounds: the last is for what is above them all."""
    total: float = 0.0
    """Sum of the observations, in seconds."""

    def observe(self, value: float) -> None:
        """Count one observation, in seconds."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


def cumulative(histogram: Histogram) -> dict[float, int]:
    """Observations up to each bound, `inf` included, in Prometheus's form."""
    return dict(zip((*histogram.bounds, inf), accumulate(histogram.counts), strict=True))


class Counters:
    """All counters since the process began."""

    def __init__(self, cap: int = LABELS_CAP) -> None:
        self.by_model: dict[ModelLabels, Totals] = {}
        self.calls: Counter[CallLabels] = Counter()
        self.coverage: Counter[str] = Counter()
        self.ttft: dict[str, Histogram] = {}
        """By provider."""
        self.duration: dict[str, Histogram] = {}
        """By provider."""
        self._cap = cap
        self._labelled: set[tuple[str, str]] = set()

    @property
    def totals(self) -> Totals:
        """What all models add up to."""
        return summed(self.by_model.values())

    def add(self, call: Call, shares: Iterable[tuple[str, Totals]]) -> None:
        """Count one call, shared out over its models."""
        for named, share in shares:
            provider, model = self._label(call.provider, named)
            labels = ModelLabels(provider, model, call.billing)
            self.by_model[labels] = plus(self.by_model.get(labels, ZERO), share)
            if share.calls:
                self.calls[CallLabels(provider, model, call.outcome)] += 1
        if call.ttft_ms is not None:
            _observe(self.ttft, call.provider, TTFT_SECONDS, call.ttft_ms)
        if call.duration_ms is not None:
            _observe(self.duration, call.provider, DURATION_SECONDS, call.duration_ms)

    def _label(self, provider: str, model: str) -> tuple[str, str]:
        pair = (provider, model)
        if pair not in self._labelled:
            if len(self._labelled) >= self._cap:
                return OTHER, OTHER
            self._labelled.add(pair)
        return pair


def _observe(
    histograms: dict[str, Histogram], provider: str, bounds: tuple[float, ...], milliseconds: float
) -> None:
    histogram = histograms.get(provider)
    if histogram is None:
        histogram = histograms[provider] = Histogram(bounds, [0] * (len(bounds) + 1))
    histogram.observe(milliseconds / 1000)
