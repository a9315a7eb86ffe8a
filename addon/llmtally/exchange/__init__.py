"""The core: one HTTP flow goes in, its calls come out. It does no I/O: callers pass in bytes,
frames, times and how the flow ended.

`exchange` is the entry point. By the response's head it chooses the reader: `one_response`,
`many_responses` (results of a batch) or `websocket`. `body` turns bytes into parsed messages;
`turns` and `lanes` sort messages where several responses share a body or a socket; `fold` adds a
message to its response. `settlement` turns each response into a `Call`. `sent_request` holds what
was asked, `memory` what exchanges must know about each other, and `values` what is passed between
these modules.

A method here that raises has a bug: whatever peers send ends up in the call's `error` or
`coverage`.
"""

from .exchange import Exchange
from .memory import Memory
from .values import NO_QUERY, Ending, Lane, RequestHead

__all__ = ["NO_QUERY", "Ending", "Exchange", "Lane", "Memory", "RequestHead"]
