"""A session as JSON: its row in the table, and its agents as a tree with what each cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypedDict

from ..record import Call, rfc3339
from .current import Primary, total_since
from .scope import Scope
from .sessions import SLOT_MINUTES, Agent, Leaf, Session
from .state import State
from .timeline import MINUTES_PER_DAY, day_start
from .totals import SUBAGENT, UNKNOWN, ZERO, Totals, TotalsJson, kind_of, plus, summed, to_json


class BriefJson(TypedDict):
    """The totals of one period in a row."""

    calls: int
    total_tokens: int | None
    cost_usd: float | None


class SessionJson(TotalsJson):
    """One row of the sessions table. Times are RFC 3339."""

    session_id: str
    label: str
    """A short name to show."""
    account_key: str | None
    client: str | None
    project: str | None
    model: str | None
    """The model of the newest call."""
    today: BriefJson
    window: BriefJson
    """Totals within the 5-hour window."""
    window_share_pct: float | None
    """The session's share of the account's 5-hour window in percent: by cost if costs are known,
    else by tokens."""
    started_at: str
    updated_at: str
    source: str | None
    """How the session was identified: `session_source` of a record."""


class AgentJson(TypedDict):
    """One agent of a session and those it started."""

    agent: str | None
    """Id of the agent; null: the main agent."""
    type: str | None
    kind: str | None
    """The kind of work, such as `subagent Explore`; null for the main agent, which does several."""
    updated_at: str | None
    own: TotalsJson
    """Totals of this agent's calls."""
    total: TotalsJson
    """Totals of this agent's calls and its descendants'."""
    by_class: dict[str, TotalsJson]
    by_model: dict[str, TotalsJson]
    children: list[AgentJson]
    """The agents that it started, the most expensive first."""


@dataclass(frozen=True, slots=True)
class SessionDetail:
    """One session with more than its row: its agents and its newest calls."""

    row: SessionJson
    totals: TotalsJson
    agents: list[AgentJson]
    """A tree: the one root is the main agent."""
    calls: list[Call]
    """The newest calls, in order of time."""
    calls_complete: bool
    """False: the session has older calls, which only the journal holds."""


def sessions_json(
    state: State, scope: Scope, now: float, primary: Primary, *, rank: str, limit: int
) -> list[SessionJson]:
    """The first sessions by `cost` or by `updated_at`, in rows."""
    whole = _window_total(state, scope, primary)
    return [
        _session_row(session, now, primary, whole)
        for session in state.sessions.most(rank, limit, scope)
    ]


def session_json(
    state: State, session: Session, now: float, primary: Primary, scope: Scope
) -> SessionJson:
    """One session's row of the table."""
    return _session_row(session, now, primary, _window_total(state, scope, primary))


def _session_row(session: Session, now: float, primary: Primary, whole: Totals) -> SessionJson:
    shares = primary.native is None or primary.native.account == session.account
    return row_json(
        session,
        today=day_start(now),
        window=primary.first_minute,
        window_total=whole if shares else Totals(),
    )


def _window_total(state: State, scope: Scope, primary: Primary) -> Totals:
    """What the window's account has spent in it; for an assumed window, what all accounts in the
    scope have."""
    if primary.first_minute is None:
        return Totals()
    owner = scope if primary.native is None else Scope.only(primary.native.account)
    return total_since(state, owner, primary.first_minute)


def row_json(
    session: Session, *, today: int, window: int | None, window_total: Totals
) -> SessionJson:
    """One row of the sessions table. `today` and `window` are the minutes at which these periods
    begin."""
    in_window = (
        ZERO
        if window is None
        else session.slots.since((window + SLOT_MINUTES // 2) // SLOT_MINUTES)
    )
    return {
        "session_id": session.id,
        "label": session.label,
        "account_key": session.account,
        "client": session.client,
        "project": session.project,
        "model": session.model,
        **to_json(session.total),
        "today": _brief(session.since_day(today // MINUTES_PER_DAY)),
        "window": _brief(in_window),
        "window_share_pct": _share(in_window, window_total),
        "started_at": rfc3339(session.started_at),
        "updated_at": rfc3339(session.updated_at),
        "source": session.source,
    }


def _brief(totals: Totals) -> BriefJson:
    full = to_json(totals)
    return {
        "calls": full["calls"],
        "total_tokens": full["total_tokens"],
        "cost_usd": full["cost_usd"],
    }


def _share(part: Totals, whole: Totals) -> float | None:
    if whole.cost:
        return min(100.0, 100 * part.cost / whole.cost)
    return min(100.0, 100 * part.total_tokens / whole.total_tokens) if whole.total_tokens else None


def tree_json(session: Session) -> list[AgentJson]:
    """The agents as a tree, the main agent first. An agent whose parent is unknown, or is its own
    descendant, is put under the main agent."""
    by_agent: dict[str | None, list[tuple[Leaf, Totals]]] = {None: []}
    for leaf, days in session.leaves.items():
        by_agent.setdefault(leaf.agent, []).append((leaf, days.total))
    children: dict[str | None, list[str | None]] = {}
    for agent in by_agent:
        if agent is not None:
            children.setdefault(_parent(agent, session.agents, by_agent), []).append(agent)
    return [_node(None, session, by_agent, children)]


def _parent(
    agent: str, agents: Mapping[str | None, Agent], known: Mapping[str | None, Any]
) -> str | None:
    parent = agents[agent].parent
    above, seen = parent, {agent}
    while above is not None and above not in seen and above in known:
        seen.add(above)
        above = agents[above].parent
    return None if above in seen or parent not in known else parent


def _node(
    agent: str | None,
    session: Session,
    by_agent: Mapping[str | None, list[tuple[Leaf, Totals]]],
    children: Mapping[str | None, list[str | None]],
) -> AgentJson:
    by_class: dict[str, Totals] = {}
    by_model: dict[str, Totals] = {}
    for leaf, totals in by_agent[agent]:
        kind = leaf.kind or UNKNOWN
        by_class[kind] = plus(by_class.get(kind, ZERO), totals)
        by_model[leaf.model] = plus(by_model.get(leaf.model, ZERO), totals)
    own = summed(by_class.values())
    below = [_node(child, session, by_agent, children) for child in children.get(agent, ())]
    known = session.agents.get(agent, Agent())
    return {
        "agent": agent,
        "type": known.type,
        "kind": None if agent is None else kind_of(SUBAGENT, known.type),
        "updated_at": rfc3339(known.updated_at) if known.updated_at else None,
        "own": to_json(own),
        "total": to_json(plus(own, _subtree(agent, by_agent, children))),
        "by_class": {name: to_json(totals) for name, totals in by_class.items()},
        "by_model": {name: to_json(totals) for name, totals in by_model.items()},
        "children": sorted(below, key=lambda node: -(node["total"]["cost_usd"] or 0)),
    }


def _subtree(
    agent: str | None,
    by_agent: Mapping[str | None, list[tuple[Leaf, Totals]]],
    children: Mapping[str | None, list[str | None]],
) -> Totals:
    """Totals of an agent's descendants."""
    total = ZERO
    waiting = list(children.get(agent, ()))
    while waiting:
        child = waiting.pop()
        total = plus(total, summed(totals for _, totals in by_agent[child]))
        waiting += children.get(child, ())
    return total
