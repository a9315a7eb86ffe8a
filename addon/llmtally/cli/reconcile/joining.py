"""Which call of the journal is which of the log."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Literal

from .client_logs import Logged
from .comparison import CLIENTS, Comparison, JournalCall, Pair, differences

NEAR_SECONDS = 60.0
"""Calls of one thread with different counts are still the same if both sides have them this close
in time."""


def compare(wires: Iterable[JournalCall], log: Iterable[Logged]) -> Comparison:
    """Join the two sides. Of calls that are not logged, only those of clients with a log are
    told."""
    done = Comparison()
    left = _joined_by_id(wires, log, done)
    left = _joined_by_thread(*left, done)
    done.wire_only = sorted(
        (wire for wire in left[0] if wire.client in CLIENTS), key=lambda wire: wire.at
    )
    done.log_only = sorted(left[1], key=lambda logged: logged.at)
    return done


def _joined_by_id(
    wires: Iterable[JournalCall], log: Iterable[Logged], done: Comparison
) -> tuple[list[JournalCall], list[Logged]]:
    """Returns what is left over."""
    unlogged: dict[str | None, list[JournalCall]] = defaultdict(list)
    for wire in wires:  # small servers give an id more than once
        unlogged[wire.response_id or wire.request_id].append(wire)
    unmatched = []
    for logged in log:
        known = unlogged.get(logged.response_id) if logged.response_id is not None else None
        if known:
            _settle(known.pop(0), logged, "response_id", done)
        else:
            unmatched.append(logged)
    return [wire for left in unlogged.values() for wire in left], unmatched


def _joined_by_thread(
    wires: list[JournalCall], log: list[Logged], done: Comparison
) -> tuple[list[JournalCall], list[Logged]]:
    """Join what has no id on one side, thread by thread. Returns what is left over."""
    by_thread: dict[str | None, list[JournalCall]] = defaultdict(list)
    for wire in sorted(wires, key=lambda wire: wire.at):
        for thread in dict.fromkeys(wire.threads):
            by_thread[thread].append(wire)
    taken: set[str] = set()
    left = sorted(log, key=lambda logged: logged.at)
    for is_same in (_same_counts, _same_time):
        unmatched: list[Logged] = []
        for logged in left:
            candidates = [] if logged.response_id is not None else by_thread[logged.thread]
            same = next(
                (
                    wire
                    for wire in candidates
                    if wire.request_id not in taken and is_same(wire, logged)
                ),
                None,
            )
            if same is None:
                unmatched.append(logged)
            else:
                taken.add(same.request_id)
                _settle(same, logged, "thread", done)
        left = unmatched
    return [wire for wire in wires if wire.request_id not in taken], left


def _same_counts(wire: JournalCall, logged: Logged) -> bool:
    return not any(difference.field != "model" for difference in differences(wire, logged))


def _same_time(wire: JournalCall, logged: Logged) -> bool:
    return abs(wire.at - logged.at) <= NEAR_SECONDS


def _settle(
    wire: JournalCall, logged: Logged, joined_by: Literal["response_id", "thread"], done: Comparison
) -> None:
    found = tuple(differences(wire, logged))
    (done.different if found else done.equal).append(Pair(wire, logged, joined_by, found))
