"""What the documents say agrees with the code."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest
from mitmproxy.test import taddons

from calls import NOON, a_call
from llmtally import formats
from llmtally.mitm import UsageAddon
from llmtally.pricing import Pricer
from llmtally.providers import PROVIDERS
from llmtally.record import LimitReading
from llmtally.schema import FIELDS, from_record
from llmtally.text.call_line import one_line
from llmtally.tracker import Tracker
from llmtally.web.metrics import Runtime, render
from provider_table import DOCUMENT, with_table
from record_table import DOCUMENT as RECORD
from record_table import with_tables

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"


def test_provider_table() -> None:
    """It is what `python tests/writers/provider_table.py` writes."""
    assert DOCUMENT.read_text() == with_table(DOCUMENT.read_text()), (
        "docs/providers.md is not up to date: run `python tests/writers/provider_table.py`"
    )


def test_record_tables() -> None:
    """They are what `python tests/writers/record_table.py` writes, and no field is missing."""
    document = RECORD.read_text()

    assert document == with_tables(document), (
        "docs/record.md is not up to date: run `python tests/writers/record_table.py`"
    )
    assert set(FIELDS) <= set(re.findall(r"^\| `(\w+)` ", document, re.MULTILINE))


async def options() -> set[str]:
    with taddons.context(UsageAddon()) as context:
        names = context.options.keys()
    return {name for name in names if name.startswith("usage_")}


@pytest.mark.parametrize("document", ["README.md", "CHANGELOG.md"])
def test_options(document: str) -> None:
    """Every option stands in the README and the changelog, and no other does."""
    named = set(re.findall(r"`(usage_\w+)", (ROOT / document).read_text()))

    assert named == asyncio.run(options())


def test_counts_in_the_changelog() -> None:
    """The changelog counts providers and formats as there are."""
    assert (
        f"{len(PROVIDERS)} providers in {len(formats.FORMATS)} wire formats"
        in (ROOT / "CHANGELOG.md").read_text()
    )


def test_the_example() -> None:
    """The README's record is one that can be read, its cost is what it costs, and the line above it
    is its line."""
    readme = README.read_text()
    example = re.search(r"```jsonc\n(.*?)```", readme, re.DOTALL)
    assert example is not None
    call = from_record(json.loads(re.sub(r"\s//.*", "", example.group(1))))

    assert (
        call.usage.total_tokens
        == json.loads(re.sub(r"\s//.*", "", example.group(1)))["total_tokens"]
    )
    assert Pricer().price(call).cost_usd == pytest.approx(call.cost_usd)
    assert f"\n{one_line(call)}\n" in readme


def test_metrics() -> None:
    """The README's table has every metric with all its labels, and no other."""
    tracker = Tracker()
    limits = (
        LimitReading("5h", "provider_native", utilization=4.0, resets_at=NOON + 60, name="fable"),
    )
    tracker.add(a_call()._replace(ttft_ms=10.0, duration_ms=100.0, limits=limits))
    burn, windows = tracker.gauges(NOON)
    text = render(tracker.counters, burn, windows, Runtime("1")).decode()
    shown = {name: labels_of(name, text) for name in re.findall(r"# HELP (\w+)", text)}
    rows = re.findall(r"^\| (`llmtally_.*?) \| (.*?) ?\|$", README.read_text(), re.MULTILINE)
    told = {
        name: set(re.findall(r"`(\w+)`", labels))
        for names, labels in rows
        for name in re.findall(r"`(\w+)`", names)
    }

    assert told == shown


def labels_of(name: str, text: str) -> set[str]:
    """The labels of a metric's samples, without the one that every histogram has."""
    samples = re.findall(rf"^{name}(?:_bucket)?\{{(.*)\}} \S+$", text, re.MULTILINE)
    return {label for labels in samples for label in re.findall(r'(\w+)="', labels)} - {"le"}


@pytest.mark.parametrize(
    "command",
    ["scripts/run", "scripts/test", "scripts/bench", "scripts/demo", "llmtally addon-path"],
)
def test_commands(command: str) -> None:
    """The commands the README names exist."""
    assert command in README.read_text()
    if command.startswith("scripts/"):
        assert (ROOT / command).stat().st_mode & 0o111
