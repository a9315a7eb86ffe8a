"""Fixtures: a Chromium, and windows of it on the page of a real mitmdump."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from browser_traffic import Traffic
from browser_window import LAPTOP, OPTIONS, HasPage, MadeUp, OpenPage, Serve, Window
from upstream.proxy import Proxy, StartProxy
from upstream.server import Upstream
from web_server import running

FLAGS = (
    "--no-sandbox",  # tests may run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium: playwright's own download is not needed. In the package only, as its loop
    gets in asyncio's way."""
    found = (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
    if found is None:
        pytest.fail(
            "Chromium is missing. Debian: apt-get install --no-install-recommends chromium; "
            "macOS: brew install chromium"
        )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def site(start_proxy: StartProxy, upstream: Upstream) -> Traffic:
    """A mitmdump of the test's own that serves the page, and clients for it."""
    return Traffic(start_proxy(options=OPTIONS), upstream)


@pytest.fixture(scope="package")
def busy_proxy(
    shared_upstream: Upstream, confdir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Traffic]:
    """A mitmdump through which lively traffic has gone."""
    proxy = Proxy(shared_upstream, confdir, tmp_path_factory.mktemp("busy"), options=OPTIONS)
    traffic = Traffic(proxy, shared_upstream)
    traffic.lively()
    proxy.records(17)
    yield traffic
    shared_upstream.reset()
    proxy.stop()


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves a tracker's page; `clock` as for `running`. To be asked for before `open_page`, so
    that windows are closed first."""
    with ExitStack() as stack:
        yield lambda tracker, **options: MadeUp(stack.enter_context(running(tracker, **options)))


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[OpenPage]:
    """Opens a window, logged in by the address that mitmdump printed; options as for Playwright's
    contexts.

    `at` is what its clock says; the test may then move it on.
    """
    windows: list[Window] = []

    def open_(site: HasPage, *, at: datetime | None = None, **options: Any) -> Window:
        settings = {
            "viewport": LAPTOP,
            "locale": "en-US",
            "timezone_id": "Europe/Berlin",
            **options,
        }
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
