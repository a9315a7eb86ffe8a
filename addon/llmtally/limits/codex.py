"""Limits of ChatGPT plans as Codex sees them. https://github.com/openai/codex
(codex-api/src/rate_limits.rs)

On HTTP answers: `x-codex-{primary,secondary}-{used-percent,window-minutes,reset-at}`, and further
families `x-codex-bengalfox-primary-...`. On a WebSocket the same as an event, `{"type":
"codex.rate_limits", "rate_limits": {"primary": {"used_percent", "window_minutes", "reset_at"}}}`,
or as headers inside an error frame. `GET /backend-api/wham/usage` counts seconds:
`primary_window.limit_window_seconds`. A window is known by its length: either slot may hold the
weekly one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..formats.format import items, mapping, number
from ..record import LimitReading
from .values import HOUR, MINUTE, WEEK, label, reset_number, truth, window_label, word

_MAIN_FAMILY = "codex"
_SLOTS = ("primary", "secondary")
_SLOT_FIELD = re.compile(
    r"x-(.+)-(primary|secondary)-(used-percent|window-minutes|reset-at|reset-after-seconds)"
)
_FAMILY_NAME = re.compile(r"x-(.+)-(limit-name)")
_ACCOUNT_FIELD = re.compile(
    r"x-codex-(credits)-(has-credits|unlimited|balance)|x-codex-(rate-limit-reached)-(type)"
)
_PLAN_WINDOWS = (5 * HOUR, WEEK)
# 299 and 10079 minutes have been sent for 5 hours and 7 days; Codex itself allows for 3 minutes
_WINDOW_SLACK = 3 * MINUTE


def place(name: str) -> tuple[str, str] | None:
    """The window and field that a header is for, e.g. `("codex primary", "used_percent")`, or the
    family and field: `("codex", "limit_name")`."""
    if found := _SLOT_FIELD.fullmatch(name):
        return f"{found[1]} {found[2]}", found[3].replace("-", "_")
    if found := _FAMILY_NAME.fullmatch(name) or _ACCOUNT_FIELD.fullmatch(name):
        window, field = filter(None, found.groups())
        return window, field.replace("-", "_")
    return None


def read_headers(
    windows: Mapping[str, Mapping[str, str]], _provider: str, now: float
) -> Iterator[LimitReading]:
    """Read the windows of every family in the headers, and the credits bought beside the plan."""
    blocked = True if windows.get("rate-limit-reached", {}).get("type") else None
    for window, fields in windows.items():
        family, _, slot = window.partition(" ")
        if slot:
            yield from _read_window(
                slot, fields, now, family, windows.get(family, {}).get("limit_name"), blocked
            )
    yield from _read_credits(windows.get("credits", {}))


def read_event(event: Mapping[str, Any], now: float) -> Iterator[LimitReading]:
    """Read the windows in an event `codex.rate_limits`."""
    yield from _read_family(
        event.get("rate_limits"), now, event.get("metered_limit_name"), event.get("limit_name")
    )
    yield from _read_additional(event.get("additional_rate_limits"), now)
    yield from _read_credits(mapping(event.get("credits")))


def read_error(body: Mapping[str, Any], now: float) -> Iterator[LimitReading]:
    """Read the error `usage_limit_reached`, which says when it ends but not which window is
    full."""
    error = mapping(body.get("error"))
    if "usage_limit_reached" not in (error.get("type"), error.get("code")):
        return
    yield LimitReading(
        key="usage_limit",
        source="provider_native",
        utilization=100.0,
        resets_at=_reset(error.get("resets_at"), error.get("resets_in_seconds"), now),
        status="rejected",
        name=label(error.get("plan_type")),
    )


def read_usage_answer(body: Any, now: float) -> Iterator[LimitReading]:
    """Read an answer of `GET /backend-api/wham/usage`."""
    body = mapping(body)
    yield from _read_family(body.get("rate_limit"), now)
    yield from _read_additional(body.get("additional_rate_limits"), now)
    yield from _read_credits(mapping(body.get("credits")))
    yield from _read_spend(mapping(body.get("spend_control")), now)


def _read_additional(families: Any, now: float) -> Iterator[LimitReading]:
    """Read further families: an object by name in the event, a list in the usage answer."""
    for family, entry in mapping(families).items():
        entry = mapping(entry)
        yield from _read_family(
            entry.get("rate_limit") or entry, now, family, entry.get("limit_name")
        )
    for entry in items(families):
        entry = mapping(entry)
        name = entry.get("limit_name")
        yield from _read_family(
            entry.get("rate_limit"), now, entry.get("metered_feature") or name, name
        )


def _read_family(
    family: Any, now: float, family_id: Any = None, name: Any = None
) -> Iterator[LimitReading]:
    family = mapping(family)
    blocked = None
    if family.get("limit_reached") is True or family.get("allowed") is False:
        blocked = True
    elif family.get("allowed") is True:
        blocked = False
    for slot in _SLOTS:
        window = mapping(family.get(slot) or family.get(f"{slot}_window"))
        yield from _read_window(slot, window, now, family_id, name, blocked)


def _read_window(
    slot: str,
    window: Mapping[str, Any],
    now: float,
    family_id: Any,
    name: Any,
    blocked: bool | None,
) -> Iterator[LimitReading]:
    used = number(window.get("used_percent"))
    seconds = _window_seconds(window)
    resets_at = _reset(
        window.get("reset_at"),
        window.get("reset_after_seconds") or window.get("resets_in_seconds"),
        now,
    )
    if used is None or not (used or seconds or resets_at):  # an empty slot is sent as zeros
        return
    yield LimitReading(
        key=_key(window_label(seconds) if seconds else slot, family_id),
        source="provider_native",
        utilization=used,
        resets_at=resets_at,
        window_seconds=seconds,
        status=_status(used, blocked),
        name=label(name),
    )


def _window_seconds(window: Mapping[str, Any]) -> float | None:
    minutes, seconds = (
        number(window.get("window_minutes")),
        number(window.get("limit_window_seconds")),
    )
    if minutes is not None:
        seconds = minutes * MINUTE
    if not seconds:
        return None
    return next(
        (known for known in _PLAN_WINDOWS if abs(known - seconds) <= _WINDOW_SLACK), seconds
    )


def _key(window: str, family_id: Any) -> str:
    """`5h` for the plan itself, `5h_bengalfox` for the family that headers call `codex-bengalfox`
    and events `codex_bengalfox`."""
    family = (word(family_id) or _MAIN_FAMILY).replace("-", "_")
    return (
        window
        if family == _MAIN_FAMILY
        else word(f"{window}_{family.removeprefix('codex_')}") or window
    )


def _status(used: float, blocked: bool | None) -> str | None:
    """A window's status. The wire says that a family is closed, not which of its windows: it is
    closed because of the full ones."""
    if blocked:
        return "rejected" if used >= 100 else None
    return None if blocked is None else "allowed"


def _reset(at: Any, after: Any, now: float) -> float | None:
    """When a window resets. Zeros and empty strings mean absent; the absolute time is preferred,
    because a relative one ages in transit."""
    return reset_number(number(at) or number(after) or None, now=now)


def _read_credits(credit: Mapping[str, Any]) -> Iterator[LimitReading]:
    if not truth(credit.get("has_credits")):
        return
    unlimited = truth(credit.get("unlimited"))
    yield LimitReading(
        key="credits",
        source="provider_native",
        remaining=None if unlimited else number(credit.get("balance")),
        status="unlimited" if unlimited else None,
    )


def _read_spend(control: Mapping[str, Any], now: float) -> Iterator[LimitReading]:
    """Read what a workspace lets one member spend, in credits; numbers may come as text."""
    own = mapping(control.get("individual_limit"))
    used, left = number(own.get("used_percent")), number(own.get("remaining_percent"))
    if used is None and left is not None:
        used = max(0.0, 100 - left)
    if used is None:
        return
    yield LimitReading(
        key="spend",
        source="provider_native",
        utilization=used,
        limit=number(own.get("limit")),
        remaining=number(own.get("remaining")),
        resets_at=_reset(own.get("reset_at"), own.get("reset_after_seconds"), now),
        status="rejected" if control.get("reached") is True else None,
        name=label(own.get("source")),
    )
