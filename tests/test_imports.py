"""The house stands as CONTRIBUTING.md draws it: who may import whom."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import llmtally

PACKAGE = Path(llmtally.__file__ or "").parent

FLOORS = (
    {"llmtally", "record", "redact"},
    {"schema", "text", "system", "wire"},
    {"formats"},
    {"providers", "attribution", "limits"},
    {"pricing"},
    {"exchange", "journal", "tracker"},
    {"report", "web"},
    {"tally"},
    {"mitm"},
    {"cli", "__main__"},
)
"""From the ground up. A module imports from floors below, or from its own without going in
circles."""

ONLY_IMPORTERS = {
    "mitmproxy": ("mitm",),
    "tornado": ("web.server",),
    "genai_prices": ("pricing.catalogue",),
    "duckdb": ("report",),
    "psutil": ("system",),
    "msgspec": (
        "schema",
        "wire.json_members",
        "wire.json_skim",
        "tally.observations",
        "tally.protocol",
    ),
}

TOP = {
    *("record.py", "schema.py", "providers.py", "redact.py"),
    *("wire", "formats", "exchange", "attribution", "limits", "pricing", "journal", "tracker"),
    *("report", "web", "text", "system", "mitm", "tally", "cli"),
}
"""All that stands at the top of the package: what is new belongs into one of these."""

TESTS = PACKAGE.parents[1] / "tests"
NO_MODULE_FOLDERS = {"end_to_end", "support", "demo", "writers", "captures"}
"""Folders of tests that are not named after a folder of the package."""
WHOLE_REPOSITORY = {"docs", "imports", "scripts"}
"""Tests at the top that are not named after a module."""

HEAVY = {*ONLY_IMPORTERS, "orjson", "asyncio", "pydantic"}


def modules() -> dict[str, Path]:
    """Dotted names below the package (`formats.gemini`; a package's `__init__` is the package) and
    their files."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__") or "llmtally"] = path
    return found


def imported(name: str, path: Path) -> Iterator[str]:
    """Absolute dotted names of what a module imports, wherever in it the import stands."""
    package = (
        ["llmtally", *name.split(".")]
        if path.name == "__init__.py" and name != "llmtally"
        else ["llmtally", *name.split(".")[:-1]]
    )
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            base = base + (node.module.split(".") if node.module else [])
            yield from (".".join([*base, alias.name]) for alias in node.names)


@cache
def house() -> dict[str, set[str]]:
    """For every module, the modules of the package that it imports."""
    known = modules()

    def resolve(dotted: str) -> str | None:
        """The module behind `llmtally.record.Usage`: the longest name that is one."""
        parts = dotted.split(".")[1:]
        while parts and ".".join(parts) not in known:
            parts.pop()
        return ".".join(parts) or "llmtally"

    return {
        name: {
            target
            for dotted in imported(name, path)
            if dotted.split(".")[0] == "llmtally" and (target := resolve(dotted))
        }
        for name, path in known.items()
    }


def floor(name: str) -> int:
    """The number of a module's floor; above all others if it has none, which is a separate
    failure."""
    top = name.split(".")[0]
    return next((number for number, names in enumerate(FLOORS) if top in names), len(FLOORS))


def test_every_module_has_a_floor() -> None:
    """A new module is given its place above, and in the table of CONTRIBUTING.md."""
    assert {name.split(".")[0] for name in modules()} <= set().union(*FLOORS)


def test_what_stands_at_the_top() -> None:
    """The package has nineteen entries, besides its own files and what Python leaves there."""
    found = {path.name for path in PACKAGE.iterdir()}

    assert found - {"__init__.py", "__main__.py", "__pycache__"} == TOP


def test_every_folder_says_what_it_is() -> None:
    """Each folder of the package has an `__init__` with a docstring."""
    folders = {path.parent for path in PACKAGE.rglob("*.py")}

    assert [
        str(folder.relative_to(PACKAGE))
        for folder in sorted(folders)
        if not (folder / "__init__.py").exists()
        or not ast.get_docstring(ast.parse((folder / "__init__.py").read_bytes()))
    ] == []


def test_a_test_stands_where_its_module_leads() -> None:
    """Tests are in a folder of the name that the package's has, or at the top if they are of a
    module there or of the whole repository."""
    folders = {name for name in TOP if not name.endswith(".py")} | NO_MODULE_FOLDERS
    at_top = {name.removesuffix(".py") for name in TOP} | WHOLE_REPOSITORY
    paths = [path.relative_to(TESTS) for path in TESTS.rglob("test_*.py")]

    assert [
        str(path)
        for path in sorted(paths)
        if path.parts[0] not in folders
        and not (len(path.parts) == 1 and path.stem.removeprefix("test_") in at_top)
    ] == []


def test_every_test_says_the_rule_it_proves() -> None:
    """Its docstring is the rule."""
    tests = [
        (path.name, node.name, ast.get_docstring(node))
        for path in TESTS.rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if node.name.startswith("test_")
    ]

    assert [(file, test) for file, test, rule in tests if not rule] == []


@pytest.mark.parametrize("name", sorted(modules()))
def test_imports_point_down(name: str) -> None:
    """No module imports from a floor above its own."""
    assert [target for target in house()[name] if floor(target) > floor(name)] == []


def test_imports_do_not_go_in_circles() -> None:
    """Modules of one floor may use each other in one direction."""
    TopologicalSorter({name: targets - {name} for name, targets in house().items()}).prepare()


@pytest.mark.parametrize(("library", "only"), ONLY_IMPORTERS.items())
def test_a_library_is_known_in_one_place(library: str, only: tuple[str, ...]) -> None:
    """What may change under us, or is heavy, is imported by one module or package, msgspec by
    five."""
    importers = {
        name
        for name, path in modules().items()
        if library in {dotted.split(".")[0] for dotted in imported(name, path)}
    }

    assert [
        name
        for name in importers
        if not any(name == one or name.startswith(f"{one}.") for one in only)
    ] == []


def test_windows_is_refused() -> None:
    """In one sentence that names the cure, before anything else can fail."""
    program = "import os; os.name = 'nt'; import llmtally"
    said = subprocess.run(
        [sys.executable, "-c", program],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=False,
    )

    assert said.returncode == 1
    assert "WSL" in said.stderr.splitlines()[-1]


@pytest.mark.parametrize("name", ["llmtally", "llmtally.cli.main", "llmtally.cli.statusline"])
def test_starting_costs_nothing(name: str) -> None:
    """Importing the package, or the command line for `--version`, loads none of the big
    libraries."""
    script = f"import sys, {name}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=PACKAGE.parent,
    ).stdout

    assert HEAVY & set(loaded.split()) == set()
