"""`llmtally page`: the page of a journal that other processes write."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import time
import webbrowser
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from calls import a_call, separating_runner, write
from llmtally import __version__
from llmtally.cli import main as cli
from llmtally.cli import page as command
from llmtally.pricing import Pricer
from llmtally.record import Call
from llmtally.system import presence
from llmtally.system.presence import Presence
from llmtally.tally.journal_page import JournalPage
from llmtally.web import load_token
from terminals import in_terminal

DAY = 86400.0


def call(name: str, ago: float = 60.0, **fields: Any) -> Call:
    return a_call(time.time() - ago, request_id=name, **fields)


@dataclass
class Visitor:
    """A browser that follows the link."""

    process: subprocess.Popen[str]
    url: str
    cookie: str = ""

    @contextmanager
    def get(self, target: str) -> Iterator[http.client.HTTPResponse]:
        """GET this path with the visitor's cookie."""
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=20)
        connection.request("GET", target, headers={"Cookie": self.cookie})
        with closing(connection), connection.getresponse() as answer:
            yield answer

    def log_in(self) -> None:
        """Log in by the token in the address."""
        with self.get(self.url.removeprefix(f"http://{urlsplit(self.url).netloc}")) as answer:
            assert answer.status == 303
            self.cookie = answer.headers["Set-Cookie"].partition(";")[0]

    def json(self, target: str) -> Any:
        with self.get(target) as answer:
            assert answer.status == 200
            return json.load(answer)

    @contextmanager
    def events(self) -> Iterator[Iterator[tuple[str, Any]]]:
        """The events that an open page is sent."""
        with self.get("/api/events") as answer:
            yield read_events(answer)


def read_events(lines: Iterable[bytes]) -> Iterator[tuple[str, Any]]:
    name = ""
    for line in lines:
        field, _, value = line.decode().rstrip("\n").partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, json.loads(value)


@contextmanager
def visiting(directory: Path, *arguments: str) -> Iterator[Visitor]:
    """`llmtally page` as a user starts it, and a visitor who has logged in."""
    started = [
        sys.executable,
        "-m",
        "llmtally",
        "page",
        "--dir",
        str(directory),
        "--port",
        "0",
        *arguments,
    ]
    package = Path(cli.__file__).parents[2]
    with subprocess.Popen(
        started, cwd=package, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith(
                f"llmtally: the journal in {directory} is shown at http://127.0.0.1:"
            ), line
            visitor = Visitor(process, line.split()[-1])
            visitor.log_in()
            yield visitor
        finally:
            process.kill()


def read_back(events: Iterator[tuple[str, Any]]) -> dict[str, Any]:
    """What the page shows once the journal has been read."""
    return next(data for name, data in events if name == "usage" and not data["restoring"])


def test_the_journal_is_shown_and_followed(tmp_path: Path) -> None:
    """The calls of the last week are shown once, then those that another process writes. Ctrl-C
    ends it, and nothing was written."""
    write(
        tmp_path,
        [
            call("old", 5 * DAY),
            call("new"),
            call("title", attribution=a_call().attribution._replace(session="s-2")),
        ],
    )
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with visiting(tmp_path) as visitor, visitor.events() as events:
        usage = read_back(events)
        assert (usage["week"]["calls"], usage["journal"]["followed"], usage["proxy"]) == (
            3,
            True,
            None,
        )
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before

        write(tmp_path, [call("next", 0.0)])
        assert next(data["request_id"] for name, data in events if name == "record") == "next"
        assert [record["request_id"] for record in visitor.json("/api/calls")["calls"]] == [
            "next",
            "title",
            "new",
            "old",
        ]
        assert len(visitor.json("/api/sessions/s-1")["calls"]) == 3

        visitor.process.send_signal(signal.SIGINT)
        assert visitor.process.wait(20) == 0
        assert visitor.process.stderr is not None
        assert visitor.process.stderr.read() == ""
    assert {path.name for path in tmp_path.iterdir()} == set(before)


def test_it_wants_the_token(tmp_path: Path) -> None:
    """The page asks for its token, as the proxy's page does."""
    with visiting(tmp_path) as visitor:
        visitor.cookie = ""
        with visitor.get("/api/usage") as answer:
            assert answer.status == 401


def test_a_journal_that_begins_later(tmp_path: Path) -> None:
    """The page waits for a directory that is not there yet, and does not make it."""
    directory = tmp_path / "journal"
    with visiting(directory) as visitor, visitor.events() as events:
        assert read_back(events)["week"]["calls"] == 0
        assert not directory.exists()
        write(directory, [call("first")])

        assert next(data["request_id"] for name, data in events if name == "record") == "first"


def test_what_is_skipped_is_said(tmp_path: Path) -> None:
    """A damaged line is not counted as a call, and a message says that it was skipped."""
    day = next(write(tmp_path, [call("a")]).iterdir())
    with day.open("ab") as file:
        file.write(b"garbage\n")
    with visiting(tmp_path) as visitor, visitor.events() as events:
        assert read_back(events)["week"]["calls"] == 1
        assert visitor.process.stderr is not None
        assert (
            visitor.process.stderr.readline()
            == "1 damaged line was skipped; `llmtally report` shows which.\n"
        )


# What is no page


def run(*arguments: str) -> Any:
    return separating_runner().invoke(cli.main, ["page", *arguments])


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    """The error names the option that chooses another port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = run("--dir", str(tmp_path), "--port", str(port))

    assert said.exit_code == 2
    assert said.stderr == (
        f"Error: Cannot serve the page on 127.0.0.1:{port}: address already in use. "
        "Choose another port with --port, or any free one with --port 0.\n"
    )


def test_prices_that_cannot_be_read(tmp_path: Path) -> None:
    """A mistake in the price file is reported at once, not when a call is opened."""
    prices = tmp_path / "prices.json"
    prices.write_text("{")
    said = run("--dir", str(tmp_path), "--prices", str(prices))

    assert said.exit_code == 2
    assert "Invalid value for --prices" in said.stderr


@contextmanager
def a_proxy(directory: Path, page: str | None) -> Iterator[None]:
    """The file of a running proxy in the directory."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        listens = (("regular", "127.0.0.1", server.getsockname()[1]),)
        presence.write(
            directory, Presence(os.getpid(), __version__, listens, "/", "llm", page=page)
        )
        yield


def test_a_proxy_that_has_a_page(tmp_path: Path) -> None:
    """The address of the proxy's page is printed, as that page knows more; it logs in if the token
    is known."""
    with a_proxy(tmp_path, "http://127.0.0.1:8088/"):
        said = run("--dir", str(tmp_path))
        token = load_token(tmp_path, None)
        then = run("--dir", str(tmp_path))

    assert (said.exit_code, said.stdout) == (
        0,
        "llmtally: the running proxy has a page at http://127.0.0.1:8088/\n",
    )
    assert then.stdout.endswith(f" at http://127.0.0.1:8088/login?token={token}\n")


def test_a_proxy_that_has_none(tmp_path: Path) -> None:
    """`llmtally run` starts a proxy without a page: its journal is shown while it runs."""
    with a_proxy(tmp_path, None), visiting(tmp_path) as visitor:
        assert visitor.json("/api/usage")["journal"]["followed"] is True


# The browser


@pytest.mark.parametrize(("arguments", "is_opened"), [((), True), (("--no-open",), False)])
def test_on_a_terminal_a_browser_is_opened(
    tmp_path: Path, arguments: tuple[str, ...], is_opened: bool
) -> None:
    """On a terminal a browser is opened, unless `--no-open` is given."""
    browser, opened = tmp_path / "browser", tmp_path / "opened"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {opened}\n')
    browser.chmod(0o700)
    with a_proxy(tmp_path, "http://127.0.0.1:8088/"):
        in_terminal(80, "page", "--dir", str(tmp_path), *arguments, BROWSER=f"{browser} %s")

    assert opened.exists() == is_opened
    assert not is_opened or opened.read_text() == "http://127.0.0.1:8088/"


def test_a_browser_is_opened_with_the_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The browser is given the address that logs in."""
    opened: queue.Queue[str] = queue.Queue()
    monkeypatch.setattr(webbrowser, "open", opened.put)

    async def serve() -> str:
        shown = JournalPage(tmp_path, port=0, explain=Pricer().price, on_trouble=pytest.fail)
        serving = asyncio.create_task(command._serve(shown, tmp_path, opens=True))
        url = await asyncio.to_thread(opened.get, timeout=20)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        return url

    assert urlsplit(asyncio.run(serve())).query.startswith("token=")


@pytest.mark.parametrize(
    ("platform", "environment", "expected"),
    [
        ("linux", {}, False),
        ("linux", {"DISPLAY": ":0"}, True),
        ("linux", {"WAYLAND_DISPLAY": "wayland-0", "SSH_CONNECTION": "::1"}, True),
        ("linux", {"SSH_CONNECTION": "::1", "BROWSER": "code --open"}, True),
        ("darwin", {}, True),
        ("darwin", {"SSH_CONNECTION": "::1"}, False),
    ],
)
def test_where_there_is_a_browser(
    monkeypatch: pytest.MonkeyPatch, platform: str, environment: dict[str, str], expected: bool
) -> None:
    """A browser is opened on the screen of the one who asks, not on that of the machine they are
    logged in to."""
    monkeypatch.setattr(sys, "platform", platform)

    assert command.has_browser(environment) == expected
