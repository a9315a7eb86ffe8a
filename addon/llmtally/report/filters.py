"""Which calls to include: the filters that `report`, `tail` and `reconcile` share.

In a pattern `*` matches any text and `?` one character.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from ..record import Call
from ..tracker.totals import model_of


@dataclass(frozen=True, slots=True)
class Filter:
    """Conditions on a call, all of which must hold. Of several patterns for one field, one must
    match."""

    since: float | None = None
    """Epoch seconds. A call belongs to the time at which it ended."""
    until: float | None = None
    """Epoch seconds, no longer included."""
    model: tuple[str, ...] = ()
    """Patterns for `model` or `provider/model`."""
    client: tuple[str, ...] = ()
    project: tuple[str, ...] = ()
    """Patterns for the whole path, or for what follows one of its separators."""
    session: tuple[str, ...] = ()
    """Patterns for how it begins."""
    account: tuple[str, ...] = ()
    """Patterns for how it begins."""
    run: tuple[str, ...] = ()

    def patterns(self) -> dict[str, list[str]]:
        """By name of the filter, the patterns of which a value must match one in full."""
        given = {
            "model": list(self.model),
            "client": list(self.client),
            "project": [start + pattern for pattern in self.project for start in ("", "*/", "*\\")],
            "session": [pattern + "*" for pattern in self.session],
            "account": [pattern + "*" for pattern in self.account],
            "run": list(self.run),
        }
        return {name: patterns for name, patterns in given.items() if patterns}

    def accepts(self, call: Call) -> bool:
        """Whether the call fulfils all conditions; `condition` says the same in SQL."""
        in_time = (self.since is None or call.ended >= self.since) and (
            self.until is None or call.ended < self.until
        )
        return in_time and all(
            any(_matcher(pattern)(value) for pattern in patterns for value in _values(name, call))
            for name, patterns in self.patterns().items()
        )


def _values(name: str, call: Call) -> list[str]:
    if name == "model":
        return [model_of(call), f"{call.provider}/{model_of(call)}"]
    value = getattr(call.attribution, name)
    return [] if value is None else [value]


@cache
def _matcher(pattern: str) -> Callable[[str], object]:
    return re.compile(
        re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL
    ).fullmatch
