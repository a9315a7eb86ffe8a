"""Node, and whether its own `fetch` follows proxy variables: the SDKs of OpenAI, Anthropic, Google
and Vercel use it.

With `NODE_USE_ENV_PROXY=1` it does from 22.21 and 24.0 on; before, it goes past every proxy, and
agents bring a way of their own. https://nodejs.org/api/cli.html#node_use_env_proxy1
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

SINCE = "22.21 and 24"

ANSWER_SECONDS = 10.0
"""Node says its version in some 40 ms."""

FIRST_LINE = 256
"""Bytes of a script that are looked at for its interpreter; Linux itself reads as many."""


def ignores_proxy(command: Sequence[str], environment: Mapping[str, str]) -> str | None:
    """What to say of a client without calls where its Node explains it."""
    found = version(node) if (node := node_of(command, environment)) is not None else None
    if found is None or follows_proxies(found):
        return None
    return (
        f"Node {found} goes past every proxy: use {SINCE} or newer, or `llmtally run --base-urls "
        "-- ...`."
    )


def version(program: str) -> str | None:
    """What `node --version` says; None where it says nothing."""
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
    """Whether Node of this version can be led to a proxy by its environment."""
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    return numbers >= (24,) or (22, 21) <= numbers < (23,)


def node_of(command: Sequence[str], environment: Mapping[str, str]) -> str | None:
    """The Node that runs a command: the program itself, or what its first line names; None for
    other programs."""
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
