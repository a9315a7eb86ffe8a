"""Work that need not happen before the bytes go on: put off, and done in slices on the loop, or in
a thread."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import Any

logger = logging.getLogger(__name__)

DELAY = 0.1
"""Seconds that work is put off: late enough to be out of the way of a flow's last bytes, and to be
done in batches. A call that is settled right behind others takes a fifth less time than one that
has to get its code and data back into the processor's caches; beyond this little more is gained."""

SLICE = 0.002
"""Seconds of work at a time, then the traffic has its turn."""

FINISH = 0.5
"""Seconds that the end waits for the disk: shutting mitmproxy down should stay below a second."""

READING = 5.0
"""Seconds that the end waits for a body that is being read, so that its call is not lost. The
largest that is read, 64 MiB, of nothing but small objects takes as long; a real one some tens of
milliseconds."""


class Scheduler:
    """A queue of work on the running loop. What is queued must not raise."""

    def __init__(self) -> None:
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="llmtally-disk")
        """The thread for what is short, but waits for the system."""
        self._bodies = ThreadPoolExecutor(1, thread_name_prefix="llmtally-bodies")
        """The thread for what would hold the loop. It waits for nothing, so that settlement waits
        for no more than its work."""
        self._work: deque[Callable[[], object]] = deque()
        self._scheduled = False
        self._awaited: dict[Future[Any], list[Callable[[BaseException | None], object]]] = {}
        """What follows, in the order in which it was asked for."""
        self._reading: set[Future[Any]] = set()
        """Those of them that are bodies."""

    def defer(self, work: Callable[[], object]) -> None:
        """Do something once the bytes at hand have gone on."""
        self._work.append(work)
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_later(DELAY, self._slice)

    def in_thread(
        self, work: Callable[[], object], then: Callable[[BaseException | None], object]
    ) -> None:
        """Do something heavy in a thread, then on the loop what follows from it; that is told what
        `work` has raised, if it has.

        At the end `then` may come without `work`.
        """
        future = self._bodies.submit(work)
        self._reading.add(future)
        self._await(future, then)

    def when_done(self, future: Future[Any], then: Callable[[], object], *, within: float) -> None:
        """Do something on the loop once a future of some thread is done, or after so many seconds
        without it."""
        if self._await(future, lambda _: then()):
            asyncio.get_running_loop().call_later(within, self._follow_up, future)

    def io(self, work: Callable[..., object], *args: Any) -> None:
        """Do something short with files or in `/proc`, in a thread and in turn."""
        self._disk.submit(work, *args).add_done_callback(_log_failure)

    @staticmethod
    def detached(work: Callable[..., object], *args: Any) -> None:
        """Do something that may take long, in a thread of its own; the end does not wait for it."""
        threading.Thread(target=work, args=args, name="llmtally-apart", daemon=True).start()

    def finish(self) -> None:
        """Do all that is queued now; nothing can be queued afterwards."""
        begun = [future for future in self._reading if not future.cancel()]
        self._bodies.shutdown(wait=False)
        wait([self._disk.submit(lambda: None)], FINISH)  # it comes after all others
        self._disk.shutdown(wait=False, cancel_futures=True)
        endless = wait(begun, READING).not_done
        # what follows may wait for something, too
        while left := [future for future in self._awaited if future not in endless]:
            for future in left:
                self._follow_up(future)
        while self._work:
            self._work.popleft()()
        if endless:
            logger.error(
                "llmtally: a response was still being read at the end and is not counted. "
                "This is a bug of llmtally."
            )

    def _slice(self) -> None:
        until = time.perf_counter() + SLICE
        while self._work and time.perf_counter() < until:
            self._work.popleft()()
        self._scheduled = bool(self._work)
        if self._scheduled:
            asyncio.get_running_loop().call_soon(self._slice)

    def _await(self, future: Future[Any], then: Callable[[BaseException | None], object]) -> bool:
        """Whether this is the first to wait for it."""
        if (follow_ups := self._awaited.get(future)) is not None:
            follow_ups.append(then)
            return False
        self._awaited[future] = [then]
        loop = asyncio.get_running_loop()

        def done(future: Future[Any]) -> None:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._follow_up, future)

        future.add_done_callback(done)
        return True

    def _follow_up(self, future: Future[Any]) -> None:
        self._reading.discard(future)
        error = future.exception() if future.done() and not future.cancelled() else None
        for then in self._awaited.pop(future, ()):
            then(error)


def _log_failure(future: Future[Any]) -> None:
    if not future.cancelled() and (error := future.exception()) is not None:
        logger.error(
            "llmtally: work in a thread failed. This is a bug of llmtally.", exc_info=error
        )
