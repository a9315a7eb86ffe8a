"""Finds out why nothing is counted: one module a place to look at, `examine` looks at all."""

from __future__ import annotations

from collections.abc import Iterator

from . import authority, counted, journal, programs, proxies, surroundings
from . import probe as live
from .finding import Finding, Setting

__all__ = ["Finding", "Setting", "examine"]


def examine(setting: Setting, *, probe: bool = True) -> Iterator[Finding]:
    """All findings, what others build on first. Nothing raises; the probe takes some seconds."""
    for place in (programs, journal, authority, proxies, surroundings, counted):
        yield from place.examine(setting)
    if probe:
        yield from live.examine(setting)
