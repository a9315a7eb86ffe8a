"""Finds out which response headers hold which field of which window.

A server sends the same header names with every response. Which of them matter, and what they mean,
is found out once for each set of names, so that only the values are read for each response.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from ..record import LimitReading
from . import anthropic, codex, copilot, ratelimit

LAYOUTS_CAP = 64
"""Sets of header names remembered: providers have one or two each. Hostile ones can push them out
for a while, and then hold a few megabytes."""

Windows = Mapping[str, Mapping[str, str]]
"""Values by window and field: `{"5h": {"utilization": "0.01"}}`."""


@dataclass(frozen=True, slots=True)
class HeaderFamily:
    """One dialect's headers, which are read together."""

    place: Callable[[str], tuple[str, str] | None]
    """The window and the field that a header is for, by its name; None where it is not of this
    family."""
    read: Callable[[Windows, str, float], Iterable[LimitReading]]
    """Reads the values of its headers: `(windows, provider, now)`."""


_FAMILIES = (
    HeaderFamily(anthropic.place_unified, anthropic.read_unified),
    HeaderFamily(anthropic.place_counted, anthropic.read_counted),
    HeaderFamily(codex.place, codex.read_headers),
    HeaderFamily(copilot.place, copilot.read_headers),
    HeaderFamily(ratelimit.place, ratelimit.read_headers),
)
"""A header belongs to the first family that has a place for it."""

_Layout = tuple[tuple[HeaderFamily, tuple[tuple[str, tuple[tuple[str, str], ...]], ...]], ...]
"""For each family its windows, and for each window its fields and the headers that hold them."""


def read_families(headers: Mapping[str, str], provider: str, now: float) -> Iterator[LimitReading]:
    """Read the windows in headers, whose names are in lower case, family by family."""
    for family, windows in _layout(tuple(headers)):
        values = {
            window: {field: headers[name] for field, name in fields} for window, fields in windows
        }
        yield from family.read(values, provider, now)


@functools.lru_cache(maxsize=LAYOUTS_CAP)
def _layout(names: tuple[str, ...]) -> _Layout:
    found: dict[HeaderFamily, dict[str, dict[str, str]]] = {family: {} for family in _FAMILIES}
    for name in names:
        for family in _FAMILIES:
            if (place := family.place(name)) is not None:
                found[family].setdefault(place[0], {})[place[1]] = name
                break
    return tuple(
        (family, tuple((window, tuple(fields.items())) for window, fields in windows.items()))
        for family, windows in found.items()
        if windows
    )
