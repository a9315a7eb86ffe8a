"""One line for a prompt or an agent's status line: today's cost, the burn rate, how full the plan's
windows are.

It runs at every prompt, so it only reads the file that the addon keeps (`status.json`, see
`status_file`), and imports only what comes with the interpreter: click alone would double its time.
Claude Code passes JSON about the session on standard input.
https://docs.claude.com/en/docs/claude-code/statusline
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
"""The file is written every minute; if it is older than this, the proxy has stopped."""

STDIN_SECONDS = 0.1
"""How long to wait for standard input. Claude Code has written its JSON before it starts us; others
leave a standard input open on which nothing ever comes."""

INPUT_CAP = 2**20
"""Bytes that are read of the JSON on standard input and of the file; real ones have 2 and 20 kB."""

FULL_PCT = 80.0
"""A window that is fuller is marked, as it is on the page: the tracker's `WARNING_PCT`, written
again, as importing it takes too long."""

PLAN_KEYS = ("5h", "7d")
"""Windows that are always shown: they cover all of a plan's models."""

NAME_CAP = 20
"""Characters of a window's key or a provider's name that are shown: they may come off the wire. The
known ones have up to 15."""

WIDTH = 80
"""Columns of the line: a longer one wraps in a prompt, and is cut off by Claude Code."""


def main(as_json: bool = False, directory: str | None = None) -> int:
    """Print the line and return the exit code."""
    directory = directory or os.environ.get("LLMTALLY_DIR") or "~/.llmtally"
    answer = look(os.path.expanduser(directory), _asked(), time.time())  # noqa: PTH111  pathlib takes as long as all the rest
    print(json.dumps(answer) if as_json else line(answer), flush=True)
    return 1 if answer["state"] == "absent" else 0


def look(directory: str, asked: Json, now: float) -> Json:
    """The answer that `--json` prints: `{state, age_seconds, today, burn_rate, window, windows,
    providers, session_id, session}`.

    `state` is `running`, `stopped` or `absent`; `session` is None if it was not seen. `windows` are
    the windows to show, all of one account: the session's, else the one with the fullest window. A
    window has `full_in_ms` if it will be full before its reset. `window` is the fullest of them,
    and `providers` are all that have windows.
    """
    session_id = asked.get("session_id")
    answer: Json = {
        "state": "absent",
        "age_seconds": None,
        "today": None,
        "burn_rate": None,
        "window": None,
        "windows": [],
    }
    answer |= {
        "providers": [],
        "session_id": session_id if isinstance(session_id, str) else None,
        "session": None,
    }
    try:
        with open(os.path.join(directory, "status.json"), "rb") as file:  # noqa: PTH118  as above
            written = os.fstat(file.fileno()).st_mtime
            status = json.loads(file.read(INPUT_CAP))
        age = max(0.0, now - written)
        is_running = status["running"] and age < STALE_SECONDS and _is_alive(status["pid"])
        is_today = time.gmtime(written)[:3] == time.gmtime(now)[:3]
        session = status["sessions"].get(answer["session_id"])
        windows = _live(status["windows"], age, is_running)
        shown = _shown(_of_one_account(windows, _account(session)))
        answer |= {
            "state": "running" if is_running else "stopped",
            "age_seconds": round(age),
            "today": status["today"] if is_today else {"spent_usd": 0.0, "api_value_usd": 0.0},
            "burn_rate": status["burn_rate"] if is_running else None,
            "window": max(shown, key=_fullness, default=None),
            "windows": shown,
            "providers": sorted({window["provider"] for window in windows}),
            "session": session,
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return answer
    return answer


def line(answer: Json) -> str:
    """The answer as a line for people. If it gets too long, the burn rate or the cached share is
    left out, or both."""
    if answer["state"] == "absent":
        return "llmtally: nothing counted yet"
    for cached, rate in ((True, True), (True, False), (False, True), (False, False)):
        text = " | ".join(_parts(answer, cached=cached, rate=rate))
        if len(text) <= WIDTH:
            break
    return text


def _parts(answer: Json, *, cached: bool, rate: bool) -> list[str]:
    parts = _spent(answer, cached=cached)
    burn = answer["burn_rate"]
    if rate and burn and burn["tokens_per_minute"]:
        parts.append(f"${60 * burn['cost_usd_per_minute']:.2f}/h")
    parts += _windows(answer)
    if answer["state"] == "stopped":
        parts.append(f"proxy stopped {_time(answer['age_seconds'])} ago")
    return parts


def _spent(answer: Json, *, cached: bool) -> list[str]:
    """What the session and the day cost; if neither is billed, `API value` is said once for
    both."""
    session, today = answer["session"], answer["today"]
    if not answer["session_id"]:
        return [f"today {_money(today)}"]
    if not session:
        return ["session not seen", f"today {_money(today)}"]
    share = _cached(session) if cached else ""
    if all(totals["api_value_usd"] and not totals["spent_usd"] for totals in (session, today)):
        return [f"session {_money(session, label='')}{share}, today {_money(today)}"]
    return [f"session {_money(session)}{share}", f"today {_money(today)}"]


def _windows(answer: Json) -> list[str]:
    """The windows; the first names its provider where that is not obvious."""
    windows = answer["windows"]
    if not windows:
        return []
    owner = ""
    if _account(answer["session"]) is None and (
        answer["session_id"] or len(answer["providers"]) > 1
    ):
        owner = f"{_name(windows[0]['provider'])} "
    first, *others = windows
    return [
        owner + _window(first, timed=True),
        *(_window(window, timed=_fullness(window) > FULL_PCT) for window in others),
    ]


def _window(window: Json, *, timed: bool) -> str:
    """How full a window is, and when it will be full or, if `timed`, when it resets."""
    text = (
        f"{_name(window['key'])} "
        f"{_fullness(window):.0f}%{'!' if _fullness(window) > FULL_PCT else ''}"
    )
    if window["full_in_ms"] is not None:
        return f"{text} full in {_time(window['full_in_ms'] / 1000)}"
    if timed and window["reset_in_ms"] is not None:
        return f"{text} resets {_time(window['reset_in_ms'] / 1000)}"
    return text


def _asked() -> Json:
    """The JSON on standard input, if there is any."""
    try:
        if (
            sys.stdin is None
            or sys.stdin.isatty()
            or not select.select([sys.stdin], [], [], STDIN_SECONDS)[0]
        ):
            return {}
        asked = json.loads(sys.stdin.buffer.read(INPUT_CAP))
    except (OSError, ValueError, AttributeError):
        return {}
    return asked if isinstance(asked, dict) else {}


def _live(windows: list[Json], age: float, is_running: bool) -> list[Json]:
    """The windows that have not ended since the file was written, with times counted from now. A
    stopped proxy predicts nothing."""
    found = []
    for window in windows:
        left = window["reset_in_ms"]
        if window["utilization"] is None or (left is not None and left <= 1000 * age):
            continue
        full_in = _full_in(window) if is_running else None
        times = {"reset_in_ms": left, "full_in_ms": full_in}
        found.append(
            {
                **window,
                **{
                    name: None if ms is None else max(0, round(ms - 1000 * age))
                    for name, ms in times.items()
                },
            }
        )
    return found


def _full_in(window: Json) -> float | None:
    """Milliseconds until a window is full, if that comes before its reset; None if it already
    is."""
    forecast: Json = window.get("prediction") or {}
    return (forecast.get("time_to_limit_ms") or None) if forecast.get("safe") is False else None


def _of_one_account(windows: list[Json], account: str | None) -> list[Json]:
    """The windows of this account; if it is unknown, those of the account with the fullest window,
    preferably one that the provider reported."""
    if account is not None:
        return [window for window in windows if window.get("account_key") == account]
    fullest = max(
        windows,
        key=lambda window: (window["source"] == "provider_native", _fullness(window)),
        default=None,
    )
    return [window for window in windows if fullest and _owner(window) == _owner(fullest)]


def _shown(windows: list[Json]) -> list[Json]:
    """The plan's windows, and the fullest other one if it is nearly full or the only one."""
    plan = [window for key in PLAN_KEYS for window in windows if window["key"] == key]
    other = max(
        (window for window in windows if window["key"] not in PLAN_KEYS),
        key=_fullness,
        default=None,
    )
    return [*plan, other] if other and (not plan or _fullness(other) > FULL_PCT) else plan


def _owner(window: Json) -> tuple[str, str | None]:
    return window["provider"], window.get("account_key")  # proxies before this version did not say


def _account(session: Json | None) -> str | None:
    """The session's account; None if it is not known."""
    return session.get("account_key") if session else None


def _fullness(window: Json) -> float:
    return float(window["utilization"])


def _name(text: str) -> str:
    return "".join(char for char in text[:NAME_CAP] if char.isprintable())


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def _money(totals: Json, label: str = " API value") -> str:
    """What is billed, and what a subscription's calls would have cost; marked as a lower bound if a
    price is missing."""
    amounts = [(totals["spent_usd"], ""), (totals["api_value_usd"], label)]
    known = " + ".join(f"${amount:,.2f}{label}" for amount, label in amounts if amount)
    if totals.get("unpriced"):
        return f"≥{known}" if known else "cost unknown"
    return known or "$0.00"


def _cached(session: Json) -> str:
    return "" if session["cache_hit_pct"] is None else f" ({session['cache_hit_pct']:.0f}% cached)"


def _time(seconds: float) -> str:
    minutes = int(seconds // 60)
    if not minutes:
        return "<1m"
    if minutes >= 2 * 24 * 60:
        return f"{minutes // (24 * 60)}d"
    return f"{minutes // 60}h {minutes % 60}m" if minutes >= 60 else f"{minutes}m"
