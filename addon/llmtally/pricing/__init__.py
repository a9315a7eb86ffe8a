"""What a call cost: a `Call` in, a `Cost` out, from price data on this machine. No network, no
thread.

The first that knows a price wins, and the record says which:

1. `provider`: the response states its cost itself (our own figure stands beside it as
   `list_cost_usd`)
2. `override`: the user's price file
3. `overlay`: our dated corrections of the data
4. `prices`: the data of genai-prices, with the surcharges it cannot express
5. `local`: a server of yours costs nothing; a model that only its vendor sells has been priced by
   the vendor's list before, approximately
6. the litellm entries of the user's price file, also `override`
7. none: unpriced, which is shown everywhere and never counted as 0

`context` says what the price depends on, `catalogue` looks it up, `overlay` and `overrides` correct
it, `rates` does the sums, `pricer` tries them in this order. Money is floats and is rounded
nowhere: sums of products of counts below 2**53 and rates with few digits are exact to about 1e-15
of themselves, and a cent has to be right only after adding up millions of calls.

Importing this package imports genai-prices (about 100 ms): do it off the event loop."""

from __future__ import annotations

from .pricer import Pricer

__all__ = ["Pricer"]
