"""Settlement makes one `Call` of what was read of a response and of how it ended, or none if it was
not an LLM call after all."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from ..attribution import RequestView
from ..attribution.credentials import read_credential
from ..limits import paid_beyond_plan
from ..pricing.vendors import proprietary_vendor
from ..providers import Route
from ..record import (
    ERROR_MESSAGE_CAP,
    TEXT_CAP,
    ApiError,
    Attribution,
    Billing,
    Call,
    Coverage,
    LimitReading,
    Outcome,
    Reading,
    Usage,
)
from ..redact import REDACTED, without_echo, without_known_keys
from .memory import Memory, Sighting
from .values import MAX_LIMITS, NOTHING_READ, Ending, Lane, RequestHead, Response

BYTES_PER_TOKEN = 4
"""UTF-8 bytes of text per output token, to estimate what an aborted stream delivered. English prose
and code: 3 to 5."""

_DECIDED = {"usage", "error", "cost_usd", "cost_approximate", "pending"}
"""Fields of a reading that a call does not take over as they are: settlement decides them."""
_COPIED = tuple(name for name in Reading._fields if name in Call._fields and name not in _DECIDED)
"""Fields that a call has from its reading by their names alone."""

_LLM_REQUEST_KEYS = frozenset({"messages", "input", "prompt", "contents", "inputText"})


class Verdict(NamedTuple):
    """How a response ended, and what it counts as."""

    outcome: Outcome
    pending: bool
    """The response continues in the background; a later poll will show its end."""
    coverage: Coverage


class Ended(NamedTuple):
    """A response that has ended, with all that its call is made of."""

    lane: Lane
    """Its request and times: of a poll that shows the end of a background response, those of the
    request that began it."""
    reading: Reading
    """What was read of it, without what cannot be trusted."""
    verdict: Verdict
    attribution: Attribution
    limits: tuple[LimitReading, ...]
    """Limits that were reported with it."""
    at: float
    """Epoch seconds when it ended."""
    broken: ApiError | None
    """Why the connection broke, if it did."""


class Settlement:
    """Makes the calls of one exchange."""

    def __init__(
        self, route: Route, request: RequestHead, memory: Memory, response: Response
    ) -> None:
        self._route = route
        self._request = request
        self._memory = memory
        self._response = response
        self._settled = 0

    def call(
        self, lane: Lane, ending: Ending, at: float, broken: ApiError | None = None
    ) -> Call | None:
        """The call of a lane that ended at `at`; `broken` is why its connection broke. None: there
        is nothing to count."""
        reading = self._reading(lane)
        if reading is None:
            return None
        found_limits = self._limits(lane)
        attribution, lane = self._attribution(lane, reading, at)
        verdict = self._decide(lane, reading, ending)
        if self._remember(lane, reading, verdict, attribution, at) and not lane.request.warmup:
            verdict = verdict._replace(coverage="duplicate")
        self._settled += 1
        return self._build(Ended(lane, reading, verdict, attribution, found_limits, at, broken))

    def _reading(self, lane: Lane) -> Reading | None:
        """What was read of the response, without what cannot be trusted; None if it was not an LLM
        call, or not the end of one."""
        request, response = self._request, self._response
        reading = NOTHING_READ if response.failed else lane.reading
        if reading.counting_only or not (self._route.confirmed or _is_llm(lane)):
            return None
        if (
            request.method == "GET"
            and reading.response_id is None
            and not self._route.format.multiple
        ):
            return None  # a poll that showed nothing: not found, not modified
        if response.status is not None and 300 <= response.status < 400:
            return None  # a redirect: the call is where it leads
        if response.status is not None and response.status >= 400 and reading.error is None:
            return reading._replace(error=ApiError(f"http_{response.status}"))
        return reading

    def _decide(self, lane: Lane, reading: Reading, ending: Ending) -> Verdict:
        """How it ended, and what it counts as unless it has been counted before."""
        gap = lane.gap or (self._response.gap and not self._shared)
        outcome = self._outcome(reading, ending, gap=gap)
        pending = reading.pending and outcome == "complete"
        unbilled = pending or lane.request.warmup
        coverage = "no_usage" if unbilled else self._coverage(reading, outcome, gap=gap)
        return Verdict(outcome, pending, coverage)

    def _remember(
        self, lane: Lane, reading: Reading, verdict: Verdict, attribution: Attribution, at: float
    ) -> bool:
        """Remember what later responses may refer to. Returns whether this one has been counted
        before."""
        if reading.response_id is None:
            return False
        if self._request.method == "POST" and reading.pending:
            self._memory.remember_background(reading.response_id, lane, attribution)
        if reading.usage is None or verdict.pending:
            return False
        self._memory.attributor.answered(reading.response_id, attribution.session)
        sighting = Sighting(
            self._request.method, self._request.host, reading.usage.total_tokens, lane.started, at
        )
        return self._memory.counted_before(reading.response_id, sighting)

    def _build(self, ended: Ended) -> Call:
        request, response, route = self._request, self._response, self._route
        lane, reading, attribution = ended.lane, ended.reading, ended.attribution
        warmup = lane.request.warmup
        usage, estimated, reported = _usage(lane, reading)
        asked = lane.request.model or route.model
        return Call(
            **{name: getattr(reading, name) for name in _COPIED},
            timestamp=lane.timestamp,
            started=lane.started,
            ended=ended.at,
            pending=ended.verdict.pending,
            request_id=request.id if self._settled == 1 else f"{request.id}#{self._settled}",
            provider=route.provider.name,
            api=route.format.name,
            host=request.host[:TEXT_CAP],
            path=without_known_keys(request.path[: 2 * TEXT_CAP])[:TEXT_CAP],
            transport=response.transport,
            outcome=ended.verdict.outcome,
            coverage=ended.verdict.coverage,
            streaming=response.transport not in ("json", "binary"),
            # a call that fails may name a key as its model, out of the wrong variable
            request_model=asked
            if reading.error is None or asked is None
            else without_known_keys(asked),
            status=response.status,
            error=self._unechoed(reading.error or ended.broken, lane),
            usage=usage,
            estimated=estimated,
            reported_output_tokens=reported,
            cost_usd=None if warmup else reading.cost_usd,
            cost_source="provider" if reading.cost_usd is not None and not warmup else None,
            cost_approximate=reading.cost_approximate or lane.gap or self._has_gap(reading),
            billing="api"
            if paid_beyond_plan(ended.limits)
            else attribution.billing or self._billing(reading.model or asked),
            request_service_tier=lane.request.service_tier,
            ttft_ms=_milliseconds(lane.started, lane.first_content),
            duration_ms=_milliseconds(lane.started, ended.at),
            request_bytes=lane.request_bytes,
            response_bytes=lane.response_bytes or response.size,
            attribution=attribution._replace(request_class="warmup") if warmup else attribution,
            limits=ended.limits,
        )

    def _limits(self, lane: Lane) -> tuple[LimitReading, ...]:
        """The limits that were reported since the last call, oldest first."""
        found = (*self._response.limits, *lane.limits)
        self._response.limits = ()
        return found[-MAX_LIMITS:]

    def _attribution(self, lane: Lane, reading: Reading, at: float) -> tuple[Attribution, Lane]:
        """Who asked, and the lane with the request. A poll that shows the end of a background
        response belongs to the request that began it."""
        request = self._request
        if request.method == "GET" and reading.response_id is not None:
            behind = (
                self._memory.take_background(reading.response_id) if not reading.pending else None
            )
            if behind is not None:
                asked, attribution = behind
                asked = dataclasses.replace(
                    asked, reading=reading, limits=lane.limits, response_bytes=lane.response_bytes
                )
                return attribution, asked
        return self._memory.attributor.attribute(self._view(lane), now=at), lane

    def _billing(self, model: str | None) -> Billing:
        """How a call is paid where the credential does not say so: a local server that resells a
        vendor's model is not free."""
        billing = self._route.provider.billing
        return "api" if billing == "local" and model and proprietary_vendor(model) else billing

    def _view(self, lane: Lane) -> RequestView:
        request = self._request
        return RequestView(
            provider=self._route.provider.name,
            host=request.host,
            path=request.path,
            headers=request.headers,
            body=lane.body,
            query=request.query,
            peer=request.peer,
        )

    def _unechoed(self, error: ApiError | None, lane: Lane) -> ApiError | None:
        """The error, without the parts of the request that it repeats."""
        if error is None or not error.message:
            return error
        if lane.echo_unknown:
            return dataclasses.replace(error, message=REDACTED)
        credential = read_credential(self._view(lane))
        message = without_echo(error.message, lane.body, credential.secret if credential else "")
        return dataclasses.replace(error, message=message[:ERROR_MESSAGE_CAP])

    @property
    def _shared(self) -> bool:
        """Whether several responses share the body or the socket."""
        return self._response.status == 101 or self._route.format.multiple

    def _has_gap(self, reading: Reading) -> bool:
        """Whether an unreadable message may have held further counts. If several responses share a
        socket or a body, it is unknown to which of them the message belonged."""
        return (
            self._response.faults > 0
            and not self._shared
            and reading.usage is not None
            and reading.cost_usd is None
        )

    def _outcome(self, reading: Reading, ending: Ending, *, gap: bool) -> Outcome:
        if reading.error is not None:
            return "error"
        if not reading.finished:
            if ending != "complete":
                return ending
            if (
                self._route.format.self_terminating
                and not gap
                and self._response.transport in ("sse", "ndjson", "eventstream", "websocket")
                and reading != self._response.base
            ):
                return "upstream_aborted"
        return "incomplete" if reading.stopped_early else "complete"

    def _coverage(self, reading: Reading, outcome: Outcome, *, gap: bool) -> Coverage:
        response = self._response
        if response.failed:
            return "unparsed"
        if reading.usage is not None or reading.cost_usd is not None:
            return "priced" if reading.cost_usd is not None else "unpriced"
        if outcome == "error":
            return "error"
        if reading.cost_approximate:  # there were counts, and not one of them could be read
            return "unparsed"
        if not self._route.format.counts_tokens:
            return "no_usage"
        if gap:
            return "unparsed"
        if outcome in ("client_aborted", "upstream_aborted"):
            return "no_usage"
        if response.faults or (reading == response.base and response.size):
            return "unparsed"
        return "no_usage"


def _is_llm(lane: Lane) -> bool:
    """Whether the bodies say that this was an LLM call, where only the path's end said so."""
    if lane.reading.usage is not None:
        return True
    return (
        lane.body is not None
        and "model" in lane.body
        and not _LLM_REQUEST_KEYS.isdisjoint(lane.body)
    )


def _usage(lane: Lane, reading: Reading) -> tuple[Usage, bool, int | None]:
    """The usage, whether its output is an estimate, and the output tokens that the provider had
    reported by then."""
    usage = reading.usage
    if usage is None:
        return Usage(), False, None
    reported = usage.output_tokens
    unknown = reading.output_provisional or (
        reported is None and lane.first_content is not None and not reading.finished
    )
    if not unknown:
        return usage, False, None
    estimate = -(-lane.delivered // BYTES_PER_TOKEN)
    return (
        usage._replace(output_tokens=max(estimate, reported or 0), reasoning_tokens=None),
        True,
        reported,
    )


def _milliseconds(start: float, end: float | None) -> float | None:
    return None if end is None else round(max(0.0, end - start) * 1000, 1)
