"""Counters for Prometheus: since the process began, never falling, with a bounded set of labels.

The first models get a label of their own and keep it; all later ones are `other`. Folding a label away, as the live view does,
would look to Prometheus like a counter that was reset. What is read back from the journal is not counted here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import accumulate
from math import inf
from typing import NamedTuple

from ..record import Billing, Call, Outcome
from .ledger import OTHER
from .totals import ZERO, Totals, plus, summed

LABELS_CAP = 200
"""Models with labels of their own: each is a dozen series in Prometheus."""

TTFT_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
DURATION_SECONDS = (0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
"""Upper bounds of the buckets: from a cached title to an agent's long turn."""


class Labels(NamedTuple):
    """Labels of what is counted by model."""

    provider: str
    model: str
    billing: Billing


@dataclass(slots=True)
class Counted:
    """What is counted under one set of labels."""

    totals: Totals = ZERO
    outcomes: dict[Outcome, int] = field(default_factory=dict)
    """Calls by outcome."""


@dataclass(slots=True)
class Histogram:
    """Observations by bucket."""

    bounds: tuple[float, ...]
    counts: list[int]
    """One more than there are bounds: the last is for what is above them all."""
    total: float = 0.0
    """Sum of the observations, in seconds."""

    def observe(self, value: float) -> None:
        """Count one."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def cumulative(self) -> dict[float, int]:
        """Observations up to each bound, `inf` included, as Prometheus has them."""
        return dict(zip((*self.bounds, inf), accumulate(self.counts), strict=True))


class Counters:
    """Everything that is counted since the process began."""

    def __init__(self, cap: int = LABELS_CAP) -> None:
        self.by_model: dict[Labels, Counted] = {}
        self.coverage: Counter[str] = Counter()
        self.ttft: dict[str, Histogram] = {}
        """By provider."""
        self.duration: dict[str, Histogram] = {}
        """By provider."""
        self._cap = cap

    @property
    def totals(self) -> Totals:
        """Over all models."""
        return summed(counted.totals for counted in self.by_model.values())

    def add(self, call: Call, shares: Iterable[tuple[str, Totals]]) -> None:
        """Count one call, shared out over its models."""
        for model, share in shares:
            counted = self._counted(call.provider, model, call.billing)
            counted.totals = plus(counted.totals, share)
            if share.calls:
                counted.outcomes[call.outcome] = counted.outcomes.get(call.outcome, 0) + 1
        if call.ttft_ms is not None:
            _observe(self.ttft, call.provider, TTFT_SECONDS, call.ttft_ms)
        if call.duration_ms is not None:
            _observe(self.duration, call.provider, DURATION_SECONDS, call.duration_ms)

    def _counted(self, provider: str, model: str, billing: Billing) -> Counted:
        labels = Labels(provider, model, billing)
        counted = self.by_model.get(labels)
        if counted is None:
            if len(self.by_model) >= self._cap:
                labels = Labels(OTHER, OTHER, billing)
            counted = self.by_model.setdefault(labels, Counted())
        return counted


def _observe(histograms: dict[str, Histogram], provider: str, bounds: tuple[float, ...], milliseconds: float) -> None:
    histogram = histograms.get(provider)
    if histogram is None:
        histogram = histograms[provider] = Histogram(bounds, [0] * (len(bounds) + 1))
    histogram.observe(milliseconds / 1000)
