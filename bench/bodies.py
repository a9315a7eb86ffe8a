"""How long bodies of 20 MB hold mitmdump's event loop: images as base64, in a request and in an
answer.

A loop that is held delays every other stream. mitmproxy itself copies such a body several times, so
what counts is what the addon adds to the longest hold.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from . import traffic
from .load import Connection, Upstream, connect
from .mitmdump import (
    LOOP_HOLDS,
    STREAM_TRUE,
    USAGE,
    Mitmdump,
    make_authority,
    on_core,
    require_linux,
)
from .report import Goal, Plan, Section
from .stats import spread

SIZE = 20 * 10**6

GOAL = 20.0
"""Milliseconds that the addon may add to the longest hold."""

AFTERWARDS = 0.4
"""Seconds after the answer in which the addon reads it."""

BASELINE, ADDON = "stream = True", "addon"
SCRIPTS = {BASELINE: STREAM_TRUE, ADDON: USAGE}
EXCHANGES = {"20 MB request": (SIZE, 100), "20 MB answer": (100, SIZE)}
"""Characters of base64 sent and answered."""

Holds = Mapping[tuple[str, str], list[list[float]]]
"""All holds of each transfer in milliseconds, by exchange and configuration."""


def run(plan: Plan) -> Section:
    """Measure each exchange with and without the addon, in turn."""
    require_linux()
    with on_core(0), tempfile.TemporaryDirectory() as directory:
        holds = asyncio.run(_measure(plan.rounds * 3, Path(directory)))
    rows, goals = [], []
    for exchange in EXCHANGES:
        for name in SCRIPTS:
            transfers = holds[exchange, name]
            longest = [max(transfer, default=0.0) for transfer in transfers]
            rows.append(
                (exchange, name, median(longest), max(longest), median(map(sum, transfers)))
            )
        goals.append(
            Goal(
                f"added to the longest hold, {exchange}",
                rows[-1][2] - rows[-2][2],
                GOAL,
                "ms",
                spread(longest),
            )
        )
    return Section(
        "Bodies: ms for which the event loop is held",
        ("transfer", "mitmdump", "longest, median", "longest, worst", "all above 2 ms"),
        [tuple(row) for row in rows],
        goals,
        (
            (
                f"{plan.rounds * 3} transfers each. Counted with mitmdump's own CPU time in "
                "them, worker threads included."
            ),
        ),
    )


async def _measure(transfers: int, directory: Path) -> Holds:
    upstream = Upstream()
    await upstream.start()
    make_authority(directory)
    contestants = {}
    for name, script in SCRIPTS.items():
        process = Mitmdump((script, LOOP_HOLDS), upstream.port, directory / name)
        await process.started()
        contestants[name] = process, (await connect(process.port, 1))[0]
    holds: defaultdict[tuple[str, str], list[list[float]]] = defaultdict(list)
    for _ in range(transfers):
        for exchange, sizes in EXCHANGES.items():
            for name, (process, client) in contestants.items():
                holds[exchange, name].append(await _transfer(upstream, process, client, *sizes))
    for name, (process, client) in contestants.items():
        client.transport.close()
        process.stop()
        if name == ADDON and process.records != transfers * len(EXCHANGES):
            raise RuntimeError(f"{process.records} calls recorded")
    upstream.stop()
    return holds


async def _transfer(
    upstream: Upstream, process: Mitmdump, client: Connection, sent: int, answered: int
) -> list[float]:
    """Send one request and its answer; returns the holds in milliseconds."""
    answer = traffic.ok(traffic.fresh(traffic.image_answer(answered)))
    upstream.answer = lambda transport: transport.write(answer)
    already = len(process.holds.read_text().splitlines())
    await client.ask(traffic.post("api.openai.com", "/v1/responses", traffic.image_request(sent)))
    await asyncio.sleep(AFTERWARDS)
    return [1e3 * float(line) for line in process.holds.read_text().splitlines()[already:]]
