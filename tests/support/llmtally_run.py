"""`llmtally run` as a person types it, with the fake upstream where the providers would be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from upstream.handler import DEADLINE
from upstream.proxy import REDIRECT, ROOT
from upstream.server import Upstream

PROXY_VARIABLES = (
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "NO_PROXY",
    "no_proxy",
    "ALL_PROXY",
    "all_proxy",
)


class Runner:
    """One user: a home, a journal, an authority of mitmproxy's."""

    def __init__(self, upstream: Upstream, confdir: Path, home: Path) -> None:
        self.usage_dir = home / "usage"
        self.confdir = confdir
        self.home = home
        self.environment = {
            **{name: value for name, value in os.environ.items() if name not in PROXY_VARIABLES},
            "HOME": str(home),
            "PYTHONPATH": str(ROOT / "addon"),
            "LLMTALLY_DIR": str(self.usage_dir),
            # For redirect.py, in the mitmdump that `run` starts.
            "UPSTREAM_PORT": str(upstream.port),
            "PROXY_READY": str(home / "ready"),
        }
        trust = f"ssl_verify_upstream_trusted_ca={upstream.authority.path}"
        self.redirected = [
            f"--mitmdump-arg={argument}" for argument in ("-s", str(REDIRECT), "--set", trust)
        ]

    def command(self, *client: str, options: Sequence[str] = ()) -> list[str]:
        """What is typed to run a client."""
        return [
            sys.executable,
            "-m",
            "llmtally",
            "run",
            "--confdir",
            str(self.confdir),
            *self.redirected,
            *options,
            "--",
            *client,
        ]

    def run(
        self,
        *client: str,
        options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        return subprocess.run(
            self.command(*client, options=options),
            env={**self.environment, **(environment or {})},
            cwd=cwd or self.home,
            capture_output=True,
            text=True,
            timeout=4 * DEADLINE,
            check=False,
        )

    def records(self) -> list[dict[str, Any]]:
        """All records in the journal so far."""
        files = sorted(self.usage_dir.glob("usage-*.jsonl"))
        lines = [line for path in files for line in path.read_bytes().splitlines()]
        return [record for record in map(json.loads, lines) if "schema" in record]
