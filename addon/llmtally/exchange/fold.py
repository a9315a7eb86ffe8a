"""Folds one message into the response it belongs to: the last step of every path through this
package."""

from __future__ import annotations

from typing import Any

from .. import limits
from ..providers import Route
from ..record import WireError
from .values import Lane, Response


def fold(lane: Lane, value: Any, size: int, at: float, *, route: Route, response: Response) -> None:
    """Add what a parsed message of `size` bytes says, which came at `at`."""
    if length := route.format.content(value):
        if lane.first_content is None:
            lane.first_content = at
            lane.envelope = max(0, size - length)
        lane.delivered += length
    failed = lane.reading.error is not None
    try:
        lane.reading = route.format.read(value, lane.reading)
    except WireError:
        response.faults += 1
    if lane.reading.error is not None and not failed:
        lane.limits += limits.read_error(
            value, provider=route.provider.name, status=response.status or 0, now=at
        )


def brings_limits(route: Route) -> bool:
    """Whether events on this route may report limits."""
    return route.provider.limit_events or route.format.name == "openai_realtime"


def needles_of(route: Route) -> tuple[bytes, ...]:
    """The byte strings of which a message must hold at least one to matter once content has been
    seen; () if any message may matter."""
    needles = route.format.needles
    return (*needles, *limits.EVENT_NEEDLES) if needles and brings_limits(route) else needles
