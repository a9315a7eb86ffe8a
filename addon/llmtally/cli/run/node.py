"""Finds out whether a client's Node uses proxies: its built-in `fetch`, which the SDKs of OpenAI,
Anthropic, Google and Vercel call, needs a recent version.

With `NODE_USE_ENV_PROXY=1` it reads the proxy variables since 22.21 and 24.0; before, it ignores
them, and agents that support proxies bring their own code. https://nodejs.org/api/cli.html#node_use_env_proxy1
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

SINCE = "22.21 and 24"
"""The first versions of each line that can use a proxy, as text."""

ANSWER_SECONDS = 10.0
"""Node says its version in some 40 ms."""

FIRST_LINE = 256
"""Bytes of a script that are searched for its interpreter; Linux itself reads as many."""


def ignores_proxy(command: Sequence[str], environment: Mapping[str, str]) -> str | None:
    """Why a client made no calls, if its Node explains it; else None."""
    found = version(node) if (node := node_of(command, environment)) is not None else None
    if found is None or follows_proxies(found):
        return None
    return (
        f"Node {found} ignores proxies: use {SINCE} or newer, or `llmtally run --base-urls -- ...`."
    )


def version(program: str) -> str | None:
    """The version that `node --version` prints; None if it prints none."""
    try:
        done = subprocess.run(  # noqa: S603  the program that was asked for
            [program, "--version"],
            capture_output=True,
            text=True,
            timeout=ANSWER_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip().removeprefix("v") or None


def follows_proxies(version: str) -> bool:
    """Whether this version of Node can be sent to a proxy by environment variables."""
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    return numbers >= (24,) or (22, 21) <= numbers < (23,)


def node_of(command: Sequence[str], environment: Mapping[str, str]) -> str | None:
    """The path of the Node that runs a command: the program itself, or the interpreter that its
    first line names; None for other programs."""
    path = environment.get("PATH")
    if (program := shutil.which(command[0], path=path)) is None:
        return None
    if Path(program).stem == "node":
        return program
    try:
        with open(program, "rb") as file:
            line = file.read(FIRST_LINE).partition(b"\n")[0].decode(errors="replace")
    except OSError:
        return None
    words = line.removeprefix("#!").split() if line.startswith("#!") else []
    named = next((word for word in words if Path(word).name == "node"), None)
    return shutil.which(named, path=path) if named is not None else None
