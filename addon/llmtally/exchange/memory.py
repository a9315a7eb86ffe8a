"""What the exchanges of one proxy share: response ids already counted, background responses, who asked."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict

from ..attribution import Attributor
from ..record import Attribution, Call, Usage
from .values import NOTHING_READ, Lane

SEEN_IDS = 65_536
"""Response ids remembered to recognise repeats: days of heavy use, about 10 MB."""

BACKGROUND = 4_096
"""Background responses remembered until a poll shows their end."""


class Memory:
    """Bounded: the oldest is forgotten."""

    def __init__(self, attributor: Attributor) -> None:
        self.attributor = attributor
        self._seen: OrderedDict[str, tuple[str, Usage]] = OrderedDict()
        """Response ids with the host and the usage they were counted with."""
        self._background: OrderedDict[str, tuple[Lane, Attribution]] = OrderedDict()

    def counted_before(self, response_id: str, host: str, usage: Usage, *, poll: bool) -> bool:
        """Whether this response has been counted; remembers it.

        Seen again by a poll, at another host (a gateway and its upstream) or with the same usage it is the same response. A new
        answer of the same host with other usage is another one: small servers draw their ids from a few hundred.
        """
        known = self._seen.get(response_id)
        self._seen[response_id] = (host, usage)
        self._seen.move_to_end(response_id)
        if len(self._seen) > SEEN_IDS:
            self._seen.popitem(last=False)
        return known is not None and (poll or known[0] != host or known[1] == usage)

    def recall(self, call: Call) -> None:
        """Remember a call of an earlier run, so that its response seen again is not counted again."""
        if call.response_id is not None and call.usage:
            self.counted_before(call.response_id, call.host, call.usage, poll=True)

    def remember_background(self, response_id: str, lane: Lane, attribution: Attribution) -> None:
        """Keep who asked for a response whose end a later poll will show."""
        self._background[response_id] = (dataclasses.replace(lane, body=None, reading=NOTHING_READ, limits=[]), attribution)
        if len(self._background) > BACKGROUND:
            self._background.popitem(last=False)

    def take_background(self, response_id: str) -> tuple[Lane, Attribution] | None:
        """The request behind a background response, once."""
        return self._background.pop(response_id, None)
