"""Reads how full a plan's windows are when a client asks its provider, or asks itself: see
`quota_endpoints`."""

from __future__ import annotations

import time

from mitmproxy import http

from ..limits import quota_endpoints
from ..limits.quota_endpoints import ANTHROPIC_USAGE, QuotaEndpoint
from ..tally.observations import Head, QuotaAnswer
from .carrier import Carrier
from .flows import lower_headers
from .options import Switches
from .scheduler import Scheduler


class Quotas:
    """Hands the answers of quota endpoints to the tally."""

    def __init__(self, switches: Switches, carrier: Carrier, scheduler: Scheduler) -> None:
        self.carrier = carrier
        """Takes what is observed to the tally."""
        self._switches = switches
        self._asked: dict[str, QuotaEndpoint] = {}
        """The endpoint that each open flow asks, by the flow's id."""
        self._poll = quota_endpoints.QuotaPoll(scheduler.detached, self._polled)

    def asks(self, flow: http.HTTPFlow, head: Head) -> None:
        """Note a request that is not an LLM call, in case it asks a quota endpoint."""
        if (endpoint := quota_endpoints.find(head.host, head.path)) is not None:
            self._asked[flow.id] = endpoint

    def passes(self, head: Head) -> None:
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
        headers = lower_headers(flow.request.headers)
        coding = flow.response.headers.get("content-encoding", "")
        self._tell(endpoint, headers, coding, flow.response.raw_content or b"")
        return True

    def broke(self, flow: http.HTTPFlow) -> None:
        """Forget a flow that broke off: no answer will come."""
        self._asked.pop(flow.id, None)

    def _polled(self, token: str, body: bytes) -> None:
        self._tell(ANTHROPIC_USAGE, {"authorization": f"Bearer {token}"}, "", body)

    def _tell(
        self, endpoint: QuotaEndpoint, headers: dict[str, str], coding: str, body: bytes
    ) -> None:
        body = body[: quota_endpoints.MAX_ANSWER]
        self.carrier.observe(QuotaAnswer(endpoint.host, endpoint.path, headers, coding, body))
