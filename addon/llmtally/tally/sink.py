"""Where every call goes: the journal, the live view, the status file. Also reads the journal back
at start.

One `Sink` belongs to one directory. Its methods run on the event loop that carries the traffic; the
journal is read back on it, too, a millisecond at a time, so that the first requests after a start
do not wait until last week's calls are read. (A thread would be no faster: it takes the interpreter
from the loop just the same, and switching between them costs a quarter of the whole time.)
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from pathlib import Path

from .. import __version__, journal
from ..journal import DamageReport, Journal
from ..journal.gathering import Gathering
from ..record import Call, Cost, LimitReading, NotCounted, QuotaAnswer, rfc3339
from ..schema import Entry
from ..system.status_file import StatusFile
from ..text.safe_text import printable
from ..tracker import ConfiguredLimits, Reset, Tracker
from ..web.metrics import Runtime
from .live_view import LiveView, files_at_start, restore_today, take_in

logger = logging.getLogger(__name__)

WITHOUT_PAGE = (
    "Everything else works. Choose another port with --set usage_web_port=PORT, or turn "
    "the page off with --set usage_web=false."
)


class Sink:
    """The journal of a directory, the live view of its calls, and the status file beside it."""

    def __init__(
        self, directory: Path, *, clock: Callable[[], float], alert: Callable[[str], None]
    ) -> None:
        """`clock` gives epoch seconds; `alert` shows a message to the user. Raises OSError if the
        directory cannot be used."""
        self.view = LiveView(Tracker(on_reset=_log_reset), clock=clock)
        self.tracker = self.view.tracker
        self.stream_events = 0
        """Events of streams and frames of sockets that providers sent."""
        self.reached_at: tuple[str, int] | None = None
        """The address that clients connect to, once it is known."""
        self.ca: str | None = None
        """Path of the certificate that clients have to trust."""
        self._directory = directory
        self._clock = clock
        self._alert = alert
        self._opened = clock()
        self._at_start = files_at_start(directory, self._opened)
        self._journal = Journal(directory, on_trouble=alert)
        self._gathering = Gathering(self._journal.append)
        self._status: StatusFile | None = None
        self._reading_back: asyncio.Task[None] | None = None

    def set_limits(self, limits: ConfiguredLimits) -> None:
        """Measure usage against these limits from now on."""
        self.tracker.limits = limits
        self._changed()

    # What comes in

    def add(self, call: Call) -> bool:
        """Take in a settled call. Every call counts for coverage; duplicates and pending ones are
        not journaled. Returns whether this one is."""
        self.view.add(call)
        if call.coverage == "duplicate" or call.pending:
            return False
        line = self._journal.append(call)
        if self._status is not None:
            self._status.changed()
        if line is None:
            self.view.changed()
        else:
            self.view.publish(line)
        return True

    def add_limits(
        self, readings: Iterable[LimitReading], *, provider: str, account: str | None
    ) -> None:
        """Take in the limits from a quota endpoint's answer."""
        answer = QuotaAnswer(self._clock(), provider, account, tuple(readings))
        self._journal.append(answer)
        self.view.add(answer)
        self._changed()

    def count(self, bucket: str, host: str | None = None) -> None:
        """Count a response that makes no call: `bypassed`, or `unparsed` by a bug."""
        now = self._clock()
        self._gathering.add(bucket, host, at=now)
        self.view.add(NotCounted(bucket, now, 1, host))
        self._changed()

    @property
    def journal_position(self) -> tuple[int, int]:
        """How many records were queued for the journal, and how many of those are written."""
        return self._journal.appended, self._journal.written

    def _changed(self) -> None:
        if self._status is not None:
            self._status.changed()
        self.view.changed()

    def reset(self) -> None:
        """Let the state count from zero again; the journal keeps everything."""
        self.view.reset()
        self._changed()

    def keep_status(self, in_thread: Callable[[Callable[[], None]], object]) -> None:
        """Keep the file for status lines up to date from now on. Needs a running loop."""
        self._status = StatusFile(
            self._directory, lambda: self.tracker.status(self._clock()), in_thread
        )

    # The page

    def serve(
        self, *, host: str, port: int, token: str, explain: Callable[[Call], Cost]
    ) -> str | None:
        """Open the page; returns the URL that logs in, or None if the address is in use, which is
        logged. Needs a running loop."""
        return self.view.serve(
            host=host,
            port=port,
            token=token,
            runtime=self._runtime,
            explain=explain,
            on_trouble=lambda trouble: logger.warning("%s %s", trouble, WITHOUT_PAGE),
        )

    def _runtime(self) -> Runtime:
        return Runtime(
            version=__version__,
            stream_events=self.stream_events,
            journal_healthy=self._journal.healthy,
            journal_errors=self._journal.errors,
            journal_lost=self._journal.lost,
            journal_waiting=self._journal.waiting,
            reached_at=self.reached_at,
            ca=self.ca,
        )

    # What was

    def restore(self, restored: Callable[[Call], None]) -> asyncio.Task[None]:
        """Read the journal back into the state; the task ends when that is done. `restored` is
        called with each call, too."""
        self.view.begin_restoring()
        self._reading_back = asyncio.get_running_loop().create_task(self._read_back(restored))
        return self._reading_back

    async def _read_back(self, restored: Callable[[Call], None]) -> None:
        damage = DamageReport()

        def add(entry: Entry) -> None:
            self.view.restore(entry)
            if isinstance(entry, Call):
                restored(entry)

        try:
            await restore_today(self.view, self._at_start, self._opened)
            for file in self._at_start:
                await asyncio.to_thread(journal.warm_page_cache, file.path)
                entries = journal.read_file(file.path, damage, end=file.size)
                await take_in(entries, add)  # type: ignore[arg-type]  # a union
            await self.view.catch_up()
        finally:
            self.view.end_restoring()
        self._changed()
        if damage.count:
            first = "; ".join(str(each) for each in damage.first[:3])
            self._alert(f"{damage.count} damaged lines of the journal were skipped: {first}")

    def close(self) -> None:
        """Write the waiting records and free the port."""
        if self._reading_back is not None:
            self._reading_back.cancel()
        self.view.end_restoring()
        self.view.stop_serving()
        if self._status is not None:
            self._status.stop()
        self._gathering.flush()
        self._journal.close()


def _log_reset(reset: Reset) -> None:
    logger.info(
        "llmtally: window %s of %s was reset. Old: %s %% used, ending at %s. New: %s %% used, "
        "ending at %s",
        printable(reset.key),
        printable(reset.provider),
        reset.old_utilization,
        rfc3339(reset.old_resets_at),
        reset.new_utilization,
        rfc3339(reset.new_resets_at),
    )
