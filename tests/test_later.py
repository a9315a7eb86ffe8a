"""Work that waits is done: soon, in slices, after a thread, or at the latest at the end."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import Future

from llmtally.later import SLICE, Later


def test_soon() -> None:
    """Work is not done at once, and in its order."""
    done: list[int] = []

    async def test() -> None:
        later, over = Later(), asyncio.Event()
        for number in range(3):
            later.soon(lambda number=number: done.append(number))  # type: ignore[misc]
        later.soon(over.set)
        assert done == []
        await asyncio.wait_for(over.wait(), 10)
        later.finish()

    asyncio.run(test())

    assert done == [0, 1, 2]


def test_slices() -> None:
    """Long work lets the loop have its turn in between."""
    turns: list[str] = []

    def long() -> None:
        end = time.perf_counter() + 2 * SLICE
        while time.perf_counter() < end:
            pass
        turns.append("work")

    async def test() -> None:
        later, over = Later(), asyncio.Event()

        def traffic() -> None:
            turns.append("traffic")
            if turns.count("work") < 3:
                asyncio.get_running_loop().call_soon(traffic)
            else:
                over.set()

        for _ in range(3):
            later.soon(long)
        later.soon(lambda: None)
        asyncio.get_running_loop().call_soon(traffic)
        await asyncio.wait_for(over.wait(), 10)
        later.finish()

    asyncio.run(test())

    first, last = turns.index("work"), len(turns) - 1 - turns[::-1].index("work")
    assert turns[first:last].count("traffic") >= 2


def test_in_a_thread() -> None:
    """Heavy work runs elsewhere, what follows on the loop; several may follow one thing."""
    seen: list[str] = []

    async def test() -> None:
        later, over, other = Later(), asyncio.Event(), Future[None]()
        later.in_thread(lambda: seen.append(threading.current_thread().name), lambda: seen.append(threading.current_thread().name))
        later.after(other, lambda: seen.append("first"))
        later.after(other, over.set)
        later.pool.submit(other.set_result, None)
        await asyncio.wait_for(over.wait(), 10)
        later.finish()

    asyncio.run(test())

    assert seen[0].startswith("llmtally")
    assert seen[1:] == ["MainThread", "first"]


def test_the_end_does_what_is_left() -> None:
    """Nothing that was put off is lost when mitmproxy stops, and what never comes does not hold it up."""
    done: list[str] = []

    async def test() -> None:
        later = Later()
        later.soon(lambda: done.append("soon"))
        later.in_thread(lambda: done.append("heavy"), lambda: later.soon(lambda: done.append("follow-up")))
        later.after(Future[None](), lambda: done.append("never answered"))
        begun = time.perf_counter()
        later.finish()
        assert time.perf_counter() - begun < 5

    asyncio.run(test())

    assert sorted(done) == ["follow-up", "heavy", "never answered", "soon"]
