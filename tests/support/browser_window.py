"""Windows on the page in a real Chromium: their sizes, what is checked in every one, and what they
are opened on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import ConsoleMessage, Page, expect
from playwright.sync_api import Request as PageRequest

from upstream.proxy import ROOT
from web_server import TOKEN, Site

SHOTS = ROOT / "test-output" / "page"


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


@dataclass
class Window:
    """A window on the page. Nothing may go wrong in it, and nothing may be asked of anybody
    else."""

    page: Page
    problems: list[str] = field(default_factory=list)
    requests: list[PageRequest] = field(default_factory=list)
    is_proxy_stopped: bool = False
    """Whether requests may fail."""

    def watch(self) -> None:
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        # Playwright marks what it is given
        self.page.on("request", lambda request: self.requests.append(request))

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
        """Assert that axe-core finds no problem. https://github.com/dequelabs/axe-core"""
        results = Axe().run(self.page)
        assert results.violations_count == 0, results.generate_report()

    def text(self, selector: str) -> str:
        return self.page.locator(selector).inner_text()


@dataclass
class MadeUp:
    """A server without a proxy, for states that would take long to reach with one."""

    site: Site

    @property
    def login_url(self) -> str:
        return f"http://127.0.0.1:{self.site.port}/login?token={TOKEN}"


Serve = Callable[..., MadeUp]


def close_drawer(page: Page) -> None:
    """Close the drawer with Escape, and wait until the URL says so: it is out of sight a little
    before."""
    page.keyboard.press("Escape")
    page.wait_for_url(lambda address: "#" not in address)
    expect(page.locator("dialog")).not_to_be_visible()
