"""`scripts/demo`: the page alive without a key. All numbers are made up; nothing leaves 127.0.0.1.

Real SDKs (`clients.py`, as the users in `cast.py`) talk through a real mitmdump with the addon to
the tests' fake upstream, which answers in the providers' shapes (`providers.py`). What a call will
be is decided where it is made (`turns.py`) and sent along in a header; how full the plans are
stands in `plans.py`. `history.py` writes last week's journal, so that charts have a shape at once.
"""

import sys
from pathlib import Path

# The fake upstream is the tests' own: a second one would say other things.
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
