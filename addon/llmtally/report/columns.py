"""What DuckDB reads of a record, and what is said of calls in its SQL."""

from __future__ import annotations

from ..tracker.totals import COST_CAP, PICODOLLARS, UNKNOWN

COLUMNS = {
    "schema": "INTEGER",
    "timestamp": "TIMESTAMP",
    "request_id": "VARCHAR",
    "response_id": "VARCHAR",
    "provider": "VARCHAR",
    "api": "VARCHAR",
    "host": "VARCHAR",
    "path": "VARCHAR",
    "model": "VARCHAR",
    "request_model": "VARCHAR",
    "status": "INTEGER",
    "transport": "VARCHAR",
    "outcome": "VARCHAR",
    "coverage": "VARCHAR",
    "stop_reason": "VARCHAR",
    "error": "STRUCT(type VARCHAR, message VARCHAR)",
    "estimated": "BOOLEAN",
    "reported_output_tokens": "BIGINT",
    "streaming": "BOOLEAN",
    "input_tokens": "BIGINT",
    "cache_read_tokens": "BIGINT",
    "cache_write_tokens": "BIGINT",
    "cache_write_30m_tokens": "BIGINT",
    "cache_write_1h_tokens": "BIGINT",
    "cache_write_12h_tokens": "BIGINT",
    "output_tokens": "BIGINT",
    "reasoning_tokens": "BIGINT",
    "input_audio_tokens": "BIGINT",
    "cache_read_audio_tokens": "BIGINT",
    "output_audio_tokens": "BIGINT",
    "input_image_tokens": "BIGINT",
    "output_image_tokens": "BIGINT",
    "total_tokens": "BIGINT",
    "server_tools": "MAP(VARCHAR, BIGINT)",
    "parts": "JSON",
    "cost_usd": "DOUBLE",
    "cost_source": "VARCHAR",
    "cost_approximate": "BOOLEAN",
    "list_cost_usd": "DOUBLE",
    "billing": "VARCHAR",
    "service_tier": "VARCHAR",
    "request_service_tier": "VARCHAR",
    "speed": "VARCHAR",
    "inference_geo": "VARCHAR",
    "cache_miss_reason": "VARCHAR",
    "cache_missed_tokens": "BIGINT",
    "started": "TIMESTAMP",
    "ended": "TIMESTAMP",
    "ttft_ms": "DOUBLE",
    "duration_ms": "DOUBLE",
    "request_bytes": "BIGINT",
    "response_bytes": "BIGINT",
    "client": "VARCHAR",
    "client_version": "VARCHAR",
    "session": "VARCHAR",
    "session_source": "VARCHAR",
    "agent": "VARCHAR",
    "parent_agent": "VARCHAR",
    "agent_type": "VARCHAR",
    "request_class": "VARCHAR",
    "project": "VARCHAR",
    "account": "VARCHAR",
    "retry": "INTEGER",
    "run": "VARCHAR",
    "limits": "JSON",
}
"""The view `calls`: every field of a record. Times are UTC."""

MODEL = f"coalesce(nullif(model, ''), nullif(request_model, ''), '{UNKNOWN}')"
COST = (
    f"CASE WHEN cost_usd BETWEEN 0 AND {COST_CAP} THEN CAST(round_even(cost_usd * "
    f"{PICODOLLARS}, 0) AS HUGEINT) END"
)
"""Of one call, in picodollars."""

KIND = (
    "CASE WHEN request_class = 'subagent' THEN concat_ws(' ', request_class, agent_type) "
    "ELSE request_class END"
)
"""`main`, `auxiliary`, `subagent Explore`: what a call was for."""

_TOKENS_UNKNOWN = (
    "coalesce(input_tokens, cache_read_tokens, cache_write_tokens, output_tokens) IS NULL"
)
_REFUSED = "coverage IS NOT DISTINCT FROM 'error'"
_SUBSCRIPTION = "billing IS NOT DISTINCT FROM 'subscription'"

AGGREGATES = {
    "calls": "count(*)",
    "errors": "count(*) FILTER (outcome = 'error')",
    "unpriced": "count(*) FILTER (coverage = 'unpriced')",
    "uncounted": f"count(*) FILTER ({_TOKENS_UNKNOWN} AND NOT {_REFUSED})",
    "uncosted": f"count(*) FILTER (cost IS NULL AND NOT {_REFUSED})",
    "input_tokens": "coalesce(sum(input_tokens), 0)",
    "cache_read_tokens": "coalesce(sum(cache_read_tokens), 0)",
    "cache_write_tokens": "coalesce(sum(cache_write_tokens), 0)",
    "output_tokens": "coalesce(sum(output_tokens), 0)",
    "reasoning_tokens": "coalesce(sum(reasoning_tokens), 0)",
    "spent": f"coalesce(sum(cost) FILTER (NOT {_SUBSCRIPTION}), 0)",
    "api_value": f"coalesce(sum(cost) FILTER ({_SUBSCRIPTION}), 0)",
}
"""What `tracker.totals.of_call` says of one call, summed: the fields of `Totals` in their order."""
