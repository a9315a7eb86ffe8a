"""The heart: one HTTP flow in, its calls out. It does no I/O: bytes, frames, times and the ending
are handed in.

`exchange` is the way in. It chooses who reads the response by its head: `one_response`,
`many_responses` (results of a batch) or `websocket`. `body` turns bytes into parsed messages;
`turns` and `lanes` sort messages where several responses share a body or a socket; `fold` adds a
message to its response. `settlement` makes a `Call` of each response. `sent_request` holds what was
asked, `memory` what exchanges must know of each other, `values` what is passed between all these.

A method in here that raises has a bug. Whatever peers send ends in `error` or `coverage` of the
call.
"""

from .exchange import Exchange
from .memory import Memory
from .values import NO_QUERY, Ending, Lane, RequestHead

__all__ = ["NO_QUERY", "Ending", "Exchange", "Lane", "Memory", "RequestHead"]
