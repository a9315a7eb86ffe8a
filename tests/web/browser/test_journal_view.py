"""The page of `llmtally page`: it says what it is."""

from __future__ import annotations

from dataclasses import replace

from playwright.sync_api import expect

from browser_window import OpenPage, Serve
from llmtally.tracker import Tracker


def test_it_shows_the_journal(serve: Serve, open_page: OpenPage) -> None:
    """That it reads what proxies write is said; no address is named to lead a client to, as nobody
    listens there."""
    made_up = serve(Tracker())
    made_up.site.runtime[0] = replace(made_up.site.runtime[0], journal_followed=True)
    window = open_page(made_up)

    expect(window.page.locator("#connection")).to_have_text("Live from the journal")
    expect(window.page.locator("#empty")).to_contain_text("llmtally run -- claude")
    expect(window.page.locator("#empty")).not_to_contain_text("HTTPS_PROXY")
    window.assert_accessible()


def test_a_proxys_page_does_not(serve: Serve, open_page: OpenPage) -> None:
    """There, clients are led by hand, too."""
    window = open_page(serve(Tracker()))

    expect(window.page.locator("#connection")).to_have_text("Live")
    expect(window.page.locator("#empty")).to_contain_text("HTTPS_PROXY")
