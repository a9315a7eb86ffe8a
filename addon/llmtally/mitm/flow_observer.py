"""Follows flows to LLMs in mitmproxy's hooks, and tells a carrier what it observes.

Nothing here waits, and nothing is read but heads: the tally reads the bodies.
"""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

from mitmproxy import ctx, http
from mitmproxy.flow import Flow

from ..attribution.run_tag import Runs
from ..exchange import Ending
from ..providers import Route, RouteTable
from ..tally.observations import (
    Answered,
    Dropped,
    Ended,
    Frame,
    Opened,
    Pieces,
    Requested,
    found,
)
from ..wire.framing import is_streaming
from .carrier import Carrier
from .flows import ending_of, head_of, lower_headers, method_of
from .guard import Guard
from .options import Switches
from .quotas import Quotas
from .scheduler import Scheduler
from .tap import RequestTap, Tap

KEPT_FRAMES = 64
"""WebSocket messages that may stay on a flow. mitmproxy keeps all, which is a leak for a socket
that is open for days."""


@dataclass(slots=True)
class Followed:
    """A flow to an LLM, and how far it has been observed."""

    key: int
    """The flow's number in what the tally is told."""
    flow: http.HTTPFlow
    route: Route
    tap: Tap | None = None
    """The tap on the response's body, if it is streamed."""
    request_tap: RequestTap | None = None
    """The tap on the request's body, if it is streamed."""
    requested: bool = False
    """The tally has been given the request, all of it."""
    ignored: bool = False
    """The flow is left alone: no provider was asked, or reading it has failed."""


_keys = itertools.count(1)
"""Keys of flows; this module stays loaded while mitmproxy reloads the script, so none comes
twice."""

_handed_over: dict[str, Followed] = {}
"""Flows in flight while mitmproxy reloads the script: that ends one instance of the addon and makes
the next."""


class FlowObserver:
    """Takes mitmproxy's hooks for flows, and tells a carrier what it sees."""

    def __init__(
        self,
        switches: Switches,
        carrier: Carrier,
        quotas: Quotas,
        runs: Runs,
        guard: Guard,
        scheduler: Scheduler,
    ) -> None:
        self.carrier = carrier
        """Takes what is observed to the tally."""
        self.routes = RouteTable()
        """The provider table, with the user's rows."""
        self._switches = switches
        self._quotas = quotas
        self._runs = runs
        self._guard = guard
        self._scheduler = scheduler
        self._followed: dict[str, Followed] = {}
        self._flows: WeakValueDictionary[int, http.HTTPFlow] = WeakValueDictionary()
        """All flows that somebody else still holds, by their keys: their calls are noted beside
        them."""

    def flow(self, key: int) -> http.HTTPFlow | None:
        """The flow with this key, if somebody still has it."""
        return self._flows.get(key)

    def cut_short(self) -> None:
        """Tell the end of all flows that are in flight, because mitmproxy ends."""
        for followed in self._followed.values():
            self._guarded(followed, self._cut_short, followed)
        self._followed.clear()

    def _cut_short(self, followed: Followed) -> None:
        self._request_sent(followed)
        ended = Ended(followed.key, "client_aborted", time.time())
        self.carrier.end_in_turn(ended, _drained(followed.tap))

    def hand_over(self) -> None:
        """Leave the flows in flight to the next instance, because the script is reloaded."""
        _handed_over.update(self._followed)
        self._followed.clear()

    def take_over(self) -> None:
        """Continue with the flows that the previous instance left in flight."""
        for followed in _handed_over.values():
            if followed.tap is not None:
                followed.tap.send = functools.partial(self._pieces, followed.key)
            self._flows[followed.key] = followed.flow
        self._followed.update(_handed_over)
        _handed_over.clear()

    def _guarded(self, followed: Followed, work: Callable[..., Any], *args: Any) -> None:
        """Run work that observes a flow, unless such work has failed for it before."""
        if not followed.ignored and not self._guard(work, *args):
            followed.ignored = True
            self.carrier.observe(Dropped(followed.key))

    # The request

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Follow the flow if host and path say that it is an LLM call."""
        if flow.live and flow.is_replay != "response":
            self._guard(self._follow, flow)

    def _follow(self, flow: http.HTTPFlow) -> None:
        method = method_of(flow.request)
        if method is None:
            return
        head = head_of(flow, method)
        route = self.routes.route(method, head.host, head.path)
        if route is None:
            self._quotas.asks(flow, head)
            return
        followed = self._followed[flow.id] = Followed(next(_keys), flow, route)
        self._flows[followed.key] = flow
        self._quotas.passes(head)
        if flow.request.stream:
            before = flow.request.stream
            followed.request_tap = flow.request.stream = RequestTap(
                before if callable(before) else None
            )
        run = self._runs.of(head.connection)
        named = (run.name, run.directory) if run is not None else None
        self.carrier.observe(Opened(followed.key, head, found(route), named))

    # The response

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """Tap the body if it is a stream."""
        if (followed := self._followed.get(flow.id)) is not None:
            if flow.response is not None and flow.response.timestamp_end is not None:
                followed.ignored = True  # made up by an addon: no provider was asked
                self.carrier.observe(Dropped(followed.key))
                return
            self._guarded(followed, self._start_response, flow, followed)
            if (
                followed.ignored
                and flow.response is not None
                and is_streaming(flow.response.headers.get("content-type", ""))
            ):
                # unread, but not held back either
                flow.response.stream = flow.response.stream or True

    def _start_response(self, flow: http.HTTPFlow, followed: Followed) -> None:
        response = flow.response
        assert response is not None
        status, headers = response.status_code, lower_headers(response.headers)
        if flow.request.timestamp_end is not None:
            self._request_sent(followed)
        self.carrier.observe(Answered(followed.key, status, headers, time.time()))
        streams = followed.route.streams(status, headers.get("content-type", ""))
        if status != 101 and (streams or response.stream):
            self._request_sent(followed)  # a stream of many responses settles them before its end
            self._attach(response, followed)

    def update(self, flows: Sequence[Flow]) -> None:
        """Tap a stream callable that another addon has set after `responseheaders`. This hook comes
        before the first byte."""
        for flow in flows:
            followed = self._followed.get(flow.id)
            if (
                followed is None
                or followed.tap is None
                or not isinstance(flow, http.HTTPFlow)
                or flow.response is None
            ):
                continue
            if (
                flow.response.timestamp_end is None
                and flow.response.stream is not followed.tap.stream
            ):
                followed.tap.drain()
                followed.tap.active = False
                self._guarded(followed, self._attach, flow.response, followed)

    def _attach(self, response: http.Response, followed: Followed) -> None:
        before = response.stream
        followed.tap = Tap(
            functools.partial(self._pieces, followed.key),
            timed=followed.route.has_content,
            chained=before if callable(before) else None,
            clock=time.time,
            defer=self._scheduler.defer,
            keep=self._switches.keep_bodies,
        )
        response.stream = followed.tap.stream
        self.carrier.tapped(followed.key, followed.tap.drain)

    def _pieces(self, key: int, data: bytes, arrivals: list[tuple[int, float]], at: float) -> bool:
        return self.carrier.pieces(Pieces(key, data, arrivals, at))

    def response(self, flow: http.HTTPFlow) -> None:
        """The response is complete, or it is a WebSocket upgrade and the flow continues."""
        assert flow.response is not None
        if self._quotas.answered(flow):
            return
        if flow.response.status_code == 101:
            if flow.websocket is None:
                # some other protocol; no hook reports its end
                self._drop(flow)
        else:
            self._guard(self._ended, flow, "complete" if flow.error is None else "client_aborted")

    def error(self, flow: http.HTTPFlow) -> None:
        """The flow broke off: one of the sides went away, or it was killed."""
        self._quotas.broke(flow)
        if flow.websocket is None:
            self._guard(self._ended, flow, ending_of(flow))

    def _drop(self, flow: http.HTTPFlow) -> None:
        if (followed := self._followed.pop(flow.id, None)) is not None:
            self.carrier.observe(Dropped(followed.key))

    def _request_sent(self, followed: Followed) -> None:
        """Tell what is known of the request by now, unless all of it has been told."""
        if followed.requested:
            return
        request, tap = followed.flow.request, followed.request_tap
        followed.requested = request.timestamp_end is not None
        body = request.raw_content if tap is None else tap.body()
        size = tap.size if tap is not None else None if body is None else len(body)
        at = request.timestamp_end or request.timestamp_start
        self.carrier.observe(Requested(followed.key, body, size, at))

    # Sockets

    def websocket_message(self, flow: http.HTTPFlow) -> None:
        """Tell the newest message of a socket, the client's or the server's."""
        followed = self._followed.get(flow.id)
        if followed is None or followed.ignored or flow.websocket is None:
            return
        messages = flow.websocket.messages
        if messages and not messages[-1].injected and not messages[-1].dropped:
            newest = messages[-1]
            self.carrier.observe(
                Frame(followed.key, newest.content, newest.from_client, time.time())
            )
        others_keep = self._switches.saves_flows or ctx.master.addons.get("view") is not None
        if len(messages) > KEPT_FRAMES and followed.route.confirmed and not others_keep:
            del messages[:-1]

    def websocket_end(self, flow: http.HTTPFlow) -> None:
        """The socket closed; a turn that is still open was cut off."""
        followed = self._followed.pop(flow.id, None)
        if followed is not None and not followed.ignored and flow.websocket is not None:
            ending: Ending = (
                "client_aborted" if flow.websocket.closed_by_client else "upstream_aborted"
            )
            self.carrier.end_in_turn(Ended(followed.key, ending, time.time()), None)

    # The end

    def _ended(self, flow: http.HTTPFlow, ending: Ending) -> None:
        """A flow has ended."""
        followed = self._followed.pop(flow.id, None)
        if followed is None or followed.ignored:
            return
        ended = Ended(followed.key, ending, time.time())
        if flow.response is not None:
            if flow.server_conn.timestamp_start is None:
                # answered by an addon: no provider was asked
                self.carrier.observe(Dropped(followed.key))
                return
            if followed.tap is None:
                ended.body = flow.response.raw_content
            else:
                _take_off(followed.tap, flow.response)
            if flow.response.trailers:
                ended.trailers = lower_headers(flow.response.trailers)
        if flow.error is not None and ending == "upstream_aborted":
            ended.error = flow.error.msg
        self._request_sent(followed)
        self.carrier.end(ended, _drained(followed.tap))


def _drained(tap: Tap | None) -> Callable[[], None] | None:
    """What sends on the last bytes of a tap and retires it."""
    return functools.partial(_drain_last, tap) if tap is not None else None


def _drain_last(tap: Tap) -> None:
    tap.drain()
    tap.active = False


def _take_off(tap: Tap, response: http.Response) -> None:
    """Take a tap off its flow: where flows are kept, it would keep its chunks in memory."""
    if response.stream is tap.stream:
        response.stream = tap.chained or True
    if tap.kept is not None:
        response.raw_content = b"".join(tap.kept)
