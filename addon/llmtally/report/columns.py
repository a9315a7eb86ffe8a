"""The columns DuckDB reads of a record, and the SQL for what is computed from them."""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from ..record import Attribution, Call, Usage
from ..schema import FIELDS
from ..tracker.totals import COST_CAP, PICODOLLARS, SUBAGENT, UNKNOWN

_BY_NAME = {
    "schema": "BIGINT",
    "timestamp": "TIMESTAMP",
    "started": "TIMESTAMP",
    "ended": "TIMESTAMP",
    "error": "STRUCT(type VARCHAR, message VARCHAR)",
    "server_tools": "MAP(VARCHAR, BIGINT)",
    "total_tokens": "BIGINT",
    "parts": "JSON",
    "limits": "JSON",
}
"""Types of the columns that do not follow from the field's type in `record.py`. A new field that
holds anything but a text, a number or a flag needs an entry here."""

_BY_TYPE = {str: "VARCHAR", int: "BIGINT", float: "DOUBLE", bool: "BOOLEAN"}


def _columns() -> dict[str, str]:
    hints = get_type_hints(Call) | get_type_hints(Usage) | get_type_hints(Attribution)
    return {name: _BY_NAME.get(name) or _BY_TYPE[_plain(hints[name])] for name in FIELDS}


def _plain(hint: Any) -> Any:
    """The type without `None`, and `str` for a list of words."""
    if get_origin(hint) in (Union, UnionType):
        (hint,) = (each for each in get_args(hint) if each is not NoneType)
    return str if get_origin(hint) is Literal else hint


COLUMNS = _columns()
"""The view `calls`: every field of a record, in its order. Times are UTC."""

MODEL = f"coalesce(nullif(model, ''), nullif(request_model, ''), '{UNKNOWN}')"
COST = (
    f"CASE WHEN cost_usd BETWEEN 0 AND {COST_CAP} THEN CAST(round_even(cost_usd * "
    f"{PICODOLLARS}, 0) AS HUGEINT) END"
)
"""Cost of one call in picodollars; NULL where it is unknown or absurd."""

KIND = (
    f"CASE WHEN request_class = '{SUBAGENT}' THEN concat_ws(' ', request_class, agent_type) "
    "ELSE request_class END"
)
"""The kind of work, in SQL: the same as `tracker.totals.kind_of`."""

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
