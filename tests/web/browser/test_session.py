"""A session that is opened: what made it dear, by agent and by turn."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from itertools import count, product

import pytest
from playwright.sync_api import expect

from browser_window import MadeUp, OpenPage, Serve, close_drawer
from llmtally.record import Attribution, Call, Usage
from llmtally.tracker import Tracker
from web_server import made_up_calls

SESSION = "0dea1000-0000-4000-8000-000000000001"
LOST = 62_000
PAUSE_MINUTES = 14
NUMBERS = count(1)

MAIN = Attribution(client="claude-code", session=SESSION, project="/home/me/shop")


def agent(name: str, kind: str) -> Attribution:
    """Attribution of a call to one of the agents."""
    return MAIN._replace(agent=name, agent_type=kind, request_class="subagent")


def turn(
    ended: float,
    read: int,
    written: int,
    cost: float,
    who: Attribution = MAIN,
    missed: str | None = None,
) -> Call:
    """One call of the session; `missed`: why its cache was, as the provider says."""
    call = made_up_calls(1, ended, 1)[0]
    return call._replace(
        request_id=f"turn-{next(NUMBERS)}",
        timestamp=ended - 4,
        started=ended - 4,
        ended=ended,
        outcome="complete",
        coverage="priced",
        status=200,
        error=None,
        model="claude-opus-5-5",
        request_model="claude-opus-5-5",
        usage=Usage(
            input_tokens=10, cache_read_tokens=read, cache_write_tokens=written, output_tokens=300
        ),
        cost_usd=cost,
        cost_source="prices",
        billing="api",
        attribution=who,
        cache_miss_reason=missed,
        limits=(),
    )


def dear_session(now: float) -> Iterator[Call]:
    """Four turns, of which the third finds no cache; two agents of a kind and one of another; a
    compaction, and a title."""
    start = now - 3_000
    yield turn(start, 0, 350, 0.001, MAIN._replace(request_class="auxiliary"))
    yield turn(start + 10, 0, 60_000, 0.40)
    yield turn(start + 30, 60_000, 2_000, 0.05)
    yield turn(start + 40, 4_000, 1_000, 0.10, agent("e1", "Explore"))
    yield turn(start + 50, 4_000, 1_000, 0.11, agent("e2", "Explore"))
    yield turn(start + 60, 4_000, 1_000, 0.02, agent("p1", "Plan"))
    yield turn(start + 34 + PAUSE_MINUTES * 60, 0, LOST + 1_500, 0.44, missed="tools_changed")
    yield turn(start + 1_500, LOST + 1_500, 900, 0.06)
    yield turn(start + 1_600, 0, 9_000, 0.07, MAIN._replace(request_class="compaction"))


@pytest.fixture
def dear(serve: Serve) -> MadeUp:
    """Open a page that knows this session."""
    tracker = Tracker()
    made_up = serve(tracker)
    for call in dear_session(time.time()):
        made_up.site.call(tracker.add, call)
    return made_up


def test_who_cost_how_much(dear: MadeUp, open_page: OpenPage) -> None:
    """What the main agent did by class, and agents gathered by type, stand with their costs and
    shares, the most expensive first."""
    window = open_page(dear)
    window.page.locator("#sessions-body tbody a").first.click()
    kinds = window.page.get_by_label("Cost by kind of work").locator("li")

    expect(kinds).to_have_count(5)
    said = [re.match(r"(.+?)\s*(\$[\d.]+)", text) for text in kinds.all_inner_texts()]
    assert [found and found.groups() for found in said] == [
        ("main", "$0.95"),
        ("subagent Explore \u00d72", "$0.21"),
        ("compaction", "$0.07"),
        ("subagent Plan", "$0.02"),
        ("auxiliary", "$0.0010"),
    ]
    assert [text.strip() for text in kinds.locator("small").all_inner_texts()] == [
        "76%",
        "17%",
        "5.6%",
        "1.6%",
        "0.1%",
    ]
    window.shot("dear-session")
    window.assert_accessible()


def test_which_turn_was_dear_and_why(dear: MadeUp, open_page: OpenPage) -> None:
    """The most expensive turn is named; one that lost its cache is marked, with what was sent
    again and the pause; a compaction is not."""
    page = open_page(dear).page
    page.locator("#sessions-body tbody a").first.click()
    turns = page.locator("dialog section").filter(has_text="Turn by turn")

    expect(turns).to_contain_text("The most expensive is turn 4 at")
    expect(turns).to_contain_text("$0.44")
    expect(turns).to_contain_text("The cache was lost in 1 turn")
    expect(turns).to_contain_text("tokens were sent again (tools changed).")
    expect(turns.locator(".hint [title='62,000']")).to_be_visible()
    marked = page.locator("table.session-calls tbody tr").filter(has_text="cache lost")
    expect(marked).to_have_count(1)
    hint = marked.get_by_text("cache lost: tools changed").get_attribute("title")
    assert hint == "62,000 cached tokens were sent again after a pause of 14m: tools changed"
    assert page.locator("dialog path.slot-lost").get_attribute("d")

    turns.get_by_role("link").click()
    expect(page.locator("dialog pre")).to_contain_text('"cost_usd": 0.44')


def test_a_bar_opens_its_call_and_back_is_where_one_was(dear: MadeUp, open_page: OpenPage) -> None:
    """A click on a bar opens that call; Back comes to the same place in the session, with what was
    unfolded there."""
    page = open_page(dear).page
    page.locator("#sessions-body tbody a").first.click()
    page.get_by_label("agent", exact=True).select_option(label="all agents")
    chart = page.locator("dialog .chart").last
    chart.scroll_into_view_if_needed()
    place = page.evaluate("document.querySelector('dialog').scrollTop")
    box = chart.bounding_box()
    assert box is not None
    chart.hover(position={"x": box["width"] - 8, "y": box["height"] / 2})
    expect(chart.locator(".tip")).to_contain_text("$0.0700")
    page.mouse.down()
    page.mouse.up()
    expect(page.locator("dialog pre")).to_contain_text('"request_class": "compaction"')

    page.get_by_role("button", name="Back").click()
    expect(page.get_by_label("agent", exact=True)).to_have_value("*")
    assert page.evaluate("document.querySelector('dialog').scrollTop") == place
    close_drawer(page)
    page.go_back()
    expect(page.locator("dialog table.agents")).to_be_visible()


def test_a_session_grows_under_the_pointer(dear: MadeUp, open_page: OpenPage) -> None:
    """A call that ends while its session is open is added; what is pressed, chosen or unfolded
    meanwhile is left alone."""
    page = open_page(dear).page
    page.locator("#sessions-body tbody a").first.click()
    rows = page.locator("table.session-calls tbody tr")
    expect(rows).to_have_count(9)
    select = page.get_by_label("agent", exact=True)
    select.select_option(label="Explore e1")
    select.focus()
    page.evaluate(
        "window.kept = [...document.querySelectorAll('.session-calls tr, dialog :is(select, "
        "option, button)')]"
    )
    dear.site.add(turn(time.time(), 71_000, 1_000, 0.08))

    expect(rows).to_have_count(10)
    expect(select).to_have_value("e1")
    expect(select).to_be_focused()
    assert page.evaluate("window.kept.length") > 10
    assert page.evaluate("window.kept.every(element => element.isConnected)")


def test_many_agents_are_folded(serve: Serve, open_page: OpenPage) -> None:
    """Of a long tree the first rows are shown, the rest is a button away."""
    tracker = Tracker()
    made_up = serve(tracker)
    for number in range(20):
        who = agent(f"agent-{number}", "Explore")
        made_up.site.call(tracker.add, turn(time.time() - 60 + number, 10, 10, 0.01, who))
    page = open_page(made_up).page
    page.locator("#sessions-body tbody a").first.click()
    rows = page.locator("table.agents tbody tr")

    expect(rows).to_have_count(8)
    page.get_by_role("button", name="Show all 21").click()
    expect(rows).to_have_count(21)


def test_the_session_at_work_is_in_sight(serve: Serve, open_page: OpenPage) -> None:
    """`Latest` shows the newest sessions, whatever they cost; the choice is remembered, and new
    ones come on top."""
    tracker = Tracker()
    made_up = serve(tracker)
    now = time.time()
    dear_calls = made_up_calls(400, now - 100_000, 100_000)
    for call in dear_calls:
        made_up.site.call(tracker.add, call)
    cheap = turn(now, 0, 10, 0.0001)
    made_up.site.call(tracker.add, cheap)
    window = open_page(made_up)
    page = window.page
    rows = page.locator("#sessions-body tbody tr")
    expect(rows).to_have_count(20)
    expect(rows.filter(has_text=SESSION[:8])).to_have_count(0)

    page.get_by_text("Latest", exact=True).click()
    expect(rows.first).to_contain_text(SESSION[:8])
    expect(page.locator("#sessions-aside")).to_contain_text("50 of ")
    window.assert_accessible()
    page.reload()
    expect(rows.first).to_contain_text(SESSION[:8])
    newer = cheap.attribution._replace(session="ffff0000-newer")
    made_up.site.add(cheap._replace(request_id="newer", ended=time.time(), attribution=newer))
    expect(rows.first).to_contain_text("ffff0000")


def test_input_is_what_it_is_elsewhere(dear: MadeUp, open_page: OpenPage) -> None:
    """The page adds up a record's input as `Usage.context_tokens` does."""
    usages = [
        Usage(fresh, read, written)
        for fresh, read, written in product((None, 0, 5), (None, 0, 3), (None, 0, 2))
    ]
    records = [
        {name: count for name, count in usage._asdict().items() if count is not None}
        for usage in usages
    ]
    counted = open_page(dear).page.evaluate(
        """async (records) => records.map((await import("/calls.js")).contextTokens)""",
        records,
    )

    assert counted == [usage.context_tokens for usage in usages]
