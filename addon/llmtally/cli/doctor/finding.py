"""What the checks are given, and what they find."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class Setting:
    """The set-up that is checked."""

    directory: Path
    """The journal's directory (the addon's option `usage_dir`)."""
    confdir: Path
    """mitmproxy's directory with certificates and configuration."""
    environment: Mapping[str, str]
    """The variables of the shell that asks."""
    now: float
    """The current time, in epoch seconds."""
    addon: Path
    """The script that mitmdump loads."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    check: str
    """What was checked: a name that stays the same from version to version."""
    level: Literal["ok", "note", "broken"]
    """`note`: perhaps intended; `broken`: calls are lost or clients fail."""
    text: str
    """What was found, as a sentence for people."""
    cure: str | None = None
    """A shell command that solves the problem."""
