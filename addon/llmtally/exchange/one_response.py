"""An HTTP response with one response of an LLM in it: a stream or a whole body."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .. import limits
from ..providers import Route
from ..record import ApiError, Call
from .body import Body
from .fold import brings_limits, fold
from .sent_request import SentRequest
from .settlement import Settlement
from .values import MAX_LIMITS, Ending, Response


class OneResponse:
    """Every message belongs to the one call, which is settled at the end."""

    def __init__(
        self,
        route: Route,
        request: SentRequest,
        response: Response,
        body: Body | None,
        settlement: Settlement,
    ) -> None:
        """`body` is None where no response came."""
        self._route = route
        self._request = request
        self._response = response
        self._body = body
        self._settlement = settlement
        self._lane = request.open_lane(response.base)
        self._brings_limits = brings_limits(route) and request.method != "SOCKET"

    def read(self, value: Any, size: int, at: float) -> Iterable[Call]:
        """Read a message; no call ends with it."""
        lane = self._lane
        if self._brings_limits and (found := limits.read_event(value, now=at)):
            lane.limits = [*lane.limits, *found][-MAX_LIMITS:]
        awaited = lane.first_content is None
        fold(lane, value, size, at, route=self._route, response=self._response)
        if awaited and lane.first_content is not None and self._body is not None:
            self._body.skim(around=lane.envelope)
        return ()

    def trailed(self, headers: Mapping[str, str]) -> None:
        """Read the trailers; gRPC puts its status there."""
        if self._route.format.read_headers is not None:
            self._lane.reading = self._route.format.read_headers(headers, self._lane.reading)

    def end(self, ending: Ending, at: float, error: ApiError | None) -> Iterator[Call]:
        """The call; none if it was not an LLM call."""
        lane = self._lane
        self._request.fill(lane)
        if self._body is not None:
            lane.delivered += self._body.skipped_content
        if (call := self._settlement.call(lane, ending, at, error)) is not None:
            yield call
