"""Rate limits and plan windows, wherever a provider tells them: response headers, events, error bodies, answers about usage.

One module a dialect: `anthropic`, `codex` (ChatGPT plans), `copilot`, `google`, `ratelimit` (`x-ratelimit-*`, everyone else). Here
stands what they have in common: the tables that say who reads what, and the cap. Whatever a peer sends, nothing raises.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from ..formats.format import mapping
from ..record import LimitReading
from . import anthropic, codex, copilot, google, ratelimit
from .values import reset_time, retry_time

__all__ = [
    "EVENT_NEEDLES",
    "READINGS_CAP",
    "is_quota_path",
    "read_error",
    "read_event",
    "read_headers",
    "read_quota_answer",
    "reset_time",
]

READINGS_CAP = 32
"""Windows believed of one response, as each is kept on the call's record. Anthropic's with every pool of an API key has 8."""

EVENT_NEEDLES = (b'rate_limits"', b'quota_snapshots"', b'"headers"', b'"usage_limit_reached"')
"""A message that holds none of these has nothing for `read_event`. A quote in text is escaped, so text does not hold them."""


@dataclass(frozen=True, slots=True)
class HeaderFamily:
    """Headers that are read together."""

    prefixes: tuple[str, ...]
    """How their names begin."""
    read: Callable[[Mapping[str, str], str, float], Iterable[LimitReading]]
    """`(headers, provider, now)`: picks its own among all the response's headers that speak of limits."""
    suffixes: tuple[str, ...] = ()
    """How further names end, where the beginning is open."""


_HEADER_FAMILIES = (
    HeaderFamily(("anthropic-ratelimit-unified-",), anthropic.read_unified),
    HeaderFamily(("anthropic-ratelimit-", "anthropic-priority-", "anthropic-fast-"), anthropic.read_counted),
    HeaderFamily(("x-codex-",), codex.read_headers, codex.FAMILY_SUFFIXES),
    HeaderFamily(copilot.HEADER_PREFIXES, copilot.read_headers),
    HeaderFamily(("x-ratelimit-", "x-tokenlimit-"), ratelimit.read_headers),
)

_EVENTS: dict[str, Callable[[Mapping[str, Any], float], Iterable[LimitReading]]] = {
    "codex.rate_limits": codex.read_event,
    "error": codex.read_error_event,
    "response.failed": codex.read_error_event,
    "rate_limits.updated": ratelimit.read_event,
    "response.completed": copilot.read_event,
    "response.incomplete": copilot.read_event,
}

_QUOTA_ANSWERS: dict[tuple[str, str], Callable[[Any, float], Iterable[LimitReading]]] = {
    ("api.anthropic.com", "/api/oauth/usage"): anthropic.read_usage_answer,
    ("chatgpt.com", "/backend-api/wham/usage"): codex.read_usage_answer,
    ("chatgpt.com", "/api/codex/usage"): codex.read_usage_answer,
    ("api.github.com", "/copilot_internal/user"): copilot.read_usage_answer,
    ("cloudcode-pa.googleapis.com", "/v1internal:retrieveUserQuota"): google.read_quota_answer,
    ("openrouter.ai", "/api/v1/key"): ratelimit.read_key_answer,
}


@functools.lru_cache(maxsize=1024)
def _families_of(name: str) -> tuple[int, ...]:
    """Which families a header belongs to. Providers have a few dozen names; hostile ones only push them out for a while."""
    return tuple(
        at
        for at, family in enumerate(_HEADER_FAMILIES)
        if name.startswith(family.prefixes) or (family.suffixes and name.endswith(family.suffixes))
    )


def read_headers(headers: Mapping[str, str], *, provider: str, now: float, status: int | None = None) -> tuple[LimitReading, ...]:
    """The windows in a response's headers, names in lower case. With its status, a bare `retry-after` of a 429 is one too."""
    readings: tuple[LimitReading, ...] = ()
    by_family: dict[int, dict[str, str]] = {}
    for name, value in headers.items():
        for family in _families_of(name):
            by_family.setdefault(family, {})[name] = value
    if by_family:  # most responses have none
        found = (_HEADER_FAMILIES[family].read(by_family[family], provider, now) for family in sorted(by_family))
        readings = _capped(chain.from_iterable(found))
    if status == 429 and not readings and (retry_at := retry_time(headers, now=now)) is not None:
        return (LimitReading(key="retry_after", source="provider_api_rate_limit", resets_at=retry_at, status="rejected"),)
    return readings


def read_event(message: Any, *, now: float) -> tuple[LimitReading, ...]:
    """The windows in one parsed event of a stream or socket."""
    message = mapping(message)
    kind = message.get("type")
    read = _EVENTS.get(kind) if isinstance(kind, str) else None
    return _capped(read(message, now)) if read else ()


def read_error(body: Any, *, provider: str, status: int, now: float) -> tuple[LimitReading, ...]:
    """The windows in the parsed body of a refusal, by its shape; Google wraps it in a list of one."""
    body = mapping(body[0] if isinstance(body, list) and body else body)
    refused = 429 in (status, mapping(body.get("error")).get("code"))
    return _capped(
        chain(
            codex.read_error(body, now),
            ratelimit.read_error(body, provider, now),
            google.read_error(body, now) if refused else (),
        )
    )


def is_quota_path(host: str, path: str) -> bool:
    """Whether this endpoint answers questions about a plan's windows; the path may have a query."""
    return (host, path.partition("?")[0]) in _QUOTA_ANSWERS


def read_quota_answer(host: str, path: str, body: Any, *, now: float) -> tuple[LimitReading, ...] | None:
    """The windows in such an endpoint's parsed answer; None where it is not such an endpoint."""
    read = _QUOTA_ANSWERS.get((host, path.partition("?")[0]))
    return _capped(read(body, now)) if read else None


def _capped(readings: Iterable[LimitReading]) -> tuple[LimitReading, ...]:
    return tuple(islice(readings, READINGS_CAP))
