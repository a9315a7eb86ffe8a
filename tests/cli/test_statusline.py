"""`llmtally statusline`: what it says, when it says that it does not know, and how fast."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from llmtally.cli import main as cli
from llmtally.cli import statusline
from llmtally.record import LimitReading
from llmtally.tracker import Tracker
from tracker_calls import a_call
from upstream.answers import anthropic_events, sse_answer
from upstream.proxy import ROOT, Proxy
from upstream.server import Upstream

NOW = 1_800_000_000.0
"""A Friday morning, far enough from midnight."""


def status(**fields: Any) -> dict[str, Any]:
    """What the addon writes of two calls, an hour before a window ends."""
    tracker = Tracker()
    limits = (
        LimitReading(
            "5h", "provider_native", utilization=42.0, resets_at=NOW + 4320, window_seconds=18000.0
        ),
        LimitReading(
            "7d",
            "provider_native",
            utilization=12.0,
            resets_at=NOW + 400000,
            window_seconds=604800.0,
        ),
    )
    tracker.add(a_call(NOW - 60, cost=4.0, session="s1", tokens=(100, 900, 0, 10), limits=limits))
    tracker.add(a_call(NOW - 30, cost=2.0, session="s2"))
    return {"pid": os.getpid(), "running": True, **tracker.status(NOW), **fields}


def put(directory: Path, content: Any, at: float = NOW) -> str:
    path = directory / "status.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    os.utime(path, (at, at))
    return str(directory)


def said(directory: str, now: float = NOW, **asked: Any) -> str:
    return statusline.line(statusline.look(directory, asked, now))


def test_the_line(tmp_path: Path) -> None:
    """Today's cost, the rate of the last hour, the plan's windows and when the first is reset."""
    assert said(put(tmp_path, status())) == "today $6.00 | $72.00/h | 5h 42% resets 1h 12m | 7d 12%"


def test_a_session(tmp_path: Path) -> None:
    """Asked about a session, it begins with it; one that was never seen bypasses us, and that is
    said."""
    directory = put(tmp_path, status())

    assert said(directory, session_id="s1").startswith("session $4.00 (90% cached) | today $6.00")
    assert said(directory, session_id="s3").startswith("session not seen | today $6.00")


def test_a_subscription(tmp_path: Path) -> None:
    """API value is not shown as money that was billed."""
    totals = {**status()["today"], "spent_usd": 1.5, "api_value_usd": 4.5}

    assert (
        said(put(tmp_path, status(today=totals, windows=[])))
        == "today $1.50 + $4.50 API value | $72.00/h"
    )


def test_a_session_on_a_subscription(tmp_path: Path) -> None:
    """That neither the session nor the day is billed is said once; that a session is, beside a day
    that is not, is seen."""
    worth = {"spent_usd": 0.0, "api_value_usd": 4.5, "cache_hit_pct": 91.0}
    billed = {**worth, "spent_usd": 1.0}
    directory = put(tmp_path, status(windows=[], today=worth, sessions={"s1": worth, "s2": billed}))

    assert (
        said(directory, session_id="s1")
        == "session $4.50 (91% cached), today $4.50 API value | $72.00/h"
    )
    assert said(directory, session_id="s2").startswith(
        "session $1.00 + $4.50 API value (91% cached) | today $4.50 API value"
    )


def test_it_is_short(tmp_path: Path) -> None:
    """Beyond 80 columns the rate goes, then the cached share, then both."""
    worth = {
        **status()["today"],
        "spent_usd": 0.0,
        "api_value_usd": 4.5,
        "cache_hit_pct": 91.0,
        "account_key": "a",
    }
    of_now = status(today=worth, sessions={"s1": worth})

    def line(**fields: Any) -> str:
        return said(put(tmp_path, {**of_now, **fields}), session_id="s1")

    assert (
        line(windows=of_now["windows"][:1])
        == "session $4.50 (91% cached), today $4.50 API value | 5h 42% resets 1h 12m"
    )
    assert (
        line() == "session $4.50, today $4.50 API value | $72.00/h | 5h 42% resets 1h 12m | 7d 12%"
    )
    assert line(today={**worth, "api_value_usd": 134.5}).startswith(
        "session $4.50, today $134.50 API value | 5h 42%"
    )


def test_what_has_no_price(tmp_path: Path) -> None:
    """A sum in which a price is missing is not shown as whole, and no sum at all not as nothing."""
    totals = {**status()["today"], "spent_usd": 1234.5, "api_value_usd": 0.0, "unpriced": 1}

    assert said(put(tmp_path, status(today=totals))).startswith("today ≥$1,234.50 | ")
    assert said(put(tmp_path, status(today={**totals, "spent_usd": 0.0}))).startswith(
        "today cost unknown | "
    )


def a_window(key: str, utilization: float, **fields: Any) -> dict[str, Any]:
    """As the addon writes one of Claude's that ends in two days."""
    known = {
        "provider": "anthropic",
        "source": "provider_native",
        "account_key": "a",
        "reset_in_ms": 172_800_000,
    }
    return {"key": key, "utilization": utilization, **known, **fields}


def windows_said(directory: Path, *windows: dict[str, Any], later: float = 0, **asked: Any) -> str:
    """What is said of windows, behind session and day."""
    silent = status(windows=windows, burn_rate=None)
    before = said(put(directory, {**silent, "windows": []}), NOW + later, **asked)
    return said(put(directory, silent), NOW + later, **asked).removeprefix(f"{before} | ")


def test_a_window_that_is_nearly_full_is_marked(tmp_path: Path) -> None:
    """Above the threshold of the page, and told when it is reset; one without an end is, too."""
    assert windows_said(
        tmp_path, a_window("5h", 42.0, reset_in_ms=60_000), a_window("7d", 81.0)
    ) == ("5h 42% resets 1m | 7d 81%! resets 2d")
    assert windows_said(tmp_path, a_window("7d\x1b[31m", 81.0, reset_in_ms=None)) == "7d[31m 81%!"


def test_other_windows(tmp_path: Path) -> None:
    """Of the windows besides the plan's, the fullest is shown if it is nearly full or the only
    one."""
    five, opus, rate = (
        a_window("5h", 42.0),
        a_window("7d_opus", 95.0),
        a_window("requests", 3.0, source="provider_api_rate_limit"),
    )

    assert windows_said(tmp_path, rate, five) == "5h 42% resets 2d"
    assert windows_said(tmp_path, rate, opus, five) == "5h 42% resets 2d | 7d_opus 95%! resets 2d"
    assert windows_said(tmp_path, rate) == "requests 3% resets 2d"


def test_a_window_that_will_be_full(tmp_path: Path) -> None:
    """The time until a window is full is shown and counted down if that comes before the reset; not
    if it comes later or has passed."""
    comes = {"time_to_limit_ms": 1_560_000, "safe": False}

    assert windows_said(tmp_path, a_window("5h", 70.0, prediction=comes)) == "5h 70% full in 26m"
    assert (
        windows_said(tmp_path, a_window("5h", 70.0, prediction=comes), later=120)
        == "5h 70% full in 24m"
    )
    assert windows_said(
        tmp_path, a_window("5h", 70.0), a_window("7d", 85.0, prediction=comes)
    ).endswith("| 7d 85%! full in 26m")
    for other in (
        {"time_to_limit_ms": 1_560_000, "safe": True},
        {"time_to_limit_ms": 0, "safe": False},
        None,
    ):
        assert windows_said(tmp_path, a_window("5h", 70.0, prediction=other)) == "5h 70% resets 2d"


def test_a_forecast_ends_with_the_proxy(tmp_path: Path) -> None:
    """Nothing is counted, so nothing is foretold."""
    window = a_window("5h", 70.0, prediction={"time_to_limit_ms": 1_560_000, "safe": False})

    assert "5h 70% resets 2d" in said(put(tmp_path, status(windows=[window], running=False)))


def test_the_forecast_is_the_trackers(tmp_path: Path) -> None:
    """What the addon writes is what is understood: 10 % in 10 minutes leave 40."""
    tracker = Tracker()
    for minutes in range(11):
        reading = LimitReading(
            "5h",
            "provider_native",
            utilization=50.0 + minutes,
            resets_at=NOW + 7200,
            window_seconds=18000.0,
        )
        tracker.add(a_call(NOW - 600 + 60 * minutes, session="s1", limits=(reading,)))
    written = {"pid": os.getpid(), "running": True, **tracker.status(NOW)}

    assert said(put(tmp_path, written), session_id="s1").endswith("| 5h 60% full in 40m")


CODEX = {"provider": "chatgpt_codex", "account_key": "b"}


def test_whose_windows(tmp_path: Path) -> None:
    """The session's account's and nobody else's; not known whose, the fullest account's by name,
    alone or with others."""
    ours, week, theirs = a_window("5h", 42.0), a_window("7d", 18.0), a_window("5h", 95.0, **CODEX)

    assert (
        windows_said(tmp_path, ours, week, theirs, session_id="s1") == "5h 42% resets 2d | 7d 18%"
    )
    assert windows_said(tmp_path, ours, week, theirs) == "chatgpt_codex 5h 95%! resets 2d"
    assert (
        windows_said(tmp_path, ours, week, session_id="not seen")
        == "anthropic 5h 42% resets 2d | 7d 18%"
    )
    assert windows_said(tmp_path, ours, week) == "5h 42% resets 2d | 7d 18%"
    assert "5h" not in said(put(tmp_path, status(windows=[theirs])), session_id="s1")


def test_a_plan_goes_before_rate_limits(tmp_path: Path) -> None:
    """A key's requests of the last minute do not hide what a plan has left."""
    requests = a_window(
        "requests", 99.0, source="provider_api_rate_limit", provider="openai", account_key="b"
    )

    assert windows_said(tmp_path, requests, a_window("5h", 42.0)) == "anthropic 5h 42% resets 2d"


def test_a_session_that_changed_its_account(tmp_path: Path) -> None:
    """After a new login the newest account's windows are its windows."""
    tracker = Tracker()
    for at, account, used in ((NOW - 60, "before", 95.0), (NOW - 30, "now", 5.0)):
        reading = LimitReading(
            "5h", "provider_native", utilization=used, resets_at=NOW + 7200, window_seconds=18000.0
        )
        tracker.add(a_call(at, session="s1", account=account, limits=(reading,)))
    written = {"pid": os.getpid(), "running": True, **tracker.status(NOW)}

    assert said(put(tmp_path, written), session_id="s1").endswith("| 5h 5% resets 2h 0m")


def test_a_file_of_an_older_proxy(tmp_path: Path) -> None:
    """It knew neither accounts nor forecasts: the fullest provider's windows, by name."""
    written = status()
    for each in (*written["windows"], *written["sessions"].values()):
        del each["account_key"]
    for window in written["windows"]:
        del window["prediction"]

    assert said(put(tmp_path, written), session_id="s1").endswith(
        "| anthropic 5h 42% resets 1h 12m | 7d 12%"
    )


def test_a_window_that_has_ended_is_not_shown(tmp_path: Path) -> None:
    """Times are counted from now, not from when the file was written."""
    directory = put(tmp_path, status())

    assert "5h 42% resets 1h 10m" in said(directory, NOW + 100)
    assert "5h 42% resets <1m" in said(directory, NOW + 4300)
    assert said(directory, NOW + 4321).endswith("| 7d 12% resets 4d | proxy stopped 1h 12m ago")


@pytest.mark.parametrize(
    ("fields", "later"),
    [({"running": False}, 60), ({"pid": 2**22 + 1}, 60), ({}, 300)],
    ids=["ended", "killed", "hangs"],
)
def test_a_proxy_that_stopped(tmp_path: Path, fields: dict[str, Any], later: float) -> None:
    """It is said, with the figures that stand; no rate of now is claimed."""
    line = said(put(tmp_path, status(**fields)), NOW + later)

    assert line.endswith(f" | proxy stopped {later // 60:.0f}m ago")
    assert line.startswith("today $6.00 | 5h 42%")


def test_the_next_day(tmp_path: Path) -> None:
    """Yesterday's cost is not today's."""
    assert said(put(tmp_path, status()), NOW + 86400).startswith("today $0.00 | ")


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"running":1', '{"pid":"x","running":true}', "null"]
)
def test_a_file_that_is_none(tmp_path: Path, content: str) -> None:
    """Whatever the file contains, a line is printed."""
    assert said(put(tmp_path, content)) == "llmtally: nothing counted yet"


# As a command


def run(
    directory: Path, *arguments: str, standard_input: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "llmtally", "statusline", *arguments],
        cwd=ROOT / "addon",
        env={**os.environ, "LLMTALLY_DIR": str(directory)},
        input=standard_input,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_nothing_yet(tmp_path: Path) -> None:
    """Before the first proxy ran."""
    done = run(tmp_path)

    assert (done.returncode, done.stdout) == (1, "llmtally: nothing counted yet\n")


def test_json(tmp_path: Path) -> None:
    """The same for programs, for the session on standard input."""
    put(tmp_path, status(), time.time())

    done = run(
        tmp_path,
        "--json",
        standard_input=json.dumps({"session_id": "s2", "model": {"id": "m"}, "cwd": "/"}),
    )

    answer = json.loads(done.stdout)
    assert (done.returncode, answer["state"], answer["providers"]) == (0, "running", ["anthropic"])
    assert [(window["key"], window["utilization"]) for window in answer["windows"]] == [
        ("5h", 42.0),
        ("7d", 12.0),
    ]
    assert (
        answer["today"]["cost_usd"],
        answer["session"]["cost_usd"],
        answer["window"]["key"],
    ) == (6.0, 2.0, "5h")


@pytest.mark.parametrize("text", ["", "garbage", "[1]", '{"session_id": 7}'])
def test_standard_input_that_is_none_of_ours(tmp_path: Path, text: str) -> None:
    """Standard input that is not Claude Code's JSON is ignored."""
    put(tmp_path, status(), time.time())

    assert run(tmp_path, standard_input=text).stdout.startswith("today $6.00")


def test_standard_input_that_never_ends(tmp_path: Path) -> None:
    """A terminal multiplexer's open pipe holds nothing up."""
    put(tmp_path, status(), time.time())
    command = [sys.executable, "-m", "llmtally", "statusline"]
    environment = {**os.environ, "LLMTALLY_DIR": str(tmp_path)}
    with subprocess.Popen(
        command, cwd=ROOT / "addon", env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"today $6.00")


def test_both_ways_are_the_same(tmp_path: Path) -> None:
    """With `--dir` the command line is loaded, and says the same."""
    put(tmp_path, status(), time.time())

    assert (
        CliRunner().invoke(cli.main, ["statusline", "--dir", str(tmp_path)]).output
        == run(tmp_path).stdout
    )


def test_it_loads_next_to_nothing(tmp_path: Path) -> None:
    """Neither the command line nor any library: what it takes is the start of the interpreter and
    some milliseconds."""
    put(tmp_path, status(), time.time())
    script = (
        "import sys; before = set(sys.modules); sys.argv = ['llmtally', 'statusline']\n"
        "from llmtally.__main__ import main\n"
        "try: main()\n"
        "except SystemExit: print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT / "addon",
        env={**os.environ, "LLMTALLY_DIR": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )

    loaded = set(done.stdout.splitlines()[-1].split())
    assert (
        loaded
        & {
            "click",
            "typing",
            "pathlib",
            "dataclasses",
            "datetime",
            "asyncio",
            "orjson",
            "socket",
            "subprocess",
        }
        == set()
    )
    assert "json" in loaded


def run_to(output: int, directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "llmtally", "statusline"],
        cwd=ROOT / "addon",
        env={**os.environ, "LLMTALLY_DIR": str(directory)},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )


def test_nobody_reads_it(tmp_path: Path) -> None:
    """A prompt that does not wait for the output causes no stack trace."""
    put(tmp_path, status(), time.time())
    read, write = os.pipe()
    os.close(read)
    done = run_to(write, tmp_path)
    os.close(write)

    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a disk that is always full")
def test_it_cannot_be_written(tmp_path: Path) -> None:
    """A full disk gives a one-line error and a separate exit code."""
    put(tmp_path, status(), time.time())
    with Path("/dev/full").open("wb") as full:
        done = run_to(full.fileno(), tmp_path)

    assert (done.returncode, done.stderr) == (
        2,
        "Error: standard output: No space left on device.\n",
    )


# What the addon writes


def test_a_real_proxy_keeps_the_file(upstream: Upstream, start_proxy: Callable[..., Proxy]) -> None:
    """A second after a call the line has it; the file is for its owner alone; in the end it says
    that it is the end."""
    proxy = start_proxy()
    events = anthropic_events("msg_1", "claude-opus-4-8", {"input_tokens": 1000}, 5000, ("hi",))
    limits = {
        "anthropic-ratelimit-unified-5h-utilization": "0.42",
        "anthropic-ratelimit-unified-5h-reset": str(int(time.time()) + 3600),
    }
    answer = sse_answer(*events)
    upstream.route(
        "api.anthropic.com",
        "/v1/messages",
        dataclasses.replace(answer, headers=tuple(limits.items())),
    )
    body = {
        "model": "claude-opus-4-8",
        "max_tokens": 1,
        "stream": True,
        "messages": [],
        "metadata": {},
    }
    headers = {
        "x-api-key": "sk-ant-api03-x",
        "x-claude-code-session-id": "5f0a3c",
        "user-agent": "claude-cli/2.1.197 (external, cli)",
    }
    named = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    ask = [
        "curl",
        "-sS",
        "-x",
        proxy.url,
        "--cacert",
        str(proxy.ca),
        *named,
        "-d",
        json.dumps(body),
    ]
    subprocess.run([*ask, "https://api.anthropic.com/v1/messages"], check=True, capture_output=True)
    proxy.record()
    directory = str(proxy.usage_dir)
    deadline = time.monotonic() + 20
    while "session $" not in (line := said(directory, time.time(), session_id="5f0a3c")):
        assert time.monotonic() < deadline, line
        time.sleep(0.05)

    assert line.startswith("session $0.13")
    assert "5h 42%" in line
    assert (proxy.usage_dir / "status.json").stat().st_mode & 0o777 == 0o600
    proxy.stop()
    assert said(directory, time.time()).endswith("proxy stopped <1m ago")
