"""The scripts: which Python they find, what they install and when, what they pass on. Nothing is
installed here."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parent.parent
SCRIPTS = [
    *(
        ROOT / "scripts" / name
        for name in ("_env.sh", "_debian.sh", "run", "test", "check", "bench", "soak", "demo")
    ),
    ROOT / ".ci" / "run",
]


def executable(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def bash(
    *arguments: str | Path, cwd: Path = ROOT, **variables: str | Path
) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {name: str(value) for name, value in variables.items()}
    return subprocess.run(
        ["bash", *arguments], env=environment, cwd=cwd, capture_output=True, text=True, check=False
    )


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    """An environment whose `python -m pip` only notes that it was called, and whose mitmdump shows
    its arguments."""
    executable(
        tmp_path / "venv/bin/python",
        f'if [ "$1" = -m ]; then echo "$@" >>"{tmp_path}/installed"; fi',
    )
    executable(tmp_path / "venv/bin/mitmdump", 'pwd; for argument; do echo "$argument"; done')
    return tmp_path / "venv"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_bash_can_read_it(script: Path) -> None:
    """Every script parses, and is executable unless it is only sourced."""
    assert bash("-n", script).returncode == 0
    assert os.access(script, os.X_OK) == (not script.name.startswith("_"))


def test_the_newest_python_that_runs_is_found(tmp_path: Path) -> None:
    """Newest by number (3.100 before 3.99, 3.98.9 before 3.98.8), on PATH or in pyenv; a broken
    shim is passed over."""
    on_path = tmp_path / "on path"
    executable(on_path / "python3", "echo 98 8 an older one")
    executable(on_path / "python3.98", f'echo 98 9 "{on_path}/python3.98"')
    executable(on_path / "python3.99", "echo 'pyenv: python3.99: command not found' >&2; exit 127")
    in_pyenv = executable(tmp_path / "pyenv/versions/3.100.0/bin/python3", "echo 100 0 a python")

    def found(minor: str = "") -> str:
        command = f". scripts/_env.sh; find_python {minor}"
        return bash(
            "-c", command, PATH=f"{on_path}:/usr/bin:/bin", PYENV_ROOT=tmp_path / "pyenv"
        ).stdout

    assert found() == "a python\n"
    assert found("98") == f"{on_path}/python3.98\n"
    assert found("99") == ""

    in_pyenv.unlink()

    assert found() == f"{on_path}/python3.98\n"


def test_without_a_python_the_cure_is_named(tmp_path: Path) -> None:
    """A Python that will not do ends in one message that says what to install."""
    said = bash(
        "scripts/run", LLMTALLY_VENV=tmp_path / "venv", LLMTALLY_PYTHON=tmp_path / "nothing"
    )

    assert said.returncode == 1
    assert "needs Python 3.11 or newer" in said.stderr
    assert "apt install python3-venv" in said.stderr


def test_run_passes_its_arguments_on(venv: Path, tmp_path: Path) -> None:
    """mitmdump gets the addon by its full path and the arguments as they were, last of all, and
    stays where the user is."""
    said = bash(
        ROOT / "scripts/run", "--set", "usage_dir=with a space", cwd=tmp_path, LLMTALLY_VENV=venv
    )

    where, *arguments = said.stdout.splitlines()
    assert where == str(tmp_path)
    assert arguments[:2] == ["--listen-host", "127.0.0.1"]
    assert arguments[-4:] == ["-s", str(ROOT / "addon/usage.py"), "--set", "usage_dir=with a space"]


def test_installing_is_done_once(venv: Path, tmp_path: Path) -> None:
    """The second run installs nothing; another extra is installed, and a changed constraint
    installs again."""
    constraint = tmp_path / "constraint.txt"
    constraint.write_text("mitmproxy==11.0.2")
    for script in ("run", "run", "test", "test"):
        bash(ROOT / "scripts" / script, LLMTALLY_VENV=venv, PIP_CONSTRAINT=constraint)
    installed = [
        line.split(" -e ")[1]
        for line in (tmp_path / "installed").read_text().splitlines()
        if " -e " in line
    ]

    assert installed == [str(ROOT), f"{ROOT}[test,browser,sdks]"]

    constraint.write_text("mitmproxy==12.0.0")
    bash(ROOT / "scripts/run", LLMTALLY_VENV=venv, PIP_CONSTRAINT=constraint)

    assert (tmp_path / "installed").read_text().count(" -e ") == 3


@pytest.fixture
def debian(tmp_path: Path) -> Path:
    """A Debian without any package, and a user who is not root."""
    executable(tmp_path / "debian/dpkg-query", "exit 1")
    executable(tmp_path / "debian/id", "echo 1000")
    return tmp_path / "debian"


@pytest.mark.parametrize(
    ("arguments", "packages"),
    [
        ((), {"prometheus", "chromium", "wireguard-go"}),
        (("tests",), {"prometheus", "chromium", "wireguard-go"}),
        (("-x", "-k", "chromium"), {"prometheus", "chromium", "wireguard-go"}),
        (("tests/web",), {"prometheus", "chromium"}),
        (("./tests/web/",), {"prometheus", "chromium"}),
        (("tests/web/browser/test_live.py::test_a", "tests/wire"), {"chromium"}),
        (("tests/web/test_web.py", "tests/wire", "-x"), set()),
        (("tests/end_to_end/test_modes.py",), {"wireguard-go"}),
    ],
    ids=lambda value: " ".join(sorted(value) if isinstance(value, set) else value),
)
def test_only_what_the_chosen_tests_need_is_installed(
    arguments: tuple[str, ...], packages: set[str], venv: Path, debian: Path
) -> None:
    """scripts/test asks for a Debian package only where a test was chosen that needs it."""
    path = f"{debian}:{os.environ['PATH']}"
    said = bash("scripts/test", *arguments, LLMTALLY_VENV=venv, PATH=path)

    assert said.returncode == 0
    assert {"prometheus", "chromium", "wireguard-go"} & set(said.stderr.split()) == packages


@pytest.mark.parametrize(
    ("arguments", "workers"),
    [
        ((), True),
        (("-k", "torn"), True),
        (("tests/wire",), True),
        (("tests/test_docs.py", "tests/test_redact.py"), True),
        (("tests/test_docs.py",), False),
        (("tests/test_docs.py::test_options",), False),
        (("-n", "0"), False),
        (("--pdb", "tests/wire"), False),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_many_tests_run_side_by_side(
    arguments: tuple[str, ...], workers: bool, venv: Path, debian: Path, tmp_path: Path
) -> None:
    """All tests, or a folder of them, have several workers; one file has none, nor has who says
    so."""
    bash("scripts/test", *arguments, LLMTALLY_VENV=venv, PATH=f"{debian}:{os.environ['PATH']}")
    [command] = [
        line
        for line in (tmp_path / "installed").read_text().splitlines()
        if line.startswith("-m pytest")
    ]

    assert ("-n logical" in command) == workers
    assert command.endswith(" ".join(("pytest", *arguments) if not workers else arguments))


NEEDS = {
    row.split()[0]: row.split()[1:]
    for row in (ROOT / "scripts/test")
    .read_text()
    .split("NEEDS='\n")[1]
    .split("\n'")[0]
    .splitlines()
}
"""The table of scripts/test: path, packages and extras."""
PROGRAMS = {
    r"playwright|browser_window": "extra:browser",
    r"(?m)^ *import (openai|anthropic|boto3)": "extra:sdks",
    r'program\("prometheus"\)': "prometheus",
    r'\["curl"|which\("curl"\)': "curl",
    "node_packages": "npm",
    r"from network import": "nftables",
}
"""What a test says that needs a package."""


def test_the_table_of_packages_is_complete() -> None:
    """Every path in it exists, and no test needs a program that it does not have there."""
    lacking = [
        (path, package)
        for path in (ROOT / "tests").rglob("test_*.py")
        for words, package in PROGRAMS.items()
        if path.name != "test_scripts.py" and re.search(words, path.read_text())
        if not any(
            package in packages and path.is_relative_to(ROOT / needed)
            for needed, packages in NEEDS.items()
        )
    ]

    assert [path for path in NEEDS if not (ROOT / path).exists()] == []
    assert lacking == []


def test_python_3_11_gets_the_same_libraries() -> None:
    """What pyproject.toml withholds from 3.11, where pip cannot resolve it, stands in the lists
    installed first."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    withheld = [
        requirement.split(";")[0]
        for requirement in (*project["dependencies"], *project["optional-dependencies"]["sdks"])
        if "python_version >= '3.12'" in requirement
    ]
    lists = [
        (ROOT / "scripts" / name).read_text().splitlines()
        for name in ("python-3.11.txt", "python-3.11-sdks.txt")
    ]

    assert withheld == [
        line for lines in lists for line in lines if not line.startswith(("#", "-r"))
    ]


def test_every_lower_bound_is_tested() -> None:
    """What CI pins for its older end are the bounds of pyproject.toml, all of them."""
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    pins = [
        line
        for line in (ROOT / ".ci" / "oldest.txt").read_text().splitlines()
        if not line.startswith("#")
    ]

    assert versions(dependencies, ">=") == versions(pins, "==")


def versions(requirements: Iterable[str], operator: str) -> dict[str, Version]:
    """The version that stands behind this operator, by the library's name."""
    return {
        requirement.name: Version(each.version)
        for requirement in map(Requirement, requirements)
        for each in requirement.specifier
        if each.operator == operator
    }
