"""Makes an answer of parts, so that one that fails does not take the others with it: a number off
the wire that nobody foresaw must not stop page, metrics and status line."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

logger = logging.getLogger(__name__)

Part = TypeVar("Part")

_logged: set[str] = set()
"""Parts that have been logged: once each, as an answer is made every second."""


class Parts:
    """The parts of one answer."""

    def __init__(self) -> None:
        self.left_out: list[str] = []
        """Names of the parts that could not be made."""

    def make(self, name: str, make: Callable[[], Part], otherwise: Part) -> Part:
        """One part, or `otherwise` if making it raises, which is logged once."""
        try:
            return make()
        except Exception:
            if name not in self.left_out:
                self.left_out.append(name)
            if name not in _logged:
                _logged.add(name)
                logger.exception(
                    "llmtally: %s cannot be shown and is left out. This is a bug in llmtally.", name
                )
            return otherwise
