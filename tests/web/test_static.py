"""The page's files hold to their rules; `tests/browser` says what the page does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import llmtally
from llmtally.web.app import SECURITY_HEADERS
from llmtally.web.assets import load_assets

STATIC = Path(llmtally.__file__ or "").parent / "web" / "static"
FILES = {path.name: path.read_text() for path in STATIC.iterdir()}
SCRIPTS = [name for name in FILES if name.endswith(".js")]

STYLES = [name for name in FILES if name.endswith(".css")]

FIRST_PAINT_BYTES = 40_000
"""As served, compressed: with the JSON, the first paint takes less than 100 kB in total.
`tests/browser` looks at the whole."""

MARKUP = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|\beval\(|new Function|javascript:"
)
"""All ways for text off the wire to become markup or code."""

STATIC_IMPORT = re.compile(r'^import .*?from "\./([\w.]+)";', re.MULTILINE)
LATE_IMPORT = re.compile(r'import\("\./([\w.]+)"\)')


def eager(name: str = "app.js") -> set[str]:
    """A module, and all modules that are loaded before it runs."""
    found = {name}
    waiting = [name]
    while waiting:
        for imported in STATIC_IMPORT.findall(FILES[waiting.pop()]):
            if imported not in found:
                found.add(imported)
                waiting.append(imported)
    return found


@pytest.mark.parametrize("name", SCRIPTS)
def test_names_off_the_wire_stay_text(name: str) -> None:
    """No script makes markup or code of a string."""
    assert MARKUP.findall(FILES[name]) == []


def test_the_policy_is_kept() -> None:
    """The policy forbids what is inline, so the document has no such script, style or handler."""
    policy = dict(SECURITY_HEADERS)["Content-Security-Policy"]
    document = FILES["index.html"]

    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert re.findall(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", document) == []


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_fetched_from_elsewhere(name: str) -> None:
    """No file names another host as a source."""
    assert (
        re.findall(
            r"""(?:src=|href=|url\(|from |import\(|import |fetch\(|@import )\s*["'`]?(?:https?:)?//""",
            FILES[name],
        )
        == []
    )


def test_every_file_is_used() -> None:
    """What a module imports exists, and no file is unused."""
    late = {found for name in SCRIPTS for found in LATE_IMPORT.findall(FILES[name])}
    modules = set().union(*(eager(name) for name in {"app.js", *late}))
    others = set(re.findall(r'(?:src|href)="([\w.]+)"', FILES["index.html"]))
    others |= {found for name in SCRIPTS for found in re.findall(r'href: "([\w.]+)"', FILES[name])}

    assert modules | others | {"index.html"} == set(FILES)


def test_every_place_exists() -> None:
    """Places that scripts write to by id are in the document, once."""
    ids = re.findall(r'\bid="([\w-]+)"', FILES["index.html"])
    wanted = {
        found
        for name in SCRIPTS
        for found in re.findall(r'(?:getElementById|byId)\("([\w-]+)"\)', FILES[name])
    }

    assert len(wanted) > 15
    assert wanted <= set(ids)
    assert len(ids) == len(set(ids))


def test_the_first_paint_is_small() -> None:
    """What is loaded before anything is seen is small, and it is all that is loaded then."""
    needed = eager() | {"index.html", "app.css", "favicon.svg"}
    served = load_assets()
    sizes = [served["/" if name == "index.html" else f"/{name}"] for name in needed]

    assert sum(len(asset.compressed or asset.body) for asset in sizes) < FIRST_PAINT_BYTES
    assert not needed & {
        "session_drawer.js",
        "call_drawer.js",
        "tables_drawer.js",
        "breakdown_drawer.js",
        "drawer.css",
        "empty.js",
    }


def test_colours_are_defined() -> None:
    """Every custom property that is used is set somewhere: in a style sheet, or by a script that
    draws."""
    styles = "".join(FILES[name] for name in STYLES)
    set_here = set(re.findall(r"(--[\w-]+)\s*:", styles))
    set_by_scripts = {
        found for name in SCRIPTS for found in re.findall(r'"(--[\w-]+)"', FILES[name])
    }
    used = set(re.findall(r"var\((--[\w-]+)", styles))

    assert used <= set_here | set_by_scripts


def test_words_are_not_the_browsers() -> None:
    """Only numbers, money and dates are formatted as the browser's locale has it; words and units
    are the page's own."""
    formats = {found for name in SCRIPTS for found in re.findall(r"Intl\.(\w+)", FILES[name])}

    assert formats == {"NumberFormat", "DateTimeFormat"}
    assert all("unitDisplay" not in FILES[name] for name in SCRIPTS)
