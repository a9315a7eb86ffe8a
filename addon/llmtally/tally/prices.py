"""Prices as they are in force, with the user's price file read again when it changes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from ..pricing import Pricer
from ..record import Call, Cost

logger = logging.getLogger(__name__)

INTERVAL = 2.0
"""Seconds between looks at the price file's time stamp."""


class Prices:
    """Prices calls, and keeps up with the user's price file."""

    def __init__(
        self,
        in_thread: Callable[[Callable[[], object], Callable[[BaseException | None], object]], None],
        alert: Callable[[str], None],
    ) -> None:
        """`in_thread` runs one function in a thread and then another on the loop, with the
        exception that the first has raised or None; `alert` shows a message to the user."""
        self._in_thread = in_thread
        self._alert = alert
        self._pricer = Pricer()
        self._looked = 0.0

    def use(self, path: Path | None) -> str | None:
        """Use this price file from now on, or none; returns what is wrong with it, if anything."""
        self._pricer = Pricer(override_path=path)
        return self._pricer.reload_if_changed()

    def price(self, call: Call) -> Cost:
        """What a call cost, and how that adds up."""
        return self._pricer.price(call)

    def watch(self) -> None:
        """Have the price file read again if it has changed, because a call begins. Calls that end
        before it is read get the previous prices."""
        now = time.monotonic()
        if now - self._looked > INTERVAL:
            self._looked = now
            if self._pricer.outdated:
                self._in_thread(self._pricer.load_prices, self._on_loaded)

    def _on_loaded(self, error: BaseException | None) -> None:
        if error is not None:
            logger.error(
                "llmtally: reading the price file failed. This is a bug in llmtally.",
                exc_info=error,
            )
        elif problem := self._pricer.reload_if_changed():
            self._alert(problem)
