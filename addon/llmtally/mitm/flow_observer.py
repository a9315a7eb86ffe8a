"""Follows flows from their request to their settlement: mitmproxy's hooks on one side, the sans-IO
exchange on the other.

Nothing here waits. Reading and settling happen after the bytes have gone on: in slices on
mitmproxy's loop, or in a thread where a body is large. That spares the loop about half: the JSON
parser does not release the interpreter lock, so 10 MB from an agent block the loop for 22 ms
instead of 43 ms. Messages of a socket are read on the loop, in their order, whatever their size
(0.8 MB take 2 ms, 3.4 MB take 12 ms), and so is JSON that mitmproxy is set to stream.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from mitmproxy import ctx, http
from mitmproxy.flow import Flow
from mitmproxy.websocket import WebSocketMessage

from ..exchange import Ending, Exchange
from ..formats.format import described_error
from ..providers import RouteTable
from ..record import Call
from ..system.client_process import Processes
from ..tally.tally import Tally
from ..wire.framing import is_streaming
from .call_lines import CallLines
from .flows import ending_of, head_of, lower_headers, method_of
from .guard import Guard
from .options import Switches
from .quotas import Quotas
from .scheduler import Scheduler
from .tap import RequestTap, Tap

logger = logging.getLogger(__name__)

HEAVY = 256 * 2**10
"""Bytes of request and response body together above which a thread reads them: that takes more than
a millisecond."""

HEAVY_CODED = 16 * 2**10
"""The same if a body has a content coding: decoded, it may be many times larger."""

LOOK_UP_SECONDS = 1.0
"""Seconds that settlement waits for the process behind a connection: the look-up begins within half
a second, and takes milliseconds."""

KEPT_FRAMES = 64
"""WebSocket messages that may stay on a flow. mitmproxy keeps all, which is a leak for a socket
that is open for days."""


@dataclass(slots=True)
class Followed:
    """A flow to an LLM, with the objects that read it."""

    flow: http.HTTPFlow
    exchange: Exchange
    tap: Tap | None = None
    """The tap on the response's body, if it is streamed."""
    request_tap: RequestTap | None = None
    """The tap on the request's body, if it is streamed."""
    ignored: bool = False
    """The flow is left alone: no provider was asked, or reading it has failed."""


@dataclass(slots=True)
class End:
    """How and when a flow ended."""

    ending: Ending
    """Whether the flow completed, or which side broke it off."""
    at: float
    """When the flow ended, in epoch seconds."""
    body: bytes | None = None
    """The response's body, if no tap has read it."""


_handed_over: dict[str, Followed] = {}
"""Flows in flight while mitmproxy reloads the script: that ends one instance of the addon and makes
the next, and this module stays loaded."""


class FlowObserver:
    """Takes mitmproxy's hooks for flows, and passes their calls to the tally.

    A flow that has ended is settled in one of three ways: `_settle` at once, `_settle_when_known`
    once it is known who asked, or `_settle_when_parsed` once a thread has read its large body.
    """

    def __init__(
        self,
        switches: Switches,
        lines: CallLines,
        quotas: Quotas,
        processes: Processes,
        guard: Guard,
        scheduler: Scheduler,
    ) -> None:
        self.tally: Tally | None = None
        """The tally of the directory in use."""
        self.routes = RouteTable()
        """The provider table, with the user's rows."""
        self._switches = switches
        self._lines = lines
        self._quotas = quotas
        self._processes = processes
        self._guard = guard
        self._scheduler = scheduler
        self._followed: dict[str, Followed] = {}

    def cut_short(self) -> None:
        """Settle all flows that are in flight, because mitmproxy ends."""
        for followed in self._followed.values():
            self._guarded(followed, self._request_sent, followed)
            self._settle(followed, End("client_aborted", time.time()))
        self._followed.clear()

    def hand_over(self) -> None:
        """Leave the flows in flight to the next instance, because the script is reloaded."""
        _handed_over.update(self._followed)
        self._followed.clear()

    def take_over(self) -> None:
        """Continue with the flows that the previous instance left in flight."""
        for followed in _handed_over.values():
            if followed.tap is not None:
                followed.tap.settle = functools.partial(self._record, followed.flow)
            self._look_up_process(followed.flow)
        self._followed.update(_handed_over)
        _handed_over.clear()

    def _guarded(self, followed: Followed, work: Callable[..., Any], *args: Any) -> None:
        """Run work that reads a flow, unless such work has failed for it before."""
        if not followed.ignored and not self._guard(work, *args):
            followed.ignored = True

    # The request

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Follow the flow if host and path say that it is an LLM call."""
        if flow.live and flow.is_replay != "response":
            self._guard(self._follow, flow)

    def _follow(self, flow: http.HTTPFlow) -> None:
        method = method_of(flow.request)
        if method is None or self.tally is None:
            return
        head = head_of(flow, method)
        route = self.routes.route(method, head.host, head.path)
        if route is None:
            self._quotas.asks(flow, head)
            return
        followed = self._followed[flow.id] = Followed(
            flow, Exchange(route, head, self.tally.memory)
        )
        self._quotas.passes(head)
        self.tally.prices.watch()
        if flow.request.stream:
            before = flow.request.stream
            followed.request_tap = flow.request.stream = RequestTap(
                before if callable(before) else None
            )
        self._look_up_process(flow)

    def _look_up_process(self, flow: http.HTTPFlow) -> None:
        if (peer := flow.client_conn.peername) is not None:
            self._processes.connected(flow.client_conn.id, peer[:2], now=time.monotonic())

    # The response

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """Choose the decoders, and tap the body if it is a stream."""
        if (followed := self._followed.get(flow.id)) is not None:
            if flow.response is not None and flow.response.timestamp_end is not None:
                followed.ignored = True  # made up by an addon: no provider was asked
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
        assert flow.response is not None
        exchange = followed.exchange
        exchange.response_started(
            flow.response.status_code, lower_headers(flow.response.headers), time.time()
        )
        if flow.response.status_code != 101 and (exchange.streaming or flow.response.stream):
            self._request_sent(followed)  # a stream of many responses settles them before its end
            self._attach(flow.response, followed, flow)

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
                self._guarded(followed, self._attach, flow.response, followed, flow)

    def _attach(self, response: http.Response, followed: Followed, flow: http.HTTPFlow) -> None:
        before = response.stream
        followed.tap = Tap(
            followed.exchange,
            chained=before if callable(before) else None,
            clock=time.time,
            defer=self._scheduler.defer,
            settle=functools.partial(self._record, flow),
            keep=self._switches.keep_bodies,
        )
        response.stream = followed.tap.stream

    def response(self, flow: http.HTTPFlow) -> None:
        """The response is complete, or it is a WebSocket upgrade and the flow continues."""
        assert flow.response is not None
        if self._quotas.answered(flow):
            return
        if flow.response.status_code == 101:
            if flow.websocket is None:
                # some other protocol; no hook reports its end
                self._followed.pop(flow.id, None)
        else:
            self._guard(self._ended, flow, "complete" if flow.error is None else "client_aborted")

    def error(self, flow: http.HTTPFlow) -> None:
        """The flow broke off: one of the sides went away, or it was killed."""
        self._quotas.broke(flow)
        if flow.websocket is None:
            self._guard(self._ended, flow, ending_of(flow))

    @staticmethod
    def _request_sent(followed: Followed) -> int:
        """Give the exchange what is known of the request by now; returns the size of the body that
        there is to read."""
        request, tap = followed.flow.request, followed.request_tap
        body = request.raw_content if tap is None else tap.body()
        size = tap.size if tap is not None else None if body is None else len(body)
        followed.exchange.request_sent(body, size, request.timestamp_end or request.timestamp_start)
        return len(body or b"")

    # Sockets

    def websocket_message(self, flow: http.HTTPFlow) -> None:
        """Read the newest message of a socket, the client's or the server's."""
        followed = self._followed.get(flow.id)
        if followed is None or followed.ignored or flow.websocket is None:
            return
        messages = flow.websocket.messages
        if self.tally is not None:
            self.tally.prices.watch()  # a socket may be older than its prices
        if messages and not messages[-1].injected and not messages[-1].dropped:
            self._scheduler.defer(
                functools.partial(
                    self._guarded, followed, self._frame, followed, messages[-1], time.time()
                )
            )
        others_keep = self._switches.saves_flows or ctx.master.addons.get("view") is not None
        if len(messages) > KEPT_FRAMES and followed.exchange.route.confirmed and not others_keep:
            del messages[:-1]

    def _frame(self, followed: Followed, message: WebSocketMessage, at: float) -> None:
        calls = followed.exchange.frame(message.content, from_client=message.from_client, at=at)
        self._record(followed.flow, calls)

    def websocket_end(self, flow: http.HTTPFlow) -> None:
        """The socket closed; a turn that is still open was cut off."""
        followed = self._followed.pop(flow.id, None)
        if followed is not None and flow.websocket is not None:
            ending: Ending = (
                "client_aborted" if flow.websocket.closed_by_client else "upstream_aborted"
            )
            end = End(ending, time.time())
            self._scheduler.defer(functools.partial(self._settle, followed, end))

    # Settlement

    def _ended(self, flow: http.HTTPFlow, ending: Ending) -> None:
        """A flow has ended: choose the way in which it is settled."""
        followed = self._followed.pop(flow.id, None)
        if followed is None or followed.ignored:
            return
        end = End(ending, time.time())
        if flow.response is not None:
            if flow.server_conn.timestamp_start is None:
                return  # answered by an addon: no provider was asked
            if followed.tap is None:
                end.body = flow.response.raw_content
            else:
                _take_off(followed.tap, flow.response)
        size = self._request_sent(followed) + len(end.body or b"")
        if size > (HEAVY_CODED if followed.exchange.coded else HEAVY):
            self._settle_when_parsed(followed, end)
        elif self._switches.saves_flows:
            # `-w` writes the flow when this hook is over, and the comment with it
            self._settle(followed, end)
        else:
            self._settle_when_known(followed, end)

    def _settle_when_parsed(self, followed: Followed, end: End) -> None:
        """Settle once a thread has read the bodies."""
        self._scheduler.in_thread(
            functools.partial(followed.exchange.parse_now, end.body, end.at),
            functools.partial(self._on_parsed, followed, end),
        )

    def _on_parsed(self, followed: Followed, end: End, error: BaseException | None) -> None:
        """The thread is done with the bodies. If it has failed, no count in them is believed."""
        if error is not None:
            followed.exchange.fail()
            logger.error(
                "llmtally: reading a body failed. This is a bug in llmtally.", exc_info=error
            )
        self._settle_when_known(followed, end)

    def _settle_when_known(self, followed: Followed, end: End) -> None:
        """Settle once the client's process is known, if it is being looked up; else soon."""
        settle = functools.partial(self._settle, followed, end)
        if (looking := self._processes.pending(followed.flow.client_conn.id)) is not None:
            self._scheduler.when_done(looking, settle, within=LOOK_UP_SECONDS)
        else:
            self._scheduler.defer(settle)

    def _settle(self, followed: Followed, end: End) -> None:
        """Read the remaining bytes, and record the calls."""
        self._guarded(followed, self._read_end, followed, end)

    def _read_end(self, followed: Followed, end: End) -> None:
        if followed.tap is not None:
            followed.tap.drain()
            followed.tap.active = False
        flow, exchange = followed.flow, followed.exchange
        error = None
        if flow.error is not None and end.ending == "upstream_aborted":
            error = described_error("connection", flow.error.msg)
        calls = exchange.whole(end.body, end.at) if end.body else []
        if flow.response is not None and flow.response.trailers:
            exchange.trailed(lower_headers(flow.response.trailers))
        self._record(flow, calls + exchange.end(end.ending, end.at, error))
        if self.tally is not None:
            self.tally.sink.stream_events += exchange.events

    def _record(self, flow: http.HTTPFlow, calls: Iterable[Call]) -> None:
        """Hand settled calls of this flow to the tally, and show their lines."""
        if self.tally is not None:
            self._lines.show(flow, self.tally.recorder.record(calls, flow.client_conn.id))


def _take_off(tap: Tap, response: http.Response) -> None:
    """Take a tap off its flow: where flows are kept, it would keep its chunks in memory."""
    if response.stream is tap.stream:
        response.stream = tap.chained or True
    if tap.kept is not None:
        response.raw_content = b"".join(tap.kept)
