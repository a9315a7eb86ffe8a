"""The screens in README.md and docs/ are what the commands print."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from screens import BLOCK, DOCUMENTS, ROOT, SCREENS, with_screens


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_screens(path: Path) -> None:
    """They are what `python tests/writers/screens.py` writes."""
    document = path.read_text()

    assert document == with_screens(document), (
        f"{path.name} is not up to date: run `python tests/writers/screens.py`"
    )


@pytest.mark.parametrize(
    "path", sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]), ids=lambda path: path.name
)
def test_no_screen_is_invented(path: Path) -> None:
    """A block of no language is a screen with a name."""
    document = path.read_text()
    languages = re.findall(r"^```(\w*)$", document, re.MULTILINE)[::2]

    assert languages.count("") == len(BLOCK.findall(document))


def test_every_screen_is_shown() -> None:
    """None is made for nothing."""
    assert {name for path in DOCUMENTS for _, name in BLOCK.findall(path.read_text())} == set(
        SCREENS
    )
