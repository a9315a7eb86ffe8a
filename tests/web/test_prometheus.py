"""A real Prometheus scrapes `/metrics` and answers questions. `scripts/test` installs it on
Debian."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from llmtally.record import Attribution, Call, LimitReading
from llmtally.tracker import Tracker
from web_server import TOKEN, Site, made_up_calls, running

CONFIG = """
global:
  scrape_interval: 500ms
  scrape_timeout: 500ms
scrape_configs:
  - job_name: llmtally
    authorization:
      credentials_file: {token_file}
    static_configs:
      - targets: ["127.0.0.1:{port}"]
"""

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""The environment may name a proxy; this is all on loopback."""

HOSTILE = '</script>"} 1\n\x1b[31m\\'


def program(name: str) -> str:
    """The path of Prometheus. Its absence is not a reason to skip: nothing else proves what this
    file proves."""
    found = shutil.which(name)
    if found is None:
        pytest.fail(
            f"{name} is missing. Debian: apt-get install --no-install-recommends prometheus; "
            "macOS: brew install prometheus"
        )
    return found


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A Prometheus that is running, and its API."""

    port: int

    def get(self, path: str) -> Any:
        with OPENER.open(f"http://127.0.0.1:{self.port}/api/v1/{path}", timeout=10) as answer:
            return json.load(answer)["data"]

    def query(self, text: str) -> list[tuple[dict[str, str], float]]:
        """The labels and values of an instant vector."""
        return [
            (each["metric"], float(each["value"][1]))
            for each in self.get(f"query?{urlencode({'query': text})}")["result"]
        ]

    def wait_for(self, text: str, seconds: float = 30.0) -> list[tuple[dict[str, str], float]]:
        """What a query gives once it gives anything."""
        deadline = time.monotonic() + seconds
        while not (found := self.query(text)):
            assert time.monotonic() < deadline, self.get("targets")
            time.sleep(0.1)
        return found


@pytest.fixture(scope="module")
def calls() -> list[Call]:
    """Calls of the last hour; one model's name is hostile."""
    now = time.time()
    calls = [call._replace(limits=()) for call in made_up_calls(200, now, 3_600.0)]
    calls[-1] = calls[-1]._replace(
        model=HOSTILE, provider="openai", outcome="complete", coverage="priced", cost_usd=0.5
    )
    calls[-2] = calls[-2]._replace(
        provider="anthropic",
        limits=(
            LimitReading(
                "5h",
                "provider_native",
                utilization=37.5,
                resets_at=now + 7_200,
                window_seconds=18_000,
            ),
        ),
        attribution=Attribution(account="0123456789ab"),
    )
    return calls


@pytest.fixture(scope="module")
def site(calls: list[Call]) -> Iterator[Site]:
    tracker = Tracker()
    for call in calls:
        tracker.add(call)
    with running(tracker) as site:
        yield site


@pytest.fixture(scope="module")
def prometheus(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus of our own, on a free port, that scrapes the site with the token from its
    file."""
    directory = tmp_path_factory.mktemp("prometheus")
    token_file = directory / "web-token"
    token_file.write_text(f"{TOKEN}\n")
    config = directory / "prometheus.yml"
    config.write_text(CONFIG.format(token_file=token_file, port=site.port))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        program("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (
        (directory / "log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log, cwd=directory) as process,
    ):
        try:
            _wait_until_ready(port, process, directory / "log")
            yield Prometheus(port)
        finally:
            process.terminate()


def _wait_until_ready(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with OPENER.open(f"http://127.0.0.1:{port}/-/ready", timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"Prometheus does not start: {log.read_text()}")


def test_it_scrapes_with_the_token(prometheus: Prometheus) -> None:
    """The target is up, and Prometheus finds nothing wrong with what it reads."""
    prometheus.wait_for("up == 1")
    (target,) = prometheus.get("targets")["activeTargets"]

    assert (target["health"], target["lastError"]) == ("up", "")


def test_cost_by_model(prometheus: Prometheus, calls: list[Call]) -> None:
    """The question most asked: what has each model cost."""
    expected: dict[str, float] = {}
    for call in calls:
        if call.cost_usd is not None:
            name = (
                '</script>"} 1\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}[31m\\'
                if call.model == HOSTILE
                else call.model
            )
            assert name is not None
            expected[name] = expected.get(name, 0.0) + call.cost_usd
    answer = prometheus.wait_for("sum by (model) (llmtally_cost_usd_total)")

    assert {labels["model"]: cost for labels, cost in answer} == pytest.approx(expected)


def test_utilization_of_the_5_hour_window(prometheus: Prometheus, site: Site) -> None:
    """How full the window is and when it resets, as `/api/usage` has it."""
    (window,) = (each for each in site.get("/api/usage").json()["windows"] if each["key"] == "5h")
    ((labels, ratio),) = prometheus.wait_for('llmtally_limit_utilization_ratio{key="5h"}')
    ((_, seconds),) = prometheus.wait_for(
        'llmtally_limit_reset_timestamp_seconds{key="5h"} - time()'
    )

    assert (window["utilization"], ratio) == (37.5, 0.375)
    assert (labels["provider"], labels["account"], labels["source"]) == (
        "anthropic",
        "0123456789ab",
        "provider_native",
    )
    assert seconds == pytest.approx(window["reset_in_ms"] / 1000, abs=30)


def test_all_tokens_are_the_sum_of_the_buckets(prometheus: Prometheus, calls: list[Call]) -> None:
    """One metric for each disjoint bucket: adding them counts nothing twice."""
    text = " + ".join(
        f"sum(llmtally_{bucket}_tokens_total)"
        for bucket in ("input", "cache_read", "cache_write", "output")
    )
    ((_, total),) = prometheus.wait_for(text)

    assert total == sum(call.usage.total_tokens or 0 for call in calls)


def test_quantiles(prometheus: Prometheus, calls: list[Call]) -> None:
    """Prometheus computes quantiles from the histograms."""
    answer = prometheus.wait_for(
        "histogram_quantile(0.5, sum by (le) (llmtally_call_duration_seconds_bucket))"
    )
    durations = sorted((call.duration_ms or 0) / 1000 for call in calls)

    assert answer[0][1] == pytest.approx(durations[len(durations) // 2], rel=0.3)


def test_a_new_call_shows(prometheus: Prometheus, site: Site, calls: list[Call]) -> None:
    """A call that ends later is counted, too."""
    prometheus.wait_for(f"sum(llmtally_calls_total) == {len(calls)}")
    site.add(calls[0]._replace(request_id="new", ended=time.time()))

    prometheus.wait_for(f"sum(llmtally_calls_total) == {len(calls) + 1}")


def test_promtool_has_nothing_to_complain_of(site: Site) -> None:
    """Prometheus' own linter reads the text without a word."""
    text = site.get("/metrics").body
    said = subprocess.run(
        [program("promtool"), "check", "metrics"], input=text, capture_output=True, check=False
    )

    assert (said.returncode, said.stdout + said.stderr) == (0, b"")
