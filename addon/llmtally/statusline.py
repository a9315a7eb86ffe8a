"""One line for a prompt or an agent's status line: today's cost, the burn rate, the fullest window.

It is asked for at every prompt, so all it does is read the file that the addon keeps (`status.json`, see `status`), and all it
imports comes with the interpreter: click alone would take as long again. Claude Code hands over JSON about the session on standard
input. https://docs.claude.com/en/docs/claude-code/statusline
"""

from __future__ import annotations

import json
import os
import select
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing takes a tenth of the whole
    from typing import Any, TypeAlias

    Json: TypeAlias = dict[str, Any]

STALE_SECONDS = 150
"""The file is written every minute; two missed and a half is no delay."""

STDIN_SECONDS = 0.1
"""Claude Code has written before it starts us. Others leave their own standard input open, where nothing will ever come."""

INPUT_CAP = 2**20
"""Bytes read of either; real ones have 2 and 20 kB."""

FULL_PCT = 80.0
"""A window that is fuller is marked, as it is on the page."""


def main(as_json: bool = False, directory: str | None = None) -> int:
    """Print the line; the exit code."""
    directory = directory or os.environ.get("LLMTALLY_DIR") or "~/.llmtally"
    answer = look(os.path.expanduser(directory), _asked(), time.time())  # noqa: PTH111  pathlib takes as long as all the rest
    print(json.dumps(answer) if as_json else line(answer), flush=True)
    return 1 if answer["state"] == "absent" else 0


def look(directory: str, asked: Json, now: float) -> Json:
    """What is known: `{state, age_seconds, today, burn_rate, window, session_id, session}`.

    `state` is `running`, `stopped` or `absent`; `window` the fullest that has not ended; `session` None where it was not seen.
    """
    session_id = asked.get("session_id")
    answer: Json = {"state": "absent", "age_seconds": None, "today": None, "burn_rate": None, "window": None}
    answer |= {"session_id": session_id if isinstance(session_id, str) else None, "session": None}
    try:
        with open(os.path.join(directory, "status.json"), "rb") as file:  # noqa: PTH118  as above
            written = os.fstat(file.fileno()).st_mtime
            status = json.loads(file.read(INPUT_CAP))
        age = max(0.0, now - written)
        is_running = status["running"] and age < STALE_SECONDS and _is_alive(status["pid"])
        is_today = time.gmtime(written)[:3] == time.gmtime(now)[:3]
        answer |= {
            "state": "running" if is_running else "stopped",
            "age_seconds": round(age),
            "today": status["today"] if is_today else {"spent_usd": 0.0, "api_value_usd": 0.0},
            "burn_rate": status["burn_rate"] if is_running else None,
            "window": _fullest(status["windows"], age),
            "session": status["sessions"].get(answer["session_id"]),
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return answer
    return answer


def line(answer: Json) -> str:
    """The answer as people read it."""
    if answer["state"] == "absent":
        return "llmtally: nothing counted yet"
    parts = []
    if answer["session_id"]:
        session = answer["session"]
        parts.append(f"session {_money(session)}{_cached(session)}" if session else "session not seen")
    parts.append(f"today {_money(answer['today'])}")
    burn = answer["burn_rate"]
    if burn and burn["tokens_per_minute"]:
        parts.append(f"${60 * burn['cost_usd_per_minute']:.2f}/h")
    if window := answer["window"]:
        key = "".join(char for char in str(window["key"])[:20] if char.isprintable())
        mark = "!" if window["utilization"] > FULL_PCT else ""
        left = window["reset_in_ms"]
        parts.append(f"{key} {window['utilization']:.0f}%{mark}" + (f" {_time(left / 1000)} left" if left is not None else ""))
    if answer["state"] == "stopped":
        parts.append(f"proxy stopped {_time(answer['age_seconds'])} ago")
    return " | ".join(parts)


def _asked() -> Json:
    """The JSON on standard input, if there is any."""
    try:
        if sys.stdin is None or sys.stdin.isatty() or not select.select([sys.stdin], [], [], STDIN_SECONDS)[0]:
            return {}
        asked = json.loads(sys.stdin.buffer.read(INPUT_CAP))
    except (OSError, ValueError, AttributeError):
        return {}
    return asked if isinstance(asked, dict) else {}


def _fullest(windows: list[Json], age: float) -> Json | None:
    """Of those that have not ended since."""
    found: Json | None = None
    for window in windows:
        left = window["reset_in_ms"]
        if window["utilization"] is None or (left is not None and left <= 1000 * age):
            continue
        if found is None or window["utilization"] > found["utilization"]:
            found = {**window, "reset_in_ms": None if left is None else round(left - 1000 * age)}
    return found


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def _money(totals: Json) -> str:
    """What is billed, and what a subscription's calls would have cost; at least so much, where a price is missing."""
    amounts = [(totals["spent_usd"], ""), (totals["api_value_usd"], " API value")]
    known = " + ".join(f"${amount:,.2f}{label}" for amount, label in amounts if amount)
    if totals.get("unpriced"):
        return f"≥{known}" if known else "cost unknown"
    return known or "$0.00"


def _cached(session: Json) -> str:
    return "" if session["cache_hit_pct"] is None else f", {session['cache_hit_pct']:.0f}% cached"


def _time(seconds: float) -> str:
    minutes = int(seconds // 60)
    if not minutes:
        return "<1m"
    if minutes >= 2 * 24 * 60:
        return f"{minutes // (24 * 60)}d"
    return f"{minutes // 60}h {minutes % 60}m" if minutes >= 60 else f"{minutes}m"
