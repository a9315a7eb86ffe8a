"""Where it went: the line that says so at first glance, and the drawer with all of it."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from browser_traffic import HAIKU, OPUS, Traffic
from browser_window import PHONE, MadeUp, OpenPage, Serve, close_drawer
from llmtally.record import Call
from llmtally.tracker import Tracker
from web_server import made_up_calls

ROWS = "#calls-body tbody tr"
PART = "dialog .part"
SHOWN = 6


def call(number: int, *, project: str | None, kind: str | None = "main", **fields: Any) -> Call:
    """A call of just now that cost a dollar, spent."""
    base = made_up_calls(1, time.time(), 1)[0]
    who = base.attribution._replace(project=project, request_class=kind, account=None)
    own = {
        "outcome": "complete",
        "coverage": "priced",
        "cost_usd": 1.0,
        "billing": "api",
        "error": None,
        "status": 200,
        "limits": (),
    }
    return base._replace(request_id=f"call-{number}", attribution=who, **{**own, **fields})


def shown(serve: Serve, *calls: Call) -> MadeUp:
    """Open a page that knows these calls."""
    tracker = Tracker()
    for each in calls:
        tracker.add(each)
    return serve(tracker)


def part(page: Page, title: str) -> Any:
    """The rows of one of the drawer's tables."""
    return (
        page.locator(PART)
        .filter(has=page.locator("thead th", has_text=re.compile(f"^{title}$")))
        .locator("tbody tr")
    )


def open_breakdown(page: Page) -> None:
    """Open the breakdown by the link in today's panel."""
    page.locator("a.where").click()
    expect(page.locator(PART).first).to_be_visible()


def test_where_it_went_stands_beside_what_it_cost(serve: Serve, open_page: OpenPage) -> None:
    """Today's figures name the project and the model that cost most, with their shares; unnamed
    ones are not shown there."""
    opus = [call(number, project=None, model="opus", cost_usd=6.0) for number in range(2)]
    page = open_page(
        shown(serve, *opus, call(3, project="/home/me/shop", model="haiku", cost_usd=3.0))
    ).page

    expect(page.locator("a.where .lead")).to_have_count(2)
    expect(page.locator("a.where .lead").nth(0)).to_contain_text("shop 20%")
    expect(page.locator("a.where .lead").nth(1)).to_contain_text("opus 80%")


def test_the_drawer_tells_what_the_proxy_told(busy_proxy: Traffic, open_page: OpenPage) -> None:
    """Today and the week, each by model, project, client, kind of work and outcome, are the sums
    that the proxy keeps."""
    window = open_page(busy_proxy)
    page = window.page
    open_breakdown(page)
    window.shot("breakdown")
    usage = json.loads(page.evaluate("fetch('api/usage').then(answer => answer.text())"))
    fields = {
        "Project": "project",
        "Model": "model",
        "Client": "client",
        "Kind of work": "class",
        "Outcome": "outcome",
    }
    for period, label in (("today", "Today"), ("week", "7 days")):
        page.locator("dialog .choice").get_by_text(label).click()
        expect(page.locator(f"dialog input[value={period}]")).to_be_checked()
        for title, field in fields.items():
            expect(part(page, title)).to_have_count(min(SHOWN, len(usage[period][f"per_{field}"])))
        model = part(page, "Model").filter(has_text=OPUS)
        sums = usage[period]["per_model"][f"anthropic/{OPUS}"]
        expect(model.locator("td").nth(0)).to_contain_text("API value")
        expect(model.locator("td").nth(1)).to_contain_text(str(sums["calls"]))
        exact = model.locator("td").nth(0).locator("[title]").first.get_attribute("title")
        assert exact == f"${sums['api_value_usd']:.10f}".rstrip("0")
        shares = [
            row.locator(".share-head small [aria-hidden]").inner_text()
            for row in part(page, "Model").all()
        ]
        assert sum(float(share.rstrip("%")) for share in shares) == pytest.approx(100, abs=1.5)
    window.assert_accessible()


@pytest.mark.parametrize(
    ("title", "row", "filtered", "expected"),
    [
        ("Model", HAIKU, "model", 6),
        ("Client", "claude-code", "client", 12),
        ("Kind of work", "subagents", "kind of work", 6),
        ("Outcome", "error", "outcome", 1),
    ],
)
def test_a_row_leads_to_its_calls(
    busy_proxy: Traffic, open_page: OpenPage, title: str, row: str, filtered: str, expected: int
) -> None:
    """A row closes the drawer and leaves its calls, with the filter in focus; Clear brings all back,
    and Back the drawer."""
    page = open_page(busy_proxy).page
    page.get_by_label("client", exact=True).select_option("openai-python")
    open_breakdown(page)
    part(page, title).filter(has_text=row).click()

    expect(page.locator("dialog")).not_to_be_visible()
    expect(page.locator(ROWS)).to_have_count(expected)
    expect(page.get_by_label(filtered, exact=True)).to_be_focused()
    page.wait_for_url(lambda address: "#" not in address)
    page.get_by_role("button", name="Clear").click()
    expect(page.locator(ROWS)).to_have_count(17)
    page.go_back()
    expect(page.locator(PART).first).to_be_visible()


def test_a_project_leads_to_its_calls(serve: Serve, open_page: OpenPage) -> None:
    """The project is a filter while it is set, and can be taken back by itself; calls that come in
    keep to it."""
    made_up = shown(
        serve,
        *(
            call(number, project=f"/home/me/{name}")
            for number, name in enumerate(("shop", "shop", "api"))
        ),
    )
    page = open_page(made_up).page
    expect(page.get_by_label("project", exact=True)).to_have_count(0)
    open_breakdown(page)
    part(page, "Project").filter(has_text="shop").click()
    expect(page.locator(ROWS)).to_have_count(2)
    made_up.site.add(call(7, project="/home/me/api"))
    made_up.site.add(call(8, project="/home/me/shop"))
    expect(page.locator(ROWS)).to_have_count(3)

    page.get_by_label("project", exact=True).select_option("")
    expect(page.locator(ROWS)).to_have_count(5)
    expect(page.locator("#filters select").first).to_be_focused()


def test_what_is_unknown_stays_unknown(serve: Serve, open_page: OpenPage) -> None:
    """Without a price no amount is shown; if only some calls have one, the sum is marked; calls
    without a name have no link."""
    nothing = {"coverage": "unpriced", "cost_usd": None, "cost_source": None}
    calls = [
        call(1, project=None, model="mystery", **nothing),
        call(2, project="/p", model="known"),
        call(3, project="/p", model="known", **nothing),
    ]
    page = open_page(shown(serve, *calls)).page
    open_breakdown(page)

    mystery = part(page, "Model").filter(has_text="mystery").locator("td").first
    assert "$" not in mystery.inner_text()
    expect(mystery).to_contain_text("unpriced")
    expect(part(page, "Model").filter(has_text="known").locator("td").first).to_contain_text(
        "~$1.00"
    )
    expect(page.locator("dialog .sum")).to_contain_text("2 calls not included")
    nobody = part(page, "Project").filter(has_text="unknown")
    expect(nobody).to_have_count(1)
    expect(nobody.locator("a")).to_have_count(0)


def test_money_that_is_billed_stands_apart(serve: Serve, open_page: OpenPage) -> None:
    """A project that a subscription and a key paid for shows both amounts, and both in its bar."""
    calls = [
        call(1, project="/p", cost_usd=1.0),
        call(2, project="/p", cost_usd=3.0, billing="subscription"),
    ]
    page = open_page(shown(serve, *calls)).page
    open_breakdown(page)
    row = part(page, "Project")

    expect(row.locator("td").first).to_contain_text("$1.00")
    expect(row.locator("td").first).to_contain_text("$3.00 API value")
    widths = row.locator(".bucket").evaluate_all(
        "all => all.map(each => each.getBoundingClientRect().width)"
    )
    assert widths[1] == pytest.approx(3 * widths[0], rel=0.05)


def test_the_drawer_follows(serve: Serve, open_page: OpenPage) -> None:
    """What is open changes in place as calls end, and what has the focus keeps it; many names are a
    button away."""
    made_up = shown(
        serve,
        *(
            call(number, project=f"/home/me/p{number}", cost_usd=10.0 - number)
            for number in range(SHOWN + 2)
        ),
    )
    page = open_page(made_up).page
    open_breakdown(page)
    projects = part(page, "Project")
    expect(projects).to_have_count(SHOWN)
    page.get_by_role("button", name="Show all 8").click()
    expect(projects).to_have_count(SHOWN + 2)
    projects.nth(1).locator("a").focus()
    page.keyboard.press("ArrowUp")
    expect(projects.nth(0).locator("a")).to_be_focused()
    made_up.site.add(call(99, project="/home/me/p7", cost_usd=50.0))

    expect(projects.nth(0)).to_contain_text("p7")
    expect(projects.nth(1).locator("a")).to_be_focused()
    expect(projects).to_have_count(SHOWN + 2)
    close_drawer(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone(busy_proxy: Traffic, open_page: OpenPage, scheme: str) -> None:
    """At 360 px nothing sticks out, names can be read, and axe-core finds nothing."""
    window = open_page(busy_proxy, viewport=PHONE, color_scheme=scheme, locale="de-DE")
    page = window.page
    open_breakdown(page)
    window.shot(f"phone-breakdown-{scheme}")

    assert page.evaluate("document.querySelector('dialog').scrollWidth") <= PHONE["width"]
    cut = (
        f"[...document.querySelectorAll('{PART} td')].filter(cell => cell.scrollWidth > "
        "cell.clientWidth + 1).length"
    )
    assert page.evaluate(cut) == 0
    name = part(page, "Model").filter(has_text=HAIKU).locator("a").bounding_box()
    assert name is not None
    assert name["width"] > 90
    window.assert_accessible()


def test_before_the_first_call_of_a_day(serve: Serve, open_page: OpenPage) -> None:
    """A day without a call says so, and the week's calls are still there."""
    tracker = Tracker()
    tracker.add(call(1, project="/home/me/shop")._replace(ended=time.time() - 2 * 86_400))
    page = open_page(serve(tracker)).page
    expect(page.locator("a.where")).to_contain_text("Where it went")
    page.locator("a.where").click()
    expect(page.locator("dialog .sum")).to_have_text("No calls yet.")
    page.locator("dialog .choice").get_by_text("7 days").click()

    expect(part(page, "Project")).to_contain_text("shop")
