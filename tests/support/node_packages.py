"""Packages from the Node registry, for tests with real clients. They stay in `.cache`."""

from __future__ import annotations

import fcntl
import json
import platform
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from upstream.proxy import ROOT

SECONDS = 300
"""Once; the agents have 900 MB, half a minute on a fast line."""

_MACHINE = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
SYSTEM = f"{platform.system().lower()}-{_MACHINE}"
"""This machine, as packages with programs for it are named."""


def installed(name: str, packages: Mapping[str, str], script: str = "") -> Path:
    """Where the `node_modules` with these versions are. No script of theirs is run but the one
    named, by its path in there."""
    directory = ROOT / ".cache" / name
    directory.mkdir(parents=True, exist_ok=True)
    # Tests that run side by side want the same packages: the first installs, the others wait.
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _install(directory, packages, script)
    return directory / "node_modules"


def _install(directory: Path, packages: Mapping[str, str], script: str) -> None:
    stamp = directory / "installed.json"
    if stamp.exists() and json.loads(stamp.read_text()) == packages:
        return
    npm = shutil.which("npm")
    assert npm, "these tests need Node 20 or newer and its npm"
    named = [f"{package}@{version}" for package, version in packages.items()]
    install = [
        npm,
        "install",
        "--no-audit",
        "--no-fund",
        "--no-save",
        "--ignore-scripts",
        "--prefix",
        str(directory),
        *named,
    ]
    subprocess.run(install, check=True, capture_output=True, timeout=SECONDS, cwd=directory)
    if script:
        finish = ["node", str(directory / "node_modules" / script)]
        subprocess.run(finish, check=True, capture_output=True, timeout=SECONDS)
    stamp.write_text(json.dumps(packages))
