"""Rate limits and plan windows, wherever a provider reports them: response headers, events, error
bodies, answers about usage.

There is a module for each dialect: `anthropic`, `codex` (ChatGPT plans), `copilot`, `google`,
`ratelimit` (`x-ratelimit-*`, everyone else). This file has what they share: which module reads
which event, and the cap. `headers` finds their headers among a response's, `quota_endpoints` reads
answers about usage. Whatever a peer sends, nothing raises."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import chain, islice
from typing import Any

from ..formats.format import mapping
from ..record import IN_USE, LimitReading
from . import codex, copilot, google, ratelimit
from .headers import read_families
from .values import believed, inlined_headers, retry_time

__all__ = [
    "EVENT_NEEDLES",
    "READINGS_CAP",
    "capped",
    "paid_beyond_plan",
    "read_error",
    "read_event",
    "read_headers",
]

READINGS_CAP = 32
"""Windows kept of one response: each is stored on the call's record. Anthropic with every pool of
an API key has 8."""

EVENT_NEEDLES = (b'rate_limits"', b'quota_snapshots"', b'"headers"', b'"usage_limit_reached"')
"""A message that holds none of these has nothing for `read_event`. A quote in text is escaped, so
text does not hold them."""


def _read_error_event(event: Mapping[str, Any], now: float) -> Iterable[LimitReading]:
    """An error frame, which brings the headers that an HTTP error would have had; or
    `response.failed`."""
    headers = inlined_headers(event.get("headers"))
    return chain(
        read_families(headers, "", now),
        codex.read_error(event, now),
        codex.read_error(mapping(event.get("response")), now),
    )


_EVENTS: dict[str, Callable[[Mapping[str, Any], float], Iterable[LimitReading]]] = {
    "codex.rate_limits": codex.read_event,
    "error": _read_error_event,
    "response.failed": _read_error_event,
    "rate_limits.updated": ratelimit.read_event,
    "response.completed": copilot.read_event,
    "response.incomplete": copilot.read_event,
}


def read_headers(
    headers: Mapping[str, str], *, provider: str, now: float, status: int | None = None
) -> tuple[LimitReading, ...]:
    """The windows in a response's headers, whose names are in lower case. Where the status is 429,
    a bare `retry-after` is one, too."""
    readings = capped(read_families(headers, provider, now))
    if status == 429 and not readings and (retry_at := retry_time(headers, now=now)) is not None:
        reading = LimitReading(
            key="retry_after",
            source="provider_api_rate_limit",
            resets_at=retry_at,
            status="rejected",
        )
        return capped([reading])
    return readings


def read_event(message: Any, *, now: float) -> tuple[LimitReading, ...]:
    """The windows in one parsed event of a stream or socket."""
    message = mapping(message)
    kind = message.get("type")
    read = _EVENTS.get(kind) if isinstance(kind, str) else None
    return capped(read(message, now)) if read else ()


def read_error(body: Any, *, provider: str, status: int, now: float) -> tuple[LimitReading, ...]:
    """The windows in the parsed body of a refusal, found by its shape; Google puts it into a list
    of one."""
    body = mapping(body[0] if isinstance(body, list) and body else body)
    refused = 429 in (status, mapping(body.get("error")).get("code"))
    return capped(
        chain(
            codex.read_error(body, now),
            _read_repeated_headers(body, provider, now),
            google.read_error(body, now) if refused else (),
        )
    )


def _read_repeated_headers(
    body: Mapping[str, Any], provider: str, now: float
) -> Iterable[LimitReading]:
    """Read the headers that OpenRouter repeats in the body of a refusal, in
    `error.metadata.headers`."""
    metadata = mapping(mapping(body.get("error")).get("metadata"))
    return read_families(inlined_headers(metadata.get("headers")), provider, now)


def paid_beyond_plan(readings: Iterable[LimitReading]) -> bool:
    """Whether the call that reported these windows was paid for with credit beyond its plan."""
    return any(reading.key == "overage" and reading.status == IN_USE for reading in readings)


def capped(readings: Iterable[LimitReading]) -> tuple[LimitReading, ...]:
    """The first `READINGS_CAP` readings, with what can be believed of their numbers. All that is
    read of limits passes here."""
    return tuple(map(believed, islice(readings, READINGS_CAP)))
