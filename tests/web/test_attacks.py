"""The page under attack: by other pages in the same browser, by other users of the machine, by what
comes off the wire.

Nobody without the token gets anything, and nobody, with or without it, slows the proxy down.
"""

from __future__ import annotations

import http.client
import json
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtally.record import Cost
from llmtally.tracker import Tracker
from llmtally.web.access import Access
from llmtally.web.app import App, Request
from llmtally.web.assets import load_assets
from llmtally.web.events import READERS_CAP, Reader
from llmtally.web.metrics import Runtime
from llmtally.web.server import MAX_BODY_BYTES, MAX_CONNECTIONS, MAX_HEADER_BYTES
from web_server import TOKEN, Response, Site, made_up_calls, running

NOW = 1_790_000_000.0

BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A server with something to steal."""
    tracker = Tracker()
    for call in made_up_calls(50, NOW, 3_600.0):
        tracker.add(call)
    with running(tracker, clock=lambda: NOW) as site:
        yield site


def app_of(host: str = "127.0.0.1") -> App:
    return App(
        Tracker(),
        Access(TOKEN, host, 8088),
        load_assets(),
        clock=lambda: NOW,
        runtime=lambda: Runtime("1"),
        explain=lambda _: Cost(),
    )


APP = app_of()


def targets() -> list[str]:
    """Every path that is answered, one of each family included."""
    return [*APP.endpoints, *(f"{family}made-up-1" for family in APP.families)]


PUBLIC = {"/healthz", "/login"}


def tells_nothing(answer: Response) -> bool:
    """Whether the answer holds no data of ours: all data names a provider somewhere, and the page's
    files are known."""
    return not any(
        word in answer.body
        for word in (b"anthropic", b"made-up", b"llmtally_", b"import ", b"function")
    ) and ("set-cookie" not in answer.headers)


# Without the token


STRANGERS: dict[str, dict[str, str]] = {
    "nothing": {},
    "wrong token": {"Authorization": "Bearer " + "x" * len(TOKEN)},
    "empty token": {"Authorization": "Bearer "},
    "half the token": {"Authorization": f"Bearer {TOKEN[:-1]}"},
    "more than the token": {"Authorization": f"Bearer {TOKEN}x"},
    "no ASCII": {"Authorization": "Bearer t\xf6ken"},
    "another scheme": {"Authorization": f"Basic {TOKEN}"},
    "token as cookie": {"Cookie": f"llmtally_8088={TOKEN}"},
    "empty cookie": {"Cookie": "llmtally_8088="},
    "cookie without a value": {"Cookie": "llmtally_8088"},
}


@pytest.mark.parametrize("headers", STRANGERS.values(), ids=STRANGERS)
@pytest.mark.parametrize("target", targets())
def test_every_path_wants_the_login(site: Site, target: str, headers: dict[str, str]) -> None:
    """No path that exists, but for two that tell nothing, answers a stranger."""
    headers = {name: value.replace("8088", str(site.port)) for name, value in headers.items()}
    answer = site.request(target, headers=headers)

    assert answer.status == (200 if target == "/healthz" else 401)
    assert tells_nothing(answer)
    if target not in PUBLIC:
        assert "Bearer" in answer.headers["www-authenticate"]


def test_what_is_public_is_known() -> None:
    """A new path is behind the login unless somebody says so here, too."""
    assert {
        path for path, endpoint in {**APP.endpoints, **APP.families}.items() if endpoint.is_public
    } == PUBLIC


def test_the_health_answer_is_bare(site: Site) -> None:
    """It only says that the server is up."""
    assert site.request("/healthz").body == b"ok\n"


def test_a_stranger_cannot_tell_which_paths_there_are(site: Site) -> None:
    """Unknown paths and sessions look like known ones."""
    there, not_there = site.request("/api/usage"), site.request("/api/nothing")

    assert (there.status, there.body) == (not_there.status, not_there.body)


def test_the_token_in_another_query_is_nothing(site: Site) -> None:
    """Only `/login` takes it from the URL, so that it does not stay in histories and logs."""
    assert site.request(f"/api/usage?token={TOKEN}").status == 401
    assert site.request(f"/?token={TOKEN}").status == 401


def test_the_token_is_in_no_answer(site: Site) -> None:
    """No body and no header repeats the token."""
    for target in targets():
        if target != "/api/events":
            answer = site.get(target)
            assert TOKEN.encode() not in answer.body
            assert TOKEN not in str(answer.headers)


# From other pages


FOREIGN_HOSTS = (
    "evil.example",
    "127.0.0.1.evil.example",
    "evil.example:{port}",
    "localhost.evil.example:{port}",
    "user@127.0.0.1:{port}",
    "127.0.0.1:{port}@evil.example",
    "127.0.0.1:{port}, evil.example",
    "127.0.0.1:{port}/",
    "127.0.0.1:port",
    "[::1",
    "192.168.1.2:{port}",
    "0.0.0.0:{port}",
)


@pytest.mark.parametrize("host", FOREIGN_HOSTS)
def test_a_foreign_host_is_refused(site: Site, host: str) -> None:
    """A name that was rebound to this machine gets nothing, even with the token."""
    answer = site.get("/api/usage", Host=host.format(port=site.port))

    assert answer.status in (400, 403)
    assert tells_nothing(answer)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:{port}",
        "localhost:{port}",
        "LOCALHOST:{port}",
        "[::1]:{port}",
        "localhost:9000",
        "localhost",
    ],
)
def test_our_own_names(site: Site, host: str) -> None:
    """Loopback by any name and port: a tunnel ends at another port."""
    assert site.get("/api/usage", Host=host.format(port=site.port)).status == 200


def test_no_host_and_two_hosts(site: Site) -> None:
    """HTTP/1.0 needs no Host, and some servers take the last of two; this one refuses both."""
    for head in (
        b"GET /api/usage HTTP/1.0\r\n",
        b"GET /api/usage HTTP/1.1\r\n",
        b"GET /api/usage HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n",
    ):
        answer = raw(
            site, head + f"Authorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n".encode()
        )
        assert b" 200 " not in answer
        assert b"anthropic" not in answer


@pytest.mark.parametrize(
    ("listens_on", "host", "status"),
    [
        ("0.0.0.0", "192.168.1.2:8088", 200),
        ("::", "[fe80::1]:8088", 200),
        ("0.0.0.0", "evil.example:8088", 403),
        ("box.lan", "box.lan:8088", 200),
        ("box.lan", "192.168.1.2:8088", 403),
        ("192.168.1.2", "192.168.1.2:8088", 200),
    ],
)
def test_hosts_where_others_may_connect(listens_on: str, host: str, status: int) -> None:
    """The configured name is ours; on all interfaces any address is, as rebinding needs a name."""
    answer = app_of(listens_on).answer(
        Request("GET", "/api/usage", {"host": host, "authorization": f"Bearer {TOKEN}"})
    )

    assert answer.status == status


FOREIGN_PAGES: dict[str, dict[str, str]] = {
    "foreign origin": {"Origin": "https://evil.example"},
    "opaque origin": {"Origin": "null"},
    "another port of this host": {"Origin": "http://127.0.0.1:1"},
    "another name of this host": {"Origin": "http://localhost:{port}"},
    "origin that ends like ours": {"Origin": "http://evil.example/?127.0.0.1:{port}"},
    "garbled origin": {"Origin": "http://["},
    "cross-site": {
        "Sec-Fetch-Site": "cross-site",
        "Sec-Fetch-Mode": "no-cors",
        "Sec-Fetch-Dest": "script",
    },
    "same-site": {
        "Sec-Fetch-Site": "same-site",
        "Sec-Fetch-Mode": "cors",
        "Sec-Fetch-Dest": "empty",
    },
    "in a frame": {
        "Sec-Fetch-Site": "cross-site",
        "Sec-Fetch-Mode": "navigate",
        "Sec-Fetch-Dest": "iframe",
    },
    "unknown site": {"Sec-Fetch-Site": "whatever"},
}


@pytest.mark.parametrize("headers", FOREIGN_PAGES.values(), ids=FOREIGN_PAGES)
@pytest.mark.parametrize(
    "target", ["/", "/api/usage", "/api/events", "/login?token=" + TOKEN, "/healthz"]
)
def test_foreign_pages_are_refused(site: Site, target: str, headers: dict[str, str]) -> None:
    """A page of another origin gets nothing, though the browser may add the cookie to what it
    asks."""
    headers = {name: value.format(port=site.port) for name, value in headers.items()}
    answer = site.request(target, headers={**BEARER, **headers})

    assert answer.status == 403
    assert tells_nothing(answer)


def test_our_own_page_is_answered(site: Site) -> None:
    """As browsers ask for it: its scripts, its JSON, its form."""
    own = {
        "Origin": f"http://127.0.0.1:{site.port}",
        "Sec-Fetch-Site": "same-origin",
        "Sec-Fetch-Mode": "cors",
        "Sec-Fetch-Dest": "empty",
    }
    form = {**own, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}

    assert site.request("/api/usage", headers={**BEARER, **own}).status == 200
    assert (
        site.request("/login", "POST", headers=form, body=f"token={TOKEN}".encode()).status == 303
    )


def test_a_link_elsewhere_leads_to_the_login_and_the_page(site: Site) -> None:
    """A person may follow one, in a chat or a web terminal. What may be linked shows nothing
    without the login, or is the page."""
    link = {
        "Sec-Fetch-Site": "cross-site",
        "Sec-Fetch-Mode": "navigate",
        "Sec-Fetch-Dest": "document",
    }

    assert site.request("/", headers=link).status == 401
    assert site.request(f"/login?token={TOKEN}", headers=link).status == 303
    assert site.request("/api/usage", headers={**BEARER, **link}).status == 403
    assert (
        site.request("/login", "POST", headers=link, body=f"token={TOKEN}".encode()).status == 403
    )


def test_headers_of_every_answer(site: Site) -> None:
    """Scripts of ours only, no frame, no sniffing, no referrer, nothing kept, and no other origin
    is ever allowed to read."""
    answers = [
        site.request(target, headers=headers)
        for target in ("/", "/login", "/healthz", "/nothing")
        for headers in ({}, BEARER)
    ]
    answers += [
        site.get("/api/usage"),
        site.get("/metrics"),
        site.get("/api/usage", Origin="https://evil.example"),
    ]
    answers += [
        site.request(
            "/api/usage", "OPTIONS", headers={**BEARER, "Access-Control-Request-Method": "GET"}
        )
    ]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert policy.startswith(("default-src 'self'; ", "default-src 'none'; "))
        assert "unsafe" not in policy
        assert {"frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} <= set(
            policy.split("; ")
        )
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] in ("no-referrer", "same-origin")
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert not [name for name in answer.headers if name.startswith("access-control-")]
        assert answer.headers["cache-control"] == (
            "private, no-cache" if "etag" in answer.headers else "no-store"
        )
        assert "server" not in answer.headers


# Tricks


@pytest.mark.parametrize(
    "target",
    [
        "/../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2fetc%2fpasswd",
        "/static/../web/access.py",
        "//app.js",
        "/./app.js",
        "/app.js/",
        "/app.js%00.css",
        "/APP.JS",
        "/app%2ejs",
        "\\app.js",
        "/index.html",
        "/index.html~",
        "/__init__.py",
        "/api",
        "/api/",
        "/api/usage/",
        "/api//usage",
        "/api/usage;x",
        "/api/sessions/",
        "/api/sessions/a/b",
        "/metrics/",
        "*",
        "http://evil.example/api/usage",
        "127.0.0.1:443",
        "/" + "a/" * 4_000,
    ],
)
def test_a_path_has_one_spelling(site: Site, target: str) -> None:
    """Any other spelling is refused, logged in or not; no file is looked up."""
    stranger, known = raw(site, head(target)), raw(site, head(target, TOKEN))

    assert stranger.split(b" ")[1] in (b"400", b"401")
    assert known.split(b" ")[1] in (b"400", b"404")
    assert b"root:" not in known
    assert b"import" not in known


@pytest.mark.parametrize(
    "method",
    ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE", "CONNECT", "PROPFIND", "get"],
)
@pytest.mark.parametrize("target", ["/", "/api/usage", "/api/sessions/x", "/metrics", "/healthz"])
def test_it_is_read_only(site: Site, method: str, target: str) -> None:
    """Only GET is allowed, and POST to the login."""
    answer = raw(site, head(target, TOKEN, method))

    assert answer.split(b" ")[1] in (b"405", b"400")
    assert b"anthropic" not in answer


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: "
        + b"x" * 2 * MAX_HEADER_BYTES
        + b"\r\n\r\n",
        b"GET /" + b"x" * 2 * MAX_HEADER_BYTES,
        b"x" * 2**20,
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + b"A: b\r\n" * MAX_HEADER_BYTES,
        b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\ntoken="
        % (MAX_BODY_BYTES + 1),
        b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /login HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        + 5 * (b"400\r\n%s\r\n" % (b"x" * 0x400)),
        (
            b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: "
            b"chunked\r\n\r\n0\r\n\r\n"
        ),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x00\r\n\r\n",
    ],
    ids=lambda value: ascii(value[:50]),
)
def test_oversized_and_garbled_requests_end_the_connection(
    site: Site, request_bytes: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """They are refused or cut off at once, nothing is written to mitmproxy's log as a fault, and
    others are served on."""
    answer = raw(site, request_bytes, is_all=True)

    assert answer == b"" or answer.split(b" ")[1] in (b"400", b"413", b"431"), answer
    assert site.get("/healthz").status == 200
    assert [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")] == []


def test_a_large_body_is_not_read(site: Site) -> None:
    """The connection ends before the sender has sent what it announced."""
    with socket.create_connection(("127.0.0.1", site.port), timeout=10) as client:
        client.sendall(
            b"POST /login HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        chunk = b"1000\r\n" + b"x" * 0x1000 + b"\r\n"
        with pytest.raises(OSError, match=r"Broken pipe|reset by peer"):
            for _ in range(100_000):
                client.sendall(chunk)


@given(st.binary(max_size=300))
def test_any_bytes(site: Site, data: bytes) -> None:
    """No beginning of a connection takes the server down or gets data out of it."""
    with socket.create_connection(("127.0.0.1", site.port), timeout=10) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        received = client.makefile("rb").read()

    assert b"anthropic" not in received


NAMES = st.sampled_from(
    [
        "host",
        "origin",
        "cookie",
        "authorization",
        "sec-fetch-site",
        "if-none-match",
        "accept-encoding",
    ]
)


@given(
    st.sampled_from(["GET", "POST", "HEAD"]),
    st.text(max_size=60) | st.sampled_from(targets()),
    st.dictionaries(NAMES, st.text(max_size=60), max_size=5),
    st.binary(max_size=100),
)
def test_any_request(method: str, target: str, headers: dict[str, str], body: bytes) -> None:
    """Whatever a stranger asks, it is an answer that tells nothing, and no exception."""
    answer = APP.answer(Request(method, target, {"host": "localhost", **headers}, body))

    assert answer.status in (400, 401, 403, 404, 405) or answer.body == b"ok\n"


@given(
    st.text(max_size=60) | st.sampled_from(targets()), st.text(max_size=60), st.text(max_size=60)
)
def test_any_request_of_ours(target: str, query: str, value: str) -> None:
    """No request of somebody who is logged in ends in an exception."""
    headers = {"host": "localhost", "authorization": f"Bearer {TOKEN}"}
    names = ("limit", "before", "minutes", "account", "rank", "token", "model")
    for text in (query, *(f"{name}={value}" for name in names)):
        assert APP.answer(Request("GET", f"{target}?{text}", headers)).status in (
            200,
            303,
            304,
            400,
            401,
            404,
        )


# Off the wire


HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "\x1b[2J\x1b]0;owned\x07",
    "\u202e",
    "a\r\nSet-Cookie: x=1",
    "x" * 2**20,
)


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:12]))
def test_hostile_names_are_data(text: str) -> None:
    """Names off the wire arrive as JSON strings, unsniffable, and in no header; the page writes
    them as text."""
    call = made_up_calls(1, NOW, 60.0)[0]
    call = call._replace(
        model=text, attribution=call.attribution.__class__(session=text, client=text, project=text)
    )
    tracker = Tracker()
    with running(tracker, clock=lambda: NOW) as site:
        site.add(call)
        for target in ("/api/usage", "/api/calls", "/api/sessions", "/api/series"):
            answer = site.get(target)
            json.loads(answer.body)
            assert answer.headers["content-type"] == "application/json"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "set-cookie" not in answer.headers


# Many


def test_a_crowd_of_idle_readers_does_not_slow_the_proxy() -> None:
    """200 open pages that never read: the loop turns as fast as without them, calls reach those who
    do read."""
    calls = made_up_calls(400, time.time(), 60.0)
    with running() as site, ExitStack() as stack:
        alone = turnaround(site, calls[:200])
        for _ in range(200):
            client = stack.enter_context(
                socket.create_connection(("127.0.0.1", site.port), timeout=10)
            )
            client.sendall(head("/api/events", TOKEN))
        seen: list[bytes] = []
        reader = threading.Thread(
            target=lambda: seen.extend(events_until(site, calls[-1].request_id))
        )
        reader.start()
        while len(open_pages(site)) < 201:
            time.sleep(0.01)
        crowded = turnaround(site, calls[200:])
        reader.join(20)

    assert crowded < 3 * alone + 0.005
    assert sum(line.startswith(b'data: {"schema"') for line in seen) == 200


def events_until(site: Site, request_id: str) -> Iterator[bytes]:
    """The lines that an open page gets until a call comes."""
    with (
        socket.create_connection(("127.0.0.1", site.port), timeout=20) as client,
        client.makefile("rb") as lines,
    ):
        client.sendall(head("/api/events", TOKEN))
        for line in lines:
            yield line
            if f'"request_id":"{request_id}"'.encode() in line:
                return


def open_pages(site: Site) -> set[Reader]:
    server = site.server._server
    assert server is not None
    return server.hub.readers


def turnaround(site: Site, calls: list[Any]) -> float:
    """The median time that the loop takes to get to something new, in seconds, while calls come
    in."""
    times = []
    for call in calls:
        site.add(call)
        began = time.perf_counter()
        site.call(time.perf_counter)
        times.append(time.perf_counter() - began)
        time.sleep(0.005)
    return statistics.median(times)


def test_there_is_no_end_of_the_queue_for_readers() -> None:
    """Pages beyond the cap get a 503; when one goes, the next is accepted."""
    with running() as site, ExitStack() as stack:
        clients = [
            stack.enter_context(socket.create_connection(("127.0.0.1", site.port), timeout=10))
            for _ in range(READERS_CAP)
        ]
        for client in clients:
            client.sendall(head("/api/events", TOKEN))
            assert client.recv(12) == b"HTTP/1.1 200"
        assert site.get("/api/events").status == 503

        clients[0].close()
        deadline = time.monotonic() + 10
        with socket.create_connection(("127.0.0.1", site.port), timeout=10) as late:
            while time.monotonic() < deadline:
                late.sendall(head("/api/events", TOKEN))
                if late.recv(2**16).startswith(b"HTTP/1.1 200"):
                    break
            else:
                pytest.fail("no place became free")


def test_silent_connections_are_bounded(site: Site) -> None:
    """A client that opens connections and sends nothing gets a limited number; when it leaves, all
    is as before."""
    with ExitStack() as stack:
        clients = [
            stack.enter_context(socket.create_connection(("127.0.0.1", site.port), timeout=10))
            for _ in range(MAX_CONNECTIONS + 20)
        ]
        turned_away = 0
        deadline = time.monotonic() + 10
        while turned_away < 20 and time.monotonic() < deadline:
            turned_away = sum(_is_closed(client) for client in clients)
        assert turned_away == 20
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            assert site.get("/healthz").status == 200
            return
        except (http.client.HTTPException, OSError):
            time.sleep(0.05)
    pytest.fail("it does not answer any more")


def _is_closed(client: socket.socket) -> bool:
    client.setblocking(False)
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def head(target: str, token: str | None = None, method: str = "GET") -> bytes:
    """A request's head as bytes, unchecked."""
    login = f"Authorization: Bearer {token}\r\n" if token else ""
    return (
        f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{login}\r\n".encode(
            "latin-1"
        )
    )


def raw(site: Site, data: bytes, *, is_all: bool = False) -> bytes:
    """What comes back for these bytes, until the server ends the connection; `is_all`: our side of
    the connection is closed after them."""
    received = b""
    with socket.create_connection(("127.0.0.1", site.port), timeout=10) as client:
        try:
            client.sendall(data)
            if is_all:
                client.shutdown(socket.SHUT_WR)
            while chunk := client.recv(2**16):
                received += chunk
        except TimeoutError:
            pytest.fail("the connection stays open")
        except OSError:
            pass  # it ended while we were still sending
    return received
