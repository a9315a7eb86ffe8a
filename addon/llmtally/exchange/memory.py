"""What the exchanges of one proxy share: response ids already counted, background responses, who
asked."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from typing import NamedTuple

from ..attribution import Attributor
from ..providers import Method
from ..record import Attribution, Call
from .values import NOTHING_READ, Lane

SEEN_IDS = 65_536
"""Response ids remembered to recognise repeats: days of heavy use, about 20 MB."""

BACKGROUND = 4_096
"""Background responses remembered until a poll shows their end."""


class Sighting(NamedTuple):
    """What was seen of one response, to recognise it if it passes again."""

    method: Method
    host: str
    total_tokens: int | None
    started: float
    ended: float
    """When the response ended. Like `started`, it is in epoch seconds."""

    def repeats(self, other: Sighting) -> bool:
        """Whether two sightings under one id are of the same response.

        The id alone proves nothing: Ollama draws it from 999 numbers, KoboldCpp always sends the
        same. A GET returns a response that was asked for before: it polls, or resumes a stream. A
        new POST to the same host has a new response. A gateway and its upstream (or two sockets of
        one session) show the same number of tokens at the same time, though details of the counts
        may get lost between them.
        """
        if self.method == "GET":
            return True
        if self.method == other.method == "POST" and self.host == other.host:
            return False
        at_once = self.started <= other.ended and other.started <= self.ended
        return at_once and self.total_tokens == other.total_tokens


class Memory:
    """Remembers a bounded number of responses; the oldest are forgotten."""

    def __init__(self, attributor: Attributor) -> None:
        self.attributor = attributor
        self._seen: OrderedDict[str, Sighting] = OrderedDict()
        """The last sighting of each response id."""
        self._background: OrderedDict[str, tuple[Lane, Attribution]] = OrderedDict()

    def counted_before(self, response_id: str, sighting: Sighting) -> bool:
        """Whether this response has been counted before. It is remembered from now on."""
        known = self._seen.get(response_id)
        self._seen[response_id] = sighting
        self._seen.move_to_end(response_id)
        if len(self._seen) > SEEN_IDS:
            self._seen.popitem(last=False)
        return known is not None and sighting.repeats(known)

    def recall(self, call: Call) -> None:
        """Remember a call of an earlier run, so that polls and downloads of its response do not
        count it again."""
        if call.response_id is not None and call.usage:
            sighting = Sighting(
                "POST", call.host, call.usage.total_tokens, call.started, call.ended
            )
            self.counted_before(call.response_id, sighting)

    def remember_background(self, response_id: str, lane: Lane, attribution: Attribution) -> None:
        """Remember the request of a background response, for the poll that will show its end."""
        self._background[response_id] = (
            dataclasses.replace(lane, body=None, reading=NOTHING_READ, limits=[]),
            attribution,
        )
        if len(self._background) > BACKGROUND:
            self._background.popitem(last=False)

    def take_background(self, response_id: str) -> tuple[Lane, Attribution] | None:
        """The request behind a background response, once."""
        return self._background.pop(response_id, None)
