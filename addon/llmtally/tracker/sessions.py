"""Sessions and, within each, the tree of its agents: who spent what under whom.

A session is known to one account; the same id under another account is another session. Sessions keep days for the week and steps
of ten minutes for the last six hours, so that ten thousand of them stay small.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from ..record import TEXT_CAP, Call, rfc3339
from .ledger import OTHER
from .timeline import MINUTES_PER_DAY, Level, Timeline
from .totals import UNKNOWN, ZERO, Totals, model_of, plus, summed, to_json

SESSIONS_CAP = 10_000
"""Sessions told apart: a week of a busy team. About 2 kB each."""

LEAVES_CAP = 64
"""Agents, models and request classes told apart within one session: a lively Claude Code session has twenty."""

SESSION_LEVELS = (Level(10, 36), Level(MINUTES_PER_DAY, 8))
LEAF_LEVELS = (Level(MINUTES_PER_DAY, 8),)

LABEL_ID_LENGTH = 8
"""Characters of a session id that stand for it where nothing better is known."""

_SEPARATORS = "/\\"

SessionKey = tuple[str | None, str]
"""Account and session id."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """What is counted separately within a session."""

    agent: str | None
    """None: the main agent."""
    request_class: str | None
    model: str


@dataclass(slots=True)
class Agent:
    """What is known of an agent beside its numbers."""

    parent: str | None = None
    type: str | None = None
    updated_at: float = 0.0


@dataclass(slots=True)
class Session:
    """One session."""

    account: str | None
    id: str
    timeline: Timeline = field(default_factory=lambda: Timeline(SESSION_LEVELS))
    cost: int = 0
    """Picodollars of all that is retained: what sessions are ranked by."""
    leaves: dict[Leaf, Timeline] = field(default_factory=dict)
    agents: dict[str | None, Agent] = field(default_factory=dict)
    client: str | None = None
    project: str | None = None
    source: str | None = None
    """How the session was known (`session_source`)."""
    model: str | None = None
    """The newest call's model."""
    started_at: float = 0.0
    updated_at: float = 0.0

    @property
    def label(self) -> str:
        """A name for people: the project's last directory, else the client, else the beginning of the id."""
        project = (self.project or "").rstrip(_SEPARATORS).replace("\\", "/").rpartition("/")[2]
        return project or self.client or self.id[:LABEL_ID_LENGTH]

    def add(self, call: Call, minute: int, row: Totals) -> None:
        """Count one call."""
        self.timeline.add(minute, row)
        self.cost += row.cost
        self._describe(call)
        who = call.attribution
        leaf = Leaf(who.agent and who.agent[:TEXT_CAP], who.request_class, model_of(call))
        timeline = self.leaves.get(leaf)
        if timeline is None:
            if len(self.leaves) >= LEAVES_CAP:
                leaf = Leaf(OTHER, None, OTHER)
            timeline = self.leaves.setdefault(leaf, Timeline(LEAF_LEVELS))
        timeline.add(minute, row)
        agent = self.agents.get(leaf.agent)
        if agent is None:
            agent = self.agents[leaf.agent] = Agent()
        if leaf.agent != OTHER and call.ended >= agent.updated_at:
            agent.parent = who.parent_agent or agent.parent
            agent.type = who.agent_type or agent.type
        agent.updated_at = max(agent.updated_at, call.ended)

    def _describe(self, call: Call) -> None:
        """The newest call that says something has the last word."""
        who = call.attribution
        if call.ended >= self.updated_at:
            self.client, self.project = who.client or self.client, who.project or self.project
            self.source, self.model = who.session_source or self.source, model_of(call)
            self.updated_at = call.ended
        else:
            self.client, self.project = self.client or who.client, self.project or who.project
            self.source = self.source or who.session_source
        self.started_at = min(self.started_at or call.timestamp, call.timestamp)

    def forget(self, minute: int) -> None:
        """Drop everything before a minute."""
        self.timeline.forget(minute)
        self.cost = self.timeline.retained.cost
        for leaf, timeline in list(self.leaves.items()):
            timeline.forget(minute)
            if timeline.is_empty:
                del self.leaves[leaf]
        present = {leaf.agent for leaf in self.leaves}
        self.agents = {agent: known for agent, known in self.agents.items() if agent in present}


class Sessions:
    """The sessions most recently active, at most a cap; what the others spent stays in one sum an account."""

    def __init__(self, cap: int = SESSIONS_CAP) -> None:
        self._cap = cap
        self._sessions: OrderedDict[SessionKey, Session] = OrderedDict()
        self._others: dict[str | None, Timeline] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def add(self, call: Call, account: str | None, minute: int, row: Totals) -> None:
        """Count one call of a session."""
        name = call.attribution.session
        if not name:
            return
        key = (account, name[:TEXT_CAP])
        session = self._sessions.get(key)
        if session is None:
            session = self._sessions[key] = Session(account, key[1])
            if len(self._sessions) > self._cap:
                self._fold(self._sessions.popitem(last=False)[1].timeline, account)
        else:
            self._sessions.move_to_end(key)
        session.add(call, minute, row)

    def find(self, session_id: str, account: str | None, *, every: bool) -> Session | None:
        """A session by its id; where several accounts have it, the one active last."""
        if not every:
            return self._sessions.get((account, session_id))
        found = (session for (_, name), session in self._sessions.items() if name == session_id)
        return max(found, key=attrgetter("updated_at"), default=None)

    def most(self, rank: str, limit: int, account: str | None, *, every: bool) -> list[Session]:
        """The first sessions by `cost` or by `updated_at`."""
        return heapq.nlargest(limit, self.of(account, every=every), key=attrgetter(rank))

    def of(self, account: str | None, *, every: bool) -> Iterator[Session]:
        """The sessions of one account, or all."""
        return (session for session in self._sessions.values() if every or session.account == account)

    def others(self, account: str | None, *, every: bool) -> Totals:
        """What the sessions that were folded away had spent."""
        return summed(timeline.retained for owner, timeline in self._others.items() if every or owner == account)

    def forget(self, minute: int) -> None:
        """Drop everything before a minute, and the sessions that nothing is left of."""
        for key, session in list(self._sessions.items()):
            session.forget(minute)
            if session.timeline.is_empty:
                del self._sessions[key]
        for account, timeline in list(self._others.items()):
            timeline.forget(minute)
            if timeline.is_empty:
                del self._others[account]

    def retire(self, account: str | None) -> None:
        """Fold away all sessions of an account, under the account `other`."""
        for key in [key for key in self._sessions if key[0] == account]:
            self._fold(self._sessions.pop(key).timeline, OTHER)
        if (rest := self._others.pop(account, None)) is not None:
            self._fold(rest, OTHER)

    def _fold(self, timeline: Timeline, account: str | None) -> None:
        into = self._others.get(account)
        if into is None:
            into = self._others[account] = Timeline(SESSION_LEVELS)
        into.fold(timeline)


def row_json(session: Session, *, today: int, window: int | None, window_total: Totals) -> dict[str, Any]:
    """One row of the sessions table. `today` and `window` are the minutes at which these periods begin.

    `{session_id, label, account_key, client, project, model, <totals>, today, window, window_share_pct, started_at, updated_at,
    source}`; `today` and `window` hold `{calls, total_tokens, cost_usd}`. `window_share_pct` is the session's share of what the
    account's 5-hour window has seen, by cost where costs are known, else by tokens.
    """
    in_window = ZERO if window is None else session.timeline.since(window)
    return {
        "session_id": session.id,
        "label": session.label,
        "account_key": session.account,
        "client": session.client,
        "project": session.project,
        "model": session.model,
        **to_json(session.timeline.retained),
        "today": _brief(session.timeline.since(today)),
        "window": _brief(in_window),
        "window_share_pct": _share(in_window, window_total),
        "started_at": rfc3339(session.started_at),
        "updated_at": rfc3339(session.updated_at),
        "source": session.source,
    }


def _brief(totals: Totals) -> dict[str, Any]:
    full = to_json(totals)
    return {name: full[name] for name in ("calls", "total_tokens", "cost_usd")}


def _share(part: Totals, whole: Totals) -> float | None:
    if whole.cost:
        return min(100.0, 100 * part.cost / whole.cost)
    return min(100.0, 100 * part.total_tokens / whole.total_tokens) if whole.total_tokens else None


def tree_json(session: Session) -> list[dict[str, Any]]:
    """The agents as a tree, the main agent first: `{agent, type, updated_at, own, total, by_class, by_model, children}`.

    `own` is what the agent's own calls add up to, `total` includes its descendants. An agent whose parent is not known, or is its
    own descendant, stands under the main agent.
    """
    by_agent: dict[str | None, list[tuple[Leaf, Totals]]] = {None: []}
    for leaf, timeline in session.leaves.items():
        by_agent.setdefault(leaf.agent, []).append((leaf, timeline.retained))
    children: dict[str | None, list[str | None]] = {}
    for agent in by_agent:
        if agent is not None:
            children.setdefault(_parent(agent, session.agents, by_agent), []).append(agent)
    return [_node(None, session, by_agent, children)]


def _parent(agent: str, agents: Mapping[str | None, Agent], known: Mapping[str | None, Any]) -> str | None:
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
) -> dict[str, Any]:
    by_class: dict[str, Totals] = {}
    by_model: dict[str, Totals] = {}
    for leaf, totals in by_agent[agent]:
        kind = leaf.request_class or UNKNOWN
        by_class[kind] = plus(by_class.get(kind, ZERO), totals)
        by_model[leaf.model] = plus(by_model.get(leaf.model, ZERO), totals)
    own = summed(by_class.values())
    below = [_node(child, session, by_agent, children) for child in children.get(agent, ())]
    known = session.agents.get(agent, Agent())
    return {
        "agent": agent,
        "type": known.type,
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
    """What the descendants of an agent add up to."""
    total = ZERO
    waiting = list(children.get(agent, ()))
    while waiting:
        child = waiting.pop()
        total = plus(total, summed(totals for _, totals in by_agent[child]))
        waiting += children.get(child, ())
    return total
