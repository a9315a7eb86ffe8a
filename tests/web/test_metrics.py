"""The Prometheus text: its grammar whatever came off the wire, and its numbers. test_prometheus.py
has a real one read it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtally.record import Attribution, Call, LimitReading, Usage, epoch
from llmtally.tracker import Tracker
from llmtally.tracker.counters import LABELS_CAP
from llmtally.web.metrics import LABEL_CAP, Runtime, render
from web_server import made_up_calls

NOW = 1_790_000_000.0

NAME = "[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? (\S+)")

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def parse(text: bytes) -> Samples:
    """What the text says, by name and labels. Fails where it breaks the rules of the format."""
    samples: Samples = {}
    types: dict[str, str] = {}
    assert text.endswith(b"\n")
    for line in text.decode().removesuffix("\n").split("\n"):
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in types
            types[name] = kind
        elif not line.startswith("# HELP "):
            match = SAMPLE.fullmatch(line)
            assert match, line
            name, labels, value = match.groups()
            family = next(
                each for each in (name, re.sub("_(bucket|sum|count)$", "", name)) if each in types
            )
            assert family == list(types)[-1], "a family stands together"
            assert (types[family] == "counter") == name.endswith("_total")
            pairs = re.findall(LABEL, labels or "")
            key = (
                name,
                frozenset(
                    (pair.partition("=")[0], _unescaped(pair.partition("=")[2][1:-1]))
                    for pair in pairs
                ),
            )
            assert key not in samples, "two samples with the same labels"
            samples[key] = float(value)
    return samples


def _unescaped(value: str) -> str:
    return re.sub(r"\\(.)", lambda match: {"n": "\n"}.get(match[1], match[1]), value)


def metrics(tracker: Tracker, runtime: Runtime | None = None) -> Samples:
    burn, windows = tracker.gauges(NOW)
    return parse(render(tracker.counters, burn, windows, runtime or Runtime("1.2.3")))


def value(samples: Samples, name: str, /, **labels: str) -> float:
    """The one sample of this name that has these labels, and perhaps others."""
    (found,) = [
        number
        for (each, pairs), number in samples.items()
        if each == f"llmtally_{name}" and labels.items() <= set(pairs)
    ]
    return found


def call(**changes: Any) -> Call:
    return made_up_calls(1, NOW, 60.0)[0]._replace(
        **{
            "provider": "anthropic",
            "model": "claude-opus-5-5",
            "billing": "api",
            "outcome": "complete",
            "coverage": "priced",
            "usage": Usage(
                input_tokens=1,
                cache_read_tokens=20,
                cache_write_tokens=300,
                output_tokens=4_000,
                reasoning_tokens=50,
            ),
            "cost_usd": 0.125,
            "ttft_ms": 300.0,
            "duration_ms": 4_000.0,
            **changes,
        }
    )


def tracker_of(*calls: Call) -> Tracker:
    tracker = Tracker()
    for each in calls:
        tracker.add(each)
    return tracker


def test_each_bucket_is_a_metric_of_its_own() -> None:
    """Tokens by bucket, money and calls, labelled with provider, model and billing or outcome."""
    samples = metrics(
        tracker_of(
            call(),
            call(request_id="2"),
            call(request_id="3", billing="subscription", outcome="incomplete"),
        )
    )

    for name, tokens in (
        ("input", 2),
        ("cache_read", 40),
        ("cache_write", 600),
        ("output", 8_000),
        ("reasoning", 100),
    ):
        assert (
            value(
                samples,
                f"{name}_tokens_total",
                provider="anthropic",
                model="claude-opus-5-5",
                billing="api",
            )
            == tokens
        )
    assert value(samples, "cost_usd_total", billing="api") == 0.25
    assert value(samples, "cost_usd_total", billing="subscription") == 0.125
    assert value(samples, "calls_total", outcome="complete") == 2
    assert value(samples, "calls_total", outcome="incomplete") == 1


def test_what_is_not_known_is_counted() -> None:
    """A cost of 0 for lack of a price shows up as unpriced calls; responses by coverage show the
    rest."""
    tracker = tracker_of(
        call(cost_usd=None, coverage="unpriced"),
        call(usage=Usage(), cost_usd=None, coverage="no_usage"),
    )
    tracker.count_coverage("bypassed", at=NOW)
    samples = metrics(tracker)

    assert value(samples, "unpriced_calls_total") == 1
    assert value(samples, "uncounted_calls_total") == 1
    assert [
        value(samples, "responses_total", coverage=bucket)
        for bucket in ("unpriced", "no_usage", "bypassed")
    ] == [1, 1, 1]


def test_windows() -> None:
    """Utilization as a ratio and the reset as epoch seconds, by provider, account and key; a pool
    of a model has its name."""
    readings = (
        LimitReading(
            "5h", "provider_native", utilization=37.5, resets_at=NOW + 3_600, window_seconds=18_000
        ),
        LimitReading("requests", "provider_api_rate_limit", utilization=10.0, resets_at=NOW + 60),
        LimitReading(
            "7d",
            "provider_native",
            utilization=None,
            resets_at=NOW + 86_400,
            window_seconds=604_800,
        ),
    )
    tracker = tracker_of(
        call(limits=readings, started=NOW - 10, attribution=Attribution(account="0123456789ab"))
    )
    tracker.add_limits(readings[:1], provider="anthropic", account=None, at=NOW)
    samples = metrics(tracker)

    assert (
        value(
            samples,
            "limit_utilization_ratio",
            key="5h",
            account="0123456789ab",
            provider="anthropic",
        )
        == 0.375
    )
    assert value(samples, "limit_utilization_ratio", key="5h", account="unknown") == 0.375
    assert value(
        samples, "limit_utilization_ratio", key="requests", name="claude-opus-5-5"
    ) == pytest.approx(0.1)
    assert value(samples, "limit_reset_timestamp_seconds", key="7d") == NOW + 86_400
    assert not [
        1
        for (name, labels) in samples
        if name == "llmtally_limit_utilization_ratio" and ("key", "7d") in labels
    ]


def test_burn_rate() -> None:
    """The burn rate is that of `/api/usage`."""
    tracker = tracker_of(*made_up_calls(50, NOW, 3_000.0))
    samples, burn = metrics(tracker), tracker.usage(NOW)["burn_rate"]

    assert value(samples, "burn_tokens_per_minute") == burn["tokens_per_minute"] > 0
    assert value(samples, "burn_output_tokens_per_minute") == burn["output_tokens_per_minute"]
    assert value(samples, "burn_cost_usd_per_minute") == burn["cost_usd_per_minute"]


def test_histograms() -> None:
    """Buckets are cumulative up to +Inf, which is the count; times are in seconds."""
    calls = [
        call(request_id=f"{n}", ttft_ms=ttft, duration_ms=1_000_000.0)
        for n, ttft in enumerate((50.0, 100.0, 300.0, 90_000.0))
    ]
    samples = metrics(tracker_of(*calls))
    bounds = ("0.1", "0.25", "0.5", "1.0", "60.0", "+Inf")

    assert [value(samples, "time_to_first_token_seconds_bucket", le=bound) for bound in bounds] == [
        2,
        2,
        3,
        3,
        3,
        4,
    ]
    assert value(samples, "time_to_first_token_seconds_sum", provider="anthropic") == pytest.approx(
        90.45
    )
    assert value(samples, "time_to_first_token_seconds_count") == 4
    assert value(samples, "call_duration_seconds_bucket", le="600.0") == 0
    assert value(samples, "call_duration_seconds_bucket", le="+Inf") == 4


def test_the_process_itself() -> None:
    """Versions, events and the state of the journal."""
    runtime = Runtime(
        "1.2.3", stream_events=10**17, journal_errors=2, journal_lost=3, journal_waiting=4
    )
    samples = metrics(Tracker(), runtime)

    assert value(samples, "build_info", version="1.2.3") == 1
    assert value(samples, "stream_events_total") == 10**17
    assert value(samples, "journal_errors_total") == 2
    assert value(samples, "journal_lost_records_total") == 3
    assert value(samples, "journal_waiting_records") == 4


def test_restored_calls_are_not_counted_again() -> None:
    """Counters are of this process: what a restart reads back was counted by the process before."""
    tracker = Tracker()
    tracker.add(call(), restored=True)

    assert not [name for name, _ in metrics(tracker) if name == "llmtally_calls_total"]


HOSTILE = (
    '<script>alert(1)</script>"} 1\n',
    "\x1b[31mred\x07",
    "back\\slash\\",
    'quote"',
    "\u202eevil",
    "half \ud800",
    "x" * 2**20,
    "",
    "#",
)


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: ascii(name[:20]))
def test_hostile_names(name: str) -> None:
    """A name can neither end its label, nor its line, nor be long, nor make a terminal do
    anything."""
    readings = (
        LimitReading(
            "requests", "provider_api_rate_limit", utilization=1.0, resets_at=NOW + 60, name=name
        ),
    )
    tracker = tracker_of(call(model=name, limits=readings, started=NOW))
    burn, windows = tracker.gauges(NOW)
    text = render(tracker.counters, burn, windows, Runtime("1.2.3"))
    samples = parse(text)

    assert value(samples, "output_tokens_total") == 4_000
    assert value(samples, "limit_utilization_ratio") == 0.01
    assert len(text) < 20_000
    assert all(char.isprintable() for char in text.decode() if char != "\n")


@given(st.lists(st.tuples(st.text(max_size=200), st.text(max_size=200)), max_size=8))
def test_any_names(pairs: list[tuple[str, str]]) -> None:
    """Whatever providers and models are called, the text keeps to the grammar and no call is
    lost."""
    calls = [
        call(request_id=f"{n}", provider=provider, model=model)
        for n, (provider, model) in enumerate(pairs)
    ]
    samples = metrics(tracker_of(*calls))

    for name in ("calls_total", "time_to_first_token_seconds_count"):
        assert sum(
            number for (each, _), number in samples.items() if each == f"llmtally_{name}"
        ) == len(pairs)


def test_names_that_are_cut_to_the_same_are_added_up() -> None:
    """Prometheus takes one sample for each set of labels."""
    samples = metrics(
        tracker_of(call(model="m" * LABEL_CAP + "1"), call(model="m" * LABEL_CAP + "2"))
    )

    assert value(samples, "calls_total", model="m" * LABEL_CAP) == 2
    assert value(samples, "output_tokens_total", model="m" * LABEL_CAP) == 8_000


def test_a_million_models_are_few_series() -> None:
    """Labels are bounded: names beyond the cap are `other`, and their counts are kept."""
    tracker = tracker_of(
        *(call(request_id=f"{n}", model=f"model-{n}") for n in range(2 * LABELS_CAP))
    )
    samples = metrics(tracker)
    calls = {
        labels: number
        for (name, labels), number in samples.items()
        if name == "llmtally_calls_total"
    }

    assert len(calls) == LABELS_CAP + 1
    assert sum(calls.values()) == 2 * LABELS_CAP
    assert value(samples, "calls_total", model="other") == LABELS_CAP


def test_windows_are_those_of_the_page() -> None:
    """Only windows that `/api/usage` shows are reported."""
    tracker = tracker_of(*made_up_calls(50, NOW, 3_600.0))
    shown = tracker.usage(NOW)["windows"]
    samples = metrics(tracker)
    told = {
        dict(labels)["key"]: number
        for (name, labels), number in samples.items()
        if name == "llmtally_limit_reset_timestamp_seconds"
    }

    assert told == {window["key"]: epoch(str(window["resets_at"])) for window in shown}
