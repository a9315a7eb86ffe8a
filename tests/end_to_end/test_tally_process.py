"""One tally for a directory, in a process that proxies start, feed and outlive."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from llmtally.system.unix_socket import is_ours, socket_path
from upstream.answers import json_answer
from upstream.client import Http1Client, post
from upstream.handler import DEADLINE
from upstream.held import HOST, MODEL, PATH, Held, whole
from upstream.proxy import ADDON, Proxy, StartProxy
from upstream.server import Upstream


def tally_of(directory: Path) -> int:
    """The process of a directory's tally; waits for it."""
    found: list[int] = []

    def look() -> bool:
        found[:] = [
            int(path.parent.name)
            for path in Path("/proc").glob("[0-9]*/cmdline")
            if _is_tally(path, directory)
        ]
        return bool(found)

    wait_for(look, "a tally")
    return found[0]


def _is_tally(path: Path, directory: Path) -> bool:
    try:
        words = path.read_bytes().split(b"\0")
    except OSError:
        return False
    return b"tally" in words and os.fsencode(directory) in words


def wait_for(look: Callable[[], bool], what: str, seconds: float = DEADLINE) -> None:
    deadline = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.01)


@pytest.fixture
def start(start_proxy: StartProxy, tmp_path: Path) -> Iterator[Callable[..., Proxy]]:
    """Starts proxies that share a directory and its tally."""
    directory = tmp_path / "usage"

    def start(**options: str) -> Proxy:
        proxy = start_proxy(
            options={"usage_tally": "process", "usage_dir": str(directory), **options}
        )
        proxy.usage_dir = directory
        return proxy

    yield start
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        if _is_tally(path, directory):
            os.kill(int(path.parent.name), signal.SIGKILL)


def test_a_call_is_counted_by_the_tally(start: Callable[..., Proxy], upstream: Upstream) -> None:
    """The record is that of a proxy that counts by itself; the line is in the proxy's terminal."""
    proxy = start()
    upstream.route(HOST, PATH, json_answer(whole("msg-1")))
    post(proxy, HOST, PATH)

    record = proxy.record()
    assert (record["response_id"], record["outcome"], record["output_tokens"]) == (
        "msg-1",
        "complete",
        410,
    )
    proxy.wait_for_log("anthropic claude-opus-4-8 | in 12")
    proxy.stop()


def test_a_clean_stop_waits_for_the_journal(
    start: Callable[..., Proxy], upstream: Upstream
) -> None:
    """What is in flight when a proxy ends is in the journal when its process is gone."""
    proxy = start()
    held = Held("msg-stopped")
    upstream.route(HOST, PATH, held)
    with Http1Client(proxy, HOST) as client:
        client.request("POST", PATH, b"{}").read(held.size)
        proxy.stop()

    (record,) = proxy.journal()
    assert (record["response_id"], record["outcome"]) == ("msg-stopped", "client_aborted")


def test_a_killed_tally_loses_nothing(start: Callable[..., Proxy], upstream: Upstream) -> None:
    """The proxy starts another one and sends again what was not in the journal: each call is there
    once, whole, and the client noticed nothing."""
    proxy = start()
    upstream.route(HOST, PATH, json_answer(whole("msg-before")))
    post(proxy, HOST, PATH)
    proxy.records(1)
    held = Held("msg-held")
    upstream.route(HOST, PATH, held)
    with Http1Client(proxy, HOST) as client:
        answer = client.request("POST", PATH, b"{}")
        read = answer.read(held.size)
        first = tally_of(proxy.usage_dir)
        time.sleep(0.1)  # the tally has what came so far
        os.kill(first, signal.SIGKILL)
        held.go_on.open()
        read += answer.read()
    assert read == b"".join(held.events)
    upstream.route(HOST, PATH, json_answer(whole("msg-after")))
    post(proxy, HOST, PATH)

    records = proxy.records(3)
    proxy.stop()
    assert sorted(
        (record["response_id"], record["outcome"], record["output_tokens"]) for record in records
    ) == [
        ("msg-after", "complete", 410),
        ("msg-before", "complete", 410),
        ("msg-held", "complete", 410),
    ]
    assert tally_of(proxy.usage_dir) != first
    assert len(proxy.journal()) == 3


def test_a_killed_proxy_leaves_no_open_flow(
    start: Callable[..., Proxy], upstream: Upstream
) -> None:
    """The tally settles what the proxy had open as cut off, with what it had cost by then."""
    proxy = start()
    held = Held("msg-cut-off")
    upstream.route(HOST, PATH, held)
    with Http1Client(proxy, HOST) as client:
        client.request("POST", PATH, b"{}").read(held.size)
        tally_of(proxy.usage_dir)
        wait_for(lambda: connected(proxy.usage_dir), "the tally")
        time.sleep(0.2)
        proxy.kill()
        (record,) = proxy_records(proxy, 1)

    assert (record["response_id"], record["outcome"]) == ("msg-cut-off", "client_aborted")
    assert (record["input_tokens"], record["estimated"]) == (12, True)


def proxy_records(proxy: Proxy, expected: int) -> list[dict[str, object]]:
    """Records of a proxy that is gone."""
    wait_for(lambda: len(proxy.journal()) >= expected, "records")
    return proxy.journal()


def connected(directory: Path) -> bool:
    """Whether the tally listens."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(socket_path(directory)))
        except OSError:
            return False
        return is_ours(client)


def test_a_stopped_tally_holds_up_nobody(start: Callable[..., Proxy], upstream: Upstream) -> None:
    """While the tally is stopped, the client's bytes go on at once; they are counted later."""
    proxy = start()
    upstream.route(HOST, PATH, json_answer(whole("msg-first")))
    post(proxy, HOST, PATH)
    proxy.records(1)
    tally = tally_of(proxy.usage_dir)
    os.kill(tally, signal.SIGSTOP)
    body = json.dumps({"model": MODEL, "messages": ["x" * 200_000]}).encode()
    slowest, until, asked = 0.0, time.monotonic() + 2, 0
    with Http1Client(proxy, HOST) as client:
        while time.monotonic() < until:
            asked += 1
            upstream.route(HOST, PATH, json_answer(whole(f"msg-{asked}")))
            began = time.monotonic()
            client.request("POST", PATH, body).read()
            slowest = max(slowest, time.monotonic() - began)
    assert len(proxy.journal()) == 1
    os.kill(tally, signal.SIGCONT)

    assert len(proxy.records(1 + asked)) == 1 + asked
    assert slowest < 1, f"{slowest} s"
    proxy.stop()


def test_two_proxies_show_one_sum(start: Callable[..., Proxy], upstream: Upstream) -> None:
    """Page and metrics of a directory count the calls of all its proxies."""
    token = "a-token-of-sixteen"
    first = start(usage_web="true", usage_web_port="0", usage_web_token=token)
    first.wait_for_log("the page is at ")
    second = start()
    for number, proxy in enumerate((first, second, second)):
        upstream.route(HOST, PATH, json_answer(whole(f"msg-{number}")))
        post(proxy, HOST, PATH)
    first.records(3)
    url = first.log.split("the page is at ")[1].split("login")[0]

    def asked(path: str) -> str:
        request = urllib.request.Request(
            f"{url}{path}", headers={"Authorization": f"Bearer {token}"}
        )
        with urllib.request.urlopen(request) as answer:
            return str(answer.read().decode())

    usage = json.loads(asked("api/usage"))
    assert usage["today"]["calls"] == 3
    assert 'outcome="complete"' in asked("metrics")
    second.stop()
    first.stop()


def test_without_a_process_the_proxy_counts(
    start: Callable[..., Proxy], upstream: Upstream, tmp_path: Path
) -> None:
    """Where no tally can be started, the proxy says so in one line and counts by itself."""
    (tmp_path / "usage").mkdir()
    (tmp_path / "usage" / "tally.lock").mkdir()  # the tally cannot take it
    proxy = start()
    upstream.route(HOST, PATH, json_answer(whole("msg-1")))
    post(proxy, HOST, PATH)

    assert proxy.record()["response_id"] == "msg-1"
    assert proxy.log.count("counting in the proxy itself, as no tally can be started") == 1
    proxy.stop()


def test_flows_are_written_with_their_comments(
    start: Callable[..., Proxy], upstream: Upstream, tmp_path: Path
) -> None:
    """`-w` counts in the proxy, whatever the option says: the comment must be there at once."""
    flows = tmp_path / "flows"
    proxy = start(save_stream_file=str(flows))
    upstream.route(HOST, PATH, json_answer(whole("msg-1")))
    post(proxy, HOST, PATH)
    proxy.records(1)
    proxy.stop()

    assert b"llmtally: anthropic claude-opus-4-8" in flows.read_bytes()
    assert not (proxy.usage_dir / "tally.log").exists()


def test_a_tally_ends_without_proxies(start: Callable[..., Proxy], upstream: Upstream) -> None:
    """Some seconds after the last proxy the process that it started is gone, with its socket."""
    proxy = start()
    upstream.route(HOST, PATH, json_answer(whole("msg-1")))
    post(proxy, HOST, PATH)
    proxy.records(1)
    tally = tally_of(proxy.usage_dir)
    proxy.stop()

    wait_for(lambda: not Path(f"/proc/{tally}").exists(), "its end")
    assert not socket_path(proxy.usage_dir).exists()


def test_the_socket_is_its_owners_alone(start: Callable[..., Proxy]) -> None:
    """Nobody else may tell a tally what was spent, or read what it answers."""
    proxy = start()
    tally_of(proxy.usage_dir)
    path = socket_path(proxy.usage_dir)
    wait_for(lambda: path.exists(), "its socket")

    assert path.stat().st_mode & 0o777 == 0o600
    proxy.stop()


def test_a_second_tally_is_refused(start: Callable[..., Proxy]) -> None:
    """A directory has one tally."""
    proxy = start()
    tally_of(proxy.usage_dir)
    wait_for(lambda: connected(proxy.usage_dir), "the tally")
    said = subprocess.run(
        [sys.executable, "-m", "llmtally", "tally", "--dir", str(proxy.usage_dir)],
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE,
        cwd=ADDON.parent,
    )

    assert (said.returncode, "Another tally counts" in said.stderr) == (2, True)
    proxy.stop()
