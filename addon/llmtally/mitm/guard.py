"""The traffic is not ours: what reads it may fail, and the flow goes on unread.

There are three broad `except`, each where an error of ours would stop what is not ours: this one
for mitmproxy's hooks, that of a stream's bytes in `tap.py`, and that of a request to the page in
`web/server.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

logger = logging.getLogger(__name__)


class Guard:
    """Calls what reads."""

    def __init__(self, failed: Callable[[], None]) -> None:
        """`failed` is told each time."""
        self._failed = failed

    def __call__(self, work: Callable[..., Any], *args: Any) -> bool:
        """Whether it went well."""
        try:
            work(*args)
        except Exception:
            self._failed()
            logger.exception(
                "llmtally: reading a flow failed; it goes on unread. This is a bug of llmtally."
            )
            return False
        return True
