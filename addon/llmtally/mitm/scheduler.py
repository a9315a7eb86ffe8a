"""Schedules work that can wait until the bytes have gone on: later on the loop, in slices, or in a
thread."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import Any, TypeVar

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

DEFER_SECONDS = 0.1
"""Seconds until deferred work begins: late enough not to delay a flow's last bytes, and to run in
batches. A call that is settled right behind others takes a fifth less time than one that has to get
its code and data back into the processor's caches; beyond this little more is gained."""

SLICE_SECONDS = 0.002
"""Seconds of deferred work at a time; then the traffic has its turn."""

FINISH_IO_SECONDS = 0.5
"""Seconds that `finish` waits for `io`: shutting mitmproxy down should stay below a second."""

FINISH_READING_SECONDS = 5.0
"""Seconds that `finish` waits for a body that is being read, so that its call is not lost. The
largest that is read, 64 MiB of nothing but small objects, takes that long; a real one takes some
tens of milliseconds."""


class Scheduler:
    """Runs work later. Call its methods on the loop's thread.

    `defer` is for short work on the loop, `in_thread` for work that would block the loop, `io` for
    short work that waits for the system, `detached` for work that may take long. `finish` runs all
    that is left except `detached` work. Work on the loop must not raise.
    """

    def __init__(self) -> None:
        self._io_thread = ThreadPoolExecutor(1, thread_name_prefix="llmtally-io")
        """The thread of `io`."""
        self._body_thread = ThreadPoolExecutor(1, thread_name_prefix="llmtally-bodies")
        """The thread of `in_thread`. It waits for nothing, so that settlement waits for no more
        than its work."""
        self._deferred: deque[Callable[[], object]] = deque()
        self._scheduled = False
        self._awaited: dict[Future[Any], list[Callable[[BaseException | None], object]]] = {}
        """What to run on the loop once a future is done, in the order in which it was scheduled."""
        self._reading: set[Future[Any]] = set()
        """The futures that come from `in_thread`."""

    def defer(self, work: Callable[[], object]) -> None:
        """Run this on the loop once the bytes at hand have gone on, after what was deferred
        before."""
        self._deferred.append(work)
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_later(DEFER_SECONDS, self._slice)

    def in_thread(
        self, work: Callable[[], object], then: Callable[[BaseException | None], object]
    ) -> None:
        """Run `work` in a thread, one after another, then `then` on the loop, with the exception
        that `work` has raised or None. `finish` may run `then` without `work`."""
        future = self._body_thread.submit(work)
        self._reading.add(future)
        self._await(future, then)

    def when_done(self, future: Future[Any], then: Callable[[], object], *, within: float) -> None:
        """Run `then` on the loop once another thread has completed the future, or after `within`
        seconds without it."""
        if self._await(future, lambda _: then()):
            asyncio.get_running_loop().call_later(within, self._follow_up, future)

    def io(self, work: Callable[..., object], *args: Any) -> None:
        """Run short work with files or `/proc` in a thread, one after another."""
        self._io_thread.submit(work, *args).add_done_callback(_log_failure)

    @staticmethod
    def detached(
        work: Callable[[], Result], then: Callable[[Result], object] | None = None
    ) -> None:
        """Run long work in a new thread, then `then` on the loop with its result. `finish` waits
        for neither."""
        loop = asyncio.get_running_loop()

        def run() -> None:
            result = work()
            if then is not None:
                with suppress(RuntimeError):  # the loop has ended
                    loop.call_soon_threadsafe(then, result)

        threading.Thread(target=run, name="llmtally-detached", daemon=True).start()

    @staticmethod
    def call_later(delay: float, work: Callable[[], object]) -> None:
        """Run this on the loop after a number of seconds, unless the loop ends before."""
        asyncio.get_running_loop().call_later(delay, work)

    def finish(self) -> None:
        """Run all that is left now. Nothing can be added afterwards."""
        begun = [future for future in self._reading if not future.cancel()]
        self._body_thread.shutdown(wait=False)
        wait([self._io_thread.submit(lambda: None)], FINISH_IO_SECONDS)  # it comes after all others
        self._io_thread.shutdown(wait=False, cancel_futures=True)
        endless = wait(begun, FINISH_READING_SECONDS).not_done
        # what follows may wait for something, too
        while left := [future for future in self._awaited if future not in endless]:
            for future in left:
                self._follow_up(future)
        while self._deferred:
            self._deferred.popleft()()
        if endless:
            logger.error(
                "llmtally: a response was still being read at the end and is not counted. "
                "This is a bug in llmtally."
            )

    def _slice(self) -> None:
        until = time.perf_counter() + SLICE_SECONDS
        while self._deferred and time.perf_counter() < until:
            self._deferred.popleft()()
        self._scheduled = bool(self._deferred)
        if self._scheduled:
            asyncio.get_running_loop().call_soon(self._slice)

    def _await(self, future: Future[Any], then: Callable[[BaseException | None], object]) -> bool:
        """Run `then` once the future is done; returns whether it is the first to wait for this
        one."""
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
            "llmtally: work in a thread failed. This is a bug in llmtally.", exc_info=error
        )
