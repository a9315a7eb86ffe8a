"""`llmtally reconcile`: the journal held against what clients logged of the same calls.

Responses are joined by the provider's id. Codex logged none before 0.155: there the calls of one
thread are joined by equal counts first, then in the order of time. What only one side knows is the
point: calls the client hid from its own log, and calls that bypassed the proxy.
"""
