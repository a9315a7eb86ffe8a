"""Reads how full a plan's windows are when a client asks its provider, or asks itself: see
`quota_endpoints`."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping

from mitmproxy import http

from ..exchange import RequestHead
from ..limits import quota_endpoints
from ..limits.quota_endpoints import ANTHROPIC_USAGE, QuotaEndpoint
from ..tally.tally import Tally
from .flows import lower_headers
from .guard import Guard
from .options import Switches
from .scheduler import Scheduler


class Quotas:
    """Hands the answers of quota endpoints to the tally."""

    def __init__(self, switches: Switches, guard: Guard, scheduler: Scheduler) -> None:
        self.tally: Tally | None = None
        """The tally of the directory in use."""
        self._switches = switches
        self._guard = guard
        self._scheduler = scheduler
        self._asked: dict[str, QuotaEndpoint] = {}
        """The endpoint that each open flow asks, by the flow's id."""
        self._poll = quota_endpoints.QuotaPoll(scheduler.detached, self._polled)

    def asks(self, flow: http.HTTPFlow, head: RequestHead) -> None:
        """Note a request that is not an LLM call, in case it asks a quota endpoint."""
        if (endpoint := quota_endpoints.find(head.host, head.path)) is not None:
            self._asked[flow.id] = endpoint

    def passes(self, head: RequestHead) -> None:
        """Note the token of an LLM call: with it llmtally asks, too, if the user has set that."""
        if (
            self._switches.poll_anthropic
            and head.host == ANTHROPIC_USAGE.host
            and (token := quota_endpoints.oauth_token(head.headers)) is not None
        ):
            self._poll.seen(token, time.monotonic())

    def answered(self, flow: http.HTTPFlow) -> bool:
        """Take note of a response, if it answers such a question; returns whether it does."""
        if (endpoint := self._asked.pop(flow.id, None)) is None or flow.response is None:
            return False
        self._scheduler.defer(
            functools.partial(self._guard, self._read_response, flow, flow.response, endpoint)
        )
        return True

    def broke(self, flow: http.HTTPFlow) -> None:
        """Forget a flow that broke off: no answer will come."""
        self._asked.pop(flow.id, None)

    def _read_response(
        self, flow: http.HTTPFlow, response: http.Response, endpoint: QuotaEndpoint
    ) -> None:
        coding = response.headers.get("content-encoding", "")
        headers = lower_headers(flow.request.headers)
        self._read(endpoint, headers, coding, response.raw_content or b"")

    def _polled(self, token: str, body: bytes) -> None:
        headers = {"authorization": f"Bearer {token}"}
        self._guard(self._read, ANTHROPIC_USAGE, headers, "", body)

    def _read(
        self, endpoint: QuotaEndpoint, headers: Mapping[str, str], coding: str, body: bytes
    ) -> None:
        if self.tally is not None:
            self.tally.read_quota_answer(endpoint, headers, coding, body)
