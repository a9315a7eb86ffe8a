"""Shows settled calls in mitmproxy: as a line in the terminal and a comment on the flow."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from mitmproxy import ctx, http
from mitmproxy.hooks import UpdateHook
from mitmproxy.log import ALERT

from .options import Switches
from .scheduler import Scheduler

logger = logging.getLogger(__name__)

COMMENT_MARK = "llmtally: "


class CallLines:
    """Prints the lines of calls, many at a time, and adds each as a comment to its flow."""

    def __init__(self, switches: Switches, scheduler: Scheduler) -> None:
        self._switches = switches
        self._scheduler = scheduler
        self._unprinted: list[str] = []

    def show(self, flow: http.HTTPFlow | None, lines: Iterable[str]) -> None:
        """Show the lines of calls that this flow held; None: nobody has the flow any more."""
        for line in lines:
            if not self._switches.quiet:
                self._unprinted.append(line)
                if len(self._unprinted) == 1:
                    self._scheduler.defer(self._print)
            if flow is not None:
                _comment(flow, line)

    def _print(self) -> None:
        """Print all waiting lines as one log entry: mitmproxy passes each entry to all its addons,
        which costs 100 us."""
        lines, self._unprinted = self._unprinted, []
        logger.log(ALERT, "%s", "\n".join(lines))


def _comment(flow: http.HTTPFlow, line: str) -> None:
    """Add the call to the flow's comment; keep what a person wrote there."""
    if flow.comment and not flow.comment.startswith(COMMENT_MARK):
        return
    flow.comment = f"{COMMENT_MARK}{line}"
    if ctx.master.addons.get("view") is not None:
        ctx.master.addons.trigger(UpdateHook([flow]))
