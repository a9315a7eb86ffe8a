"""Writes `status.json`: the few figures that a status line shows, so that it need not ask a proxy.

The file is written at most once a second when something changed, and once a minute otherwise, so
that its age shows whether the proxy is alive. `cli/statusline` reads it, and must not import this
module.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from .atomic_write import atomic_write
from .parts import Parts

NAME = "status.json"

PERIOD = 1.0
"""Seconds between two writes: people look at the figures only now and then."""

HEARTBEAT = 60.0
"""Seconds after which the file is written even if nothing changed: windows end, and the burn rate
falls."""


class StatusFile:
    """Keeps the file up to date while the proxy runs. Use it on the event loop's thread; the disk
    is written in another."""

    def __init__(
        self,
        directory: Path,
        figures: Callable[[], Mapping[str, Any]],
        in_thread: Callable[[Callable[[], None]], object],
    ) -> None:
        self._path = directory / NAME
        self._figures = figures
        self._in_thread = in_thread
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.call_later(PERIOD, self._write)
        self._written = float("-inf")

    def changed(self) -> None:
        """Schedule a write, because a figure has changed."""
        at = max(self._loop.time(), self._written + PERIOD)
        if not self._due.cancelled() and at < self._due.when():
            self._due.cancel()
            self._due = self._loop.call_at(at, self._write)

    def stop(self) -> None:
        """Write the last figures, marked as those of a stopped proxy."""
        self._due.cancel()
        self._put(self._content(running=False))

    def _write(self) -> None:
        self._written = self._loop.time()
        self._due = self._loop.call_later(HEARTBEAT, self._write)
        content = self._content(running=True)
        self._in_thread(lambda: self._put(content))

    def _content(self, *, running: bool) -> bytes:
        """The file's content; a figure that cannot be made or written is left out."""
        parts = Parts()
        figures: Mapping[str, Any] = parts.make("the status line", self._figures, {})
        written = {
            name: figure
            for name, figure in figures.items()
            if parts.make(f"{name} of the status line", partial(_fits, figure), False)
        }
        return orjson.dumps({"pid": os.getpid(), "running": running, **written})

    def _put(self, content: bytes) -> None:
        try:
            atomic_write(self._path, content)
        except OSError:
            return  # the journal says that the disk is in trouble; the file's age says the rest


def _fits(figure: Any) -> bool:
    """Whether it can be written as JSON; raises TypeError otherwise."""
    return bool(orjson.dumps(figure))
