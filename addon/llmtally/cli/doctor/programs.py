"""Checks the programs: Python, mitmproxy and Node."""

from __future__ import annotations

import platform
import re
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata

from ..run import node
from ..run.proxy import ProxyError, mitmdump
from .finding import Finding, Setting

OLDEST_MITMPROXY = (11, 0, 2)
"""The oldest version that pyproject.toml allows: the last one for Python 3.11."""


def examine(setting: Setting) -> Iterator[Finding]:
    """Whether each program is there, in a version that works."""
    yield Finding("python", "ok", f"Python {platform.python_version()} in {sys.prefix}.")
    yield _mitmproxy()
    yield from _node(setting)


def _mitmproxy() -> Finding:
    cure = f"{sys.executable} -m pip install --upgrade mitmproxy"
    try:
        version = metadata.version("mitmproxy")
        program = mitmdump()
    except metadata.PackageNotFoundError:
        return Finding("mitmproxy", "broken", "mitmproxy is not installed beside llmtally.", cure)
    except ProxyError:
        return Finding(
            "mitmproxy", "broken", "The program mitmdump is missing.", f"{cure} --force-reinstall"
        )
    if _numbers(version) < OLDEST_MITMPROXY:
        oldest = ".".join(map(str, OLDEST_MITMPROXY))
        return Finding(
            "mitmproxy",
            "broken",
            f"mitmproxy {version} is older than {oldest}, the oldest that works.",
            cure,
        )
    return Finding("mitmproxy", "ok", f"mitmproxy {version}, {program}.")


def _node(setting: Setting) -> Iterator[Finding]:
    if (program := shutil.which("node", path=setting.environment.get("PATH"))) is None:
        return
    if (version := node.version(program)) is None:
        yield Finding("node", "note", f"{program} does not say its version.")
    elif not node.follows_proxies(version):
        text = (
            f"Node {version}: its built-in fetch ignores proxies before {node.SINCE}. Agents "
            "bring their own code for that."
        )
        yield Finding("node", "note", text, "llmtally run --base-urls -- node SCRIPT")
    elif (
        setting.environment.get("HTTPS_PROXY")
        and setting.environment.get("NODE_USE_ENV_PROXY") != "1"
    ):
        text = (
            f"Node {version}: its built-in fetch ignores this shell's HTTPS_PROXY unless "
            "NODE_USE_ENV_PROXY=1 is set."
        )
        yield Finding("node", "note", text, "export NODE_USE_ENV_PROXY=1")
    else:
        text = (
            f"Node {version}: its built-in fetch uses HTTPS_PROXY with NODE_USE_ENV_PROXY=1, which "
            "`llmtally run` sets."
        )
        yield Finding("node", "ok", text)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])
