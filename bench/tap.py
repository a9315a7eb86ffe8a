"""What the tap costs per chunk: beside a callable that does nothing, and beside one that parses
every event.

`in the way` is what happens before a chunk goes on to the client; `in all` adds what is read
afterwards, up to the line for the journal. Both are means over the chunks of a stream, one event a
chunk. CPU time is counted: neighbours disturb it least.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import orjson

from llmtally.attribution import Attributor
from llmtally.exchange import Exchange, Memory, RequestHead
from llmtally.mitm.tap import Tap
from llmtally.pricing import Pricer
from llmtally.providers import RouteTable
from llmtally.schema import to_line
from llmtally.text.call_line import one_line

from . import traffic
from .mitmdump import on_core
from .report import Goal, Plan, Section
from .stats import spread

DELTAS = 2_000
GOAL = 500.0
"""Nanoseconds for each chunk that the tap may take."""

OPENING = 8
"""Chunks that come before the loop does the work which the tap defers: some 20 ms of a fast
model."""

STREAMS = (
    traffic.anthropic_stream(DELTAS),
    traffic.chat_stream(DELTAS),
    traffic.responses_stream(DELTAS),
)


@dataclass(slots=True)
class Times:
    """Seconds for one stream, run by run."""

    identity: list[float] = field(default_factory=list)
    parsing: list[float] = field(default_factory=list)
    in_the_way: list[float] = field(default_factory=list)
    in_all: list[float] = field(default_factory=list)
    longest: list[float] = field(default_factory=list)
    settlement: list[float] = field(default_factory=list)


def run(plan: Plan) -> Section:
    """Measure all streams in turn, as often as the plan says."""
    pricer = Pricer()
    times = {stream.name: Times() for stream in STREAMS}
    with on_core(1), no_collections():
        for _ in range(plan.repeats):
            for stream in STREAMS:
                _measure(stream, times[stream.name], pricer)
    rows = [_row(stream, times[stream.name]) for stream in STREAMS]
    noise = [spread(times[stream.name].in_all) * 1e9 / len(stream.events) for stream in STREAMS]
    return Section(
        "Tap: ns a chunk",
        (
            "stream",
            "identity",
            "tap, in the way",
            "tap, in all",
            "parse every event",
            "longest chunk us",
            "settlement us",
        ),
        [tuple(row) for row in rows],
        [
            Goal(f"tap in all, {row[0]}", row[3], GOAL, "ns a chunk", more)
            for row, more in zip(rows, noise, strict=True)
        ],
        (
            (
                f"{DELTAS} chunks a stream; medians of {plan.repeats} runs; noise: half of the "
                "interquartile range."
            ),
            (
                "longest chunk: what one chunk of a stream waits at most. settlement: of a "
                "stream, its share is part of `in all`."
            ),
        ),
    )


@contextmanager
def no_collections() -> Iterator[None]:
    """Turn garbage collection off for a while: a full one, of everything that this process has
    loaded, would be counted as part of whatever it interrupts."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _row(
    stream: traffic.Stream, times: Times
) -> tuple[str, float, float, float, float, float, float]:
    per_chunk = 1e9 / len(stream.events)
    return (
        stream.name,
        median(times.identity) * per_chunk,
        median(times.in_the_way) * per_chunk,
        median(times.in_all) * per_chunk,
        median(times.parsing) * per_chunk,
        median(times.longest) * 1e6,
        median(times.settlement) * 1e6,
    )


def _measure(stream: traffic.Stream, times: Times, pricer: Pricer) -> None:
    events = [traffic.fresh(event) for event in stream.events]
    times.identity.append(_seconds(identity, events))
    times.parsing.append(_seconds(parse_every_event, events))
    times.longest.append(_longest(_Tapped(stream), events))
    tapped = _Tapped(stream)
    in_the_way = _seconds(tapped.tap.stream, events[:OPENING])
    afterwards = tapped.do_what_was_deferred()
    in_the_way += _seconds(tapped.tap.stream, events[OPENING:])
    afterwards += tapped.drain()
    settlement = tapped.settle(pricer)
    times.in_the_way.append(in_the_way)
    times.settlement.append(settlement)
    times.in_all.append(in_the_way + afterwards + settlement)


class _Tapped:
    """A tap on the answer to a short request."""

    def __init__(self, stream: traffic.Stream) -> None:
        route = RouteTable().route("POST", stream.host, stream.path)
        assert route is not None
        head = RequestHead(
            "flow", "POST", stream.host, stream.path, {"x-api-key": "sk"}, time.time()
        )
        body = traffic.short_request(stream=True)
        self._deferred: list[Callable[[], None]] = []
        self._exchange = Exchange(route, head, Memory(Attributor(b"key")))
        self._exchange.response_started(200, {"content-type": "text/event-stream"}, time.time())
        self._exchange.request_sent(body, len(body), time.time())
        self.tap = Tap(
            self._send,
            timed=True,
            chained=None,
            clock=time.time,
            defer=self._deferred.append,
        )

    def _send(self, data: bytes, arrivals: list[tuple[int, float]], at: float) -> bool:
        exchange, start = self._exchange, 0
        for end, came in arrivals:
            exchange.feed(data[start:end], came)
            start = end
            if not exchange.awaits_content:
                break
        if rest := data[start:]:
            exchange.feed(rest, at)
        return exchange.awaits_content

    def do_what_was_deferred(self) -> float:
        """Do the work that the tap defers, as the loop would; returns the seconds it takes."""
        began = time.thread_time()
        while self._deferred:
            self._deferred.pop()()
        return time.thread_time() - began

    def drain(self) -> float:
        """Read the last chunks, as the end of a flow does; returns the seconds it takes."""
        began = time.thread_time()
        self.tap.drain()
        return time.thread_time() - began

    def settle(self, pricer: Pricer) -> float:
        """Do all that follows the last message, up to the lines for journal and terminal; returns
        the seconds it takes."""
        began = time.thread_time()
        (call,) = self._exchange.end("complete", time.time())
        call = call.priced(pricer.price(call))
        to_line(call)
        one_line(call)
        seconds = time.thread_time() - began
        assert call.coverage == "priced", call
        assert call.usage.output_tokens == 2010, call
        return seconds


def _seconds(function: Callable[[bytes], Any], events: Sequence[bytes]) -> float:
    began = time.thread_time()
    for event in events:
        function(event)
    return time.thread_time() - began


def _longest(tapped: _Tapped, events: Sequence[bytes]) -> float:
    longest = 0.0
    for event in events:
        began = time.thread_time()
        tapped.tap.stream(event)
        longest = max(longest, time.thread_time() - began)
        tapped.do_what_was_deferred()
    return longest


def identity(data: bytes) -> bytes:
    """The least that a stream callable can do."""
    return data


def parse_every_event(data: bytes) -> bytes:
    """The plain way to find the usage."""
    for line in data.split(b"\n"):
        if line.startswith(b"data: {"):
            orjson.loads(line[6:])
    return data
