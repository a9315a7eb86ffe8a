"""The values that modules hand to each other.

`wire/` and `formats/` produce a `Reading` (what one response said), the exchange settles it into a
`Call`, and a `Call` is one line of the journal (`schema.py`), under the field names below. The
string beneath a field is what docs/record.md says about it. Unknown is `None`, never 0.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal, NamedTuple

Outcome = Literal["complete", "incomplete", "client_aborted", "upstream_aborted", "error"]
Coverage = Literal["priced", "unpriced", "no_usage", "error", "unparsed", "duplicate"]
Billing = Literal["api", "subscription", "local"]
Transport = Literal[
    "sse", "json", "ndjson", "json_array", "eventstream", "websocket", "grpc", "binary"
]

ERROR_MESSAGE_CAP = 200
"""Characters of an error message that are kept: enough to recognise it, too few to carry a
prompt."""

TEXT_CAP = 256
"""Characters of any other text off the wire (model, ids, agent names): the longest real ones are
ARNs of about 150."""

COUNT_CAP = 2**53 - 1
"""The largest count believed. Beyond it JSON readers lose exactness, and no response is that
long."""

CLOCK_RANGE = 62_135_596_800
"""Seconds from the year 1, where calendars begin, to 1970. A time no further from 1970 than that
can be shown, and so can a time of today after or before a duration no longer than that."""


class WireError(ValueError):
    """The peer sent what its format does not allow. Decoders and formats raise nothing else."""


class Usage(NamedTuple):
    """Token counts of one response, in disjoint buckets (input, cache read, cache write, output)
    and their subsets.

    This and the values below that every call makes are named tuples, not dataclasses: a third of
    the cost, a dozen times a call.
    """

    input_tokens: int | None = None
    """Input neither served from nor written to a cache."""
    cache_read_tokens: int | None = None
    """Input served from a cache."""
    cache_write_tokens: int | None = None
    """Input written to a cache, whatever its time to live."""
    cache_write_30m_tokens: int | None = None
    """Subset of `cache_write_tokens` kept for 30 minutes (OpenAI)."""
    cache_write_1h_tokens: int | None = None
    """Subset of `cache_write_tokens` kept for 1 hour (Anthropic)."""
    cache_write_12h_tokens: int | None = None
    """Subset of `cache_write_tokens` kept for 12 hours (OpenAI)."""
    output_tokens: int | None = None
    """All output, with reasoning, audio and images."""
    reasoning_tokens: int | None = None
    """Subset of `output_tokens` that is reasoning."""
    input_audio_tokens: int | None = None
    """Subset of the three input buckets together that is audio."""
    cache_read_audio_tokens: int | None = None
    """Subset of `cache_read_tokens` that is audio; it is in `input_audio_tokens` too."""
    output_audio_tokens: int | None = None
    """Subset of `output_tokens` that is audio."""
    input_image_tokens: int | None = None
    """Subset of the three input buckets together that is images."""
    output_image_tokens: int | None = None
    """Subset of `output_tokens` that is images."""
    server_tools: Mapping[str, int] | None = None
    """Calls of tools that the provider ran and bills by the call, e.g. `{"web_search": 2}`."""

    @property
    def total_tokens(self) -> int | None:
        """The sum of those of the four disjoint buckets that are known; unknown where none is."""
        buckets = (
            self.input_tokens,
            self.cache_read_tokens,
            self.cache_write_tokens,
            self.output_tokens,
        )
        return sum(filter(None, buckets)) if buckets.count(None) < len(buckets) else None

    @property
    def context_tokens(self) -> int | None:
        """All input, cached or not: the sum of what is known of it; unknown where nothing is."""
        buckets = (self.input_tokens, self.cache_read_tokens, self.cache_write_tokens)
        return sum(filter(None, buckets)) if buckets.count(None) < len(buckets) else None

    def __bool__(self) -> bool:
        """Whether anything at all is known."""
        return self.count(None) < len(self)

    def __add__(self, other: Usage) -> Usage:  # type: ignore[override]  # counts add up, tuples would be joined
        """Add the usage of two different responses, or of two parts of one; unknown plus unknown
        stays unknown."""
        return Usage._make(map(_add, self, other))

    def updated(self, newer: Usage) -> Usage:
        """This usage with a later report of the *same* response folded in: counts are cumulative,
        so the last known value wins."""
        return (
            Usage._make(old if new is None else new for old, new in zip(self, newer, strict=True))
            if self
            else newer
        )


USAGE_FIELDS = Usage._fields
TOKEN_FIELDS = tuple(name for name in USAGE_FIELDS if name.endswith("_tokens"))


def _add(left: Any, right: Any) -> Any:
    if left is None or right is None:
        return right if left is None else left
    if isinstance(left, Mapping):
        return {key: left.get(key, 0) + right.get(key, 0) for key in {**left, **right}}
    return left + right


@dataclass(frozen=True, slots=True)
class Part:
    """A share of one call that was billed as another model or kind than the rest."""

    kind: str
    """`message`, `compaction`, `advisor`, `fallback`, `image_generation`, `transcription`..."""
    model: str | None
    """Model that was billed, as on the wire."""
    usage: Usage
    """Its share of the tokens."""
    cost_usd: float | None = None
    """Its share of the cost."""


@dataclass(frozen=True, slots=True)
class ApiError:
    """What the provider said went wrong."""

    type: str
    """The provider's name for the error, else `http_529`, `connection`..."""
    message: str = ""
    """The first 200 characters of its message, without anything that they repeat of the request."""


IN_USE = "in_use"
"""Status of credit beyond a plan if it paid for the call that reported it."""


class LimitReading(NamedTuple):
    """One limit window as one response reported it."""

    key: str
    """`5h`, `7d`, `7d_sonnet`, `requests`, `tokens`, `input_tokens`, `requests_day`,
    `overage`..."""
    source: Literal["provider_native", "provider_api_rate_limit"]
    """`provider_native`: a plan's window, as its provider counts it. `provider_api_rate_limit`:
    classic rate-limit headers."""
    utilization: float | None = None
    """Percent used, 0 and up; may exceed 100."""
    limit: float | None = None
    """The window's size, in the unit of `key`."""
    remaining: float | None = None
    """What is left of `limit`."""
    resets_at: float | None = None
    """When the window resets, in epoch seconds."""
    window_seconds: float | None = None
    """Length of the window, if the provider or the key states it."""
    status: str | None = None
    """As on the wire: `allowed`, `allowed_warning`, `rejected`...; or `in_use`: credit beyond the
    plan paid for this call."""
    name: str | None = None
    """The provider's further name for this window, e.g. the model it is for."""
    representative: bool = False
    """The provider named this window as the one that binds first."""


class Reading(NamedTuple):
    """What has been read of one response so far. Formats fold messages into it; the latest value
    wins."""

    response_id: str | None = None
    model: str | None = None
    """Model that served, as on the wire."""
    usage: Usage | None = None
    """Token counts; None until the response has reported any."""
    parts: tuple[Part, ...] = ()
    """Only where more than one model or kind was billed; `usage` is then their sum."""
    stop_reason: str | None = None
    stopped_early: bool = False
    """The model stopped before it was done: length, filter, steering."""
    finished: bool = False
    """The response has ended (a terminal event, a stop reason, a whole body): if the connection
    closes now, that is not an abort."""
    pending: bool = False
    """The response is queued or in progress elsewhere (OpenAI background mode): no call yet."""
    error: ApiError | None = None
    service_tier: str | None = None
    speed: str | None = None
    inference_geo: str | None = None
    cache_miss_reason: str | None = None
    """Why the beginning of the prompt could not be read from the cache, as the provider says if the
    client asked for it."""
    cache_missed_tokens: int | None = None
    """How much of it, by the provider's estimate: it is not what was billed."""
    cost_usd: float | None = None
    """A cost the response itself states, in USD."""
    cost_approximate: bool = False
    """The counts contradict the format's arithmetic and were clamped, or the stated cost leaves
    something out."""
    output_provisional: bool = False
    """`usage.output_tokens` is a placeholder that the stream has not replaced yet (Anthropic's
    `message_start`)."""
    counting_only: bool = False
    """A count-tokens answer or the like: not usage, no call."""


class Attribution(NamedTuple):
    """Who asked: read from the request's headers and body."""

    client: str | None = None
    """`claude-code`, `codex`, `gemini-cli`, `openai-python`..., from the User-Agent and other
    headers."""
    client_version: str | None = None
    """The client's version, as it states it."""
    session: str | None = None
    """The conversation's id: the client's, or one derived from what `session_source` says."""
    session_source: str | None = None
    """How the session was identified, the most trustworthy first: `header` (set on purpose),
    `client_header`, `body`, `previous_response`, `prefix` (it continues a conversation that was
    seen), `connection` (same client, less than half an hour later)."""
    agent: str | None = None
    """Id of the agent within the session; the main agent has none."""
    parent_agent: str | None = None
    """Id of the agent that started it, if that is not the main one."""
    agent_type: str | None = None
    """The agent's kind or name, as the client states it."""
    request_class: str | None = None
    """What the request was for: `main`, `subagent`, `workflow`, `compaction`, `auxiliary` (a
    title), `probe`, `warmup`."""
    project: str | None = None
    """Working directory or repository: as the client states it, else that of the run or of the
    client's process."""
    account: str | None = None
    """Keyed hash of the account's id or of the credential, 12 hex digits; the key stays in
    `usage_dir`."""
    retry: int | None = None
    """Retries before this request, as the client counts them."""
    run: str | None = None
    """Name of the `llmtally run` that started the client."""
    billing: Billing | None = None
    """Known only from the credential or the host (a subscription token); None leaves it to the
    provider's row."""


class Cost(NamedTuple):
    """What a call cost, and where that figure comes from."""

    cost_usd: float | None = None
    """In USD, never rounded; None: unpriced."""
    source: Literal["provider", "override", "overlay", "prices", "local"] | None = None
    """Which source gave the price; None: unpriced."""
    approximate: bool = False
    """The price rule or the counts are known to be inexact."""
    list_cost_usd: float | None = None
    """The cost by the price lists, if the provider stated one itself."""
    parts: tuple[float | None, ...] = ()
    """Cost of each part, in the order of the call's parts."""
    rates: Mapping[str, float] | None = None
    """USD per million tokens (per thousand calls for server tools) that were applied, by bucket.
    Not journaled."""


NO_USAGE = Usage()
NOBODY = Attribution()


class Call(NamedTuple):
    """One model response and what was spent on it: one line of the journal, which has its times as
    RFC 3339 instead of epoch seconds."""

    timestamp: float
    """When the client began its request."""
    request_id: str
    """mitmproxy's id of the flow; `#2`, `#3`... after it for further calls of one flow."""
    provider: str
    """A row of docs/providers.md; `unknown` for another host, found by its path."""
    api: str
    """The wire format: `anthropic_messages`, `openai_responses`..."""
    host: str
    """The host that the request went to."""
    path: str
    """The request's path, without its query."""
    transport: Transport
    """How the response was framed on the wire."""
    outcome: Outcome
    """How it ended; `incomplete`: the model stopped before it was done."""
    coverage: Coverage
    """How well it was counted; `no_usage`: it reported no tokens, `unparsed`: it could not be read.
    `duplicate` is not journaled."""
    started: float
    """When the request had been sent: `ttft_ms` and `duration_ms` count from here."""
    ended: float
    """When the response ended: the journal's day."""
    streaming: bool = False
    """Whether the response came in pieces as it was made."""
    response_id: str | None = None
    """The provider's id of the response."""
    model: str | None = None
    """Model that served, as on the wire."""
    request_model: str | None = None
    """Model that was asked for, as on the wire."""
    status: int | None = None
    """HTTP status of the response; 101 on a WebSocket."""
    stop_reason: str | None = None
    """As on the wire: `end_turn`, `stop`, `max_tokens`..."""
    error: ApiError | None = None
    """What the provider said went wrong."""
    estimated: bool = False
    """`output_tokens` is an estimate, made from the part of a cut-off stream that was delivered."""
    reported_output_tokens: int | None = None
    """The output tokens that the provider had reported by then, if `output_tokens` is an
    estimate."""
    cost_usd: float | None = None
    """What the call cost; null: unknown."""
    cost_source: str | None = None
    """`provider` (the response states it), `override` (a price file of yours), `overlay` (our dated
    corrections), `prices` (genai-prices), `local` (a server of yours: 0); null: unpriced."""
    cost_approximate: bool = False
    """The price rule or the counts are known to be inexact."""
    list_cost_usd: float | None = None
    """The cost by the price lists, if the response states one itself."""
    billing: Billing = "api"
    """Who pays: with `subscription` the cost is what the API would have charged, not a bill."""
    service_tier: str | None = None
    """Tier that served, as on the wire."""
    request_service_tier: str | None = None
    """Tier that was asked for, as on the wire."""
    speed: str | None = None
    """As on the wire: `fast`, `standard`."""
    inference_geo: str | None = None
    """Region that served, as on the wire."""
    cache_miss_reason: str | None = None
    """The provider's word for why the cache was missed: `tools_changed`, `model_changed`,
    `previous_message_not_found`..."""
    cache_missed_tokens: int | None = None
    """The provider's estimate of the input tokens that the cache would have held: an order of
    magnitude, not what was billed."""
    ttft_ms: float | None = None
    """Milliseconds to the first content."""
    duration_ms: float | None = None
    """Milliseconds to the response's end."""
    request_bytes: int | None = None
    """Of the request's body, as on the wire."""
    response_bytes: int | None = None
    """Of the response's body, as on the wire."""
    pending: bool = False
    """A background response that is still being made: not yet a call, and not journaled."""
    usage: Usage = NO_USAGE
    attribution: Attribution = NOBODY
    parts: tuple[Part, ...] = ()
    """Only where more than one model or kind was billed (compaction, an advisor, an image tool);
    the call is their sum."""
    limits: tuple[LimitReading, ...] = ()
    """Limit windows that the response reported."""

    def priced(self, cost: Cost) -> Call:
        """This call with its cost, its parts' costs and the coverage that follows."""
        parts = self.parts
        if cost.parts:
            parts = tuple(
                dataclasses.replace(part, cost_usd=usd)
                for part, usd in zip(parts, cost.parts, strict=True)
            )
        coverage = self.coverage
        if coverage in ("priced", "unpriced"):
            coverage = "unpriced" if cost.source is None else "priced"
        return self._replace(
            parts=parts,
            coverage=coverage,
            cost_usd=cost.cost_usd,
            cost_source=cost.source,
            cost_approximate=self.cost_approximate or cost.approximate,
            list_cost_usd=cost.list_cost_usd,
        )


class QuotaAnswer(NamedTuple):
    """The limits that a quota endpoint reported: no call, and kept in the journal because only this
    answer said them."""

    timestamp: float
    """When the answer came."""
    provider: str
    """The provider whose quota it is: a row of docs/providers.md."""
    account: str | None = None
    """As in a call."""
    limits: tuple[LimitReading, ...] = ()
    """As in a call."""


@dataclass(frozen=True, slots=True)
class NotCounted:
    """Responses or records that are no calls in the journal: how many, and why."""

    kind: str
    """`bypassed`: connections that could not be opened, as the client does not trust the proxy.
    `unparsed`: responses that could not be read because of a bug, or for lack of time. `lost`:
    calls whose record could not be written."""
    timestamp: float
    """When the last of them happened."""
    count: int
    """How many there were since the line before."""
    host: str | None = None
    """The host that they were for, if it is known."""
    reason: str | None = None
    """Why, in a few words."""


def milliseconds(seconds: float) -> int:
    """A time in whole milliseconds, as the journal has it: rounded to microseconds, then cut
    off."""
    return round(seconds * 1e6) // 1000


def rfc3339(seconds: float) -> str:
    """Epoch seconds as RFC 3339 UTC with milliseconds. Raises ValueError or OverflowError."""
    minute, rest = divmod(milliseconds(seconds), 60_000)
    return f"{_to_the_minute(minute)}:{rest / 1000:06.3f}Z"


@lru_cache(maxsize=64)  # the times of a record, and of those written before it, lie close together
def _to_the_minute(minute: int) -> str:
    return datetime.fromtimestamp(minute * 60, UTC).isoformat()[: len("2026-11-20T12:00")]


def epoch(text: str) -> float:
    """Read back what `rfc3339` wrote. Raises ValueError."""
    return datetime.fromisoformat(text).timestamp()
