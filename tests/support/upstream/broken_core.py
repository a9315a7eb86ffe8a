"""Loaded into mitmdump before the addon: calls of the core raise, as the worst of bugs would.

`BROKEN` names the one method that does; without it, all do.
"""

import os
import sys
from typing import Any, NoReturn

sys.path.insert(0, os.environ["ADDON_DIR"])

from llmtally.exchange import Exchange


def broken(*arguments: Any, **options: Any) -> NoReturn:
    """Stand in for a function of the core, and fail."""
    raise RuntimeError("the core is broken")


def methods() -> list[str]:
    """All but the constructor: if that failed, nothing else would ever be called."""
    return [
        name
        for name, member in vars(Exchange).items()
        if callable(member) and not name.startswith("__")
    ]


for method in [os.environ["BROKEN"]] if "BROKEN" in os.environ else methods():
    setattr(Exchange, method, broken)
