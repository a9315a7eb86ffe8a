"""The live view: what is being spent, by what, how fast, and when a limit will be reached. Pure:
the clock is passed in.

`totals` and `timeline` are the arithmetic; `ledger` and `sessions` keep sums by name, up to a cap;
`windows`, `budgets` and `prediction` are about limits; `counters` is for Prometheus. `state` puts
them together, and `tracker` adds calls to it. `scope` filters by account and `current` computes
what several answers need; `usage`, from `breakdown`, `window_json` and `session_json`, and `series`
make JSON of it.
"""

from .budgets import ConfiguredLimits
from .state import RETENTION_DAYS, Caps
from .tracker import Tracker
from .windows import Reset

__all__ = ["Caps", "ConfiguredLimits", "RETENTION_DAYS", "Reset", "Tracker"]
