"""Deferred work is done: later, in slices, after a thread, or at the latest by `finish`."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import Future

import pytest

from llmtally.mitm import scheduler as module
from llmtally.mitm.scheduler import FINISH_IO_SECONDS, SLICE_SECONDS, Scheduler


def test_deferred_work_keeps_its_order() -> None:
    """Deferred work is not done at once, and in the order in which it was deferred."""
    done: list[int] = []

    async def test() -> None:
        scheduler, over = Scheduler(), asyncio.Event()
        for number in range(3):
            scheduler.defer(lambda number=number: done.append(number))  # type: ignore[misc]
        scheduler.defer(over.set)
        assert done == []
        await asyncio.wait_for(over.wait(), 10)
        scheduler.finish()

    asyncio.run(test())

    assert done == [0, 1, 2]


def test_long_work_is_done_in_slices() -> None:
    """Long work lets the loop have its turn in between."""
    turns: list[str] = []

    def long() -> None:
        end = time.perf_counter() + 2 * SLICE_SECONDS
        while time.perf_counter() < end:
            pass
        turns.append("work")

    async def test() -> None:
        scheduler, over = Scheduler(), asyncio.Event()

        def traffic() -> None:
            turns.append("traffic")
            if turns.count("work") < 3:
                asyncio.get_running_loop().call_soon(traffic)
            else:
                over.set()

        for _ in range(3):
            scheduler.defer(long)
        scheduler.defer(lambda: None)
        asyncio.get_running_loop().call_soon(traffic)
        await asyncio.wait_for(over.wait(), 10)
        scheduler.finish()

    asyncio.run(test())

    first, last = turns.index("work"), len(turns) - 1 - turns[::-1].index("work")
    assert turns[first:last].count("traffic") >= 2


def test_in_a_thread() -> None:
    """Heavy work runs in a thread, and what follows it on the loop; several functions may wait for
    one future."""
    seen: list[str] = []

    def note(what: str) -> None:
        seen.append(f"{what} in {threading.current_thread().name}")

    async def test() -> None:
        scheduler, over, other = Scheduler(), asyncio.Event(), Future[None]()
        scheduler.in_thread(lambda: note("work"), lambda _: note("then"))
        scheduler.when_done(other, lambda: seen.append("first"), within=60)
        scheduler.when_done(other, over.set, within=60)
        scheduler.io(other.set_result, None)
        await asyncio.wait_for(over.wait(), 10)
        scheduler.finish()

    asyncio.run(test())

    assert seen == ["work in llmtally-bodies_0", "then in MainThread", "first"]


def test_what_the_thread_raises_is_told() -> None:
    """What follows is given the exception, as a call must not be settled from a body that is half
    read."""
    told: list[BaseException | None] = []

    def broken() -> None:
        raise RuntimeError("bug")

    async def test() -> None:
        scheduler, over = Scheduler(), asyncio.Event()
        scheduler.in_thread(lambda: None, told.append)
        scheduler.in_thread(broken, told.append)
        scheduler.in_thread(lambda: None, lambda _: over.set())
        await asyncio.wait_for(over.wait(), 10)
        scheduler.finish()

    asyncio.run(test())

    assert [str(error) for error in told] == ["None", "bug"]


def test_a_bug_in_a_thread_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """An exception in `io` is logged, because nothing else reports it."""

    def broken() -> None:
        raise RuntimeError("bug")

    async def test() -> None:
        scheduler = Scheduler()
        scheduler.io(broken)
        scheduler.finish()

    asyncio.run(test())

    assert caplog.text.count("RuntimeError: bug") == 1


def test_what_never_comes_is_not_waited_for() -> None:
    """A call is settled, and once, although nobody says which process made it."""
    done: list[str] = []

    async def test() -> None:
        scheduler, over, never = Scheduler(), asyncio.Event(), Future[None]()
        scheduler.when_done(never, lambda: done.append("settled"), within=0.01)
        scheduler.when_done(never, over.set, within=60)
        await asyncio.wait_for(over.wait(), 10)
        never.set_result(None)
        scheduler.finish()

    asyncio.run(test())

    assert done == ["settled"]


def test_what_takes_long_holds_up_nothing() -> None:
    """Detached work, as a question to a slow server, delays neither bodies nor files nor
    `finish`."""
    done: list[str] = []
    answer = threading.Event()

    async def test() -> None:
        scheduler, over, looked_up = Scheduler(), asyncio.Event(), Future[None]()
        scheduler.detached(lambda: answer.wait(60))
        read = asyncio.Event()
        scheduler.in_thread(lambda: done.append("read"), lambda _: read.set())
        scheduler.when_done(looked_up, over.set, within=60)
        scheduler.io(looked_up.set_result, None)
        await asyncio.wait_for(asyncio.gather(read.wait(), over.wait()), 10)
        scheduler.finish()

    asyncio.run(test())

    assert not answer.is_set()
    assert done == ["read"]
    answer.set()


def test_what_follows_from_a_detached_question_is_done_on_the_loop() -> None:
    """What follows detached work is given its result."""
    seen: list[str] = []

    async def test() -> None:
        scheduler, over = Scheduler(), asyncio.Event()

        def then(thread: str) -> None:
            seen.extend((thread, threading.current_thread().name))
            over.set()

        scheduler.detached(lambda: threading.current_thread().name, then)
        await asyncio.wait_for(over.wait(), 10)
        scheduler.finish()

    asyncio.run(test())

    assert seen == ["llmtally-detached", "MainThread"]


def test_the_end_does_what_is_left() -> None:
    """`finish` does all that was deferred, and does not wait for a future that is never
    completed."""
    done: list[str] = []

    async def test() -> None:
        scheduler = Scheduler()
        scheduler.defer(lambda: done.append("soon"))
        scheduler.in_thread(
            lambda: done.append("heavy"),
            lambda _: scheduler.defer(lambda: done.append("follow-up")),
        )
        scheduler.when_done(Future[None](), lambda: done.append("never answered"), within=60)
        begun = time.perf_counter()
        scheduler.finish()
        assert time.perf_counter() - begun < FINISH_IO_SECONDS

    asyncio.run(test())

    assert sorted(set(done) - {"heavy"}) == ["follow-up", "never answered", "soon"]


def test_at_the_end_nothing_is_left_that_waits_for_one_thing_after_another() -> None:
    """A body that `finish` has read is settled, although it is not known which process asked."""
    done: list[str] = []

    async def test() -> None:
        scheduler = Scheduler()
        scheduler.in_thread(
            lambda: None,
            lambda _: scheduler.when_done(
                Future[None](), lambda: done.append("settled"), within=60
            ),
        )
        scheduler.finish()

    asyncio.run(test())

    assert done == ["settled"]


def test_at_the_end_the_disk_is_waited_for_so_long_and_no_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Other addons have to end, too, even if a disk does not answer."""
    monkeypatch.setattr(module, "FINISH_IO_SECONDS", 0.05)
    disk = threading.Event()

    async def test() -> None:
        scheduler = Scheduler()
        scheduler.io(disk.wait, 60)
        scheduler.finish()

    asyncio.run(test())

    assert not disk.is_set()
    disk.set()


def test_the_end_reads_itself_what_the_thread_has_not_begun(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """`finish` never reads what the thread is still reading, as no count is true where two read one
    answer. That call is lost, and the log says so."""
    monkeypatch.setattr(module, "FINISH_READING_SECONDS", 0.05)
    settled: list[str] = []
    read, begun = threading.Event(), threading.Event()

    def endless() -> None:
        begun.set()
        read.wait(60)

    async def test() -> None:
        scheduler = Scheduler()
        scheduler.in_thread(endless, lambda _: settled.append("still being read"))
        scheduler.in_thread(
            lambda: settled.append("read by the thread"), lambda _: settled.append("not begun")
        )
        begun.wait(10)
        scheduler.finish()

    asyncio.run(test())
    read.set()

    assert settled == ["not begun"]
    assert "a response was still being read" in caplog.text
