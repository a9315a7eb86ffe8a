"""What was looked at, and what was found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class Setting:
    """The user's set-up."""

    directory: Path
    """`usage_dir`."""
    confdir: Path
    environment: Mapping[str, str]
    now: float
    addon: Path
    """The script that mitmdump loads."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    check: str
    """What was looked at; the same from version to version."""
    level: Literal["ok", "note", "broken"]
    """`note`: it may be meant so; `broken`: calls are lost or clients fail."""
    text: str
    cure: str | None = None
    """A command for the shell at hand."""
