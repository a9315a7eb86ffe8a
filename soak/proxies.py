"""Real mitmdumps with the addon, all of whose connections lead to the fake provider."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sysconfig
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.mitmdump import MARK, REDIRECT, USAGE, reports_fault

START_SECONDS = 60.0
"""How long a start or an end may take on a machine that is busy."""

TOKEN = "soak-token-0123456789abcdef"

_PAGE = re.compile(r"the page is at (http://[^/\s]+)")


class ProxyError(Exception):
    """A mitmdump did not start, did not end, or said that something is wrong."""


class Proxy:
    """One mitmdump of a folder."""

    def __init__(
        self,
        upstream_port: int,
        folder: Path,
        name: str,
        *,
        usage_dir: Path | None = None,
        scripts: Sequence[Path] = (USAGE,),
        options: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """`folder` has mitmproxy's authority, and the logs; processes are found by it."""
        self.usage_dir = usage_dir or folder / "usage"
        self.port = 0
        self.name = name
        self._ready = folder / f"{name}.ready"
        self._log = folder / f"{name}.log"
        self._ready.unlink(missing_ok=True)
        settings = {
            "confdir": folder / "conf",
            "termlog_verbosity": "alert",
            "flow_detail": 0,
            "usage_dir": self.usage_dir,
            "usage_quiet": "true",
            "usage_web_port": 0,
            "usage_web_token": TOKEN,
            **(options or {}),
        }
        command = [str(Path(sysconfig.get_path("scripts")) / "mitmdump")]
        command += ["--listen-host", "127.0.0.1", "--listen-port", "0"]
        if USAGE not in scripts:
            settings = {key: value for key, value in settings.items() if "usage_" not in key}
        for key, value in settings.items():
            command += ["--set", f"{key}={value}"]
        for script in (*scripts, REDIRECT):
            command += ["-s", str(script)]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={
                    **os.environ,
                    "HOME": str(folder),
                    "UPSTREAM_PORT": str(upstream_port),
                    "PROXY_READY": str(self._ready),
                    MARK: str(folder),
                    **(env or {}),
                },
            )

    @property
    def log(self) -> str:
        """All that it has printed."""
        return self._log.read_text()

    @property
    def page(self) -> str | None:
        """The address of the page as the proxy last announced it, in its file or in its log."""
        announced = self.usage_dir / "proxies" / f"{self.process.pid}.json"
        with contextlib.suppress(OSError, ValueError):
            if page := json.loads(announced.read_bytes()).get("page"):
                return str(page).rstrip("/")
        found = _PAGE.findall(self.log)
        return found[-1] if found else None

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    async def started(self) -> None:
        """Wait until it listens."""
        deadline = time.monotonic() + START_SECONDS
        while not self._ready.exists():
            if not self.is_alive or time.monotonic() > deadline:
                raise ProxyError(f"mitmdump did not start:\n{self.log}")
            await asyncio.sleep(0.02)
        self.port = int(self._ready.read_text())

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait()

    async def stop(self, seconds: float = START_SECONDS) -> None:
        """Ask it to end. Raises ProxyError if it had trouble."""
        if self.is_alive:
            self.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + seconds
        while self.is_alive:
            if time.monotonic() > deadline:
                self.kill()
                raise ProxyError(f"mitmdump did not end:\n{self.log}")
            await asyncio.sleep(0.02)
        code = self.process.returncode
        if code != 0 or reports_fault(self.log):
            raise ProxyError(f"mitmdump had trouble (exit code {code}):\n{self.log}")
