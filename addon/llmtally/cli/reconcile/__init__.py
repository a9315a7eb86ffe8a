"""`llmtally reconcile`: compares the journal with what clients logged about the same calls.

Responses are joined by the provider's id. Codex logged none before 0.155: there the calls of one
thread are joined by equal counts first, then by time. The interesting calls are those that only one
side has: the client left them out of its log, or they bypassed the proxy.
"""
