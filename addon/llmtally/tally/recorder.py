"""Completes settled calls with who asked and what they cost, and puts them into journal, state and
page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from ..attribution.run_tag import Run
from ..record import Attribution, Call
from ..system.client_process import ClientProcess, Processes
from ..text.call_line import one_line
from .prices import Prices
from .sink import Sink


class Recorder:
    """Prices settled calls, completes who asked, and hands them to journal, state and page."""

    def __init__(self, sink: Sink, prices: Prices, processes: Processes) -> None:
        self.coverage: Counter[str] = Counter()
        """Responses of LLM routes by the bucket they ended in, and tunnels that could not be opened
        as `bypassed`."""
        self._sink = sink
        self._prices = prices
        self._processes = processes

    def record(self, calls: Iterable[Call], run: Run | None, connection: str) -> list[str]:
        """Take in settled calls of a client's connection, which belongs to `run`; returns the line
        of each that is journaled."""
        lines = []
        for settled in calls:
            call = self._completed(settled, run, connection)
            self.coverage[call.coverage] += 1
            if self._sink.add(call):
                lines.append(one_line(call))
        return lines

    def count(self, bucket: str, host: str | None = None) -> None:
        """Count a response that makes no call: `bypassed`, or `unparsed` by a bug."""
        self.coverage[bucket] += 1
        self._sink.count(bucket, host)

    def _completed(self, call: Call, run: Run | None, connection: str) -> Call:
        """The call with everything that its exchange could not know."""
        process = self._processes.of(connection)
        call = call._replace(attribution=completed(call.attribution, run, process))
        if call.coverage in ("priced", "unpriced"):
            call = call.priced(self._prices.price(call))
        return call


def completed(
    attribution: Attribution, run: Run | None, process: ClientProcess | None
) -> Attribution:
    """Who asked, with the run, and with a project where the client did not state one: the directory
    of the run, or else the working directory of the process (`/` is a daemon's and says
    nothing)."""
    project = attribution.project
    if not project and run is not None:
        project = run.directory
    if not project and process is not None and process.cwd != "/":
        project = process.cwd
    if run is None and project == attribution.project:
        return attribution
    return attribution._replace(run=run.name if run else attribution.run, project=project or None)
