"""Fixtures: a Chromium, and windows of it on the page of a real mitmdump."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright
from playwright.sync_api import Request as PageRequest

from browser.traffic import Traffic
from conftest import StartProxy
from upstream.proxy import ROOT, Proxy
from upstream.server import Upstream
from web_server import TOKEN, Site, running

SHOTS = ROOT / "test-output" / "page"

FLAGS = (
    "--no-sandbox",  # tests may run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

LAPTOP = {"width": 1440, "height": 900}
SMALL_LAPTOP = {"width": 1280, "height": 720}
LAPTOP_WITH_BARS = {"width": 1366, "height": 641}
"""A screen of 1366 x 768 without what the browser takes of it."""
TABLET = {"width": 768, "height": 1024}
PHONE = {"width": 360, "height": 740}

OPTIONS = {"usage_web": "true", "usage_web_port": "0"}

OpenPage = Callable[..., "Window"]


class HasPage(Protocol):
    """What a window can be opened on."""

    @property
    def login_url(self) -> str:
        """The address that logs in."""


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium: playwright's own download is not needed. In the package only, as its loop gets in asyncio's way."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.fail("Chromium is missing. Debian: apt-get install --no-install-recommends chromium; macOS: brew install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def site(start_proxy: StartProxy, upstream: Upstream) -> Traffic:
    """A mitmdump of the test's own that serves the page, and clients for it."""
    return Traffic(start_proxy(options=OPTIONS), upstream)


@pytest.fixture(scope="package")
def busy_proxy(shared_upstream: Upstream, confdir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traffic]:
    """A mitmdump through which lively traffic has gone."""
    proxy = Proxy(shared_upstream, confdir, tmp_path_factory.mktemp("busy"), options=OPTIONS)
    traffic = Traffic(proxy, shared_upstream)
    traffic.lively()
    proxy.records(17)
    yield traffic
    shared_upstream.reset()
    proxy.stop()


@dataclass
class Window:
    """A window on the page. Nothing may go wrong in it, and nothing may be asked of anybody else."""

    page: Page
    problems: list[str] = field(default_factory=list)
    requests: list[PageRequest] = field(default_factory=list)
    is_proxy_stopped: bool = False
    """Requests may fail from here on."""

    def watch(self) -> None:
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request))  # Playwright marks what it is given

    def _console(self, message: ConsoleMessage) -> None:
        lost = self.is_proxy_stopped and "ERR_" in message.text
        if message.type in ("error", "warning") and not lost:
            self.problems.append(message.text)

    def check(self) -> None:
        assert self.problems == []
        assert {urlsplit(request.url).hostname for request in self.requests} <= {"127.0.0.1"}

    def shot(self, name: str, **options: Any) -> None:
        """Keep a picture for people to look at."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SHOTS / f"{name}.png", **options)

    def assert_accessible(self) -> None:
        """axe-core finds nothing. https://github.com/dequelabs/axe-core"""
        results = Axe().run(self.page)
        assert results.violations_count == 0, results.generate_report()

    def text(self, selector: str) -> str:
        return self.page.locator(selector).inner_text()


@dataclass
class MadeUp:
    """A server without a proxy, for what would take long to bring about."""

    site: Site

    @property
    def login_url(self) -> str:
        return f"http://127.0.0.1:{self.site.port}/login?token={TOKEN}"


Serve = Callable[..., MadeUp]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves a tracker's page; `clock` as for `running`. To be asked for before `open_page`, so that windows are closed first."""
    with ExitStack() as stack:
        yield lambda tracker, **options: MadeUp(stack.enter_context(running(tracker, **options)))


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[OpenPage]:
    """Opens a window, logged in by the address that mitmdump printed; options as for Playwright's contexts.

    `at` is what its clock says; the test may then move it on.
    """
    windows: list[Window] = []

    def open_(site: HasPage, *, at: datetime | None = None, **options: Any) -> Window:
        settings = {"viewport": LAPTOP, "locale": "en-US", "timezone_id": "Europe/Berlin", **options}
        window = Window(chromium.new_context(**settings).new_page())
        windows.append(window)
        window.watch()
        if at is not None:
            window.page.clock.install(time=at)
        window.page.goto(site.login_url)
        window.page.wait_for_selector("body[data-ready]")
        window.page.wait_for_selector("#connection[data-state=live]")
        return window

    yield open_
    for window in windows:
        window.page.context.close()
        window.check()


def close_sheet(page: Page) -> None:
    """Close what is open as one does, and wait until it says so: it is out of sight a little before."""
    page.keyboard.press("Escape")
    page.wait_for_url(lambda address: "#" not in address)
    expect(page.locator("dialog")).not_to_be_visible()
