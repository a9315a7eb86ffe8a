"""The page while things happen: calls come in, limits fill, the proxy stops, peers are hostile."""

from __future__ import annotations

import re
import time
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, expect

from browser_traffic import ANTHROPIC, MESSAGES, OPUS, Traffic
from browser_window import OPTIONS, OpenPage, Serve, close_drawer
from llmtally.record import ApiError, Attribution, LimitReading, Usage
from llmtally.tracker import ConfiguredLimits, Tracker
from llmtally.web.metrics import Runtime
from upstream.client import post
from upstream.handler import Answer
from upstream.proxy import StartProxy
from upstream.server import Upstream
from web_server import made_up_calls

ROWS = "#calls-body tbody tr"
ROWS_CAP = 50
MEGABYTE = 2**20
FIVE_HOURS = 5 * 3_600


def test_login(site: Traffic, open_page: OpenPage, chromium: Browser) -> None:
    """The printed address opens the page and is gone from the address bar; without it, the page
    asks for the token."""
    window = open_page(site)
    assert urlsplit(window.page.url).path == "/"
    assert "token" not in window.page.url

    context = chromium.new_context()
    stranger = context.new_page()
    stranger.goto(window.page.url)
    expect(stranger.get_by_label("Token")).to_be_visible()
    assert "Today" not in stranger.content()
    context.close()


def test_nothing_has_passed_yet(site: Traffic, open_page: OpenPage) -> None:
    """An empty page says how a client is led here; the first call takes its place."""
    window = open_page(site)
    empty = window.page.locator("#empty")
    expect(empty).to_contain_text(f"HTTPS_PROXY=http://127.0.0.1:{site.proxy.port}")
    expect(empty).to_contain_text("SSL_CERT_FILE=/")
    expect(empty).to_contain_text("NODE_EXTRA_CA_CERTS=")
    expect(empty).to_contain_text("llmtally run -- claude")
    window.shot("empty")
    window.assert_accessible()

    site.claude()
    expect(window.page.locator(ROWS)).to_have_count(1)
    expect(empty).not_to_be_visible()


def test_a_call_appears_as_it_ends(site: Traffic, open_page: OpenPage) -> None:
    """A call stands on top at once, and sums, limits and sessions follow, without a reload and
    without losing the focus."""
    site.openai()
    page = open_page(site).page
    rows = page.locator(ROWS)
    expect(rows).to_have_count(1)
    rows.first.locator("a").focus()
    focused = rows.first.locator("a").get_attribute("href")

    site.claude()
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text(OPUS)
    expect(page.locator("#today-since")).to_contain_text("2 calls")
    expect(page.locator(".window-used").first).to_contain_text("40%")
    expect(page.locator("#sessions-body tbody tr").filter(has_text="claude-code")).to_have_count(1)
    expect(page.locator("#chart-tokens path.fill")).to_have_count(2)
    assert page.evaluate("document.activeElement.getAttribute('href')") == focused
    assert page.title().startswith("$")


def test_an_open_session_follows(site: Traffic, open_page: OpenPage) -> None:
    """A session that is being looked at grows with its calls."""
    site.claude()
    page = open_page(site).page
    page.locator("#sessions-body tbody a").first.click()
    calls = page.locator("table.session-calls tbody tr")
    expect(calls).to_have_count(1)

    site.claude()
    expect(calls).to_have_count(2)


def test_what_needs_a_person_is_said(site: Traffic, open_page: OpenPage) -> None:
    """A model without a price, a window above 80 % and a response that could not be read each raise
    a notice."""
    site.used_pct = 91.0
    site.claude()
    site.openai("model-nobody-has-priced")
    site.upstream.route(ANTHROPIC, MESSAGES, Answer((b"{no JSON",), "application/json"))
    post(site.proxy, ANTHROPIC, MESSAGES, b'{"model": "claude-opus-4-8"}')
    window = open_page(site)
    notices = window.page.locator("#notices")

    expect(notices).to_contain_text("No price for openai/model-nobody-has-priced")
    expect(notices).to_contain_text("5-hour window (anthropic): over 90% used")
    expect(notices).to_contain_text("could not be parsed")
    expect(window.page.locator(".coverage .bad")).to_contain_text("1 unparsed")
    unpriced = window.page.locator(ROWS).filter(has_text="model-nobody-has-priced")
    expect(unpriced).to_contain_text("unpriced")
    assert "$" not in unpriced.inner_text()
    window.shot("notices")
    window.assert_accessible()


def test_a_notice_is_said_once(serve: Serve, open_page: OpenPage) -> None:
    """A window that fills is spoken of when it gets serious, not with every call."""
    tracker = Tracker()
    made_up = serve(tracker)
    site, call = (
        made_up.site,
        next(call for call in made_up_calls(9, time.time(), 9) if call.limits),
    )

    def fill(percent: float) -> None:
        limit = call.limits[0]._replace(utilization=percent, resets_at=time.time() + 7_200)
        site.add(call._replace(request_id=f"at-{percent}", ended=time.time(), limits=(limit,)))

    fill(81.0)
    page = open_page(made_up).page
    announcer = page.locator("#announcer")
    expect(announcer).to_have_text("5-hour window (anthropic): over 80% used")
    page.evaluate("document.getElementById('announcer').textContent = ''")
    fill(84.0)
    expect(page.locator(".window-used").first).to_contain_text("84%")
    expect(announcer).to_have_text("")
    fill(90.5)
    expect(announcer).to_have_text("5-hour window (anthropic): over 90% used")
    fill(100.0)
    expect(announcer).to_have_text("5-hour window (anthropic) is used up")


def test_a_stopped_proxy_is_shown_at_once(
    start_proxy: StartProxy, upstream: Upstream, open_page: OpenPage, tmp_path: Path
) -> None:
    """When the proxy is gone the page says so; when it is back, the page continues by itself."""
    kept = {**OPTIONS, "usage_dir": str(tmp_path / "usage")}
    site = Traffic(start_proxy(options=kept), upstream)
    site.proxy.usage_dir = tmp_path / "usage"
    site.claude()
    window = open_page(site)
    expect(window.page.locator(ROWS)).to_have_count(1)
    port = str(urlsplit(site.login_url).port)

    window.is_proxy_stopped = True
    site.proxy.kill()
    expect(window.page.locator("#connection")).to_contain_text("Proxy stopped", timeout=3_000)
    window.shot("stopped")
    window.assert_accessible()

    again = Traffic(start_proxy(options={**kept, "usage_web_port": port}), upstream)
    expect(window.page.locator("#connection")).to_have_text("Live", timeout=15_000)
    again.claude()
    expect(window.page.locator(ROWS)).to_have_count(2)


def test_rows_are_bounded(site: Traffic, open_page: OpenPage) -> None:
    """However many calls there are, the table holds 50; older ones are a page away, and new ones do
    not disturb it."""
    for _ in range(ROWS_CAP + 5):
        site.openai()
    page = open_page(site).page
    rows = page.locator(ROWS)
    expect(rows).to_have_count(ROWS_CAP)
    page.get_by_role("button", name="Older").click()
    expect(rows).to_have_count(5)

    page.evaluate("window.kept = [...document.querySelectorAll('#calls-footer button')]")
    site.openai()
    expect(page.get_by_role("button", name="Newest (1 new)")).to_be_visible()
    assert page.evaluate("window.kept.every(button => button.isConnected)"), (
        "what is about to be clicked stays"
    )
    expect(rows).to_have_count(5)
    page.get_by_role("button", name="Newest").click()
    expect(rows).to_have_count(ROWS_CAP)
    site.openai()
    expect(page.locator("#today-since")).to_contain_text(f"{ROWS_CAP + 7} calls")
    expect(rows).to_have_count(ROWS_CAP)


def test_hostile_names_are_text(site: Traffic, open_page: OpenPage) -> None:
    """Markup, terminal escapes, direction marks and a megabyte in names and errors are shown as
    text, and break nothing."""
    markup = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    escapes = "\x1b[31mred\x07\u202egnp.exe"
    for name in (markup, escapes, "m" * MEGABYTE):
        site.openai(name)
        site.claude(
            name, headers={"x-claude-code-session-id": re.sub(r"[^\x20-\x7e]", "", name)[:2_000]}
        )
        site.refusal(name, kind=name[:300], model=name)
    window = open_page(site)
    page = window.page
    expect(page.locator(ROWS)).to_have_count(9)
    for number in range(9):
        page.locator(ROWS).nth(number).click()
        expect(page.locator("dialog pre")).to_be_visible()
        close_drawer(page)
    for link in page.locator("#sessions-body tbody a").all():
        link.click()
        expect(page.locator("table.agents")).to_be_visible()
        close_drawer(page)
    page.get_by_role("link", name="As tables").click()
    expect(page.locator("dialog table").first).to_be_visible()
    close_drawer(page)
    window.shot("hostile")

    shown = page.locator("body").inner_text()
    assert "<img src=x" in shown
    hints = page.evaluate(
        "[...document.querySelectorAll('[title]')].map(element => element.title).join('')"
    )
    assert not {"\x1b", "\x07", "\u202e"} & set(shown + hints)
    assert page.locator("img").count() == 1  # our own mark
    assert page.title() != "owned"
    assert page.evaluate("document.documentElement.scrollWidth") <= 1440
    assert len(page.content()) < MEGABYTE


def test_whatever_a_peer_says_of_itself_is_text(serve: Serve, open_page: OpenPage) -> None:
    """Sessions, projects, clients, agents, limits and errors with markup, escapes or direction
    marks do no harm anywhere."""
    hostile = "<b onclick=alert(1)>\x1b]0;owned\x07\u202e\u2066\u200bgnp.\u0000" + "w" * 5_000
    who = Attribution(
        client=hostile,
        client_version=hostile,
        session=hostile,
        session_source=hostile,
        agent=hostile,
        agent_type=hostile,
        request_class=hostile,
        project=f"/home/{hostile}",
        account=hostile,
    )
    tracker = Tracker()
    made_up = serve(tracker)
    for number, call in enumerate(made_up_calls(6, time.time(), 6)):
        limit = LimitReading(
            hostile,
            "provider_native",
            name=hostile,
            utilization=90.0,
            status=hostile,
            resets_at=time.time() + 60,
        )
        error = ApiError(hostile, hostile)
        made_up.site.call(
            tracker.add,
            call._replace(
                provider=hostile, model=hostile, error=error, limits=(limit,), attribution=who
            ),
        )
        made_up.site.call(
            tracker.add,
            call._replace(request_id=f"{hostile}{number}", attribution=who._replace(account=None)),
        )
    window = open_page(made_up)
    page = window.page
    expect(page.locator(ROWS)).to_have_count(12)
    for opener in (f"{ROWS} a", "#sessions-body tbody a", "a[href='#/tables']"):
        page.locator(opener).first.click()
        expect(page.locator("dialog .drawer-body")).to_be_visible()
        assert page.evaluate("document.querySelector('dialog').scrollWidth <= innerWidth")
        close_drawer(page)
    window.shot("hostile-peer")

    assert page.locator("b[onclick]").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 1440
    told = (
        "[...document.querySelectorAll('[title], [aria-label]')].map(each => each.title + "
        "each.ariaLabel).join('')"
    )
    shown = page.evaluate(f"document.body.textContent + {told}")
    assert not {"\x1b", "\x07", "\u202e", "\u2066", "\x00"} & set(shown)


def test_still_reading_the_journal(serve: Serve, open_page: OpenPage) -> None:
    """While the journal is read back the page says so, and a page without a call does not pass for
    an empty one."""
    tracker = Tracker()
    tracker.restoring = True
    made_up = serve(tracker)
    site = made_up.site
    page = open_page(made_up).page
    expect(page.locator("#restoring")).to_be_visible()
    expect(page.locator("#empty")).not_to_be_visible()
    for call in made_up_calls(20, time.time(), 600):
        site.call(tracker.add, call)
    tracker.restoring = False
    site.call(site.server.changed)

    expect(page.locator("#restoring")).not_to_be_visible()
    expect(page.locator(ROWS)).to_have_count(20)


def test_a_broken_journal_and_bypassing_clients(serve: Serve, open_page: OpenPage) -> None:
    """Records that do not reach the disk and clients that bypass the proxy raise notices."""
    tracker = Tracker()
    tracker.count_coverage("bypassed", at=time.time())
    made_up = serve(tracker)
    site = made_up.site
    site.runtime[0] = Runtime("1", journal_healthy=False, journal_lost=3)
    page = open_page(made_up).page
    notices = page.locator("#notices")

    expect(notices).to_contain_text("The journal cannot be written 3 records lost")
    expect(notices).to_contain_text("A client bypasses the proxy 1 connection today")
    page.evaluate("window.kept = [...document.querySelectorAll('#empty *, #notices *')]")
    site.call(partial(tracker.count_coverage, "bypassed", at=time.time()))
    site.call(site.server.changed)
    expect(notices).to_contain_text("2 connections today")
    assert page.evaluate(
        "window.kept.length > 20 && window.kept.every(element => element.isConnected)"
    )


def test_limits_of_ones_own(serve: Serve, open_page: OpenPage) -> None:
    """Configured limits stand among the windows; beyond four, the rest is a button away that stays
    pressed."""
    tracker = Tracker(
        limits=ConfiguredLimits.parse(["cost_usd=1000", "messages=100", "output_tokens=1000000"])
    )
    made_up = serve(tracker)
    site = made_up.site
    now = time.time()
    # none from before the window of the made-up provider began
    for call in made_up_calls(40, now, min(600, now % FIVE_HOURS)):
        site.call(tracker.add, call)
    page = open_page(made_up).page
    expect(page.locator(".window")).to_have_count(4)
    page.get_by_role("button", name="Show all 5").click()
    expect(page.locator(".window")).to_have_count(5)
    expect(page.locator(".window").filter(has_text="Calls")).to_contain_text("40 of 100")
    site.add(made_up_calls(1, time.time(), 1)[0]._replace(request_id="one-more"))

    expect(page.locator(".window").filter(has_text="Calls")).to_contain_text("41 of 100")
    expect(page.get_by_role("button", name="Show fewer")).to_be_visible()


def test_an_estimate_is_marked(serve: Serve, open_page: OpenPage) -> None:
    """What was estimated has a tilde, on the row and where the call is opened."""
    call = made_up_calls(1, time.time(), 1)[0]._replace(
        outcome="client_aborted",
        coverage="priced",
        estimated=True,
        usage=Usage(input_tokens=5, output_tokens=123),
        cost_usd=0.25,
        error=None,
    )
    tracker = Tracker()
    made_up = serve(tracker)
    site = made_up.site
    site.call(tracker.add, call)
    page = open_page(made_up).page
    row = page.locator(ROWS)

    expect(row).to_contain_text("~123")
    expect(row).to_contain_text("~$0.2500")
    expect(row).to_contain_text("aborted")
    row.click()
    expect(page.locator("dialog")).to_contain_text("the output is an estimate")


def test_another_model_than_asked_is_said(serve: Serve, open_page: OpenPage) -> None:
    """A provider that served another model is named beside it; the same model under a longer name
    is not."""
    same = (
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("claude-sonnet-4-20250514", "claude-sonnet-4-0"),
        ("mistral-large-2411", "mistral-large-latest"),
        ("gemini-2.5-flash-preview-05-20", "models/gemini-2.5-flash-preview"),
        ("claude-sonnet-4-5-20250929", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("claude-opus-4-1-20250805", "anthropic/claude-opus-4.1"),
        ("deepseek/deepseek-r1", "deepseek/deepseek-r1:free"),
    )
    others = (
        ("gpt-5-mini", "gpt-5"),
        ("claude-haiku-4-5", "claude-opus-4-8"),
        ("llama3:8b", "llama3:70b"),
        ("openai/gpt-5", "openrouter/auto"),
    )
    tracker = Tracker()
    call = made_up_calls(1, time.time(), 1)[0]
    for number, (model, asked) in enumerate((*same, *others)):
        tracker.add(call._replace(request_id=f"call-{number}", model=model, request_model=asked))
    page = open_page(serve(tracker)).page
    expect(page.locator(ROWS)).to_have_count(len(same) + len(others))
    chips = page.locator(f"{ROWS} td.model .chip")

    assert sorted(chips.all_inner_texts()) == sorted(f"requested {asked}" for _, asked in others)
    expect(page.locator(ROWS).filter(has_text="gpt-5-mini").locator(".chip")).to_have_attribute(
        "title", "gpt-5 was requested; the provider served gpt-5-mini"
    )
    page.locator(ROWS).filter(has_text="gpt-5-mini").click()
    expect(page.locator("dialog .facts")).to_contain_text(
        "Requested model gpt-5", use_inner_text=True
    )


def test_accounts(serve: Serve, open_page: OpenPage) -> None:
    """With several accounts, one can be picked; everything then is of that one, and stays so as
    calls come in."""
    tracker = Tracker()
    made_up = serve(tracker)
    site = made_up.site
    now = time.time()
    # all of them of today, also after midnight
    calls = made_up_calls(45, now, min(600.0, now % 86_400))
    for call in calls:
        site.call(tracker.add, call)
    named = [call for call in calls if call.attribution.account]
    page = open_page(made_up).page
    select = page.get_by_label("Account")
    expect(page.locator(ROWS)).to_have_count(45)
    for choice, expected in (("0123456789ab", len(named)), ("unknown", 45 - len(named))):
        select.select_option(choice)
        expect(page.locator("#today-since")).to_contain_text(f", {expected} calls")
        expect(page.locator(ROWS)).to_have_count(expected)
    site.add(named[0]._replace(request_id="of-the-other"))
    select.select_option("0123456789ab")
    expect(page.locator(ROWS)).to_have_count(len(named) + 1)
