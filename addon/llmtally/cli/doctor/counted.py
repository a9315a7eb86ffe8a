"""Checks what was seen today and could not be counted."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Iterator

from ... import journal
from ...system.status_file import NAME
from ...text.safe_text import printable
from .finding import Finding, Setting

NAMES_SHOWN = 5
"""Models without a price that are named."""


def examine(setting: Setting) -> Iterator[Finding]:
    """Bypassed connections are only in the status file; the rest is in the journal."""
    yield _bypassed(setting)
    calls: Counter[str] = Counter()
    unpriced: Counter[str] = Counter()
    for record in journal.read_records(setting.directory, since=journal.utc_day(setting.now)):
        coverage = str(record.get("coverage"))
        calls[coverage] += 1
        if coverage == "unpriced":
            unpriced[
                f"{record.get('provider')}/{record.get('model') or record.get('request_model')}"
            ] += 1
    yield _unparsed(calls["unparsed"])
    yield _unpriced(unpriced)


def _bypassed(setting: Setting) -> Finding:
    if not (count := _refused_today(setting)):
        return Finding("bypassed", "ok", "No client has refused a connection today.")
    text = (
        "A connection to an LLM host was refused today: its client does not trust "
        "mitmproxy's authority."
        if count == 1
        else f"{count:,} connections to LLM hosts were refused today: their clients do not trust "
        "mitmproxy's authority."
    )
    return Finding("bypassed", "broken", text, "llmtally run -- CLIENT")


def _refused_today(setting: Setting) -> int:
    """Bypassed connections of today, from the status file, which counts the day it was written."""
    path = setting.directory / NAME
    try:
        if journal.utc_day(path.stat().st_mtime) != journal.utc_day(setting.now):
            return 0
        count: int = json.loads(path.read_bytes())["coverage"].get("bypassed", 0)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return 0
    return count


def _unparsed(count: int) -> Finding:
    if not count:
        return Finding("unparsed", "ok", "Every response of today could be read.")
    responses = "A response of today" if count == 1 else f"{count:,} responses of today"
    text = (
        f"{responses} could not be read: a format has changed, or llmtally has a bug. The "
        "totals lack their tokens."
    )
    return Finding(
        "unparsed",
        "broken",
        text,
        "llmtally sql \"select host, path, error from calls where coverage = 'unparsed'\"",
    )


def _unpriced(models: Counter[str]) -> Finding:
    if not models:
        return Finding("unpriced", "ok", "Every call of today has a price.")
    commonest = models.most_common(NAMES_SHOWN)
    named = ", ".join(printable(name) for name, _ in commonest)
    calls = (
        "A call of today has" if models.total() == 1 else f"{models.total():,} calls of today have"
    )
    text = (
        f"{calls} no price: {named}. Put one into a file, and start the proxy with the "
        "variable that names it."
    )
    prices = json.dumps({commonest[0][0]: {"input": 1.0, "output": 2.0}})
    # Quoted, because the server chooses the name of the model.
    cure = (
        f"echo {shlex.quote(prices)} > llmtally-prices.json && export "
        "RUNTIME_USAGE_PRICING_FILE=$PWD/llmtally-prices.json"
    )
    return Finding("unpriced", "note", text, cure)
