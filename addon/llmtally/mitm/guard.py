"""Keeps errors in llmtally away from the traffic: if reading a flow fails, the flow goes on unread.

There are four broad `except` clauses, each where an error in llmtally would otherwise stop traffic:
this one for mitmproxy's hooks, that of a stream's bytes in `tap.py`, that of what is observed in
`tally/tally.py`, and that of a request to the page in `web/server.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

logger = logging.getLogger(__name__)


class Guard:
    """Runs a callback; logs and counts its exceptions."""

    def __init__(self, count: Callable[[str], None]) -> None:
        """`count` counts a response in a coverage bucket."""
        self._count = count

    def __call__(self, work: Callable[..., Any], *args: Any) -> bool:
        """Run `work`; returns whether it went well."""
        try:
            work(*args)
        except Exception:
            self._count("unparsed")
            logger.exception(
                "llmtally: reading a flow failed; it goes on unread. This is a bug in llmtally."
            )
            return False
        return True
