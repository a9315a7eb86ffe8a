"""The page and time: other clocks and zones, days that end, connections that fall silent."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from browser_window import MadeUp, OpenPage, Serve
from llmtally.tracker import Tracker
from web_server import made_up_calls

ROWS = "#calls-body tbody tr"
BACK = datetime(2026, 11, 1, 7, 30, tzinfo=UTC)
"""Summer time has ended in New York an hour and a half ago: the hour from one to two was there
twice."""


@pytest.fixture
def made_up(serve: Serve) -> MadeUp:
    """Some calls of the last ten minutes."""
    tracker = Tracker()
    site = serve(tracker)
    for call in made_up_calls(30, time.time(), 600):
        site.site.call(tracker.add, call)
    return site


def axis(page: Page, chart: str) -> list[str]:
    """The labels below a chart's axis."""
    return page.locator(f"{chart} text.tick").all_text_contents()


@pytest.mark.parametrize("hours", [-7, 3])
def test_the_viewers_clock_is_wrong(made_up: MadeUp, open_page: OpenPage, hours: int) -> None:
    """Spans are measured by the proxy's clock, whatever the browser's says."""
    made_up.site.add(made_up_calls(1, time.time(), 1)[0]._replace(request_id="now"))
    page = open_page(made_up, at=datetime.now(UTC) + timedelta(hours=hours)).page

    page.get_by_text("Latest", exact=True).click()
    expect(page.locator("#sessions-body time").first).to_have_text(re.compile(r"now|\ds ago"))
    resets = page.locator(".window-reset time").first.get_attribute("datetime") or ""
    left = (datetime.fromisoformat(resets) - datetime.now(UTC)).total_seconds()
    minutes = int(left // 60)
    shown = page.locator(".window-reset time").first.inner_text()
    assert shown in {span(minutes), span(minutes + 1)}


def span(minutes: int) -> str:
    """A span of minutes as the page writes it."""
    hours, rest = divmod(minutes, 60)
    return " ".join([f"{hours}h"] * bool(hours) + [f"{rest}m"] * bool(rest))


def test_an_hour_that_is_there_twice(serve: Serve, open_page: OpenPage) -> None:
    """When clocks are set back the axes continue evenly, and each mark shows the local time."""
    tracker = Tracker()
    now = BACK.timestamp()
    made_up = serve(tracker, clock=lambda: now)
    for call in made_up_calls(200, now, 10 * 3600):
        made_up.site.call(tracker.add, call)
    page = open_page(made_up, at=BACK, timezone_id="America/New_York").page
    page.get_by_text("6 h", exact=True).click()
    expect(page.locator("#today-since")).to_contain_text("since 8:00 PM")
    assert axis(page, "#chart-day") == ["8:00 PM", "1:00 AM", "7:00 AM", "1:00 PM", "7:00 PM"]
    expect(page.locator("#chart-tokens text.tick").first).to_have_text("10:00 PM")
    assert axis(page, "#chart-tokens") == ["10:00 PM", "12:00 AM", "2:00 AM"]


def test_zones_of_half_hours(serve: Serve, open_page: OpenPage) -> None:
    """Marks stand at round local times also where the zone is off by a half hour."""
    tracker = Tracker()
    made_up = serve(tracker)
    for call in made_up_calls(60, time.time(), 3_600):
        made_up.site.call(tracker.add, call)
    page = open_page(made_up, timezone_id="Asia/Kathmandu").page
    expect(page.locator("#chart-tokens text.tick").first).to_be_visible()

    assert all(re.search(r":(00|15|30|45) ", label) for label in axis(page, "#chart-tokens"))


@pytest.fixture
def ticking(made_up: MadeUp, open_page: OpenPage) -> Iterator[Page]:
    """A page whose clock the test moves on."""
    page = open_page(made_up, at=datetime.now(UTC)).page
    expect(page.locator(ROWS)).to_have_count(30)
    yield page


def test_a_connection_that_falls_silent(ticking: Page) -> None:
    """A connection that is open but says nothing is given up and made again, as after a laptop's
    sleep."""
    asked: list[str] = []
    ticking.on("request", lambda request: asked.append(request.url))
    ticking.clock.fast_forward(45_000)
    expect(ticking.locator("#connection")).to_contain_text("Proxy stopped")
    assert not any("/api/events" in url for url in asked)
    ticking.clock.run_for(2_000)

    expect(ticking.locator("#connection")).to_have_text("Live")
    assert sum("/api/events" in url for url in asked) == 1


def test_the_charts_go_on_without_calls(ticking: Page) -> None:
    """The charts end now: they are asked for each minute, also while nothing happens."""
    with ticking.expect_request("**/api/series*"):
        ticking.clock.run_for(30_000)
        ticking.clock.run_for(32_000)
