"""Finds which call of the journal is which of the log."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Literal

from .client_logs import Logged
from .comparison import CLIENTS, Comparison, JournalCall, Pair, differences

NEAR_SECONDS = 60.0
"""Calls of one thread with different counts are still the same if both sides have them this close
in time."""


def compare(calls: Iterable[JournalCall], log: Iterable[Logged]) -> Comparison:
    """Join the two sides. Calls that are not logged count only for clients that keep a log."""
    done = Comparison()
    left = _joined_by_id(calls, log, done)
    left = _joined_by_thread(*left, done)
    done.wire_only = sorted(
        (call for call in left[0] if call.client in CLIENTS), key=lambda call: call.at
    )
    done.log_only = sorted(left[1], key=lambda logged: logged.at)
    return done


def _joined_by_id(
    calls: Iterable[JournalCall], log: Iterable[Logged], done: Comparison
) -> tuple[list[JournalCall], list[Logged]]:
    """Join by the provider's id. Returns what is left of both sides."""
    unlogged: dict[str | None, list[JournalCall]] = defaultdict(list)
    for call in calls:  # small servers use an id more than once
        unlogged[call.response_id or call.request_id].append(call)
    unmatched = []
    for logged in log:
        known = unlogged.get(logged.response_id) if logged.response_id is not None else None
        if known:
            _settle(known.pop(0), logged, "response_id", done)
        else:
            unmatched.append(logged)
    return [call for left in unlogged.values() for call in left], unmatched


def _joined_by_thread(
    calls: list[JournalCall], log: list[Logged], done: Comparison
) -> tuple[list[JournalCall], list[Logged]]:
    """Join what has no id on one side, thread by thread. Returns what is left of both sides."""
    by_thread: dict[str | None, list[JournalCall]] = defaultdict(list)
    for call in sorted(calls, key=lambda call: call.at):
        for thread in dict.fromkeys(call.threads):
            by_thread[thread].append(call)
    taken: set[str] = set()
    left = sorted(log, key=lambda logged: logged.at)
    for is_same in (_same_counts, _same_time):
        unmatched: list[Logged] = []
        for logged in left:
            candidates = [] if logged.response_id is not None else by_thread[logged.thread]
            same = next(
                (
                    call
                    for call in candidates
                    if call.request_id not in taken and is_same(call, logged)
                ),
                None,
            )
            if same is None:
                unmatched.append(logged)
            else:
                taken.add(same.request_id)
                _settle(same, logged, "thread", done)
        left = unmatched
    return [call for call in calls if call.request_id not in taken], left


def _same_counts(call: JournalCall, logged: Logged) -> bool:
    return not any(difference.field != "model" for difference in differences(call, logged))


def _same_time(call: JournalCall, logged: Logged) -> bool:
    return abs(call.at - logged.at) <= NEAR_SECONDS


def _settle(
    call: JournalCall, logged: Logged, joined_by: Literal["response_id", "thread"], done: Comparison
) -> None:
    found = tuple(differences(call, logged))
    (done.different if found else done.equal).append(Pair(call, logged, joined_by, found))
