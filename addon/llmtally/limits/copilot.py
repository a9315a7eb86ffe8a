"""Quotas of GitHub Copilot plans. https://docs.github.com/en/copilot/concepts/billing

Headers hold query strings: `x-quota-snapshot-chat:
ent=4000&rem=95.7&rst=2026-07-01T00%3A00%3A00Z&totRem=3830.1`, where `rem` is the *percentage* left;
`x-usage-ratelimit-{session,weekly}` likewise. Responses end with `copilot_quota_snapshots`, and
`GET /copilot_internal/user` has `quota_snapshots`, both as objects. They are the account's, and lag
behind the request.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

from ..formats.format import mapping, number
from ..record import TEXT_CAP, LimitReading
from .values import WEEK, percent, reset_value, signed, truth, word

_HEADER = re.compile(r"x-(?:quota-snapshot|usage-ratelimit)-(.+)")
_HEADER_FIELDS = {
    "ent": "entitlement",
    "rem": "percent_remaining",
    "totRem": "remaining",
    "rst": "reset_date",
}
_WINDOW_SECONDS = {"weekly": WEEK}


def place(name: str) -> tuple[str, str] | None:
    """The quota that a header is for; each header holds a whole quota."""
    found = _HEADER.fullmatch(name)
    return (found[1], "snapshot") if found else None


def read_headers(
    windows: Mapping[str, Mapping[str, str]], _provider: str, now: float
) -> Iterator[LimitReading]:
    """Read the quotas, each of which is a query string."""
    for quota, fields in windows.items():
        yield from _read_snapshot(quota, _fields(fields["snapshot"][:TEXT_CAP]), now)


@functools.lru_cache(maxsize=64)
def _fields(snapshot: str) -> dict[str, str]:
    """The fields of one query string; remembered, as it often stays the same for several
    answers."""
    return {_HEADER_FIELDS.get(field, field): text for field, text in parse_qsl(snapshot)}


def read_event(event: Mapping[str, Any], now: float) -> Iterator[LimitReading]:
    """Read the quotas in a response's last event, which stand beside `response` or within it."""
    yield from _read_snapshots(event.get("copilot_quota_snapshots"), now)
    yield from _read_snapshots(mapping(event.get("response")).get("copilot_quota_snapshots"), now)


def read_usage_answer(body: Any, now: float) -> Iterator[LimitReading]:
    """Read an answer of `GET /copilot_internal/user`, which has one reset date, a bare day, for all
    its quotas."""
    body = mapping(body)
    day = body.get("quota_reset_date")
    yield from _read_snapshots(
        body.get("quota_snapshots"),
        now,
        f"{day}T00:00:00Z" if isinstance(day, str) and "T" not in day else day,
    )


def _read_snapshots(snapshots: Any, now: float, reset: Any = None) -> Iterator[LimitReading]:
    for quota, snapshot in mapping(snapshots).items():
        yield from _read_snapshot(quota, mapping(snapshot), now, reset)


def _read_snapshot(
    quota: str, snapshot: Mapping[str, Any], now: float, reset: Any = None
) -> Iterator[LimitReading]:
    """Read one quota. An entitlement of -1 means unlimited, one of 0 stands for no data: neither is
    a window."""
    key, entitlement = word(quota), number(snapshot.get("entitlement"))
    if key is None or not entitlement or truth(snapshot.get("unlimited")):
        return
    remaining = number(snapshot.get("remaining"))
    left = signed(snapshot.get("percent_remaining"))
    if left is None and remaining is not None:
        left = 100 * remaining / entitlement
    yield LimitReading(
        key=key,
        source="provider_native",
        utilization=None if left is None else percent(1 - left / 100),
        limit=entitlement,
        remaining=remaining,
        resets_at=reset_value(snapshot.get("reset_date") or reset, now=now),
        window_seconds=_WINDOW_SECONDS.get(key),
    )
