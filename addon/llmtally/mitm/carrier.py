"""Carries observations to the tally: `Inline`, where the tally is in this process. See `link` for
the other one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Protocol

from ..tally.observations import AnyObservation, Ended, Frame, Pieces, QuotaAnswer
from ..tally.tally import Tally
from .options import Switches
from .scheduler import Scheduler

LOOK_UP_SECONDS = 1.0
"""Seconds that settlement waits for the process behind a connection: the look-up begins within half
a second, and takes milliseconds."""


class Carrier(Protocol):
    """Takes observations to the tally. Nothing here may wait or raise."""

    def observe(self, observation: AnyObservation) -> None:
        """Take any observation but those of the other methods."""

    def pieces(self, pieces: Pieces) -> bool:
        """Take bytes of a body; returns whether the times of the next ones matter."""

    def tapped(self, key: int, drain: Callable[[], None]) -> None:
        """A tap on a body was opened; `drain` sends on what it holds."""

    def end(self, ended: Ended, drain: Callable[[], None] | None) -> None:
        """Take the end of a flow; `drain` sends on the bytes that its tap still holds."""

    def end_in_turn(self, ended: Ended, drain: Callable[[], None] | None) -> None:
        """Take the end of a socket, or of a flow because mitmproxy ends, after all that was
        observed before it."""


class Inline:
    """Gives observations to a tally in this process.

    Nothing here waits. What can wait is read after the bytes have gone on: in slices on mitmproxy's
    loop, or in a thread where a body is large. That spares the loop about half: the JSON parser
    does not let go of the interpreter, so 10 MB from an agent block the loop for 22 ms instead of
    43 ms. Messages of a socket are read on the loop, in their order, whatever their size (0.8 MB
    take 2 ms, 3.4 MB take 12 ms), and so is JSON that mitmproxy was told to stream.

    A flow that has ended is settled in one of three ways: `_settle` at once, `_settle_when_known`
    once it is known who asked, or `_settle_when_parsed` once a thread has read its large body.
    """

    def __init__(
        self,
        switches: Switches,
        scheduler: Scheduler,
        settled: Callable[[int, list[str]], None],
    ) -> None:
        """`settled` is given the key of a flow and the lines of calls that were settled in it."""
        self.tally: Tally | None = None
        """The tally of the directory in use."""
        self._switches = switches
        self._scheduler = scheduler
        self._settled = settled

    def observe(self, observation: AnyObservation) -> None:
        """Have an observation read: at once, or soon where that may take long."""
        if isinstance(observation, Frame | QuotaAnswer):
            self._scheduler.defer(functools.partial(self._tell, observation))
        else:
            self._tell(observation)

    def observe_all(self, observations: Iterable[AnyObservation]) -> None:
        """Take what was observed before, by another carrier."""
        for observation in observations:
            if isinstance(observation, Ended):
                self.end_in_turn(observation, None)
            else:
                self.observe(observation)

    def pieces(self, pieces: Pieces) -> bool:
        """Have bytes of a body read at once; returns whether the times of the next ones matter."""
        self._tell(pieces)
        return self.tally is not None and self.tally.awaits_content(pieces.key)

    def tapped(self, key: int, drain: Callable[[], None]) -> None:
        """Do nothing: a tap sends on what it holds when it is full."""

    def end(self, ended: Ended, drain: Callable[[], None] | None) -> None:
        """Have a flow settled, by the way that its size and the options ask for."""
        if self.tally is None:
            return
        if self.tally.is_heavy(ended):
            self._settle_when_parsed(ended, drain)
        elif self._switches.saves_flows:
            # `-w` writes the flow when this hook is over, and the comment with it
            self._settle(ended, drain)
        else:
            self._settle_when_known(ended, drain)

    def end_in_turn(self, ended: Ended, drain: Callable[[], None] | None) -> None:
        """Have a flow settled after the frames that are still to be read."""
        self._scheduler.defer(functools.partial(self._settle, ended, drain))

    def _settle_when_parsed(self, ended: Ended, drain: Callable[[], None] | None) -> None:
        """Settle once a thread has read the bodies."""
        assert self.tally is not None
        self._scheduler.in_thread(
            functools.partial(self.tally.parse, ended),
            functools.partial(self._on_parsed, ended, drain),
        )

    def _on_parsed(
        self, ended: Ended, drain: Callable[[], None] | None, error: BaseException | None
    ) -> None:
        """The thread is done with the bodies. If it has failed, no count in them is believed."""
        if error is not None and self.tally is not None:
            self.tally.parse_failed(ended.key, error)
        self._settle_when_known(ended, drain)

    def _settle_when_known(self, ended: Ended, drain: Callable[[], None] | None) -> None:
        """Settle once the client's process is known, if it is being looked up; else soon."""
        settle = functools.partial(self._settle, ended, drain)
        looking = self.tally.looking(ended.key) if self.tally is not None else None
        if looking is not None:
            self._scheduler.when_done(looking, settle, within=LOOK_UP_SECONDS)
        else:
            self._scheduler.defer(settle)

    def _settle(self, ended: Ended, drain: Callable[[], None] | None) -> None:
        """Read the remaining bytes, and record the calls."""
        if drain is not None:
            drain()
        self._tell(ended)

    def _tell(self, observation: AnyObservation) -> None:
        if self.tally is not None and (lines := self.tally.observe(observation)):
            self._settled(getattr(observation, "key", -1), lines)
