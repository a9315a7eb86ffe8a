"""A real web server on loopback, over a real tracker fed with made-up calls.

In a test: `with running() as site: site.get("/api/usage")`. `site.add(call)` adds and publishes a
call; anything else that touches `site.tracker` goes through `site.call(function, ...)`, which runs
it on the server's loop.

For a person: `.venv/bin/python tests/support/web_server.py --port 8099` prints an address to open,
and adds a call every half second. `--empty` starts with nothing. Files of `static/` are read at the
start, so restart after an edit.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2] / "addon"))

from llmtally import __version__
from llmtally.pricing import Pricer
from llmtally.record import ApiError, Attribution, Billing, Call, LimitReading, Usage
from llmtally.schema import to_line
from llmtally.tracker import Tracker
from llmtally.web import WebServer
from llmtally.web.metrics import Runtime

TOKEN = "a-token-for-the-tests-0123456789"
T = TypeVar("T")


@dataclass
class Site:
    """A server that runs in a thread, and a plain client for it."""

    tracker: Tracker
    server: WebServer
    loop: asyncio.AbstractEventLoop
    troubles: list[str]
    runtime: list[Runtime]
    """A list of one, which tests may replace."""
    cookie: str = field(default="", repr=False)

    @property
    def port(self) -> int:
        return self.server.port

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run something on the server's loop."""
        result: Future[T] = Future()

        def work() -> None:
            try:
                result.set_result(function(*arguments))
            except BaseException as error:  # noqa: BLE001  # it goes to the caller
                result.set_exception(error)

        self.loop.call_soon_threadsafe(work)
        return result.result(10)

    def add(self, call: Call) -> None:
        """Add a call to the tracker and publish it, as the addon does."""

        def work() -> None:
            self.tracker.add(call)
            self.server.publish(to_line(call))

        self.call(work)

    def request(
        self,
        target: str,
        method: str = "GET",
        *,
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
    ) -> Response:
        """Send a request with exactly these headers, besides `Host` and what a body needs."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.putrequest(
                method, target, skip_accept_encoding=True, skip_host="Host" in (headers or {})
            )
            for name, value in (headers or {}).items():
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            return Response(
                answer.status,
                {name.lower(): value for name, value in answer.getheaders()},
                answer.read(),
            )
        finally:
            connection.close()

    def get(self, target: str, **headers: str) -> Response:
        """GET with the token. Header names are written with `_` for `-`."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request(target, headers={"Authorization": f"Bearer {TOKEN}", **given})


@dataclass
class Response:
    """A response of the server."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@contextmanager
def running(
    tracker: Tracker | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    clock: Callable[[], float] = time.time,
) -> Iterator[Site]:
    """Run a server in a thread; at the end it is stopped, and its loop ends at once as mitmproxy's
    does."""
    started: Future[Site] = Future()
    stop = threading.Event()
    thread = threading.Thread(
        target=lambda: asyncio.run(_serve(tracker or Tracker(), host, port, clock, started, stop))
    )
    thread.start()
    try:
        yield started.result(10)
    finally:
        stop.set()
        thread.join(10)
        assert not thread.is_alive()


async def _serve(
    tracker: Tracker,
    host: str,
    port: int,
    clock: Callable[[], float],
    started: Future[Site],
    stop: threading.Event,
) -> None:
    troubles: list[str] = []
    runtime = [Runtime(__version__)]
    server = WebServer(
        tracker,
        host=host,
        port=port,
        token=TOKEN,
        clock=clock,
        runtime=lambda: runtime[0],
        explain=Pricer().price,
        on_trouble=troubles.append,
    )
    server.start()
    started.set_result(Site(tracker, server, asyncio.get_running_loop(), troubles, runtime))
    await asyncio.to_thread(stop.wait)
    server.stop()


# Made-up calls

PROFILES = (
    (
        "anthropic",
        "anthropic_messages",
        "api.anthropic.com",
        "claude-opus-5-5",
        "claude-code",
        15.0,
        75.0,
    ),
    (
        "anthropic",
        "anthropic_messages",
        "api.anthropic.com",
        "claude-haiku-4-5",
        "claude-code",
        1.0,
        5.0,
    ),
    ("openai", "openai_responses", "api.openai.com", "gpt-5.6-codex", "codex", 1.75, 14.0),
    (
        "google",
        "gemini",
        "generativelanguage.googleapis.com",
        "gemini-3.5-pro",
        "gemini-cli",
        2.0,
        12.0,
    ),
)
"""provider, api, host, model, client, USD per million input and output tokens. The prices are made
up, too."""


def made_up_call(chance: random.Random, ended: float, number: int) -> Call:
    """Make one call of lively, varied traffic."""
    provider, api, host, model, client, price_in, price_out = chance.choice(PROFILES)
    usage = Usage(
        input_tokens=chance.randrange(2, 4_000),
        cache_read_tokens=chance.choice((0, chance.randrange(10_000, 150_000))),
        cache_write_tokens=chance.randrange(0, 8_000) if provider == "anthropic" else None,
        output_tokens=chance.randrange(20, 3_000),
    )
    outcome = chance.choices(("complete", "incomplete", "client_aborted", "error"), (90, 4, 3, 3))[
        0
    ]
    billing: Billing = "subscription" if provider == "anthropic" else "api"
    duration = chance.uniform(800, 40_000)
    refused = outcome == "error"
    cost = ((usage.input_tokens or 0) * price_in + (usage.output_tokens or 0) * price_out) / 1e6
    cost += (
        (usage.cache_read_tokens or 0) * price_in * 0.1
        + (usage.cache_write_tokens or 0) * price_in * 1.25
    ) / 1e6
    session = f"{client}-{int(ended // 3600) * 3 + chance.randrange(3):x}"
    agent = (
        chance.choice((None, None, "explore-1", "explore-2")) if client == "claude-code" else None
    )
    return Call(
        timestamp=ended - duration / 1000,
        started=ended - duration / 1000,
        ended=ended,
        request_id=f"made-up-{number}",
        response_id=f"msg_{number}",
        provider=provider,
        api=api,
        host=host,
        path="/v1/messages",
        transport="sse",
        streaming=True,
        outcome=outcome,  # type: ignore[arg-type]  # `choices` widens the literals
        coverage="error" if refused else "priced",
        model=model,
        request_model=model,
        status=529 if refused else 200,
        stop_reason=None if refused else "end_turn",
        error=ApiError("overloaded_error", "Overloaded") if refused else None,
        usage=Usage() if refused else usage,
        cost_usd=None if refused else cost,
        cost_source=None if refused else "prices",
        billing=billing,
        ttft_ms=None if refused else duration / 6,
        duration_ms=duration,
        request_bytes=chance.randrange(10_000, 400_000),
        response_bytes=chance.randrange(1_000, 60_000),
        attribution=Attribution(
            client=client,
            client_version="2.1.0",
            session=session,
            session_source="header",
            agent=agent,
            agent_type="Explore" if agent else None,
            request_class="subagent" if agent else "main",
            project=f"/home/me/{chance.choice(('shop', 'compiler'))}",
            account="0123456789ab" if provider == "anthropic" else None,
        ),
        limits=_limits(ended) if provider == "anthropic" else (),
    )


def _limits(at: float) -> tuple[LimitReading, ...]:
    readings = []
    for key, seconds, fullest in (("5h", 5 * 3600.0, 93), ("7d", 7 * 86_400.0, 61)):
        resets_at = (at // seconds + 1) * seconds
        utilization = fullest * (1 - (resets_at - at) / seconds)
        readings.append(
            LimitReading(
                key,
                "provider_native",
                utilization=round(utilization, 1),
                resets_at=resets_at,
                window_seconds=seconds,
                status="allowed",
            )
        )
    return tuple(readings)


def made_up_calls(count: int, now: float, seconds: float) -> list[Call]:
    """Make calls spread over the last `seconds`, oldest first, the same every time."""
    chance = random.Random(7)
    return [made_up_call(chance, now - seconds * (1 - (n + 1) / count), n) for n in range(count)]


async def _show(port: int, *, empty: bool) -> None:
    tracker = Tracker()
    if not empty:
        for call in made_up_calls(4_000, time.time(), 3 * 86_400.0):
            tracker.add(call, restored=True)
    runtime = Runtime(__version__)
    server = WebServer(
        tracker,
        host="127.0.0.1",
        port=port,
        token=TOKEN,
        clock=time.time,
        runtime=lambda: runtime,
        explain=Pricer().price,
        on_trouble=print,
    )
    if not server.start():
        return
    print(server.url, flush=True)
    chance = random.Random()
    for number in range(10_000, 10**9):
        await asyncio.sleep(0.5)
        if not empty:
            call = made_up_call(chance, time.time(), number)
            tracker.add(call)
            server.publish(to_line(call))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The page with made-up numbers.")
    parser.add_argument("--port", type=int, default=8099)
    parser.add_argument("--empty", action="store_true", help="no calls at all")
    arguments = parser.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(_show(arguments.port, empty=arguments.empty))
