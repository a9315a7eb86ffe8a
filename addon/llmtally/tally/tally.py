"""The one object per directory: it follows the flows that proxies observe, and owns the memory, the
recorder, the journal and the page."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..attribution import Attributor, RequestView
from ..attribution.run_tag import Run
from ..exchange import Exchange, Memory, RequestHead
from ..formats.format import described_error
from ..journal import account_key
from ..limits import quota_endpoints
from ..record import ApiError, Call, milliseconds
from ..system.client_process import Processes
from .observations import (
    Answered,
    AnyObservation,
    Counted,
    Dropped,
    Ended,
    Frame,
    Listening,
    Opened,
    Overloaded,
    PageApproached,
    Pieces,
    QuotaAnswer,
    Requested,
    Reset,
    route_of,
)
from .prices import Prices
from .recorder import Recorder
from .sink import Sink

logger = logging.getLogger(__name__)

HEAVY = 256 * 2**10
"""Bytes of request and response body together above which a thread reads them: that takes more than
a millisecond."""

HEAVY_CODED = 16 * 2**10
"""The same if a body has a content coding: decoded, it may be many times larger."""


OVERLOAD = ApiError("overload", "llmtally did not keep up and dropped what this call held.")
"""The error of a call whose bytes were dropped."""

JOURNALED = 65_536
"""Calls of which it is known that they are in the journal: what is observed again after a death is
some seconds old, or was said on a socket that is still open."""


class Journaled:
    """Recognises calls that are in the journal, by their ids and times."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, int], None] = OrderedDict()

    def add(self, call: Call) -> None:
        """Remember a call; the oldest one is forgotten."""
        self._known[_mark(call)] = None
        if len(self._known) > JOURNALED:
            self._known.popitem(last=False)

    def __contains__(self, call: Call) -> bool:
        return _mark(call) in self._known


def _mark(call: Call) -> tuple[str, int]:
    # mitmproxy gives a flow that is sent again by hand its old id, but another time
    return call.request_id, milliseconds(call.timestamp)


@dataclass(slots=True)
class OpenFlow:
    """A flow that has not ended yet."""

    exchange: Exchange
    connection: str
    """Id of the client's connection."""
    peer: tuple[str, int] | None
    """The client's address."""
    run: Run | None
    request_size: int = 0
    """Bytes of the request's body that there are to read."""
    overloaded: bool = False
    """Whether what it held was dropped, because the tally did not keep up."""


class Tally:
    """Settles, keeps and shows the calls of one directory. Another directory is another tally."""

    def __init__(
        self,
        directory: Path,
        *,
        prices: Prices,
        processes: Processes,
        clock: Callable[[], float],
        alert: Callable[[str], None],
        recognises: bool = False,
    ) -> None:
        """`clock` gives epoch seconds; `alert` shows a message to the user; `recognises`: flows
        may be observed again after a death. Raises OSError if the directory cannot be used."""
        self.directory = directory
        self.prices = prices
        self.memory = Memory(Attributor(account_key(directory)))
        """What calls must know about each other."""
        self.sink = Sink(directory, clock=clock, alert=alert)
        self.view = self.sink.view
        self.recorder = Recorder(self.sink, prices, processes)
        self._processes = processes
        self._clock = clock
        self._open: dict[int, OpenFlow] = {}
        """Flows by their keys."""
        self._journaled = Journaled() if recognises else None
        self._readers: Mapping[type, Callable[[Any], list[str]]] = {
            Opened: self._opened,
            Requested: self._requested,
            Answered: self._answered,
            Pieces: self._pieces,
            Frame: self._frame,
            Ended: self._ended,
            Dropped: self._dropped,
            QuotaAnswer: self._quota_answered,
            Counted: self._counted,
            Overloaded: self._overloaded,
            Listening: self._listening,
            PageApproached: self._page_approached,
            Reset: self._reset,
        }

    def start(self, in_thread: Callable[[Callable[[], None]], object]) -> asyncio.Task[None]:
        """Read the journal back into state and memory, and keep the status file from now on; the
        task ends when all is read. Needs a running loop. `in_thread` runs work that waits for the
        disk."""
        reading = self.sink.restore(self._recall)
        self.sink.keep_status(in_thread)
        return reading

    def _recall(self, call: Call) -> None:
        self.memory.recall(call)
        if self._journaled is not None:
            self._journaled.add(call)

    def serve(self, *, host: str, port: int, token: str) -> str | None:
        """Open the page; returns the URL that logs in, or None if the address is in use, which is
        logged. Needs a running loop."""
        return self.sink.serve(host=host, port=port, token=token, explain=self.prices.price)

    def close(self) -> None:
        """Write the waiting records and free the port."""
        self.sink.close()

    # What proxies observe

    def observe(self, observation: AnyObservation) -> list[str]:
        """Take in an observation; returns the lines of the calls that are settled by it. Never
        raises: after an error the flow is left alone."""
        try:
            return self._readers[type(observation)](observation)
        except Exception:
            logger.exception(
                "llmtally: reading a flow failed; it goes on unread. This is a bug in llmtally."
            )
            self._give_up(observation)
            return []

    def awaits_content(self, key: int) -> bool:
        """Whether the times of the next bytes of a flow matter: they may hold the first content."""
        return (flow := self._open.get(key)) is not None and flow.exchange.awaits_content

    def is_heavy(self, ended: Ended) -> bool:
        """Whether what is left to read of a flow should be read in a thread, by `parse`."""
        if (flow := self._open.get(ended.key)) is None:
            return False
        size = flow.request_size + len(ended.body or b"")
        return size > (HEAVY_CODED if flow.exchange.coded else HEAVY)

    def parse(self, ended: Ended) -> None:
        """Read the bodies of a flow before its end is observed. Any thread may do it."""
        if (flow := self._open.get(ended.key)) is not None:
            flow.exchange.parse_now(ended.body, ended.at)

    def parse_failed(self, key: int, error: BaseException) -> None:
        """Believe no count of a flow, because `parse` has raised."""
        if (flow := self._open.get(key)) is not None:
            flow.exchange.fail()
        logger.error("llmtally: reading a body failed. This is a bug in llmtally.", exc_info=error)

    def looking(self, key: int) -> Future[Any] | None:
        """The look-up of the client's process that a flow waits for, if any."""
        flow = self._open.get(key)
        return self._processes.pending(flow.connection) if flow is not None else None

    def forget(self, key: int) -> None:
        """Leave a flow alone: it comes again under another key."""
        self._open.pop(key, None)

    def release(self) -> dict[int, OpenFlow]:
        """Give up the flows that are open, for another tally to go on with them."""
        released, self._open = self._open, {}
        return released

    def adopt(self, flows: Mapping[int, OpenFlow]) -> None:
        """Go on with flows that another tally has released."""
        self._open.update(flows)
        for flow in flows.values():
            self._look_up(flow)

    def _opened(self, opened: Opened) -> list[str]:
        head = opened.head
        request = RequestHead(
            head.id,
            head.method,
            head.host,
            head.path,
            head.headers,
            head.timestamp,
            head.query,
            head.connection,
        )
        exchange = Exchange(route_of(opened.route), request, self.memory)
        run = Run(*opened.run) if opened.run is not None else None
        flow = self._open[opened.key] = OpenFlow(exchange, head.connection, head.peer, run)
        self.prices.watch()
        self._look_up(flow)
        return []

    def _look_up(self, flow: OpenFlow) -> None:
        if flow.peer is not None:
            self._processes.connected(flow.connection, flow.peer, now=time.monotonic())

    def _requested(self, requested: Requested) -> list[str]:
        if (flow := self._open.get(requested.key)) is not None:
            flow.request_size = len(requested.body or b"")
            flow.exchange.request_sent(requested.body, requested.size, requested.at)
        return []

    def _answered(self, answered: Answered) -> list[str]:
        if (flow := self._open.get(answered.key)) is not None:
            flow.exchange.response_started(answered.status, answered.headers, answered.at)
        return []

    def _pieces(self, pieces: Pieces) -> list[str]:
        if (flow := self._open.get(pieces.key)) is None:
            return []
        exchange, data, start = flow.exchange, pieces.data, 0
        calls: list[Call] = []
        for end, at in pieces.arrivals:
            calls += exchange.feed(data[start:end], at)
            start = end
            if not exchange.awaits_content:
                break  # when later pieces came does not matter
        if rest := data[start:]:
            calls += exchange.feed(rest, pieces.at)
        return self._record(flow, calls)

    def _frame(self, frame: Frame) -> list[str]:
        if (flow := self._open.get(frame.key)) is None:
            return []
        self.prices.watch()  # a socket may be older than its prices
        calls = flow.exchange.frame(frame.data, from_client=frame.from_client, at=frame.at)
        return self._record(flow, calls)

    def _ended(self, ended: Ended) -> list[str]:
        if (flow := self._open.pop(ended.key, None)) is None:
            return []
        exchange = flow.exchange
        error = described_error("connection", ended.error) if ended.error is not None else None
        if flow.overloaded:
            error = OVERLOAD
        calls = exchange.whole(ended.body, ended.at) if ended.body else []
        if ended.trailers:
            exchange.trailed(ended.trailers)
        lines = self._record(flow, calls + exchange.end(ended.ending, ended.at, error))
        self.sink.stream_events += exchange.events
        return lines

    def _dropped(self, dropped: Dropped) -> list[str]:
        self._open.pop(dropped.key, None)
        return []

    def _quota_answered(self, answer: QuotaAnswer) -> list[str]:
        now = self._clock()
        endpoint = quota_endpoints.find(answer.host, answer.path)
        if endpoint is not None and (
            read := quota_endpoints.read_answer(endpoint, answer.coding, answer.body, now=now)
        ):
            view = RequestView(endpoint.provider, endpoint.host, endpoint.path, answer.headers)
            account = self.memory.attributor.attribute(view, now=now).account
            self.sink.add_limits(read, provider=endpoint.provider, account=account)
        return []

    def _counted(self, counted: Counted) -> list[str]:
        self.recorder.count(counted.bucket, counted.host)
        return []

    def _overloaded(self, overloaded: Overloaded) -> list[str]:
        if (flow := self._open.get(overloaded.key)) is not None:
            flow.overloaded = True
            flow.exchange.fail()
        return []

    def _listening(self, listening: Listening) -> list[str]:
        self.sink.reached_at = listening.address
        self.sink.ca = listening.ca
        return []

    def _page_approached(self, approached: PageApproached) -> list[str]:
        self.view.proxy_connected(approached.local, approached.remote)
        return []

    def _reset(self, _: Reset) -> list[str]:
        self.sink.reset()
        return []

    def _record(self, flow: OpenFlow, calls: list[Call]) -> list[str]:
        if self._journaled is not None and calls:
            calls = [call for call in calls if call not in self._journaled]
            for call in calls:
                self._journaled.add(call)
        return self.recorder.record(calls, flow.run, flow.connection) if calls else []

    def _give_up(self, observation: AnyObservation) -> None:
        """Leave a flow alone after an error. One whose answer was being read is still a call."""
        flow = self._open.get(getattr(observation, "key", -1))
        if flow is not None and isinstance(observation, Pieces):
            flow.exchange.fail()
            return
        if flow is not None:
            self._open.pop(getattr(observation, "key", -1), None)
        self.recorder.count("unparsed")
