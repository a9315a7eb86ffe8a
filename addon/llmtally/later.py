"""Work that need not happen before the bytes go on: put off, done in slices on the loop, or in a thread where it is heavy."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

DELAY = 0.1
"""Seconds that work is put off: late enough to be out of the way of a flow's last bytes, and to be done in batches. A call that is
settled right behind others takes a fifth less time than one that has to get its code and data back into the processor's caches;
beyond this little more is gained."""

SLICE = 0.002
"""Seconds of work at a time, then the traffic has its turn."""


FINISH = 0.5
"""Seconds that the end waits for a thread: shutting mitmproxy down should stay below a second."""


class Later:
    """A queue of work on the running loop. What is queued must not raise."""

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor(1, thread_name_prefix="llmtally")
        """The one thread for what would hold the loop."""
        self._work: deque[Callable[[], object]] = deque()
        self._scheduled = False
        self._heavy: dict[Future[Any], list[Callable[[], None]]] = {}

    def soon(self, work: Callable[[], object]) -> None:
        """Do something once the bytes at hand have gone on."""
        self._work.append(work)
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_later(DELAY, self._slice)

    def in_thread(self, work: Callable[[], None], then: Callable[[], None]) -> None:
        """Do something in the thread, and what follows from it on the loop, whether it succeeded or not."""
        self.after(self.pool.submit(work), then)

    def after(self, future: Future[Any], then: Callable[[], None]) -> None:
        """Do something on the loop once a future of some thread is done."""
        if (follow_ups := self._heavy.get(future)) is not None:
            follow_ups.append(then)
            return
        self._heavy[future] = [then]
        loop = asyncio.get_running_loop()
        future.add_done_callback(lambda done: loop.call_soon_threadsafe(self._follow_up, done))

    def finish(self) -> None:
        """Do all that is queued now; nothing can be queued afterwards."""
        for future in list(self._heavy):
            wait([future], FINISH)
            self._follow_up(future)
        while self._work:
            self._work.popleft()()
        self.pool.shutdown()

    def _slice(self) -> None:
        until = time.perf_counter() + SLICE
        while self._work and time.perf_counter() < until:
            self._work.popleft()()
        self._scheduled = bool(self._work)
        if self._scheduled:
            asyncio.get_running_loop().call_soon(self._slice)

    def _follow_up(self, future: Future[Any]) -> None:
        for then in self._heavy.pop(future, ()):
            then()
