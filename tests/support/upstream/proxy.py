"""A real mitmdump with the addon, as a subprocess."""

from __future__ import annotations

import json
import os
import re
import signal
import ssl
import subprocess
import sysconfig
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from .handler import DEADLINE
from .server import Upstream

ROOT = Path(__file__).parents[3]
ADDON = ROOT / "addon" / "usage.py"
SCRIPTS = Path(__file__).parent
REDIRECT = SCRIPTS / "redirect.py"
MITMDUMP = os.environ.get("MITMDUMP", f"{sysconfig.get_path('scripts')}/mitmdump")
"""This environment's, or the one named: today's SDKs want a newer h11 than mitmproxy 11.0.2 can be
installed beside."""

TALLY = os.environ.get("LLMTALLY_TEST_TALLY", "inline")
"""Where proxies count that no test tells otherwise: the same tests can be run with `process`."""

FAULTS = ("Traceback", "Addon error", "has crashed", "Unhandled error")
"""What mitmproxy writes to its log when something of ours went wrong."""

QUIRK = re.compile(
    r"Exception in callback StreamReaderProtocol\.connection_made.*?CancelledError\n", re.DOTALL
)
"""What asyncio of Python 3.11 says of each connection that is open when mitmdump ends, with or
without the addon."""

POLL = 0.01
"""Seconds between two looks at a file that mitmdump writes."""

Record = dict[str, Any]
T = TypeVar("T")


class Proxy:
    """One mitmdump; `usage.py` is loaded between `before` and `after`."""

    def __init__(
        self,
        upstream: Upstream,
        confdir: Path,
        directory: Path,
        *,
        before: Sequence[Path] = (),
        after: Sequence[Path] = (),
        addon: Path | None = ADDON,
        options: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
        within: Sequence[str] = (),
    ) -> None:
        """`within` is a command that starts mitmdump in a separate network, where it may listen for
        other machines."""
        elsewhere = directory / "elsewhere"  # nothing may depend on the working directory
        elsewhere.mkdir(parents=True)
        ready = directory / "ready"
        self.usage_dir = directory / "usage"
        self.log_path = directory / "mitmdump.log"
        self.ca = confdir / "mitmproxy-ca-cert.pem"
        self._mark = 0
        settings = {
            "confdir": str(confdir),
            "ssl_verify_upstream_trusted_ca": str(upstream.authority.path),
            "usage_dir": str(self.usage_dir),
            "usage_web": "false",
            **({"usage_tally": TALLY} if addon is not None else {}),
            **(options or {}),
        }
        scripts = [*before, *([addon] if addon else []), *after, REDIRECT]
        command = [
            *within,
            MITMDUMP,
            "--listen-host",
            "0.0.0.0" if within else "127.0.0.1",
            "--listen-port",
            "0",
        ]
        for name, value in settings.items():
            command += ["--set", f"{name}={value}"]
        for script in scripts:
            command += ["-s", str(script)]
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=elsewhere,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={
                    **_plain_environment(),
                    "HOME": str(directory),
                    "UPSTREAM_PORT": str(upstream.port),
                    "PROXY_READY": str(ready),
                    **(env or {}),
                },
            )
        self.port = int(
            self._wait_for(lambda: ready.read_text() if ready.exists() else None, "its port")
        )

    @property
    def url(self) -> str:
        """What a client puts in `HTTPS_PROXY`."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """All that mitmdump has printed."""
        return self.log_path.read_text()

    def client_context(self) -> ssl.SSLContext:
        """TLS as a client does it that trusts the proxy."""
        return ssl.create_default_context(cafile=self.ca)

    def client_env(self) -> dict[str, str]:
        """The environment that leads any client through the proxy."""
        ca = str(self.ca)
        return {
            "HTTPS_PROXY": self.url,
            "HTTP_PROXY": self.url,
            "https_proxy": self.url,
            "http_proxy": self.url,
            "NO_PROXY": "",
            "no_proxy": "",
            "SSL_CERT_FILE": ca,
            "REQUESTS_CA_BUNDLE": ca,
            "AWS_CA_BUNDLE": ca,
            "NODE_EXTRA_CA_CERTS": ca,
        }

    # The journal

    def journal(self) -> list[Record]:
        """All calls so far, of all days, in lines that are complete."""
        text = "".join(path.read_text() for path in sorted(self.usage_dir.glob("usage-*.jsonl")))
        lines = [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
        return [record for record in map(json.loads, lines) if "schema" in record]

    def mark(self) -> None:
        """From here on, `records` starts counting from zero again."""
        self._mark = len(self.journal())

    def records(self, expected: int) -> list[Record]:
        """Exactly `expected` records since the mark, in order of their end; waits for them."""

        def enough() -> list[Record] | None:
            records = self.journal()[self._mark :]
            return records if len(records) >= expected else None

        records = (
            self._wait_for(enough, f"{expected} records")
            if expected
            else self.journal()[self._mark :]
        )
        assert len(records) == expected, records
        return records

    def record(self) -> Record:
        """The one record since the mark."""
        return self.records(1)[0]

    def wait_for_log(self, text: str, times: int = 1) -> None:
        """Wait until mitmdump has printed `text` this often."""
        self._wait_for(lambda: self.log.count(text) >= times or None, f"{text!r} in the log")

    # The end

    def stop(self, faults: Sequence[str] = FAULTS) -> None:
        """Ask it to end; it must do so cleanly, and must have had no trouble."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(DEADLINE)
        assert code == 0, self.log
        assert self.faults(faults) == [], self.log

    def faults(self, faults: Sequence[str] = FAULTS) -> list[str]:
        """Which of these the log mentions."""
        log = QUIRK.sub("", self.log)
        return [fault for fault in faults if fault in log]

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait(DEADLINE)

    def _wait_for(self, look: Callable[[], T | None], what: str) -> T:
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            if (found := look()) is not None:
                return found
            try:
                # Not a sleep: it ends at once if mitmdump does.
                self.process.wait(POLL)
            except subprocess.TimeoutExpired:
                continue
            if (found := look()) is not None:
                return found
            raise AssertionError(f"mitmdump ended without {what}:\n{self.log}")
        raise AssertionError(
            f"waited in vain for {what}; journal: {self.journal()[self._mark :]}\n{self.log}"
        )


def _plain_environment() -> dict[str, str]:
    """This process's environment without what would lead mitmdump itself elsewhere."""
    return {
        name: value
        for name, value in os.environ.items()
        if "proxy" not in name.lower() and not name.startswith("SSL_")
    }


StartProxy = Callable[..., Proxy]
