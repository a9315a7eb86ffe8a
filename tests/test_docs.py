"""What the documents say agrees with the code. The screens in them: `tests/cli/test_screens.py`."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from pathlib import Path

import click
import pytest
from mitmproxy.test import taddons

from calls import NOON, a_call
from llmtally.cli.main import main
from llmtally.mitm import UsageAddon
from llmtally.pricing import Pricer
from llmtally.record import LimitReading
from llmtally.schema import FIELDS, from_line
from llmtally.tracker import Tracker
from llmtally.web import app
from llmtally.web.metrics import Runtime, render
from provider_table import DOCUMENT as PROVIDERS
from provider_table import with_table
from record_table import DOCUMENT as RECORD
from record_table import with_tables
from test_imports import PACKAGE, floor

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
COMMANDS = ROOT / "docs" / "commands.md"
OPTIONS = ROOT / "docs" / "options.md"
API = ROOT / "docs" / "api-and-metrics.md"

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])

README_WORDS = 900
"""As `wc -w` counts. What is longer belongs in docs/, where people look for one thing."""

FIRST_SCREEN = 40
"""Lines that a person sees before scrolling."""


def named(documents: list[Path]) -> list[object]:
    return [pytest.param(path, id=path.name) for path in documents]


def blocks(path: Path, language: str) -> list[str]:
    """What stands in a document's blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text(), re.MULTILINE | re.DOTALL)


def table(path: Path, heading: str) -> list[list[str]]:
    """The rows of the table that begins with this heading, as cells."""
    found = re.search(
        rf"^\| {heading} \|.*\n\|[-|]+\n((?:\|.*\n)+)", path.read_text(), re.MULTILINE
    )
    assert found is not None, f"{path.name} has no table of {heading}"
    return [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]]
        for row in found.group(1).splitlines()
    ]


def words(text: str) -> list[str]:
    """The texts between backticks."""
    return re.findall(r"`([^`]+)`", text)


def test_the_readme_is_short() -> None:
    """A stranger reads all of it."""
    assert len(README.read_text().split()) <= README_WORDS


@pytest.mark.parametrize(
    "command",
    [
        "scripts/run",
        "llmtally run -- claude",
        "llmtally page",
        "llmtally reconcile --since yesterday",
    ],
)
def test_the_first_screen(command: str) -> None:
    """It answers what an agent is spending now, and what burned it yesterday."""
    assert command in "\n".join(README.read_text().splitlines()[:FIRST_SCREEN])


def test_commands() -> None:
    """README has a line for each command, docs/commands.md a section."""
    commands = set(main.list_commands(click.Context(main)))
    lines = {words(row[0])[0] for row in table(README, "command")}
    sections = set(re.findall(r"^## ([\w-]+)$", COMMANDS.read_text(), re.MULTILINE))

    assert {line.split()[1] for line in lines if line.startswith("llmtally")} == commands - {
        "addon-path"
    }
    assert sections == commands
    assert {"scripts/run", "scripts/test", "scripts/demo"} <= lines


def examples() -> list[object]:
    """The commands of llmtally in the documents' blocks."""
    found = {
        line: path.name
        for path in DOCUMENTS
        for language, prompt in (("sh", ""), ("", r"\$ "))
        for block in blocks(path, language)
        for line in re.findall(rf"^{prompt}(llmtally .*)$", block, re.MULTILINE)
    }
    return [pytest.param(line, id=f"{name}: {line}") for line, name in found.items()]


@pytest.mark.parametrize("line", examples())
def test_an_example_is_understood(line: str) -> None:
    """Its command, options and their values exist."""
    _, name, *arguments = shlex.split(re.split(r" [>|] ", line)[0], comments=True)
    context = click.Context(main)
    command = main.get_command(context, name)

    assert command is not None
    command.make_context(name, arguments, parent=context)


@pytest.mark.parametrize("path", named(DOCUMENTS))
def test_files_exist(path: Path) -> None:
    """Those of this repository that a document names, and scripts can be run."""
    places = re.findall(
        r"(?<![\w/.])(?:addon|bench|demo|docs|scripts|tests|\.ci)/[\w./-]*\w(?!\w*[<*{])",
        path.read_text(),
    )

    assert [place for place in places if not (ROOT / place).exists()] == []
    assert [
        place
        for place in places
        if re.fullmatch(r"scripts/[a-z]+", place) and not (ROOT / place).stat().st_mode & 0o111
    ] == []


@pytest.mark.parametrize("path", named(DOCUMENTS))
def test_links_lead_somewhere(path: Path) -> None:
    """Each link within this repository: its file, and the heading after `#`."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    links = [
        *re.findall(r"\]\(([^)\s]+)\)", text),
        *re.findall(r"(?:src|srcset|href)=\"([^\"]+)\"", text),
    ]

    assert [link for link in links if "://" not in link and not leads_somewhere(path, link)] == []


def leads_somewhere(path: Path, link: str) -> bool:
    file, _, anchor = link.partition("#")
    target = path.parent / file if file else path
    return target.exists() and (not anchor or anchor in anchors(target))


def anchors(path: Path) -> set[str]:
    """As GitHub makes them: lower case, spaces as hyphens, without punctuation."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    }


def test_provider_table() -> None:
    """It is what `python tests/writers/provider_table.py` writes."""
    assert PROVIDERS.read_text() == with_table(PROVIDERS.read_text()), (
        "docs/providers.md is not up to date: run `python tests/writers/provider_table.py`"
    )


def test_record_tables() -> None:
    """They are what `python tests/writers/record_table.py` writes, and no field is missing."""
    document = RECORD.read_text()

    assert document == with_tables(document), (
        "docs/record.md is not up to date: run `python tests/writers/record_table.py`"
    )
    assert set(FIELDS) <= set(re.findall(r"^\| `(\w+)` ", document, re.MULTILINE))


def test_the_example() -> None:
    """The record in docs/record.md is one that can be read, and its cost is what it costs."""
    (example,) = blocks(RECORD, "jsonc")
    line = re.sub(r"\s//.*", "", example)
    record, call = json.loads(line), from_line(line.encode())

    assert call.usage.total_tokens == record["total_tokens"]
    assert Pricer().price(call).cost_usd == pytest.approx(call.cost_usd)


async def defaults() -> dict[str, str]:
    """The addon's options and their defaults, as a person types them."""
    with taddons.context(UsageAddon()) as context:
        return {
            name: str(option.default).lower()
            for name, option in context.options.items()
            if name.startswith("usage_")
        }


def test_options() -> None:
    """docs/options.md has every option with its default, and no other."""
    told = {words(row[0])[0]: "".join(words(row[1])) for row in table(OPTIONS, "option")}
    declared = asyncio.run(defaults())

    assert told == {name: "" if value == "[]" else value for name, value in declared.items()}


@pytest.mark.parametrize("path", named(DOCUMENTS))
def test_options_that_are_named_exist(path: Path) -> None:
    """No document speaks of an option that there is not."""
    assert set(re.findall(r"\busage_[a-z_]+", path.read_text())) <= {
        *asyncio.run(defaults()),
        "usage_record",
    }


@pytest.mark.parametrize("example", blocks(OPTIONS, "json"))
def test_price_files(example: str, tmp_path: Path) -> None:
    """Each of the shapes in docs/options.md is read, and its model has that price."""
    file = tmp_path / "prices.json"
    file.write_text(example)
    entries = json.loads(example)
    ((key, _),) = entries.get("rates_usd_per_million", entries).items()
    provider, _, model = key.partition("/")
    call = a_call(provider=provider.removesuffix("_ai"), model=model, host="127.0.0.1")
    pricer = Pricer(override_path=file)

    assert pricer.reload_if_changed() is None
    assert pricer.price(call).source == "override"


def test_paths() -> None:
    """docs/api-and-metrics.md has every path of the page's API, with the parameters that `app`
    documents, and every filter of calls."""
    told = {
        words(row[0])[0].partition("?")[0]: set(re.findall(r"(\w+)=", row[0]))
        for row in table(API, "path")
    }
    documented = re.findall(
        r"^\| `(/(?:api|metrics|healthz)[^`?]*)(?:\?([^`]*))?`", app.__doc__ or "", re.MULTILINE
    )

    assert told == {path: set(re.findall(r"(\w+)=", query)) for path, query in documented}
    assert set(app.FILTERS) <= set(
        words(dict(zip(told, table(API, "path"), strict=True))["/api/calls"][1])
    )


def test_metrics() -> None:
    """docs/api-and-metrics.md has every metric with all its labels, and no other."""
    tracker = Tracker()
    limits = (
        LimitReading("5h", "provider_native", utilization=4.0, resets_at=NOON + 60, name="fable"),
    )
    tracker.add(a_call()._replace(ttft_ms=10.0, duration_ms=100.0, limits=limits))
    burn, windows = tracker.gauges(NOON)
    text = render(tracker.counters, burn, windows, Runtime("1")).decode()
    shown = {name: labels_of(name, text) for name in re.findall(r"# HELP (\w+)", text)}
    told = {
        name: set(words(labels)) for names, labels in table(API, "metric") for name in words(names)
    }

    assert told == shown


def labels_of(name: str, text: str) -> set[str]:
    """The labels of a metric's samples, without the one that every histogram has."""
    samples = re.findall(rf"^{name}(?:_bucket)?\{{(.*)\}} \S+$", text, re.MULTILINE)
    return {label for labels in samples for label in re.findall(r'(\w+)="', labels)} - {"le"}


def test_the_rooms() -> None:
    """CONTRIBUTING.md names every entry of the package, from the top floor down."""
    rooms = [
        words(row[0])[0].rstrip("/").removesuffix(".py")
        for row in table(CONTRIBUTING, "in addon/llmtally")
    ]
    entries = {
        path.stem
        for path in PACKAGE.iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    } - {"__init__"}

    assert sorted(rooms) == sorted(entries)
    assert [floor(room) for room in rooms] == sorted(map(floor, rooms), reverse=True)
