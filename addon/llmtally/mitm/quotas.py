"""How full a plan's windows are, where clients ask that themselves, or we do: see
`quota_endpoints`."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from mitmproxy import http

from ..attribution import RequestView
from ..exchange import RequestHead
from ..limits import quota_endpoints
from ..limits.quota_endpoints import ANTHROPIC_USAGE, QuotaEndpoint
from .flows import lower_headers
from .guard import Guard
from .options import Switches
from .recorder import Recorder
from .scheduler import Scheduler


class Quotas:
    """Reads the answers."""

    def __init__(
        self,
        switches: Switches,
        recorder: Recorder,
        guard: Guard,
        scheduler: Scheduler,
        on_loop: Callable[[Callable[[], object]], object],
    ) -> None:
        """`on_loop` takes work from any thread to mitmproxy's loop."""
        self._switches = switches
        self._recorder = recorder
        self._guard = guard
        self._scheduler = scheduler
        self._on_loop = on_loop
        self._asked: dict[str, QuotaEndpoint] = {}
        """Flows that ask, by their ids, and what they ask."""
        self._poll = quota_endpoints.QuotaPoll(scheduler.detached, self._polled)

    def asks(self, flow: http.HTTPFlow, head: RequestHead) -> None:
        """A request that is no LLM call has begun."""
        if (endpoint := quota_endpoints.find(head.host, head.path)) is not None:
            self._asked[flow.id] = endpoint

    def passes(self, head: RequestHead) -> None:
        """An LLM call has begun: with its token the same can be asked, if a person wants that."""
        if (
            self._switches.poll_anthropic
            and head.host == ANTHROPIC_USAGE.host
            and (token := quota_endpoints.oauth_token(head.headers)) is not None
        ):
            self._poll.seen(token, time.monotonic())

    def answered(self, flow: http.HTTPFlow) -> bool:
        """Take note of a response, if it answers such a question."""
        if (endpoint := self._asked.pop(flow.id, None)) is None or flow.response is None:
            return False
        self._scheduler.defer(
            functools.partial(self._guard, self._read_answer, flow, flow.response, endpoint)
        )
        return True

    def broke(self, flow: http.HTTPFlow) -> None:
        """There will be no answer."""
        self._asked.pop(flow.id, None)

    def _read_answer(
        self, flow: http.HTTPFlow, response: http.Response, endpoint: QuotaEndpoint
    ) -> None:
        coding = response.headers.get("content-encoding", "")
        self._read(
            endpoint,
            lower_headers(flow.request.headers),
            coding,
            response.raw_content or b"",
        )

    def _polled(self, token: str, body: bytes) -> None:
        """Our own question was answered; this is its thread."""
        headers = {"authorization": f"Bearer {token}"}
        with suppress(RuntimeError):  # the loop has ended
            self._on_loop(
                functools.partial(
                    self._guard,
                    self._read,
                    ANTHROPIC_USAGE,
                    headers,
                    "",
                    body,
                )
            )

    def _read(
        self, endpoint: QuotaEndpoint, headers: Mapping[str, str], coding: str, body: bytes
    ) -> None:
        now = time.time()
        found = quota_endpoints.read_answer(endpoint, coding, body, now=now)
        live, memory = self._recorder.live, self._recorder.memory
        if found and live is not None and memory is not None:
            view = RequestView(endpoint.provider, endpoint.host, endpoint.path, headers)
            asked = memory.attributor.attribute(view, now=now)
            live.add_limits(found, provider=endpoint.provider, account=asked.account)
