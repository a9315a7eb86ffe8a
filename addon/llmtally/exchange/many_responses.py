"""An HTTP response with many responses of an LLM in it, each of which ends within the body: the
results of a batch, the turns of an agent's session."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ..providers import Route
from ..record import ApiError, Call
from .sent_request import SentRequest
from .settlement import Settlement
from .turns import Turns
from .values import Ending, Lane, Response


class ManyResponses:
    """Each message is a turn of its lane; all were asked for by the one HTTP request."""

    def __init__(
        self, route: Route, request: SentRequest, response: Response, settlement: Settlement
    ) -> None:
        self._request = request
        self._response = response
        self._settlement = settlement
        self._turns = Turns(route, response, settlement, self._open_lane)

    def read(self, value: Any, size: int, at: float) -> Iterable[Call]:
        """Read a message; gives the calls that end with it."""
        return self._turns.read(value, size, at, from_client=False)

    def end(self, ending: Ending, at: float, error: ApiError | None) -> Iterator[Call]:
        """One more call if messages could not be read, for all that is missing."""
        if self._response.faults:
            lane = self._request.open_lane(self._response.base)
            self._request.fill(lane)
            if (call := self._settlement.call(lane, ending, at, error)) is not None:
                yield call

    def _open_lane(self, key: str, before: Lane | None, at: float) -> Lane:  # noqa: ARG002
        lane = self._request.open_lane(self._response.base)
        self._request.fill(lane)
        if before is not None:
            lane.timestamp = at
        return lane
