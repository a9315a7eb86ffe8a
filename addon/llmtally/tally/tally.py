"""The one object per directory: it owns the memory, the recorder, the journal and the page."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from ..attribution import Attributor, RequestView
from ..attribution.run_tag import Runs
from ..exchange import Memory
from ..journal import account_key
from ..limits.quota_endpoints import QuotaEndpoint, read_answer
from ..system.client_process import Processes
from .prices import Prices
from .recorder import Recorder
from .sink import Sink


class Tally:
    """Settles, keeps and shows the calls of one directory. Another directory is another tally."""

    def __init__(
        self,
        directory: Path,
        *,
        prices: Prices,
        runs: Runs,
        processes: Processes,
        clock: Callable[[], float],
        alert: Callable[[str], None],
    ) -> None:
        """`clock` gives epoch seconds; `alert` shows a message to the user. Raises OSError if the
        directory cannot be used."""
        self.directory = directory
        self.prices = prices
        self.memory = Memory(Attributor(account_key(directory)))
        """What calls must know about each other."""
        self.sink = Sink(directory, clock=clock, alert=alert)
        self.view = self.sink.view
        self.recorder = Recorder(self.sink, prices, runs, processes)
        self._clock = clock

    def start(self, in_thread: Callable[[Callable[[], None]], object]) -> asyncio.Task[None]:
        """Read the journal back into state and memory, and keep the status file from now on; the
        task ends when all is read. Needs a running loop. `in_thread` runs work that waits for the
        disk."""
        reading = self.sink.restore(self.memory.recall)
        self.sink.keep_status(in_thread)
        return reading

    def serve(self, *, host: str, port: int, token: str) -> str | None:
        """Open the page; returns the URL that logs in, or None if the address is in use, which is
        logged. Needs a running loop."""
        return self.sink.serve(host=host, port=port, token=token, explain=self.prices.price)

    def read_quota_answer(
        self, endpoint: QuotaEndpoint, headers: Mapping[str, str], coding: str, body: bytes
    ) -> None:
        """Take in a quota endpoint's answer to a request with these headers (names in lower case);
        `coding` is the answer's content coding."""
        now = self._clock()
        if found := read_answer(endpoint, coding, body, now=now):
            view = RequestView(endpoint.provider, endpoint.host, endpoint.path, headers)
            account = self.memory.attributor.attribute(view, now=now).account
            self.sink.add_limits(found, provider=endpoint.provider, account=account)

    def close(self) -> None:
        """Write the waiting records and free the port."""
        self.sink.close()
