"""Responses that share a connection or a body: each message is put into the lane it belongs to, and
a response is settled with the message that ends it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ..formats.format import mapping
from ..providers import Route
from ..record import Call
from .fold import fold
from .lanes import Lanes
from .settlement import Settlement
from .values import Ending, Lane, Response


class Turns:
    """The open responses; assigns each message to one of them."""

    def __init__(
        self,
        route: Route,
        response: Response,
        settlement: Settlement,
        open_lane: Callable[[str, Lane | None, float], Lane],
    ) -> None:
        """`open_lane` makes the lane of a response that no message asked for. It is given the
        lane's key, the response that ended last in that lane, and the time."""
        self.all_answering = False
        """At least one response is open, and each that is has begun to deliver content."""
        self._route = route
        self._response = response
        self._settlement = settlement
        self._open_lane = open_lane
        self._lanes = Lanes()

    def read(self, value: Any, size: int, at: float, *, from_client: bool) -> Iterator[Call]:
        """Read a message; gives the calls that end with it."""
        fmt = self._route.format
        turn = fmt.turn(value, from_client) if fmt.turn is not None else None
        if turn is None:
            return
        if turn.phase == "request":
            body = mapping(value)
            asked = Lane(fmt.read_request(body), body, timestamp=at, started=at, request_bytes=size)
            yield from self._open(turn.lane, asked, at)
            return
        lane = self._lanes.get(turn.lane)
        if lane is None:
            if turn.phase == "close":
                return
            lane = self._open_lane(turn.lane, self._lanes.ended(turn.lane), at)
            yield from self._open(turn.lane, lane, at)
        lane.response_bytes += size
        fold(lane, value, size, at, route=self._route, response=self._response)
        if turn.phase != "read":
            yield from self._settle(self._lanes.close(turn.lane), "complete", at)
        self.all_answering = self._lanes.all_answering

    def pass_over(self, size: int) -> None:
        """Count a message that was skipped unparsed as content of the lane that was opened last."""
        if (lane := self._lanes.newest) is not None:
            lane.response_bytes += size
            lane.delivered += max(0, size - lane.envelope)

    def note_gap(self) -> None:
        """Flag the open responses: a message of one of them was passed over."""
        for lane in self._lanes.open_ones():
            lane.gap = True

    def end(self, ending: Ending, at: float) -> Iterator[Call]:
        """The calls of all responses that are still open or asked for."""
        for lane in self._lanes.clear():
            yield from self._settle(lane, ending, at)

    def _open(self, key: str, lane: Lane, at: float) -> Iterator[Call]:
        """Open a lane, or let it wait behind the response that is open there. Where too many are
        open, the oldest is cut off."""
        self.all_answering = False
        if (oldest := self._lanes.open(key, lane)) is not None:
            yield from self._settle(self._lanes.close(oldest), "upstream_aborted", at)

    def _settle(self, lane: Lane, ending: Ending, at: float) -> Iterator[Call]:
        if (call := self._settlement.call(lane, ending, at)) is not None:
            yield call
