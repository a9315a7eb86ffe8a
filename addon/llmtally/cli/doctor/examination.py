"""Runs every check that can explain why nothing is counted."""

from __future__ import annotations

from collections.abc import Iterator

from . import authority, counted, environment, journal, programs, proxies
from . import probe as call_probe
from .finding import Finding, Setting


def examine(setting: Setting, *, probe: bool = True) -> Iterator[Finding]:
    """All findings, the basic ones first. Never raises; the probe takes some seconds."""
    for place in (programs, journal, authority, proxies, environment, counted):
        yield from place.examine(setting)
    if probe:
        yield from call_probe.examine(setting)
