"""What was spent since a moment, by model, client, project, request class and outcome, as JSON."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from .ledger import OTHER
from .scope import Scope
from .state import FacetKey, ModelKey, State
from .totals import UNKNOWN, Totals, TotalsJson, plus, summed, to_json

TOP = 50
"""Names in a breakdown; all further ones are summed as `other`."""


class BreakdownJson(TotalsJson):
    """Totals, and the same by name, the most expensive first."""

    per_model: dict[str, TotalsJson]
    """Totals by `provider/model`."""
    per_client: dict[str, TotalsJson]
    per_project: dict[str, TotalsJson]
    per_class: dict[str, TotalsJson]
    """Totals by `request_class` of a record."""
    per_outcome: dict[str, TotalsJson]


class ModelJson(TotalsJson):
    """What one account spent on one model."""

    provider: str
    account_key: str | None
    model: str
    source: str | None
    """Where its newest price came from: `cost_source` of a record."""


def breakdown_json(state: State, scope: Scope, minute: int) -> BreakdownJson:
    """What was spent since a minute began."""
    models = _grouped(
        state.models.items(scope),
        minute,
        lambda key: f"{key.provider}/{key.model}",
    )
    facets = [
        (key, totals)
        for key, timeline in state.facets.items(scope)
        if any(totals := timeline.since(minute))
    ]
    return {
        **to_json(summed(models.values())),
        "per_model": _named_json(models),
        "per_client": _named_json(_facet_sums(facets, "client")),
        "per_project": _named_json(_facet_sums(facets, "project")),
        "per_class": _named_json(_facet_sums(facets, "request_class")),
        "per_outcome": _named_json(_facet_sums(facets, "outcome")),
    }


def _grouped(
    timelines: Iterable[tuple[ModelKey, Any]], minute: int, name_of: Callable[[ModelKey], str]
) -> dict[str, Totals]:
    sums: dict[str, Totals] = {}
    for key, timeline in timelines:
        if any(totals := timeline.since(minute)):
            name = name_of(key)
            sums[name] = plus(sums[name], totals) if name in sums else totals
    return sums


def _facet_sums(
    facets: Iterable[tuple[FacetKey, Totals]],
    field: Literal["client", "project", "request_class", "outcome"],
) -> dict[str, Totals]:
    sums: dict[str, Totals] = {}
    for key, totals in facets:
        name = getattr(key, field) or UNKNOWN
        sums[name] = plus(sums[name], totals) if name in sums else totals
    return sums


def _named_json(sums: Mapping[str, Totals]) -> dict[str, TotalsJson]:
    """The names with the highest cost; the others are summed."""
    top = heapq.nlargest(TOP, sums.items(), key=_weight)
    named = dict(top)
    if rest := [totals for name, totals in sums.items() if name not in named]:
        named[OTHER] = plus(named.get(OTHER, Totals()), summed(rest))
    return {name: to_json(totals) for name, totals in named.items()}


def _weight(item: tuple[Any, Totals]) -> tuple[int, int, int]:
    totals = item[1]
    return totals.cost, totals.total_tokens, totals.calls


def per_model_json(state: State, scope: Scope, minute: int) -> dict[str, ModelJson]:
    """By `provider/model`, and by `provider/model@account` where several accounts used the same
    model."""
    rows = [
        (key, totals)
        for key, timeline in state.models.items(scope)
        if any(totals := timeline.since(minute))
    ]
    users: dict[tuple[str, str], int] = {}
    for key, _ in rows:
        users[key.provider, key.model] = users.get((key.provider, key.model), 0) + 1
    answer: dict[str, ModelJson] = {}
    for key, totals in heapq.nlargest(TOP, rows, key=_weight):
        name = f"{key.provider}/{key.model}"
        if users[key.provider, key.model] > 1:
            name += f"@{key.account or UNKNOWN}"
        answer[name] = {
            "provider": key.provider,
            "account_key": key.account,
            "model": key.model,
            **to_json(totals),
            "source": state.cost_sources.get(key),
        }
    return answer
