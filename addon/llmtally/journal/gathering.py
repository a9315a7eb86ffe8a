"""Adds up what is no call, so that a client which tries again every second does not fill the
journal."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from ..record import NotCounted

GATHER_SECONDS = 5.0
"""Seconds for which happenings of the same kind become one line: as many are lost if the process is
killed."""

NAMES_CAP = 64
"""Hosts that are told apart in one such time; further ones are counted without a name."""


class Gathering:
    """Writes one line for each kind and host every few seconds in which there were any. Where no
    loop runs, it writes each at once."""

    def __init__(self, write: Callable[[NotCounted], object]) -> None:
        self._write = write
        self._counts: Counter[tuple[str, str | None]] = Counter()
        self._newest = 0.0
        self._due: asyncio.TimerHandle | None = None

    def add(self, kind: str, host: str | None, *, at: float) -> None:
        """Count one."""
        if (kind, host) not in self._counts and len(self._counts) >= NAMES_CAP:
            host = None
        self._counts[kind, host] += 1
        self._newest = at
        if self._due is None:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                self.flush()
            else:
                self._due = loop.call_later(GATHER_SECONDS, self.flush)

    def flush(self) -> None:
        """Write what was counted, now."""
        if self._due is not None:
            self._due.cancel()
            self._due = None
        counts, self._counts = self._counts, Counter()
        for (kind, host), count in counts.items():
            self._write(NotCounted(kind, self._newest, count, host))
