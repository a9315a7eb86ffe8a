"""A comparison as JSON, for `reconcile --json`."""

from __future__ import annotations

from typing import Any

from ...record import rfc3339
from .comparison import CLIENTS, Comparison
from .sums import Price, sums_as_json, sums_of


def as_json(comparison: Comparison, price: Price) -> dict[str, Any]:
    """`{calls, equal, different, wire_only, log_only, agreement_pct, sums{}, clients{}}` in
    numbers, then every call that is not equal: `differences[]`, `not_logged[]` and `bypassed[]`.
    What a logged call cost is an approximation."""
    bypassed = [
        {
            "client": logged.client,
            "at": rfc3339(logged.at),
            "response_id": logged.response_id,
            "session": logged.thread,
            "model": logged.model,
            "total_tokens": logged.usage.total_tokens,
            "cost_usd": price(logged),
        }
        for logged in comparison.log_only
    ]
    return {
        **_counts(comparison, price),
        "clients": {client: _counts(comparison.of(client), price) for client in CLIENTS},
        "differences": [
            {
                "client": pair.logged.client,
                "at": rfc3339(pair.call.at),
                "response_id": pair.call.response_id,
                "request_id": pair.call.request_id,
                "joined_by": pair.joined_by,
                "estimated": pair.call.estimated,
                "fields": {
                    each.field: {"wire": each.wire, "log": each.log} for each in pair.differences
                },
            }
            for pair in comparison.different
        ],
        "not_logged": [
            {
                "client": call.client,
                "at": rfc3339(call.at),
                "response_id": call.response_id,
                "request_id": call.request_id,
                "request_class": call.request_class,
                "model": call.models[0] if call.models else None,
                "total_tokens": call.usage.total_tokens,
                "cost_usd": call.cost_usd,
            }
            for call in comparison.wire_only
        ],
        "bypassed": bypassed,
        "past_the_proxy": bypassed,  # the old name; the next version drops it
    }


def _counts(comparison: Comparison, price: Price) -> dict[str, Any]:
    return {
        "calls": comparison.calls,
        "equal": len(comparison.equal),
        "different": len(comparison.different),
        "wire_only": len(comparison.wire_only),
        "log_only": len(comparison.log_only),
        "agreement_pct": comparison.agreement_pct,
        "sums": sums_as_json(sums_of(comparison, price)),
    }
