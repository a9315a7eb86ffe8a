"""Commands for mitmproxy's console and mitmweb: `:usage.summary`, `:usage.export FILE`,
`:usage.reset_view`."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from mitmproxy import command, exceptions, types
from mitmproxy.log import ALERT

from ..journal.export import CSV, JSON, export
from ..tally.sink import Sink
from ..text.call_line import summary

logger = logging.getLogger(__name__)


class Commands:
    """What a person can ask the addon from within mitmproxy."""

    def __init__(
        self, live: Callable[[], Sink | None], in_thread: Callable[[Callable[[], None]], object]
    ) -> None:
        """`live` gives what is open at the moment; `in_thread` runs what would hold the loop."""
        self._live = live
        self._in_thread = in_thread

    def _open(self) -> Sink:
        if (live := self._live()) is None:
            raise exceptions.CommandError("llmtally is not running.")
        return live

    @command.command("usage.summary")  # type: ignore[untyped-decorator]  # mitmproxy's
    def summary(self) -> str:
        """What today costs, how fast, and how full the limits are."""
        return summary(self._open().tracker.usage(time.time()))

    @command.command("usage.export")  # type: ignore[untyped-decorator]  # mitmproxy's
    def export(self, path: types.Path) -> None:
        """Write the journal's records to a file, as CSV or JSON by its ending."""
        live, target = self._open(), str(path)
        if not target.endswith((CSV, JSON)):
            raise exceptions.CommandError(f"{target}: end the name in {CSV} or {JSON}.")

        draft = Path(f"{target}.part{Path(target).suffix}")  # its name is final once it is whole

        def work() -> None:
            try:
                written = export(live.directory, str(draft))
                draft.replace(target)
            except OSError as error:
                logger.warning("llmtally: %s can't be written: %s", target, error.strerror)
            else:
                logger.log(ALERT, "llmtally: %d records written to %s", written, target)

        self._in_thread(work)

    @command.command("usage.reset_view")  # type: ignore[untyped-decorator]  # mitmproxy's
    def reset_view(self) -> None:
        """Let the page count from zero again. The journal keeps everything."""
        self._open().reset()
