"""A settled call's way: who asked and what it cost, then into journal and state, a line in the
terminal, a comment at its flow."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from mitmproxy import ctx, http
from mitmproxy.hooks import UpdateHook
from mitmproxy.log import ALERT

from ..attribution.run_tag import Runs, with_run
from ..exchange import Memory
from ..pricing import Pricer
from ..record import Call, Cost
from ..system.client_process import Processes, with_process
from ..tally.sink import Sink
from ..text.call_line import one_line
from .options import Switches
from .scheduler import Scheduler

logger = logging.getLogger(__name__)

PRICES_INTERVAL = 2.0
"""Seconds between looks at the price file's time stamp."""

COMMENT_MARK = "llmtally: "


class Recorder:
    """Takes calls in."""

    def __init__(
        self, switches: Switches, runs: Runs, processes: Processes, scheduler: Scheduler
    ) -> None:
        self.live: Sink | None = None
        """Where they go, once a directory is open."""
        self.memory: Memory | None = None
        """What calls must know of each other."""
        self.coverage: Counter[str] = Counter()
        """Responses of LLM routes by the bucket they ended in, and tunnels that could not be opened
        as `bypassed`."""
        self._switches = switches
        self._runs = runs
        self._processes = processes
        self._scheduler = scheduler
        self._pricer = Pricer()
        self._prices_checked = 0.0
        self._lines: list[str] = []
        """Calls that are not printed yet."""

    def read_prices(self, path: Path | None) -> str | None:
        """Use a person's own prices from now on; what is wrong with them, if anything is."""
        self._pricer = Pricer(override_path=path)
        return self._pricer.reload_if_changed()

    def watch_prices(self) -> None:
        """A call begins: have the price file read if it changed. What ends before it is read has
        the prices in force until then."""
        now = time.monotonic()
        if now - self._prices_checked > PRICES_INTERVAL:
            self._prices_checked = now
            if self._pricer.outdated:
                self._scheduler.in_thread(self._pricer.load_prices, self._use_prices)

    def _use_prices(self, error: BaseException | None) -> None:
        if error is not None:
            logger.error(
                "llmtally: reading the price file failed. This is a bug of llmtally.",
                exc_info=error,
            )
        elif problem := self._pricer.reload_if_changed():
            logger.log(ALERT, "llmtally: %s", problem)

    def explain(self, call: Call) -> Cost:
        """How the cost of a call adds up."""
        return self._pricer.price(call)

    def record(self, flow: http.HTTPFlow, calls: Iterable[Call]) -> None:
        """Calls of this flow have been settled."""
        for call in calls:
            self._record_one(flow, call)

    def count(self, bucket: str) -> None:
        """Count a response that makes no call."""
        self.coverage[bucket] += 1
        if self.live is not None:
            self.live.count(bucket)

    def _record_one(self, flow: http.HTTPFlow, call: Call) -> None:
        attribution = with_run(call.attribution, self._runs.of(flow.client_conn.id))
        attribution = with_process(attribution, self._processes.of(flow.client_conn.id))
        if attribution is not call.attribution:
            call = call._replace(attribution=attribution)
        if call.coverage in ("priced", "unpriced"):
            call = call.priced(self._pricer.price(call))
        self.coverage[call.coverage] += 1
        if self.live is not None:
            self.live.add(call)
        if call.coverage == "duplicate" or call.pending:
            return
        line = one_line(call)
        if not self._switches.quiet:
            self._lines.append(line)
            if len(self._lines) == 1:
                self._scheduler.defer(self._print_lines)
        _comment(flow, line)

    def _print_lines(self) -> None:
        """What has been settled since the last time: mitmproxy shows each log entry to all its
        addons, which costs 100 us."""
        lines, self._lines = self._lines, []
        logger.log(ALERT, "%s", "\n".join(lines))


def _comment(flow: http.HTTPFlow, line: str) -> None:
    """Put the call beside its flow; what a person wrote there stays."""
    if flow.comment and not flow.comment.startswith(COMMENT_MARK):
        return
    flow.comment = f"{COMMENT_MARK}{line}"
    if ctx.master.addons.get("view") is not None:
        ctx.master.addons.trigger(UpdateHook([flow]))
