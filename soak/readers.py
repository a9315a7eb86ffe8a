"""The answers of page, metrics, status line and report, and the sum of the journal that they must
equal."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from bench.mitmdump import ROOT

from .proxies import TOKEN

SECONDS = 30.0
"""How long an answer may take on a machine that is busy."""


class Sums(NamedTuple):
    """What some calls add up to."""

    calls: int = 0
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    microdollars: int = 0

    def minus(self, other: Sums) -> Sums:
        """What was added since."""
        return Sums._make(mine - theirs for mine, theirs in zip(self, other, strict=True))

    def equals(self, other: Sums) -> bool:
        """Whether they are the same; dollars may differ by rounding."""
        return self[:-1] == other[:-1] and abs(self.microdollars - other.microdollars) <= 2


_TOKENS = Sums._fields[1:-1]


def of_journal(lines: Iterable[bytes]) -> Sums:
    """The brute-force sum of today's records, and of no others. Damaged lines are left out."""
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    sums, picodollars = [0] * (1 + len(_TOKENS)), 0
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if not isinstance(record, dict) or "kind" in record:
            continue  # of no call
        if not str(record.get("ended")).startswith(today):
            continue
        sums[0] += 1
        for at, name in enumerate(_TOKENS, 1):
            sums[at] += record.get(name) or 0
        picodollars += round((record.get("cost_usd") or 0) * 10**12)
    return Sums._make((*sums, round(picodollars / 10**6)))


def of_directory(usage_dir: Path) -> Sums:
    """The sum of a directory's journal."""
    return of_journal(
        line for path in usage_dir.glob("usage-*.jsonl") for line in path.read_bytes().splitlines()
    )


def of_totals(totals: dict[str, Any]) -> Sums:
    """The sums in a `<totals>` object of the page, the status line or the report."""
    dollars = totals["spent_usd"] + totals["api_value_usd"]
    return Sums._make(
        (totals["calls"], *(totals[name] or 0 for name in _TOKENS), round(dollars * 10**6))
    )


def fetch(page: str, path: str) -> tuple[int, bytes]:
    """Status and body of an answer of the page. Raises OSError."""
    address = urlsplit(page)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=SECONDS)
    try:
        connection.request("GET", path, headers={"authorization": f"Bearer {TOKEN}"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except http.client.HTTPException as error:
        raise ConnectionResetError(str(error)) from error
    finally:
        connection.close()


def usage(page: str) -> dict[str, Any]:
    """The page's JSON. Raises OSError or ValueError."""
    status, body = fetch(page, "/api/usage")
    if status != 200:
        raise ValueError(f"/api/usage answered {status}: {body[:200]!r}")
    found: dict[str, Any] = json.loads(body)
    return found


def of_page(page: str) -> Sums:
    """What the page says of today; raises ValueError while it still reads the journal back."""
    found = usage(page)
    if found["restoring"]:
        raise ValueError("the journal is being read back")
    return of_totals(found["today"])


_WAITING = re.compile(r"^llmtally_(\w*(?:waiting|backlog|lag)\w*) (\S+)$", re.MULTILINE)
_SAMPLE = re.compile(r"^llmtally_(\w+?)_total(?:\{.*\})? (\S+)$", re.MULTILINE)


def of_metrics(page: str) -> Sums:
    """What the counters say, since their process began."""
    status, body = fetch(page, "/metrics")
    if status != 200:
        raise ValueError(f"/metrics answered {status}")
    sums = dict.fromkeys(("calls", *_TOKENS, "cost_usd"), 0.0)
    for name, value in _SAMPLE.findall(body.decode()):
        if name in sums:
            sums[name] += float(value)
    *whole, dollars = sums.values()
    return Sums._make((*map(int, whole), round(dollars * 10**6)))


def gauges(page: str) -> dict[str, float]:
    """What the metrics say of lag and backlog, by name: all gauges that speak of records that
    wait."""
    _, body = fetch(page, "/metrics")
    found = re.findall(
        r"^llmtally_(\w*(?:waiting|backlog|lag)\w*) (\S+)$", body.decode(), re.MULTILINE
    )
    return {name: float(value) for name, value in found}


def llmtally(usage_dir: Path, *arguments: str) -> tuple[int, str]:
    """Exit code and output of a command on a directory."""
    done = subprocess.run(
        [sys.executable, "-m", "llmtally", *arguments, "--dir", str(usage_dir)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "addon")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    return done.returncode, done.stdout


def status_line(usage_dir: Path) -> tuple[str, Sums]:
    """What the status line says of the proxy (`running`, `stopped`, `absent`) and of today."""
    _, said = llmtally(usage_dir, "statusline", "--json")
    answer = json.loads(said)
    today = answer["today"]
    return answer["state"], of_totals(today) if today and "calls" in today else Sums()


def of_report(usage_dir: Path) -> Sums:
    """What the report says of today."""
    code, said = llmtally(usage_dir, "report", "--json", "--since", "today", "--timezone", "UTC")
    if code not in (0, 1):
        raise ValueError(f"llmtally report ended with {code}")
    return of_totals(json.loads(said)["totals"]) if code == 0 else Sums()
