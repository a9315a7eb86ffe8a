"""Quota endpoints: what passes is read, and what is asked is asked seldom."""

from __future__ import annotations

import gzip
import http.server
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from llmtally.limits.quota_endpoints import (
    ANTHROPIC_USAGE,
    ENDPOINTS,
    INTERVAL,
    MAX_ANSWER,
    QuotaPoll,
    ask,
    oauth_token,
    read_answer,
)
from llmtally.providers import PROVIDERS

ANSWER = (
    b'{"five_hour": {"utilization": 42.0, "resets_at": "2026-11-20T17:20:00.261810+00:00"}, '
    b'"seven_day": null}'
)


def now(work: Callable[[], bytes | None], then: Callable[[bytes | None], None]) -> None:
    """Runs what is submitted at once."""
    then(work())


@pytest.mark.parametrize(("coding", "body"), [("", ANSWER), ("gzip", gzip.compress(ANSWER))])
def test_an_answer_is_read_in_any_coding(coding: str, body: bytes) -> None:
    """A client's own question tells us, too."""
    found = read_answer(ANTHROPIC_USAGE, coding, body, now=1_790_000_000.0)

    assert [(limit.key, limit.utilization) for limit in found] == [("5h", 42.0)]


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error": "no"}'])
def test_what_is_no_answer_says_nothing(body: bytes) -> None:
    """An endpoint may refuse, or be something else altogether."""
    assert read_answer(ANTHROPIC_USAGE, "", body, now=0.0) == ()
    assert read_answer(ANTHROPIC_USAGE, "lzma", body, now=0.0) == ()


def test_an_answer_is_not_followed_beyond_its_cap() -> None:
    """Neither on the wire nor out of its coding: there a few kilobytes may be many megabytes, and
    the loop would wait for them."""
    padding = b" " * MAX_ANSWER

    assert read_answer(ANTHROPIC_USAGE, "", ANSWER + padding[len(ANSWER) :], now=0.0) != ()
    assert read_answer(ANTHROPIC_USAGE, "", padding + ANSWER, now=0.0) == ()
    assert read_answer(ANTHROPIC_USAGE, "gzip", gzip.compress(ANSWER + padding), now=0.0) == ()


@pytest.mark.parametrize(
    ("authorization", "token"),
    [
        ("Bearer sk-ant-oat01-x", "sk-ant-oat01-x"),
        ("Bearer sk-ant-api03-x", None),
        ("Basic sk-ant-oat01-x", None),
        ("", None),
    ],
)
def test_only_a_subscription_has_such_windows(authorization: str, token: str | None) -> None:
    """An API key is not sent anywhere."""
    assert oauth_token({"authorization": authorization}) == token


def test_it_is_asked_every_five_minutes() -> None:
    """However many calls pass, and with the newest token."""
    asked: list[str] = []
    answers: list[tuple[str, bytes]] = []

    def answer(token: str) -> bytes:
        asked.append(token)
        return ANSWER

    poll = QuotaPoll(now, lambda token, body: answers.append((token, body)), answer)
    for second in range(int(INTERVAL) + 2):
        poll.seen(f"token-{second}", 1000.0 + second)

    assert asked == ["token-0", f"token-{int(INTERVAL)}"]
    assert answers[0] == ("token-0", ANSWER)


def test_an_error_is_not_asked_again_at_once() -> None:
    """After a refusal the endpoint is not asked again at once."""
    asked: list[str] = []

    def refuse(token: str) -> bytes:
        asked.append(token)
        raise OSError("429")

    poll = QuotaPoll(now, lambda token, body: pytest.fail("there was no answer"), refuse)
    poll.seen("a", 1000.0)
    poll.seen("b", 1001.0)

    assert asked == ["a"]


@pytest.fixture
def endpoint() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """An HTTP server that answers and remembers its requests."""
    seen: list[dict[str, str]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append({name.lower(): value for name, value in self.headers.items()})
            self.send_response(200)
            self.end_headers()
            self.wfile.write(ANSWER)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class's name
            """Keep the test's output quiet."""

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}{ANTHROPIC_USAGE.path}", seen
    server.shutdown()
    server.server_close()


def test_the_question(
    endpoint: tuple[str, list[dict[str, str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It carries the token and the beta that the endpoint wants, and never goes through a proxy,
    which would be ourselves."""
    url, seen = endpoint
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")

    assert ask("sk-ant-oat01-x", url) == ANSWER
    assert (seen[0]["authorization"], seen[0]["anthropic-beta"]) == (
        "Bearer sk-ant-oat01-x",
        "oauth-2025-04-20",
    )


def test_every_endpoint_has_its_provider() -> None:
    """A window of a provider that no call has would stand alone on the page."""
    assert {endpoint.provider for endpoint in ENDPOINTS} <= {row.name for row in PROVIDERS}
