"""Counters for Prometheus: since the process began, never falling, with a bounded set of labels.

The first models get a label of their own and keep it; all later ones are `other`. Folding a label away, as the live view does,
would look to Prometheus like a counter that was reset. What is read back from the journal is not counted here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ..record import Billing, Call, Outcome
from .ledger import OTHER
from .totals import ZERO, Totals, by_model, plus

LABELS_CAP = 200
"""Pairs of provider and model with a label of their own: each is a dozen series in Prometheus."""

TTFT_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
DURATION_SECONDS = (0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
"""Upper bounds of the buckets: from a cached title to an agent's long turn."""


class ModelLabels(NamedTuple):
    """Labels of tokens and cost."""

    provider: str
    model: str
    billing: Billing


class CallLabels(NamedTuple):
    """Labels of calls."""

    provider: str
    model: str
    outcome: Outcome


@dataclass(slots=True)
class Histogram:
    """Observations by bucket; `counts` has one more entry than there are bounds, for what is above the last."""

    bounds: tuple[float, ...]
    counts: list[int] = field(default_factory=list)
    total: float = 0.0
    """Sum of the observations, in seconds."""

    def observe(self, value: float) -> None:
        """Count one."""
        if not self.counts:
            self.counts = [0] * (len(self.bounds) + 1)
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Counters:
    """Everything that is counted since the process began."""

    def __init__(self, cap: int = LABELS_CAP) -> None:
        self.totals: Totals = ZERO
        self.by_model: dict[ModelLabels, Totals] = {}
        self.calls: Counter[CallLabels] = Counter()
        self.coverage: Counter[str] = Counter()
        self.ttft: dict[str, Histogram] = {}
        """By provider."""
        self.duration: dict[str, Histogram] = {}
        """By provider."""
        self._cap = cap
        self._labelled: set[tuple[str, str]] = set()

    def add(self, call: Call, row: Totals) -> None:
        """Count one call."""
        self.totals = plus(self.totals, row)
        for model, share in by_model(call, row):
            labels = ModelLabels(*self._label(call.provider, model), call.billing)
            self.by_model[labels] = plus(self.by_model.get(labels, ZERO), share)
            if share.calls:
                self.calls[CallLabels(labels.provider, labels.model, call.outcome)] += 1
        provider = labels.provider
        if call.ttft_ms is not None:
            self._histogram(self.ttft, provider, TTFT_SECONDS).observe(call.ttft_ms / 1000)
        if call.duration_ms is not None:
            self._histogram(self.duration, provider, DURATION_SECONDS).observe(call.duration_ms / 1000)

    def _label(self, provider: str, model: str) -> tuple[str, str]:
        pair = (provider, model)
        if pair not in self._labelled:
            if len(self._labelled) >= self._cap:
                return OTHER, OTHER
            self._labelled.add(pair)
        return pair

    @staticmethod
    def _histogram(by_provider: dict[str, Histogram], provider: str, bounds: tuple[float, ...]) -> Histogram:
        return by_provider.setdefault(provider, Histogram(bounds))


def cumulative(histogram: Histogram) -> Mapping[float, int]:
    """Observations up to each bound, `inf` included, as Prometheus has them."""
    counts: dict[float, int] = {}
    so_far = 0
    for bound, count in zip((*histogram.bounds, float("inf")), histogram.counts, strict=True):
        so_far += count
        counts[bound] = so_far
    return counts
