"""The page under load and over hours: what it costs the browser, and that it does not grow."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import pytest
from playwright.sync_api import CDPSession, Page, expect

from browser_window import MadeUp, OpenPage, Serve, close_drawer
from llmtally.record import Call
from llmtally.tracker import Tracker
from web_server import made_up_call

SESSIONS = 10_000
CALLS = 12_000
PER_SECOND = 20
SECONDS = 4
ROWS = "#calls-body tbody tr"

HALF_BUSY = 0.5
"""Share of a core that the page's thread may take, on a machine that other tests run on as well;
alone it is a tenth."""

GROWTH_BYTES = 1_500_000
"""What the engine may keep by the way, in caches of code and shapes."""


COUNT_DRAWINGS = """() => {
    const frame = window.requestAnimationFrame;
    window.drawings = 0;
    window.requestAnimationFrame = (each) => { window.drawings += 1; frame.call(window, each); };
}"""

WATCH_PARTS = """() => {
    const frame = window.requestAnimationFrame;
    const parts = ["today-body", "chart-cost", "calls-body"].map((id) => {
        const observer = new MutationObserver(() => {});
        observer.observe(document.getElementById(id), { childList: true, subtree: true, characterData: true });
        return { id, observer };
    });
    const changed = () => parts.filter(({ observer }) => observer.takeRecords().length).map(({ id }) => id);
    window.drawn = [];
    window.requestAnimationFrame = (each) => frame.call(window, (time) => {
        changed();
        each(time);
        window.drawn.push(changed());
        document.body.dataset.drawn = [...new Set(window.drawn.flat())].sort().join(" ");
    });
}"""
"""Notes, for each frame, which parts of the page were drawn in it."""

HIDE = """() => {
    const frame = window.requestAnimationFrame;
    let waiting;
    window.requestAnimationFrame = (each) => { waiting = each; };
    Object.defineProperty(document, "hidden", { configurable: true, get: () => true });
    window.show = () => {
        delete document.hidden;
        window.requestAnimationFrame = frame;
        frame.call(window, waiting);
    };
}"""
"""What a browser does to a page that is not looked at: no frames. `show` brings it back."""


class Stream:
    """Calls of ten thousand sessions, one after the other."""

    def __init__(self) -> None:
        self._chance = random.Random(5)
        self._numbers = count(1)

    def call(self, ended: float) -> Call:
        number = next(self._numbers)
        call = made_up_call(self._chance, ended, number)
        return call._replace(
            attribution=call.attribution._replace(session=f"session-{number % SESSIONS}")
        )


@pytest.fixture
def stream() -> Stream:
    """More of the calls that the page has seen."""
    return Stream()


@pytest.fixture
def busy(serve: Serve, stream: Stream) -> MadeUp:
    """A page of ten thousand sessions and of all the calls that are held in memory."""
    tracker = Tracker()
    now = time.time()
    for number in range(CALLS):
        tracker.add(stream.call(now - 86_400 * (1 - number / CALLS)))
    return serve(tracker)


@contextmanager
def pouring(site: MadeUp, stream: Stream) -> Iterator[None]:
    """Twenty calls a second end meanwhile."""
    stopped = threading.Event()

    def pour() -> None:
        while not stopped.wait(1 / PER_SECOND):
            site.site.add(stream.call(time.time()))

    thread = threading.Thread(target=pour)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def meter(page: Page) -> CDPSession:
    """The browser's own measurements, in CPU time, which is not that of others on the machine."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    return session


def measured(session: CDPSession) -> dict[str, float]:
    """All measurements, after a collection of garbage."""
    session.send("HeapProfiler.collectGarbage")
    return {
        each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]
    }


def test_calls_pour_in(busy: MadeUp, stream: Stream, open_page: OpenPage) -> None:
    """Twenty calls a second cost part of a core; a drawing takes one layout, two where a chart
    changes, and forces none."""
    page = open_page(busy).page
    expect(page.locator(ROWS)).to_have_count(50)
    session = meter(page)
    page.evaluate(COUNT_DRAWINGS)
    with pouring(busy, stream):
        page.wait_for_timeout(1_000)
        before, drawn = measured(session), page.evaluate("window.drawings")
        page.wait_for_timeout(1_000 * SECONDS)
        after, drawn = measured(session), page.evaluate("window.drawings") - drawn

    assert after["TaskDuration"] - before["TaskDuration"] < HALF_BUSY * SECONDS
    assert SECONDS <= drawn <= 8 * SECONDS
    assert after["LayoutCount"] - before["LayoutCount"] <= 2 * drawn + SECONDS


def test_a_part_of_the_page_a_frame(busy: MadeUp, stream: Stream, open_page: OpenPage) -> None:
    """Sums, charts and calls are drawn one after the other, so that no frame takes long; all of
    them are."""
    page = open_page(busy).page
    expect(page.locator(ROWS)).to_have_count(50)
    page.evaluate(WATCH_PARTS)
    with pouring(busy, stream):
        expect(page.locator("body")).to_have_attribute(
            "data-drawn", "calls-body chart-cost today-body"
        )

    assert page.evaluate("Math.max(...window.drawn.map((parts) => parts.length))") == 1


def test_hours_leave_nothing_behind(busy: MadeUp, stream: Stream, open_page: OpenPage) -> None:
    """After thousands of calls, and sessions opened and closed, the page holds as much as
    before."""
    page = open_page(busy).page
    session = meter(page)

    def live(calls: int) -> dict[str, float]:
        for _ in range(calls):
            busy.site.add(stream.call(time.time()))
        newest = f"{stream.call(time.time()).request_id}-last"
        busy.site.add(stream.call(time.time())._replace(request_id=newest))
        expect(page.locator(f"#calls-body a[href$='{newest}']")).to_have_count(1)
        for _ in range(3):
            page.locator("#sessions-body tbody a").first.click()
            expect(page.locator("dialog table.agents")).to_be_visible()
            close_drawer(page)
        return measured(session)

    live(300)
    before = live(300)
    after = live(3_000)

    assert after["JSHeapUsedSize"] - before["JSHeapUsedSize"] < GROWTH_BYTES
    assert after["Nodes"] < 1.1 * before["Nodes"]
    assert after["JSEventListeners"] < 1.1 * before["JSEventListeners"]


def test_out_of_sight(busy: MadeUp, stream: Stream, open_page: OpenPage) -> None:
    """In a tab that is not looked at nothing is drawn and nothing piles up; back in sight, it is up
    to date."""
    page = open_page(busy).page
    expect(page.locator(ROWS)).to_have_count(50)
    session = meter(page)
    page.evaluate(HIDE)
    for number in range(2_400):
        busy.site.add(stream.call(time.time()))
        if number == 400:
            before = measured(session)
    last = stream.call(time.time())
    busy.site.add(last)
    page.wait_for_timeout(1_000)
    after = measured(session)

    assert page.locator(f"#calls-body a[href$='/{last.request_id}']").count() == 0
    assert after["LayoutCount"] == before["LayoutCount"]
    assert after["JSHeapUsedSize"] - before["JSHeapUsedSize"] < GROWTH_BYTES
    page.evaluate("window.show()")
    expect(page.locator(f"#calls-body a[href$='/{last.request_id}']")).to_have_count(1)
