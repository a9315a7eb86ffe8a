"""The heart: one HTTP flow in, its calls out. Sans-IO: bytes, frames, times and the ending are
handed in.

`exchange` follows a request that leads to an LLM and reads what is answered; `lanes` holds the
responses that are open at once on a socket; `settlement` makes a `Call` of each; `memory` is what
exchanges must know of each other; `values` is what they pass on.

If a method in here raises anything, that is a bug; what peers send ends in `error` or `coverage` of
the call.
"""

from .exchange import Exchange
from .memory import Memory
from .values import NO_QUERY, Ending, Lane, RequestHead

__all__ = ["NO_QUERY", "Ending", "Exchange", "Lane", "Memory", "RequestHead"]
