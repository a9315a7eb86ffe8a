"""The journal held against what clients logged of the same calls.

Responses are joined by the provider's id. Codex logged none before 0.155: there the calls of one thread are joined by equal
counts first, then in the order of time. What only one side knows is the point: calls the client hid from its own log, and calls
that went past the proxy.
"""

from .answer import as_json
from .comparison import CLIENTS, MARGIN_SECONDS, Comparison, Difference, Pair, Wire, on_wire
from .joining import compare
from .sums import BUCKETS, Price, Sum, Sums, price_of, ratio, sum_of_log, sums_of

__all__ = [
    "BUCKETS",
    "CLIENTS",
    "MARGIN_SECONDS",
    "Comparison",
    "Difference",
    "Pair",
    "Price",
    "Sum",
    "Sums",
    "Wire",
    "as_json",
    "compare",
    "on_wire",
    "price_of",
    "ratio",
    "sum_of_log",
    "sums_of",
]
