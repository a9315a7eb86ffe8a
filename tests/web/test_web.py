"""The page's server: what logged-in clients get, and what open pages are sent."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import socket
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from llmtally.record import Attribution
from llmtally.schema import to_record
from llmtally.tracker import Tracker
from llmtally.web import WebServer, load_token
from llmtally.web.access import TOKEN_FILE, is_loopback
from llmtally.web.assets import load_assets
from llmtally.web.events import BACKLOG_CAP, RESET, Hub, Reader
from llmtally.web.snapshots import Snapshots
from web_server import TOKEN, Site, made_up_calls, running

NOW = 1_790_000_000.0


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A server that knows 300 calls of the last hour; its clock stands."""
    tracker = Tracker()
    for call in made_up_calls(300, NOW, 3_600.0):
        tracker.add(call)
    with running(tracker, clock=lambda: NOW) as site:
        yield site


# JSON


def test_usage_is_the_trackers(site: Site) -> None:
    """`/api/usage` is what the tracker says, with the version, the state of the journal and where
    the proxy is."""
    answer = site.get("/api/usage").json()
    expected = json.loads(json.dumps(site.call(site.tracker.usage, NOW)))

    assert answer.pop("version")
    assert answer.pop("journal") == {
        "healthy": True,
        "errors": 0,
        "lost": 0,
        "waiting": 0,
        "followed": False,
    }
    assert answer.pop("proxy") is None
    assert answer == expected
    assert answer["today"]["calls"] == 300


def test_usage_of_one_account(site: Site) -> None:
    """`?account=` picks one, `unknown` the calls without a credential."""
    of_one = site.get("/api/usage?account=0123456789ab").json()["today"]["calls"]
    of_none = site.get("/api/usage?account=unknown").json()["today"]["calls"]

    assert 0 < of_one < 300
    assert of_one + of_none == 300


def test_a_journal_in_trouble_is_a_problem() -> None:
    """Records that cannot be written are a problem that needs a person."""
    with running() as site:
        site.runtime[0] = replace(site.runtime[0], journal_healthy=False, journal_lost=3)
        answer = site.get("/api/usage").json()

    assert answer["journal"] == {
        "healthy": False,
        "errors": 0,
        "lost": 3,
        "waiting": 0,
        "followed": False,
    }
    assert {"kind": "journal", "subject": None, "count": 3, "pct": None} in answer["problems"]


def test_calls_newest_first_page_by_page(site: Site) -> None:
    """`limit` and `before` walk through the records; each stands as in the journal."""
    first = site.get("/api/calls?limit=2").json()["calls"]
    second = site.get(f"/api/calls?limit=2&before={first[-1]['request_id']}").json()["calls"]

    assert [call["request_id"] for call in first + second] == [
        f"made-up-{n}" for n in (299, 298, 297, 296)
    ]
    assert first[0] == json.loads(json.dumps(to_record(made_up_calls(300, NOW, 3_600.0)[-1])))
    assert len(site.get("/api/calls").json()["calls"]) == 100
    assert len(site.get("/api/calls?limit=99999").json()["calls"]) == 300
    assert len(site.get("/api/calls?limit=-5").json()["calls"]) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model", "claude-haiku-4-5"),
        ("client", "codex"),
        ("outcome", "error"),
        ("account", "0123456789ab"),
    ],
)
def test_calls_by_field(site: Site, name: str, value: str) -> None:
    """A filter picks the records whose field has this value, and all of them."""
    picked = site.get(f"/api/calls?limit=300&{name}={value}").json()["calls"]
    every = site.get("/api/calls?limit=300").json()["calls"]

    assert picked
    assert picked == [call for call in every if call.get(name) == value]


def test_calls_without_a_credential(site: Site) -> None:
    """`account=unknown` picks them, as it does everywhere."""
    picked = site.get("/api/calls?limit=300&account=unknown").json()["calls"]
    every = site.get("/api/calls?limit=300").json()["calls"]

    assert picked
    assert picked == [call for call in every if "account" not in call]


def test_calls_of_a_session_and_a_client(site: Site) -> None:
    """A record must match all filters."""
    one = site.get("/api/calls?limit=1&client=codex").json()["calls"][0]

    assert site.get(f"/api/calls?session={one['session']}&client=codex").json()["calls"][0] == one
    assert site.get(f"/api/calls?session={one['session']}&client=claude-code").json()["calls"] == []


def test_a_call_with_its_price(site: Site) -> None:
    """`/api/calls/{id}` has the record and the rates that its cost is made of."""
    record = site.get("/api/calls?limit=1&model=claude-haiku-4-5&outcome=complete").json()["calls"][
        0
    ]
    answer = site.get(f"/api/calls/{record['request_id']}").json()

    assert answer["call"] == record
    rates, cost = answer["cost"]["rates"], answer["cost"]["cost_usd"]
    assert cost == pytest.approx(
        sum(record[bucket] * rates[bucket] for bucket in rates if bucket in record) / 1e6
    )
    assert site.get("/api/calls/nobody").status == 404


def test_sessions(site: Site) -> None:
    """Rows by the last activity or by cost."""
    rows = site.get("/api/sessions").json()["sessions"]
    dearest = site.get("/api/sessions?rank=cost&limit=1").json()["sessions"]

    assert rows == sorted(rows, key=lambda row: row["updated_at"], reverse=True)
    assert dearest == [max(rows, key=lambda row: row["cost_usd"])]


def test_a_session_by_a_name_with_anything_in_it() -> None:
    """The id of a session is percent-encoded in the path, slashes too."""
    call = made_up_calls(1, NOW, 60.0)[0]
    name = "a/b c?d=%&#<é>"
    with running(clock=lambda: NOW) as site:
        site.add(call._replace(attribution=Attribution(session=name)))
        answer = site.get("/api/sessions/a%2Fb%20c%3Fd%3D%25%26%23%3C%C3%A9%3E")

        assert answer.json()["session_id"] == name
        assert [each["request_id"] for each in answer.json()["calls"]] == [call.request_id]
        assert site.get("/api/sessions/other").status == 404


def test_series(site: Site) -> None:
    """`/api/series` spans the minutes asked for."""
    answer = site.get("/api/series?minutes=30").json()

    assert answer == json.loads(json.dumps(site.call(site.tracker.series, 30, NOW)))
    assert answer["points"] * answer["step_minutes"] == 30


@pytest.mark.parametrize(
    "target",
    [
        "/api/calls?limit=many",
        "/api/calls?limit=" + "9" * 5_000,
        "/api/series?minutes=1.5",
        "/api/sessions?rank=name",
        "/api/calls?" + "a=b&" * 33,
    ],
)
def test_parameters_that_make_no_sense(site: Site, target: str) -> None:
    """They are refused with an error that names the parameter."""
    answer = site.get(target)

    assert answer.status == 400
    assert answer.json()["error"]


def test_what_no_json_can_hold() -> None:
    """Half a surrogate pair off the wire and a sum beyond 64 bits do not take the page down."""
    calls = made_up_calls(1, NOW, 60.0)
    with running(clock=lambda: NOW) as site:
        for number in range(2_100):
            usage = calls[0].usage._replace(output_tokens=2**53 - 1)
            site.call(
                site.tracker.add,
                calls[0]._replace(
                    request_id=f"{number}", model="half \ud800", usage=usage, cost_usd=0.0
                ),
            )

        assert site.get("/api/calls?limit=1").json()["calls"][0]["model"] == "half ?"
        assert site.get("/api/usage").json()["today"]["output_tokens"] == pytest.approx(
            2_100 * 2**53
        )
        assert b"llmtally_calls_total" in site.get("/metrics").body


def test_large_json_is_compressed(site: Site) -> None:
    """For those who take gzip; a page of records is then a tenth."""
    plain, packed = site.get("/api/calls"), site.get("/api/calls", Accept_Encoding="gzip, br")

    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body) / 5
    assert "content-encoding" not in plain.headers


def test_a_bug_is_told(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug in llmtally becomes a 500 and is logged; the server keeps running."""

    def broken(*_: Any) -> Any:
        raise RuntimeError("a bug")

    monkeypatch.setattr(site.tracker, "series", broken)

    assert site.get("/api/series").status == 500
    assert "a bug" in caplog.text
    assert site.get("/api/calls").status == 200


# The page's files


def test_the_page(site: Site) -> None:
    """The index and what it names are there, with their types, small enough, and can be
    revalidated."""
    page = site.get("/", Accept_Encoding="gzip")

    assert page.status == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["content-encoding"] == "gzip"
    assert site.get("/app.js").headers["content-type"] == "text/javascript; charset=utf-8"
    assert site.get("/app.css").headers["content-type"] == "text/css; charset=utf-8"
    again = site.get("/", If_None_Match=page.headers["etag"])
    assert (again.status, again.body, "content-length" in again.headers) == (304, b"", False)
    assert site.get("/", If_None_Match='W/"another"').status == 200


def test_the_first_paint_is_small() -> None:
    """All files of the page together, as a browser gets them, are below 100 kB."""
    assert sum(len(asset.compressed or asset.body) for asset in load_assets().values()) < 100_000


def test_only_files_of_known_types_are_the_pages(tmp_path: Path) -> None:
    """Notes and editors' copies that lie beside them are not served."""
    for name in ("index.html", "app.js", "app.js~", "notes.txt", ".secret.html.swp"):
        (tmp_path / name).write_text("x")

    assert set(load_assets(tmp_path)) == {"/", "/app.js"}


# Logging in


def test_login_by_address(site: Site) -> None:
    """The printed address gives a cookie, out of reach of scripts and other sites, and leads on
    without the token."""
    answer = site.request(site.server.url.removeprefix(f"http://127.0.0.1:{site.port}"))
    cookie, *attributes = answer.headers["set-cookie"].split("; ")

    assert (answer.status, answer.headers["location"]) == (303, "/")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(attributes)
    assert cookie.startswith(f"llmtally_{site.port}=")
    assert TOKEN not in cookie
    assert (
        site.request(
            "/api/usage", headers={"Cookie": f'odd={{"a":1}}; theme; {cookie}; b=c'}
        ).status
        == 200
    )


def test_login_by_form(site: Site) -> None:
    """The login page posts the token; a wrong one gets an error and no cookie."""
    stranger = site.request("/")
    wrong = site.request("/login", "POST", body=b"token=wrong")
    right = site.request("/login", "POST", body=f"token={TOKEN}".encode())

    assert stranger.status == 401
    assert b'action="/login"' in stranger.body
    assert (wrong.status, "set-cookie" in wrong.headers) == (401, False)
    assert b"Wrong token" in wrong.body
    assert (right.status, "set-cookie" in right.headers) == (303, True)
    assert site.request("/login").status == 401


def test_a_cookie_is_good_for_its_port_only(site: Site) -> None:
    """Browsers show a host's cookies to all its ports: what another proxy sees, or makes with the
    same token, is of no use."""
    with running() as other:
        theirs = other.request(f"/login?token={TOKEN}").headers["set-cookie"].split(";")[0]

        assert other.request("/api/usage", headers={"Cookie": theirs}).status == 200
    value = theirs.partition("=")[2]
    assert (
        site.request("/api/usage", headers={"Cookie": f"llmtally_{site.port}={value}"}).status
        == 401
    )
    assert site.request("/api/usage", headers={"Authorization": f"Bearer {value}"}).status == 401


def test_the_token_is_kept(tmp_path: Path) -> None:
    """It is made once, for its owner's eyes, in a directory that may not exist yet."""
    directory = tmp_path / "new" / "usage"
    token = load_token(directory, None)

    assert len(token) >= 32
    assert load_token(directory, "") == token
    assert stat.S_IMODE((directory / TOKEN_FILE).stat().st_mode) == 0o600
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert [path.name for path in directory.iterdir()] == [TOKEN_FILE]


@pytest.mark.parametrize("damage", ["empty", "others may read it", "a link", "not text"])
def test_a_token_that_cannot_be_trusted_is_replaced(tmp_path: Path, damage: str) -> None:
    """Cut off, seen by others, or put there by others: a new one is made."""
    old = load_token(tmp_path, None)
    path = tmp_path / TOKEN_FILE
    match damage:
        case "empty":
            path.write_text("")
        case "others may read it":
            path.chmod(0o640)
        case "a link":
            path.rename(tmp_path / "elsewhere")
            path.symlink_to(tmp_path / "elsewhere")
        case "not text":
            path.write_bytes(b"\xff" * 40)
    new = load_token(tmp_path, None)

    assert new != old
    assert load_token(tmp_path, None) == new
    assert not path.is_symlink()


def test_a_chosen_token(tmp_path: Path) -> None:
    """It is accepted if it is long enough and needs no quoting; else the error names the cure."""
    assert load_token(tmp_path, "correct-horse-battery.staple") == "correct-horse-battery.staple"
    for bad in (
        "short",
        "with a space in the middle",
        "x" * 513,
        "naïve-naïve-naïve-naïve",
        "semi;colon;semi;colon",
    ):
        with pytest.raises(ValueError, match="16 to 512 letters, digits"):
            load_token(tmp_path, bad)
    assert not list(tmp_path.iterdir())


# Open pages


class Events:
    """Reads the events of `/api/events`."""

    def __init__(self, site: Site) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=10)
        self.connection.request("GET", "/api/events", headers={"Authorization": f"Bearer {TOKEN}"})
        self.answer = self.connection.getresponse()
        self.line = self.answer.readline()

    def next(self) -> tuple[str, Any]:
        """The next event's name and data."""
        name = ""
        while line := self.answer.readline():
            field, _, value = line.decode().rstrip("\n").partition(": ")
            if field == "event":
                name = value
            elif field == "data":
                assert self.answer.readline() == b"\n"
                return name, json.loads(value)
        return "end", None

    def next_of(self, name: str) -> Any:
        """The next event of this name."""
        while (event := self.next())[0] != name:
            assert event[0] != "end"
        return event[1]

    def close(self) -> None:
        self.answer.close()
        self.connection.close()


def test_an_open_page_is_told_of_calls() -> None:
    """It hears how things stand, then each record, and within about a second what they add up
    to."""
    first, second = made_up_calls(2, time.time(), 60.0)
    with running() as site:
        events = Events(site)
        assert events.answer.getheader("Content-Type") == "text/event-stream"
        assert events.line == b"retry: 1000\n"
        assert events.next_of("usage")["since_start"]["calls"] == 0

        site.add(first)
        began = time.monotonic()

        assert events.next_of("record")["request_id"] == first.request_id
        while events.next_of("usage")["since_start"]["calls"] != 1:
            pass
        assert time.monotonic() - began < 2

        site.add(second)

        assert events.next_of("record")["request_id"] == second.request_id
        while events.next_of("usage")["since_start"]["calls"] != 2:
            pass
        events.close()


def test_the_last_change_is_always_told() -> None:
    """A call that ends right after an answer was made shows in the next one, though that must wait
    for its second."""
    calls = made_up_calls(30, time.time(), 60.0)
    with running() as site:
        events = Events(site)
        for call in calls:
            site.add(call)
            site.get("/api/usage")
            time.sleep(0.03)
        while events.next_of("usage")["since_start"]["calls"] != len(calls):
            pass
        events.close()


def test_a_change_without_a_record_is_told() -> None:
    """Changes without a call (limits that were read, the journal read back) are shown, too."""
    with running() as site:
        events = Events(site)
        assert events.next_of("usage")["restoring"] is False

        site.call(lambda: setattr(site.tracker, "restoring", True))
        site.call(site.server.changed)

        while not events.next_of("usage")["restoring"]:
            pass
        events.close()


def test_stopping_ends_open_pages_at_once() -> None:
    """A page that is open sees its connection end when the proxy stops, and the port is free."""
    with running() as site:
        events, port = Events(site), site.port
        events.next_of("usage")
        began = time.monotonic()
        site.call(site.server.stop)

        assert events.next() == ("end", None)
        assert time.monotonic() - began < 1
        with socket.create_server(("127.0.0.1", port)):
            pass
        site.call(site.server.publish, b"{}\n")
        site.call(site.server.stop)
        events.close()


def test_what_changed_while_nobody_looked_is_told() -> None:
    """An answer that was made for a script right before the first page opened is not all that this
    page hears."""
    (call,) = made_up_calls(1, time.time(), 60.0)
    with running() as site:
        assert site.get("/api/usage").json()["since_start"]["calls"] == 0
        site.call(site.tracker.add, call)
        events = Events(site)
        began = time.monotonic()

        while events.next_of("usage")["since_start"]["calls"] != 1:
            pass
        assert time.monotonic() - began < 3
        events.close()


def test_a_page_that_goes_is_forgotten() -> None:
    """A closed tab leaves nothing behind."""
    with running() as site:
        events = Events(site)
        events.next_of("usage")
        assert len(readers(site)) == 1
        events.close()
        deadline = time.monotonic() + 5
        while readers(site):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def readers(site: Site) -> set[Reader]:
    server = site.server._server
    assert server is not None
    return server.hub.readers


# The hub alone, with its time in our hands


@dataclass
class Bench:
    """A hub whose timers are run by hand, and readers that take what they are given when told
    to."""

    now: float = 1_000.0
    answers: int = 0
    timers: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    def hub(self) -> Hub:
        self.snapshots = Snapshots(self.make, lambda: self.now)
        return Hub(self.snapshots, lambda seconds, work: self.timers.append((seconds, work)))

    def make(self, now: float, account: str | None) -> bytes:
        self.answers += 1
        return b"%d" % self.answers

    def tick(self) -> None:
        due, self.timers[:] = list(self.timers), []
        for _, work in due:
            work()


@dataclass
class Page:
    """What a reader was given, and how to say that it has gone."""

    chunks: list[bytes] = field(default_factory=list)
    written: list[Callable[[], None]] = field(default_factory=list)
    closed: bool = False

    def reader(self) -> Reader:
        def write(chunk: bytes, written: Callable[[], None]) -> None:
            self.chunks.append(chunk)
            self.written.append(written)

        def close() -> None:
            self.closed = True

        return Reader(write, close)

    def take(self) -> None:
        self.written.pop()()


def test_usage_is_made_once_for_all_and_at_most_once_a_second() -> None:
    """Ten pages and any number of calls cost one answer a second."""
    bench = Bench()
    hub = bench.hub()
    pages = [Page() for _ in range(10)]
    for page in pages:
        hub.join(page.reader())
    assert bench.answers == 1
    for _ in range(40):
        bench.now += 0.25
        bench.snapshots.changed()
        for page in pages:
            if page.written:
                page.take()
        bench.tick()

    assert bench.answers == 11
    # the first tick repeats what joining told
    assert {b"".join(page.chunks).count(b"event: usage") for page in pages} == {12}


def test_a_reader_that_does_not_read_costs_a_bounded_backlog() -> None:
    """What it misses becomes one reset, then events continue; it gets only the newest usage."""
    bench = Bench()
    hub = bench.hub()
    page = Page()
    hub.join(page.reader())
    for number in range(1_000):
        hub.publish(b"%04d" % number + b"x" * 1_000)
        bench.snapshots.changed()
        bench.now += 1
        bench.tick()
    assert len(page.chunks) == 1

    page.take()
    bench.tick()

    late = page.chunks[1]
    assert len(late) <= BACKLOG_CAP + 100
    assert late.startswith(RESET)
    assert late.count(b"event: reset") == 1
    assert late.count(b"event: usage") == 1
    assert b"0999xxx" in late
    assert late.endswith(b"event: usage\ndata: %d\n\n" % bench.answers)


def test_a_reader_that_takes_nothing_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a minute its connection is closed."""
    bench = Bench()
    hub = bench.hub()
    stuck, fine = Page(), Page()
    hub.join(stuck.reader())
    hub.join(fine.reader())
    fine.take()
    later = time.monotonic() + 61
    monkeypatch.setattr(time, "monotonic", lambda: later)
    bench.tick()

    assert (stuck.closed, fine.closed) == (True, False)
    assert len(hub.readers) == 1


def test_no_page_no_timer() -> None:
    """When the last page has gone, nothing ticks."""
    bench = Bench()
    hub = bench.hub()
    reader = Page().reader()
    hub.join(reader)
    hub.leave(reader)
    bench.tick()

    assert bench.timers == []


# Starting


def test_a_port_that_is_taken() -> None:
    """The page is not served, and the reason is reported; nothing else is affected."""
    with running() as first, running(port=first.port) as second:
        (trouble,) = second.troubles

        assert (
            f"Cannot serve the page on 127.0.0.1:{first.port}: address already in use." in trouble
        )
        assert first.get("/healthz").status == 200
        second.call(second.server.publish, b"{}\n")


@pytest.mark.parametrize(
    ("host", "port"), [("no.such.host.invalid", 0), ("127.0.0.1", 70_000), ("x" * 70, 0)]
)
def test_an_address_that_is_none(host: str, port: int) -> None:
    """A mistyped address does not stop the proxy either."""
    with running(host=host, port=port) as site:
        assert len(site.troubles) == 1


@pytest.mark.parametrize(
    ("host", "beginning"),
    [
        ("127.0.0.1", "http://127.0.0.1:"),
        ("0.0.0.0", "http://127.0.0.1:"),
        ("::1", "http://[::1]:"),
        ("localhost", "http://localhost:"),
    ],
)
def test_the_address_to_open(host: str, beginning: str) -> None:
    """It leads to the page from this machine, and has the token in it."""
    with running(host=host) as site:
        assert site.server.url == f"{beginning}{site.port}/login?token={TOKEN}"


def test_what_leads_back_to_the_page() -> None:
    """The server recognises addresses that lead to it, in any spelling; other ports and machines do
    not."""
    with running() as site:
        server, port = site.server, site.port
        for host in (
            "127.0.0.1",
            "localhost",
            "LOCALHOST.",
            "a.localhost",
            "127.1",
            "0x7f.1",
            "2130706433",
            "::1",
            "::ffff:127.0.0.1",
            "0",
        ):
            assert server.is_reached_by((host, port)), host
            assert not server.is_reached_by((host, port + 1))
        for host in ("example.com", "10.0.0.1", "::2", "128.0.0.1"):
            assert not server.is_reached_by((host, port)), host
        site.call(server.stop)
        assert not server.is_reached_by(("127.0.0.1", port))
    assert is_loopback("::")


@pytest.mark.parametrize("taken", [True, False])
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::"])
def test_a_connection_of_the_proxy_is_not_taken(host: str, taken: bool) -> None:
    """A name that leads here is known once the connection is made, which the page may have taken by
    then. Others stay."""
    with running(host=host) as site, socket.socket() as proxy, socket.socket() as browser:
        proxy.settimeout(10)
        proxy.bind(("127.0.0.1", 0))
        addresses = proxy.getsockname(), ("127.0.0.1", site.port)
        if not taken:
            site.call(site.server.proxy_connected, *addresses)
        proxy.connect(addresses[1])
        browser.connect(addresses[1])
        if taken:
            assert site.get("/healthz").status == 200  # it came after these two
            site.call(site.server.proxy_connected, *addresses)
        assert proxy.recv(1) == b""
        browser.settimeout(10)
        browser.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % site.port)
        assert browser.recv(12) == b"HTTP/1.1 200"


def test_a_connection_of_the_proxy_to_elsewhere_is_none_of_ours() -> None:
    """Neither another machine's port of the same number nor another port of this machine."""
    with running() as site:
        refuse = site.server.proxy_connected
        for remote in (("10.0.0.1", site.port), ("127.0.0.1", site.port + 1)):
            with socket.socket() as client:
                client.settimeout(10)
                client.bind(("127.0.0.1", 0))
                site.call(refuse, client.getsockname(), remote)
                client.connect(("127.0.0.1", site.port))
                client.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % site.port)
                assert client.recv(12) == b"HTTP/1.1 200"


def test_leaving_the_loop_right_after_stopping_is_quiet(
    caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    """mitmproxy ends its loop as soon as `done` returns: no connection of ours may complain
    then."""
    clients: list[socket.socket] = []

    async def life() -> None:
        server = WebServer(
            Tracker(),
            host="127.0.0.1",
            port=0,
            token=TOKEN,
            clock=time.time,
            runtime=lambda: pytest.fail("nobody asks"),
            explain=lambda _: pytest.fail("nobody asks"),
            on_trouble=pytest.fail,
        )
        assert server.start()
        for head in (b"", b"GET /healthz HTT", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"):
            client = socket.create_connection(("127.0.0.1", server.port))
            client.sendall(head)
            clients.append(client)
        await asyncio.sleep(0.1)
        server.stop()

    asyncio.run(life())
    for client in clients:
        client.close()

    assert caplog.records == []
    assert list(recwarn) == []
