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
from ..tally.observations import Reset
from ..tally.tally import Tally
from ..text.call_line import summary
from .link import Link

logger = logging.getLogger(__name__)


class Commands:
    """The `usage.*` commands of mitmproxy's console."""

    def __init__(self, detached: Callable[[Callable[[], None]], object]) -> None:
        """`detached` runs work that would block the loop."""
        self.tally: Tally | None = None
        """The tally of the directory in use, if it is in this process."""
        self.link: Link | None = None
        """The link to the tally, if that is another process."""
        self.directory: Path | None = None
        """The directory in use."""
        self._detached = detached

    def _in_use(self) -> Path:
        if self.directory is None:
            raise exceptions.CommandError("llmtally has no directory open: see usage_dir.")
        return self.directory

    @command.command("usage.summary")  # type: ignore[untyped-decorator]  # mitmproxy's
    def summary(self) -> str:
        """Show what was spent today, how fast, and how full the limits are."""
        self._in_use()
        if self.tally is not None:
            return summary(self.tally.sink.tracker.usage(time.time()))
        return self.link.shown.summary if self.link is not None else ""

    @command.command("usage.export")  # type: ignore[untyped-decorator]  # mitmproxy's
    def export(self, path: types.Path) -> None:
        """Write the journal's records to a file, as CSV or JSON by the file's ending."""
        directory, target = self._in_use(), str(path)
        if not target.endswith((CSV, JSON)):
            raise exceptions.CommandError(
                f"usage.export: {target!r} does not say which format. End it in {CSV} or {JSON}."
            )

        draft = Path(f"{target}.part{Path(target).suffix}")  # its name is final once it is whole

        def work() -> None:
            try:
                written = export(directory, str(draft))
                draft.replace(target)
            except OSError as error:
                logger.warning("llmtally: %s cannot be written: %s.", target, error.strerror)
            else:
                logger.log(ALERT, "llmtally: %d records written to %s", written, target)

        self._detached(work)

    @command.command("usage.reset_view")  # type: ignore[untyped-decorator]  # mitmproxy's
    def reset_view(self) -> None:
        """Let the page count from zero again. The journal keeps everything."""
        self._in_use()
        if self.tally is not None:
            self.tally.sink.reset()
        elif self.link is not None:
            self.link.observe(Reset())
