"""A WebSocket: a request is a frame of the client, a response is several frames of the server."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

from .. import limits
from ..formats.format import RequestReading
from ..providers import Route
from ..record import Call, WireError
from ..wire import json_body
from .fold import brings_limits, needles_of
from .settlement import Settlement
from .turns import Turns
from .values import MAX_LIMITS, Ending, Lane, Response


class WebSocket:
    """The frames of a socket, in their order."""

    def __init__(
        self, route: Route, query: Mapping[str, str], response: Response, settlement: Settlement
    ) -> None:
        """`query` holds the query parameters of the upgrade request."""
        self.frames = 0
        """How many frames the server has sent."""
        self._format = route.format
        self._query = query
        self._response = response
        self._needles = needles_of(route)
        self._brings_limits = brings_limits(route)
        self._sessions: dict[str, RequestReading] = {}
        """What messages said about all later responses, by lane."""
        self._turns = Turns(route, response, settlement, self._open_lane)

    def frame(self, data: bytes, *, from_client: bool, at: float) -> list[Call]:
        """Read a frame; gives the calls that end with it."""
        if not from_client:
            self.frames += 1
            self._response.size += len(data)
            if self._skips(data):
                self._turns.pass_over(len(data))
                return []
        try:
            value, missed = json_body.read(data)
            if self._format.unwrap is not None:
                value = self._format.unwrap(value)
        except WireError as error:
            self._response.faults += 1
            if not from_client and isinstance(error, json_body.TooLargeError):
                self._turns.note_gap()
            return []
        if missed and not from_client:
            self._response.faults += 1
            self._turns.note_gap()
        if not from_client and self._brings_limits and (found := limits.read_event(value, now=at)):
            self._response.limits = (*self._response.limits, *found)[-MAX_LIMITS:]
        if self._format.read_session is not None:
            self._sessions.update(self._format.read_session(value))
        return list(self._turns.read(value, len(data), at, from_client=from_client))

    def end(self, ending: Ending, at: float) -> Iterator[Call]:
        """The calls of all responses that the end of the socket cut off."""
        return self._turns.end(ending, at)

    def _skips(self, data: bytes) -> bool:
        """Whether a frame can be skipped unparsed. On an idle socket every frame is parsed, because
        the next response may begin without a request."""
        if not self._turns.all_answering or not self._needles:
            return False
        for needle in self._needles:  # noqa: SIM110  # `any` takes twice as long
            if needle in data:
                return False
        return True

    def _open_lane(self, key: str, before: Lane | None, at: float) -> Lane:
        """A lane for a response that no frame asked for (steering, voice detection). The session,
        the previous request or the URL says what was asked for."""
        asked, body = self._sessions.get(key), None
        if asked is None and before is not None:
            asked, body = dataclasses.replace(before.request, warmup=False), before.body
        if asked is None:
            asked = RequestReading(model=self._query.get("model"))
        return Lane(asked, body, timestamp=at, started=at)
