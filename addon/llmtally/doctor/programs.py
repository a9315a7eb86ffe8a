"""The programs: Python, mitmproxy, Node."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata

from ..launch.proxy import ProxyError, mitmdump
from .finding import Finding, Setting

OLDEST_MITMPROXY = (11, 0, 2)
"""The last one for Python 3.11, as pyproject.toml has it."""

NODE_WITH_PROXIES = {22: (22, 21, 0), 23: (24, 5, 0), 24: (24, 5, 0)}
"""Where `NODE_USE_ENV_PROXY` begins, by major version. https://nodejs.org/api/cli.html#node_use_env_proxy1"""

ANSWER_SECONDS = 10.0


def examine(setting: Setting) -> Iterator[Finding]:
    """Each in the version that is needed."""
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
        return Finding("mitmproxy", "broken", "There is no program mitmdump.", f"{cure} --force-reinstall")
    if _numbers(version) < OLDEST_MITMPROXY:
        oldest = ".".join(map(str, OLDEST_MITMPROXY))
        return Finding("mitmproxy", "broken", f"mitmproxy {version} is older than {oldest}, the oldest that works.", cure)
    return Finding("mitmproxy", "ok", f"mitmproxy {version}, {program}.")


def _node(setting: Setting) -> Iterator[Finding]:
    if (program := shutil.which("node", path=setting.environment.get("PATH"))) is None:
        return
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=ANSWER_SECONDS, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        yield Finding("node", "note", f"{program} does not say its version.")
        return
    version = done.stdout.strip()
    numbers = _numbers(version)
    if not numbers or numbers >= NODE_WITH_PROXIES.get(numbers[0], (22, 21, 0) if numbers[0] < 22 else (0,)):
        yield Finding(
            "node", "ok", f"Node {version}: its own fetch follows HTTPS_PROXY with NODE_USE_ENV_PROXY=1, which `llmtally run` sets."
        )
        return
    yield Finding(
        "node",
        "note",
        f"Node {version}: its own fetch knows no proxy before 22.21 and 24.5. Agents bring their own way; scripts need a newer "
        "Node, or a base URL and a reverse proxy.",
        'mitmdump --mode reverse:https://api.openai.com -s "$(llmtally addon-path)"',
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])
