"""The demo plays for real: proxy, providers and SDKs; and ends as if it had never been."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener

import pytest

from upstream.handler import DEADLINE
from upstream.proxy import ROOT

POLL = 0.2
"""Seconds between two looks at the page's JSON."""

Json = dict[str, Any]


class Demo:
    """`python -m demo`, as `scripts/demo` runs it, with its temporary directory where the test sees
    it."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self.directory = directory
        self.process = subprocess.Popen(
            [sys.executable, "-m", "demo", "--port", "0", *arguments],
            cwd=ROOT,
            env={**os.environ, "TMPDIR": str(directory)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def read_welcome(self) -> str:
        """All that it says until it plays."""
        assert self.process.stdout is not None
        said = ""
        for line in self.process.stdout:
            said += line
            if "Ctrl-C" in line:
                return said
        raise AssertionError(said)

    def ask(self, url: str, path: str) -> Json:
        """The page's JSON, with the token of the URL that was printed."""
        address = urlsplit(url)
        token = address.query.removeprefix("token=")
        request = Request(
            f"http://{address.netloc}{path}", headers={"Authorization": f"Bearer {token}"}
        )
        answer: Json = json.load(build_opener(ProxyHandler({})).open(request, timeout=DEADLINE))
        return answer

    def end(self) -> tuple[int, str]:
        """Wait for the end: exit code and what was said last."""
        said, _ = self.process.communicate(timeout=DEADLINE)
        return self.process.returncode, said


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    """A demo that would run until it is stopped."""
    started = Demo(tmp_path)
    yield started
    if started.process.poll() is None:
        started.process.terminate()
        started.end()


def wait_for(look: Callable[[], bool], what: Callable[[], object]) -> None:
    """Look until it is so."""
    deadline = time.monotonic() + DEADLINE
    while not look():
        assert time.monotonic() < deadline, what()
        time.sleep(POLL)


def live_calls(demo: Demo, url: str) -> list[Json]:
    """Records of what the SDKs did; those of the history are named."""
    records: list[Json] = demo.ask(url, "/api/calls?limit=200")["calls"]
    return [record for record in records if not record["request_id"].startswith("demo-")]


def five_hours(demo: Demo, url: str) -> float:
    """How full the Claude plan's window is."""
    windows = demo.ask(url, "/api/usage")["windows"]
    return next(
        float(window["utilization"])
        for window in windows
        if (window["provider"], window["key"]) == ("anthropic", "5h")
    )


def is_lively(calls: list[Json]) -> bool:
    """Whether there is some of everything that the page can show."""
    sessions_with_agents = {call["session"] for call in calls if "agent" in call}
    outcomes = {call["outcome"] for call in calls}
    models = {call["model"] for call in calls if call["coverage"] == "priced"}
    return len(models) >= 3 and len(sessions_with_agents) >= 2 and {"complete", "error"} <= outcomes


def test_it_is_alive_and_ends_without_a_trace(demo: Demo) -> None:
    """Within seconds the page shows models, agents, an error and a window that moves; Ctrl-C ends
    all of it, tidily."""
    welcome = demo.read_welcome()
    assert "ALL NUMBERS ARE MADE UP" in welcome
    found = re.search(r"http://127\.0\.0\.1:\S+", welcome)
    assert found is not None
    url = found[0]
    wait_for(lambda: bool(demo.ask(url, "/api/usage")["per_model"]), lambda: "no history")
    used = five_hours(demo, url)

    wait_for(lambda: is_lively(live_calls(demo, url)), lambda: live_calls(demo, url))

    assert five_hours(demo, url) > used
    assert {
        call["model"] for call in live_calls(demo, url) if call["coverage"] == "unparsed"
    } == set()

    demo.process.send_signal(signal.SIGINT)

    code, said = demo.end()
    assert code == 0, said
    assert "Traceback" not in said
    assert "Ended" in said
    assert list(demo.directory.iterdir()) == []


def test_it_ends_by_itself(tmp_path: Path) -> None:
    """`--seconds` is enough to end it."""
    code, said = Demo(tmp_path, "--seconds", "0").end()

    assert code == 0, said
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


def test_the_script_plays_the_demo(tmp_path: Path) -> None:
    """`scripts/demo` installs the SDKs and passes its arguments on."""
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text('#!/bin/sh\necho "$@"\n')
    python.chmod(0o755)

    said = subprocess.run(
        [ROOT / "scripts" / "demo", "--seconds", "5"],
        env={**os.environ, "LLMTALLY_VENV": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()

    assert any(line.endswith(f"-e {ROOT}[sdks]") for line in said)
    assert said[-1] == "-m demo --seconds 5"
