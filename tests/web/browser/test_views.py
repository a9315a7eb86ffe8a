"""What the page shows of traffic that has passed, and how it is read: by eye, by keyboard, by
screen reader."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import Locator, expect

from browser_traffic import GPT, HAIKU, OPUS, Traffic
from browser_window import LAPTOP, LAPTOP_WITH_BARS, PHONE, SMALL_LAPTOP, OpenPage, close_drawer

ROWS = "#calls-body tbody tr"
ROW_HEIGHT = 26
FIRST_PAINT_BYTES = 100_000


def dollars(cell: Locator) -> float:
    """The exact amount that a cell tells."""
    exact = cell.locator("[title]")
    text = exact.first.get_attribute("title") if exact.count() else cell.inner_text()
    return float(re.sub(r"[^0-9.]", "", text or ""))


@pytest.mark.parametrize(
    "viewport", [LAPTOP, SMALL_LAPTOP, LAPTOP_WITH_BARS], ids=["1440", "1280", "1366"]
)
def test_all_is_in_sight_on_a_laptop(
    busy_proxy: Traffic, open_page: OpenPage, viewport: dict[str, int]
) -> None:
    """What today costs, the limits, the charts, the sessions and the calls stand on one screen
    without scrolling."""
    window = open_page(busy_proxy, viewport=viewport)
    page = window.page
    expect(page.locator(ROWS)).to_have_count(17)
    expect(page.locator(".chart svg")).to_have_count(3)
    window.shot(f"light-{viewport['width']}")

    assert page.evaluate("document.documentElement.scrollHeight") <= viewport["height"]
    for section in ("today", "limits", "timeline", "sessions", "calls"):
        box = page.locator(f"#{section}").bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= viewport["height"], section
    assert page.locator("#chart-tokens path.fill").count() == 3
    table = page.locator("#calls-body").bounding_box()
    assert table is not None
    assert table["height"] > 4 * ROW_HEIGHT


@pytest.mark.parametrize("locale", ["en-US", "de-DE"])
@pytest.mark.parametrize("width", [360, 600, 768, 1024, 1180, 1280, 1440, 1920])
def test_no_number_is_cut(
    busy_proxy: Traffic, open_page: OpenPage, width: int, locale: str
) -> None:
    """At any width, where numbers are long, tables and axes stay within their frames; times and
    costs are whole."""
    page = open_page(busy_proxy, viewport={"width": width, "height": 900}, locale=locale).page
    expect(page.locator(ROWS)).to_have_count(17)
    expect(page.locator(".chart svg")).to_have_count(3)

    assert page.evaluate("document.documentElement.scrollWidth") == width
    for table in ("#calls-body", "#sessions-body"):
        assert (
            page.evaluate(
                f"(at => at.scrollWidth - at.clientWidth)(document.querySelector('{table}'))"
            )
            == 0
        ), table
    whole = "td.n, #calls-body tbody th, .window p, .window-reset"
    cut = f"""[...document.querySelectorAll('{whole}')].filter(cell => cell.scrollWidth > cell.clientWidth + 1)
        .map(cell => cell.textContent)"""
    assert page.evaluate(cut) == []
    out = """[...document.querySelectorAll('.chart')].flatMap(chart => [...chart.querySelectorAll('text')].filter(text =>
        text.getBoundingClientRect().left < chart.getBoundingClientRect().left - 1)).map(text => text.textContent)"""
    assert page.evaluate(out) == []


def test_a_subscription_is_never_called_spent(busy_proxy: Traffic, open_page: OpenPage) -> None:
    """Money is split into what is billed and what a subscription's calls are worth, as a total and
    by call."""
    page = open_page(busy_proxy).page
    usage = json.loads(page.evaluate("fetch('api/usage').then(answer => answer.text())"))["today"]
    figures = {
        figure.locator("dt").inner_text(): figure.locator(".amount > span").first
        for figure in page.locator(".figure").all()
    }

    assert figures["Spent"].get_attribute("title") == f"${usage['spent_usd']:.10f}".rstrip("0")
    assert figures["API value"].get_attribute("title") == f"${usage['api_value_usd']:.10f}".rstrip(
        "0"
    )
    assert usage["api_value_usd"] > usage["spent_usd"] > 0
    assert page.locator(ROWS).filter(has_text=OPUS).filter(has_text="API value").count() == 6
    assert page.locator(ROWS).filter(has_text=GPT).filter(has_text="API value").count() == 0
    expect(page.locator("#sessions-body tbody tr").first).to_contain_text("API value")


def test_limits_tell_where_they_come_from(busy_proxy: Traffic, open_page: OpenPage) -> None:
    """A window shows how full it is, when it resets, and the source of the figure."""
    page = open_page(busy_proxy).page
    window = page.locator(".window").first

    expect(window).to_contain_text("5-hour window")
    expect(window).to_contain_text("reported, high confidence")
    expect(window.locator(".window-used")).to_contain_text("40%")
    expect(window).to_contain_text(re.compile("resets in 1h"))
    assert window.get_by_role("meter").get_attribute("aria-valuenow") == "40"


def test_filters(busy_proxy: Traffic, open_page: OpenPage) -> None:
    """Model, client, session and outcome each leave the calls that match, and Clear brings all
    back."""
    page = open_page(busy_proxy).page
    rows = page.locator(ROWS)
    for name, choice, expected in (
        ("model", HAIKU, 6),
        ("client", "claude-code", 12),
        ("session", re.compile("5e551017"), 12),
        ("outcome", "error", 1),
    ):
        select = page.get_by_label(name, exact=True)
        option = select.locator("option").filter(has_text=choice).first.get_attribute("value")
        select.select_option(option)
        expect(rows).to_have_count(expected)
        expect(select).to_be_focused()
        page.get_by_role("button", name="Clear").click()
        expect(rows).to_have_count(17)


def test_filters_that_nothing_matches(busy_proxy: Traffic, open_page: OpenPage) -> None:
    """Filters add up; where nothing matches, the page says so."""
    page = open_page(busy_proxy).page
    page.get_by_label("model", exact=True).select_option(GPT)
    page.get_by_label("outcome", exact=True).select_option("error")

    expect(page.locator("#calls-body")).to_have_text("No calls match this filter.")


def test_a_call_opens_to_how_its_cost_adds_up(busy_proxy: Traffic, open_page: OpenPage) -> None:
    """Buckets times rates are shown, and add up to the cost; the whole record stands below."""
    window = open_page(busy_proxy)
    page = window.page
    page.locator(ROWS).filter(has_text=OPUS).filter(has_text="API value").first.click()
    bill = page.locator("table.bill")
    expect(bill).to_be_visible()
    window.shot("call")

    *items, total = [dollars(row.locator("td").last) for row in bill.locator("tbody tr").all()]
    assert len(items) >= 4
    assert sum(items) == pytest.approx(total, rel=1e-6)
    record = json.loads(page.locator("dialog pre").inner_text())
    assert (record["model"], record["cache_write_tokens"]) == (OPUS, 1_800)
    window.assert_accessible()


def test_a_session_opens_to_its_agents_and_turns(busy_proxy: Traffic, open_page: OpenPage) -> None:
    """A session shows its agents with their cost, and its calls in order with the growth of the
    context."""
    window = open_page(busy_proxy)
    page = window.page
    page.locator("#sessions-body tbody a").first.click()
    agents = page.locator("table.agents tbody tr")
    expect(agents).to_have_count(2)
    window.shot("session")

    expect(agents.nth(0)).to_contain_text("main")
    expect(agents.nth(1)).to_contain_text("Explore")
    own = [dollars(row.locator("td").nth(3)) for row in agents.all()]
    assert dollars(agents.nth(0).locator("td").last) == pytest.approx(sum(own))
    assert page.locator("table.session-calls tbody tr").count() == 12
    expect(page.locator("table.session-calls tbody tr").nth(2)).to_contain_text("+9K")
    assert page.locator("dialog .chart svg").count() == 2
    window.assert_accessible()

    page.locator("table.session-calls tbody a").first.click()
    expect(page.locator("table.bill")).to_be_visible()
    page.get_by_role("button", name="Back").click()
    expect(agents).to_have_count(2)


def test_keyboard_alone(busy_proxy: Traffic, open_page: OpenPage) -> None:
    """Without a mouse: to the calls, from row to row, into a call, and back to where one was."""
    page = open_page(busy_proxy).page
    expect(page.locator(ROWS)).to_have_count(17)
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    links = page.locator("#calls-body tbody a")
    for _ in range(10):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.closest('tbody') !== null"):
            break
    expect(links.first).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(links.nth(2)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("dialog h2")).to_be_focused()
    close_drawer(page)
    expect(links.nth(2)).to_be_focused()
    page.keyboard.press("End")
    expect(links.last).to_be_focused()


def test_charts_as_tables(busy_proxy: Traffic, open_page: OpenPage) -> None:
    """Every chart has a sentence for screen readers, and its numbers stand in tables."""
    window = open_page(busy_proxy)
    page = window.page
    for chart in page.locator(".chart svg").all():
        assert "$" in (label := chart.get_attribute("aria-label") or "") or "Tokens" in label
    page.get_by_role("link", name="As tables").click()
    tokens = page.locator("dialog table").first

    expect(tokens).to_be_visible()
    assert OPUS in tokens.inner_text()
    window.assert_accessible()


def test_exact_values(busy_proxy: Traffic, open_page: OpenPage) -> None:
    """A rounded number tells the exact one on hover and to screen readers; what is unknown is not
    0."""
    page = open_page(busy_proxy).page
    call = page.locator(ROWS).filter(has_text=OPUS).filter(has_text="API value").first
    read = call.locator("td [title='66,812']")

    assert read.locator("[aria-hidden]").inner_text() == "66.8K"
    assert read.locator(".spoken").text_content() == "66,812"
    refused = page.locator(ROWS).filter(has_text="error 529")
    assert refused.locator(".unknown[title=unknown]").count() >= 3
    assert "$0" not in refused.inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_accessible(busy_proxy: Traffic, open_page: OpenPage, scheme: str) -> None:
    """axe-core finds nothing to complain of, light or dark; both are what the system asks for."""
    window = open_page(busy_proxy, color_scheme=scheme)
    expect(window.page.locator(ROWS)).to_have_count(17)
    window.shot(scheme)
    background = window.page.evaluate("getComputedStyle(document.body).backgroundColor")

    assert (sum(map(int, re.findall(r"\d+", background))) < 3 * 128) == (scheme == "dark")
    window.assert_accessible()


def test_a_phone(busy_proxy: Traffic, open_page: OpenPage) -> None:
    """At 360 px nothing sticks out, and what a call cost is still in its row."""
    window = open_page(busy_proxy, viewport=PHONE)
    page = window.page
    expect(page.locator(ROWS)).to_have_count(17)
    window.shot("phone", full_page=True)

    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    box = page.locator(ROWS).filter(has_text=GPT).first.locator(".money").bounding_box()
    assert box is not None
    assert box["x"] + box["width"] <= PHONE["width"]
    page.locator(ROWS).first.click()
    expect(page.locator("table.bill")).to_be_visible()
    assert page.evaluate("document.querySelector('dialog').scrollWidth") <= PHONE["width"]
    window.shot("phone-call")
    window.assert_accessible()


def test_reduced_motion(busy_proxy: Traffic, open_page: OpenPage) -> None:
    """Who wants no motion gets none."""
    page = open_page(busy_proxy, reduced_motion="reduce").page

    assert (
        page.evaluate("getComputedStyle(document.querySelector('main')).transitionDuration") == "0s"
    )


def test_first_paint_is_small(busy_proxy: Traffic, open_page: OpenPage) -> None:
    """Until everything is drawn, less than 100 kB are transferred, the JSON included."""
    window = open_page(busy_proxy)
    expect(window.page.locator(ROWS)).to_have_count(17)
    expect(window.page.locator(".chart svg")).to_have_count(3)
    answered = [request for request in window.requests if "/api/events" not in request.url]
    sizes = [request.sizes()["responseBodySize"] for request in answered]

    assert len(sizes) > 5
    assert 10_000 < sum(sizes) < FIRST_PAINT_BYTES


def test_times_and_money_are_the_viewers(busy_proxy: Traffic, open_page: OpenPage) -> None:
    """Numbers, currency and times are written as the viewer's locale does; words stay the
    page's."""
    page = open_page(busy_proxy, locale="de-DE").page

    assert re.fullmatch(
        r"\d+,\d+\s\$", page.locator(".figure .amount [aria-hidden]").first.inner_text()
    )
    assert re.fullmatch(r"\d\d:\d\d:\d\d", page.locator(f"{ROWS} time").first.inner_text())
    assert re.fullmatch(r"now|\d+[smh] ago", page.locator("#sessions-body time").first.inner_text())
    assert re.fullmatch(
        r"resets in 1h \d+m", page.locator(".window-reset > span").first.inner_text()
    )
