"""The arithmetic: medians, because neighbours on the machine make outliers in one direction
only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


def quantile(values: Sequence[float], q: float) -> float:
    """The value that a share `q` of all values is below."""
    ordered = sorted(values)
    return ordered[min(int(q * len(ordered)), len(ordered) - 1)]


def spread(values: Sequence[float]) -> float:
    """Half of the interquartile range: the usual distance of a value from the median."""
    return (quantile(values, 0.75) - quantile(values, 0.25)) / 2


@dataclass(frozen=True, slots=True)
class Difference:
    """By how many percent one thing exceeds another, measured in pairs, one right after the
    other."""

    percent: float
    """The median over all pairs."""
    spread: float
    """Half of the interquartile range of the pairs."""

    def __str__(self) -> str:
        return f"{self.percent:+.1f} ±{self.spread:.1f}"


def difference(measured: Sequence[float], baseline: Sequence[float]) -> Difference:
    """Compare pair by pair, so that what slows the machine down for a while slows both."""
    percents = [100 * (one / other - 1) for one, other in zip(measured, baseline, strict=True)]
    return Difference(median(percents), spread(percents))


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times as much one thing is as another, measured in pairs, one right after the
    other."""

    times: float
    """The median over all pairs."""
    spread: float
    """Half of the interquartile range of the pairs."""

    def __str__(self) -> str:
        return f"{self.times:.2f} ±{self.spread:.2f}"


def ratio(measured: Sequence[float], baseline: Sequence[float]) -> Ratio:
    """Compare pair by pair, so that what slows the machine down for a while slows both."""
    times = [one / other for one, other in zip(measured, baseline, strict=True)]
    return Ratio(median(times), spread(times))
