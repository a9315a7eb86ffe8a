"""A comparison as JSON."""

from __future__ import annotations

from typing import Any

from ...record import rfc3339
from .comparison import CLIENTS, Comparison
from .sums import Price, sums_as_json, sums_of


def as_json(comparison: Comparison, price: Price) -> dict[str, Any]:
    """`{calls, equal, different, wire_only, log_only, agreement_pct, sums{}, clients{}}` in
    numbers, then every call that is not equal. What a logged call cost is an approximation."""
    return {
        **_counts(comparison, price),
        "clients": {client: _counts(comparison.of(client), price) for client in CLIENTS},
        "differences": [
            {
                "client": pair.logged.client,
                "at": rfc3339(pair.wire.at),
                "response_id": pair.wire.response_id,
                "request_id": pair.wire.request_id,
                "joined_by": pair.joined_by,
                "estimated": pair.wire.estimated,
                "fields": {
                    each.field: {"wire": each.wire, "log": each.log} for each in pair.differences
                },
            }
            for pair in comparison.different
        ],
        "not_logged": [
            {
                "client": wire.client,
                "at": rfc3339(wire.at),
                "response_id": wire.response_id,
                "request_id": wire.request_id,
                "request_class": wire.request_class,
                "model": wire.models[0] if wire.models else None,
                "total_tokens": wire.usage.total_tokens,
                "cost_usd": wire.cost_usd,
            }
            for wire in comparison.wire_only
        ],
        "past_the_proxy": [
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
        ],
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
