"""The counters as Prometheus reads them: text format 0.0.4.

    # HELP llmtally_output_tokens_total All output, reasoning included.
    # TYPE llmtally_output_tokens_total counter
    llmtally_output_tokens_total{provider="anthropic",model="claude-opus-5-5",billing="api"} 1234

https://prometheus.io/docs/instrumenting/exposition_formats/ Counters count since the process began.
Labels are few: the tracker bounds the pairs of provider and model, and sessions, clients and
projects are no labels.

`prometheus_client` would write the same text in as many lines of code, but takes 38 ms instead of
11 for the 4,300 samples of a full state, on the loop that carries the traffic.
"""

from __future__ import annotations

import math
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from ..record import epoch
from ..system.parts import Parts
from ..tracker.counters import Counters, Histogram, cumulative
from ..tracker.prediction import BurnRate
from ..tracker.totals import UNKNOWN, Totals, usd

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

LABEL_CAP = 128
"""Characters of a label's value: names off the wire may be longer, names of real models are not."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """State of the process that the tracker does not know."""

    version: str
    """The version of llmtally, for a label."""
    stream_events: int = 0
    """Events of streams and frames of sockets that providers sent."""
    journal_healthy: bool = True
    journal_errors: int = 0
    """Failed attempts to write to the journal."""
    journal_lost: int = 0
    """Records that were never written."""
    journal_waiting: int = 0
    """Records that are not written yet."""
    journal_followed: bool = False
    """Whether other processes write the journal and this one only reads it."""
    reached_at: tuple[str, int] | None = None
    """Host and port that clients connect to; None if unknown."""
    ca: str | None = None
    """Path of the certificate that clients have to trust; None if unknown."""


Labels = Mapping[str, str | None]
Samples = Iterable[tuple[Labels, float]]

_TOKENS: tuple[tuple[str, str, Callable[[Totals], int]], ...] = (
    (
        "input_tokens",
        "Input tokens neither served from nor written to a cache.",
        lambda totals: totals.input_tokens,
    ),
    (
        "cache_read_tokens",
        "Input tokens served from a cache.",
        lambda totals: totals.cache_read_tokens,
    ),
    (
        "cache_write_tokens",
        "Input tokens written to a cache.",
        lambda totals: totals.cache_write_tokens,
    ),
    (
        "output_tokens",
        "All output tokens, reasoning included.",
        lambda totals: totals.output_tokens,
    ),
    (
        "reasoning_tokens",
        "The output tokens that are reasoning.",
        lambda totals: totals.reasoning_tokens,
    ),
    (
        "unpriced_calls",
        "Calls whose tokens are known and whose price is not.",
        lambda totals: totals.unpriced,
    ),
    ("uncounted_calls", "Calls whose tokens are unknown.", lambda totals: totals.uncounted),
)
"""One metric each, as the buckets are disjoint: their sum is the total."""


def render(
    counters: Counters, burn: BurnRate, windows: Iterable[Mapping[str, Any]], runtime: Runtime
) -> bytes:
    """Write all metrics but those that cannot be made. `windows` as in `/api/usage`."""
    families: dict[str, Callable[[], Iterable[str]]] = {
        "build": lambda: _build(runtime),
        "calls": lambda: _calls(counters),
        "histograms": lambda: _histograms(counters),
        "windows": lambda: _windows(list(windows)),
        "burn rate": lambda: _burn(burn),
        "runtime": lambda: _runtime(runtime),
    }
    parts, lines = Parts(), list[str]()
    for name, family in families.items():
        lines += parts.make(f"the metrics of {name}", partial(_listed, family), [])
    return "".join(lines).encode()


def _listed(family: Callable[[], Iterable[str]]) -> list[str]:
    return list(family())


def _build(runtime: Runtime) -> Iterator[str]:
    labels = {"version": runtime.version, "python": platform.python_version()}
    yield _family("build_info", "gauge", "1, with the versions in its labels.", [(labels, 1)])


def _calls(counters: Counters) -> Iterator[str]:
    by_model = [(labels._asdict(), totals) for labels, totals in counters.by_model.items()]
    yield _family(
        "calls_total",
        "counter",
        "Calls by outcome.",
        ((labels._asdict(), n) for labels, n in counters.calls.items()),
    )
    for name, text, value in _TOKENS:
        yield _family(
            f"{name}_total",
            "counter",
            text,
            ((labels, value(totals)) for labels, totals in by_model),
        )
    yield _family(
        "cost_usd_total",
        "counter",
        "US dollars. With billing=subscription it is what the API would have charged, not a bill.",
        ((labels, usd(totals.cost)) for labels, totals in by_model),
    )
    yield _family(
        "responses_total",
        "counter",
        "Responses of LLM routes by how they were parsed.",
        (({"coverage": bucket}, n) for bucket, n in counters.coverage.items()),
    )


def _histograms(counters: Counters) -> Iterator[str]:
    yield _histogram(
        "time_to_first_token_seconds", "From the request's end to the first content.", counters.ttft
    )
    yield _histogram(
        "call_duration_seconds", "From the request's end to the response's.", counters.duration
    )


def _windows(windows: list[Mapping[str, Any]]) -> Iterator[str]:
    def samples(field: str, convert: Callable[[Any], float]) -> Samples:
        for window in windows:
            if window[field] is not None:
                labels = {
                    "provider": window["provider"],
                    "account": window["account_key"] or UNKNOWN,
                    "key": window["key"],
                    "name": window["name"],
                    "source": window["source"],
                }
                yield labels, convert(window[field])

    yield _family(
        "limit_utilization_ratio",
        "gauge",
        "How full a limit window is; 1 is its limit.",
        samples("utilization", lambda pct: pct / 100),
    )
    yield _family(
        "limit_reset_timestamp_seconds",
        "gauge",
        "When a limit window resets.",
        samples("resets_at", epoch),
    )


def _burn(burn: BurnRate) -> Iterator[str]:
    rates = (
        ("tokens", "Tokens", burn.tokens),
        ("output_tokens", "Output tokens", burn.output_tokens),
        ("cost_usd", "US dollars, billed or not,", burn.cost_usd),
    )
    for name, what, value in rates:
        yield _family(
            f"burn_{name}_per_minute",
            "gauge",
            f"{what} per minute over the last hour.",
            [({}, value)],
        )


def _runtime(runtime: Runtime) -> Iterator[str]:
    yield _family(
        "stream_events_total",
        "counter",
        "Events of streams and frames of sockets that providers sent.",
        [({}, runtime.stream_events)],
    )
    yield _family(
        "journal_errors_total",
        "counter",
        "Failed attempts to write to the journal.",
        [({}, runtime.journal_errors)],
    )
    yield _family(
        "journal_lost_records_total",
        "counter",
        "Records that were never written.",
        [({}, runtime.journal_lost)],
    )
    yield _family(
        "journal_waiting_records",
        "gauge",
        "Records that are not written yet.",
        [({}, runtime.journal_waiting)],
    )


def _family(name: str, kind: Literal["counter", "gauge"], text: str, samples: Samples) -> str:
    name = f"llmtally_{name}"
    lines = Parts().make(name, lambda: _lines(name, samples, adds_up=kind == "counter"), None)
    return "" if lines is None else _head(name, kind, text) + lines


def _histogram(name: str, text: str, by_provider: Mapping[str, Histogram]) -> str:
    name = f"llmtally_{name}"
    by_labels = [({"provider": provider}, histogram) for provider, histogram in by_provider.items()]
    buckets = (
        ({**labels, "le": _number(bound)}, count)
        for labels, histogram in by_labels
        for bound, count in cumulative(histogram).items()
    )
    return (
        _head(name, "histogram", text)
        + _lines(f"{name}_bucket", buckets)
        + _lines(f"{name}_sum", ((labels, histogram.total) for labels, histogram in by_labels))
        + _lines(
            f"{name}_count", ((labels, sum(histogram.counts)) for labels, histogram in by_labels)
        )
    )


def _head(name: str, kind: str, text: str) -> str:
    return f"# HELP {name} {text}\n# TYPE {name} {kind}\n"


def _lines(name: str, samples: Samples, *, adds_up: bool = True) -> str:
    """Write samples. No two may have the same labels, so counters whose names became equal by
    cutting are added up."""
    merged: dict[str, float] = {}
    for labels, value in samples:
        key = _labels(labels)
        merged[key] = merged.get(key, 0) + value if adds_up else value
    return "".join(f"{name}{labels} {_number(value)}\n" for labels, value in merged.items())


def _labels(labels: Labels) -> str:
    pairs = [f'{name}="{_escaped(value)}"' for name, value in labels.items() if value]
    return f"{{{','.join(pairs)}}}" if pairs else ""


def _escaped(value: str) -> str:
    """Escape and cut a label's value. Control characters, line ends included, become replacement
    characters."""
    plain = value[:LABEL_CAP]
    if not plain.isprintable():
        plain = "".join(
            char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in plain
        )
    return plain.replace("\\", r"\\").replace('"', r"\"")


def _number(value: float) -> str:
    return "+Inf" if value == math.inf else str(value)
