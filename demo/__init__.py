"""`scripts/demo`: the page with made-up traffic, without a key. All numbers are made up, and
nothing leaves 127.0.0.1.

Real SDKs (`clients.py`, as the users in `cast.py`) talk through a real mitmdump with the addon to
the tests' fake upstream, which answers in the providers' shapes (`providers.py`). The client
decides what a call will be like (`turns.py`) and tells the provider in a header; `plans.py` knows
how full the plans are. `history.py` writes last week's journal, so that charts have a shape at
once."""

import sys
from pathlib import Path

# The fake upstream is that of the tests: a second one might differ from it.
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
