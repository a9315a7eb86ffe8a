"""What the addon's hooks cost, without a network: the real `UsageAddon`, driven as mitmproxy drives
it.

Bare mitmdump spends about 1.4 ms of CPU on a short request; against that, what is measured here can
be hard to see in the noise of two processes (`proxy`).
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from mitmproxy import http
from mitmproxy.addons import save
from mitmproxy.test import taddons, tflow

from llmtally.mitm import UsageAddon

from . import traffic
from .mitmdump import on_core
from .report import Goal, Plan, Section
from .stats import difference, spread

CALLS = 300
"""Calls in one run: enough that its start does not count."""

GOAL = 42.0
"""Microseconds that a short request may cost: 3 % of 1.4 ms."""

CLIENT = tflow.tclient_conn()
"""The client's connection, kept open as clients do: its process is looked up only once."""

EVENTS = traffic.anthropic_stream(300).events
"""A stream as long as an ordinary answer."""


@dataclass(frozen=True, slots=True)
class Passing:
    """A flow about to pass, and the chunks of its answer if that is a stream."""

    flow: http.HTTPFlow
    chunks: Sequence[bytes] = ()


def short_request() -> Passing:
    """A request and an answer of 2 kB of JSON each."""
    return Passing(_flow(traffic.ok(traffic.fresh(traffic.short_answer())), stream=False))


def ordinary_stream() -> Passing:
    """An answer of some hundred tokens."""
    return Passing(
        _flow(traffic.STREAM_HEAD, stream=True), [traffic.fresh(event) for event in EVENTS]
    )


SHORT, AGAIN = "short request (2 kB of JSON each way)", "the same again"
KINDS: dict[str, Callable[[], Passing]] = {
    SHORT: short_request,
    AGAIN: short_request,
    f"stream of {len(EVENTS)} events": ordinary_stream,
}

Times = list[tuple[float, float]]
"""CPU seconds in the hooks and after them, for `CALLS` calls, run by run."""


def run(plan: Plan) -> Section:
    """Measure short requests and ordinary streams, in turn."""
    with on_core(1), tempfile.TemporaryDirectory() as directory:
        times = asyncio.run(drive(KINDS, plan.repeats, Path(directory)))
    in_all = {name: [1e6 / CALLS * sum(run) for run in runs] for name, runs in times.items()}
    noise = difference(in_all[AGAIN], in_all[SHORT])
    return Section(
        "Hooks: CPU us a call",
        ("call", "in the way", "afterwards", "in all", "half IQR"),
        [(*_row(name, times[name]), spread(in_all[name])) for name in KINDS],
        [Goal(f"hooks in all, {SHORT}", median(in_all[SHORT]), GOAL, "us", spread(in_all[SHORT]))],
        (
            f"{CALLS} calls a run; medians of {plan.repeats} runs. `{AGAIN}` differs by {noise} %.",
            (
                "in the way: what the traffic waits for. afterwards: reading and recording, with "
                "the journal's thread."
            ),
        ),
    )


def _row(name: str, runs: Times) -> tuple[str, float, float, float]:
    in_the_way, afterwards = (median(times) * 1e6 / CALLS for times in zip(*runs, strict=True))
    return name, in_the_way, afterwards, in_the_way + afterwards


async def drive(
    kinds: Mapping[str, Callable[[], Passing]],
    repeats: int,
    directory: Path,
    observed: Callable[[], contextlib.AbstractContextManager[object]] = contextlib.nullcontext,
) -> dict[str, Times]:
    """Pass `CALLS` flows of each kind in turn, `repeats` times."""
    addon = UsageAddon()
    runs: dict[str, Times] = {name: [] for name in kinds}
    with taddons.context(save.Save(), addon) as context:
        context.configure(addon, usage_dir=str(directory), usage_quiet=True)
        for name, make in [*kinds.items()] * repeats:
            calls = [make() for _ in range(CALLS)]
            with observed():
                began = time.process_time()
                for call in calls:
                    _pass_through(addon, call)
                passed = time.process_time()
                await _settled(addon, CALLS * (1 + sum(map(len, runs.values()))))
                runs[name].append((passed - began, time.process_time() - passed))
        addon.done()
    return runs


def _pass_through(addon: UsageAddon, call: Passing) -> None:
    flow = call.flow
    addon.requestheaders(flow)
    addon.responseheaders(flow)
    assert flow.response is not None
    if callable(stream := flow.response.stream):
        for chunk in call.chunks:
            stream(chunk)
    flow.response.timestamp_end = time.time()
    addon.response(flow)


async def _settled(addon: UsageAddon, calls: int) -> None:
    """Wait until that many calls are counted, and have had time to be written."""
    while addon.coverage.total() < calls:  # noqa: ASYNC110  # the addon has no event for it
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.15)
    assert set(addon.coverage) == {"priced"}, addon.coverage


def _flow(answer: bytes, *, stream: bool) -> http.HTTPFlow:
    asked = traffic.post("api.anthropic.com", "/v1/messages", traffic.short_request(stream=stream))
    headers, body = _split(asked)
    request = http.Request.make("POST", "http://api.anthropic.com/v1/messages", body, headers)
    request.timestamp_start = request.timestamp_end = time.time()
    headers, body = _split(answer)
    flow = tflow.tflow(req=request, resp=http.Response.make(200, body, headers))
    flow.client_conn = CLIENT
    assert flow.response is not None
    flow.response.timestamp_end = None  # it is still coming
    flow.live = True
    return flow


def _split(message: bytes) -> tuple[http.Headers, bytes]:
    head, _, body = message.partition(b"\r\n\r\n")
    names_and_values = (line.partition(b": ") for line in head.split(b"\r\n")[1:])
    return http.Headers([(name, value) for name, _, value in names_and_values]), body
