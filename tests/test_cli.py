"""The command line, as a checkout and as an installed package have it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from llmtally import __version__, cli


def test_the_addon_is_found_in_a_checkout() -> None:
    """`llmtally addon-path` prints a file that `mitmdump -s` can load."""
    said = CliRunner().invoke(cli.main, ["addon-path"])
    path = Path(said.output.strip())

    assert path.parts[-2:] == ("addon", "usage.py")
    assert "addons = [" in path.read_text()


def test_the_addon_is_found_in_an_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wheel holds the file in a folder of its own, because mitmproxy puts that folder on sys.path."""
    door = tmp_path / "llmtally" / "door" / "usage.py"
    door.parent.mkdir(parents=True)
    door.touch()
    monkeypatch.setattr(cli, "__file__", str(tmp_path / "llmtally" / "cli.py"))

    assert CliRunner().invoke(cli.main, ["addon-path"]).output == f"{door}\n"


def test_both_names_are_the_same_command() -> None:
    """`python -m llmtally` answers as `llmtally` does."""
    said = subprocess.run(
        [sys.executable, "-m", "llmtally", "--version"],
        cwd=Path(cli.__file__).parent.parent,
        capture_output=True,
        text=True,
        check=True,
    )

    assert said.stdout.split()[-1] == __version__
