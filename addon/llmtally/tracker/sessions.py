"""Sessions and their agents: what each agent spent, and which agent started it.

A session belongs to one account; the same id under another account is another session. Each keeps
its days, and steps of ten minutes for the last six hours, so that ten thousand of them stay small.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import NamedTuple

from ..record import TEXT_CAP, Call
from .ledger import OTHER
from .scope import Scope
from .timeline import MINUTES_PER_DAY, minute_of
from .totals import Totals, cut, kind_of, plus, summed

LEAVES_CAP = 64
"""Agents, models and request classes told apart within one session: a lively Claude Code session
has twenty."""

SLOT_MINUTES = 10
SLOTS_KEPT = 36
"""Slots of ten minutes that are kept: six hours, which cover any 5-hour window."""

LABEL_ID_LENGTH = 8
"""Characters of a session id that serve as its label if nothing better is known."""

_SEPARATORS = "/\\"

SessionKey = tuple[str | None, str]
"""Key of a session: its account and its id."""


class Buckets:
    """Totals by step of time. For many small sums that are seldom needed: each is computed by
    adding up its steps."""

    __slots__ = ("_rows",)

    def __init__(self) -> None:
        self._rows: dict[int, Totals] = {}

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def total(self) -> Totals:
        """The sum of all steps."""
        return summed(self._rows.values())

    @property
    def newest(self) -> int:
        """The newest step that has totals."""
        return max(self._rows)

    def add(self, step: int, row: Totals) -> None:
        """Add to the totals of a step."""
        before = self._rows.get(step)
        self._rows[step] = row if before is None else plus(before, row)

    def since(self, step: int) -> Totals:
        """The sum of this step and all later ones."""
        return summed(row for each, row in self._rows.items() if each >= step)

    def forget(self, step: int) -> None:
        """Drop the steps before this one."""
        for old in [each for each in self._rows if each < step]:
            del self._rows[old]

    def fold(self, other: Buckets) -> None:
        """Add all steps of another `Buckets`."""
        for step, row in other.items():
            self.add(step, row)

    def items(self) -> Iterable[tuple[int, Totals]]:
        """All steps and their totals."""
        return self._rows.items()


class Leaf(NamedTuple):
    """Key of what is counted separately within a session."""

    agent: str | None
    """Id of the agent; None: the main agent."""
    kind: str | None
    """The kind of work."""
    model: str


@dataclass(slots=True)
class Agent:
    """What is known of an agent apart from its totals."""

    parent: str | None = None
    type: str | None = None
    updated_at: float = 0.0


@dataclass(slots=True)
class Session:
    """What one session spent, and what is known of it."""

    account: str | None
    id: str
    slots: Buckets = field(default_factory=Buckets)
    """Totals by ten minutes, for at least the last six hours."""
    cost: int = 0
    """Picodollars over all retained days, by which sessions are ranked."""
    leaves: dict[Leaf, Buckets] = field(default_factory=dict)
    """Totals by day, for each leaf."""
    agents: dict[str | None, Agent] = field(default_factory=dict)
    client: str | None = None
    project: str | None = None
    source: str | None = None
    """How the session was identified (`session_source`)."""
    model: str | None = None
    """The model of the newest call."""
    started_at: float = 0.0
    updated_at: float = 0.0

    @property
    def label(self) -> str:
        """A short name to show: the project's last directory, else the client, else the beginning
        of the id."""
        project = (self.project or "").rstrip(_SEPARATORS).replace("\\", "/").rpartition("/")[2]
        return project or self.client or self.id[:LABEL_ID_LENGTH]

    @property
    def total(self) -> Totals:
        """What it spent over all retained days."""
        return summed(days.total for days in self.leaves.values())

    def since_day(self, day: int) -> Totals:
        """What it spent on this day and later ones."""
        return summed(days.since(day) for days in self.leaves.values())

    def add(self, call: Call, model: str, ended: float, row: Totals) -> None:
        """Count one call that this model answered; `ended` is rounded as in the journal."""
        minute = minute_of(ended)
        self.slots.add(minute // SLOT_MINUTES, row)
        if len(self.slots) > 2 * SLOTS_KEPT:
            self.slots.forget(self.slots.newest - SLOTS_KEPT)
        self.cost += row.spent + row.api_value
        self._describe(call, model, ended)
        who = call.attribution
        # A subagent's node shows what it is; without an agent id only the kind says so.
        kind = who.request_class if who.agent else kind_of(who.request_class, cut(who.agent_type))
        leaf = Leaf(cut(who.agent), kind, model)
        days = self.leaves.get(leaf)
        if days is None:
            if len(self.leaves) >= LEAVES_CAP:
                leaf = Leaf(OTHER, None, OTHER)
            days = self.leaves.setdefault(leaf, Buckets())
        days.add(minute // MINUTES_PER_DAY, row)
        agent = self.agents.get(leaf.agent)
        if agent is None:
            agent = self.agents[leaf.agent] = Agent()
        if leaf.agent != OTHER and ended >= agent.updated_at:
            agent.parent = cut(who.parent_agent) or agent.parent
            agent.type = cut(who.agent_type) or agent.type
        agent.updated_at = max(agent.updated_at, ended)

    def _describe(self, call: Call, model: str, ended: float) -> None:
        """Update what is known from the newest call that states it."""
        who = call.attribution
        client, project = cut(who.client), cut(who.project)
        if ended >= self.updated_at:
            self.client, self.project = client or self.client, project or self.project
            self.source, self.model = who.session_source or self.source, model
            self.updated_at = ended
        else:
            self.client, self.project = self.client or client, self.project or project
            self.source = self.source or who.session_source
        self.started_at = min(self.started_at or call.timestamp, call.timestamp)

    def forget(self, day: int) -> None:
        """Drop the days before this one."""
        # nothing is older, as in most sessions: this is fast, as there may be ten thousand
        if minute_of(self.started_at) >= day * MINUTES_PER_DAY:
            return
        self.slots.forget(day * MINUTES_PER_DAY // SLOT_MINUTES)
        for leaf, days in list(self.leaves.items()):
            days.forget(day)
            if not days:
                del self.leaves[leaf]
        self.cost = self.total.cost
        present = {leaf.agent for leaf in self.leaves}
        self.agents = {agent: known for agent, known in self.agents.items() if agent in present}


class Sessions:
    """The most recently active sessions, up to a cap; what the others spent is kept as one sum per
    account."""

    def __init__(self, cap: int) -> None:
        self._cap = cap
        self._sessions: OrderedDict[SessionKey, Session] = OrderedDict()
        self._others: dict[str | None, Buckets] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def add(self, call: Call, account: str | None, model: str, ended: float, row: Totals) -> None:
        """Count one call of a session."""
        name = call.attribution.session
        if not name:
            return
        key = (account, name[:TEXT_CAP])
        session = self._sessions.get(key)
        if session is None:
            session = self._sessions[key] = Session(account, key[1])
            if len(self._sessions) > self._cap:
                oldest = self._sessions.popitem(last=False)[1]
                self._fold(oldest, oldest.account)
        else:
            self._sessions.move_to_end(key)
        session.add(call, model, ended, row)

    def find(self, session_id: str, scope: Scope) -> Session | None:
        """The session with this id; if several accounts have it, the most recently active one."""
        if not scope.every:
            return self._sessions.get((scope.account, session_id))
        found = (session for (_, name), session in self._sessions.items() if name == session_id)
        return max(found, key=attrgetter("updated_at"), default=None)

    def most(self, rank: str, limit: int, scope: Scope) -> list[Session]:
        """The first sessions by `cost` or by `updated_at`."""
        return heapq.nlargest(limit, self.of(scope), key=attrgetter(rank))

    def of(self, scope: Scope) -> list[Session]:
        """The sessions of the accounts in the scope, most recently active first, because ranking by
        that is then cheap."""
        newest = reversed(self._sessions.values())
        return [session for session in newest if scope.includes(session.account)]

    def others(self, scope: Scope) -> Totals:
        """What the sessions spent that are no longer kept separately."""
        return summed(days.total for owner, days in self._others.items() if scope.includes(owner))

    def forget(self, minute: int) -> None:
        """Drop everything before a day's first minute, and sessions that are then empty."""
        day = minute // MINUTES_PER_DAY
        for key, session in list(self._sessions.items()):
            session.forget(day)
            if not session.leaves:
                del self._sessions[key]
        for account, days in list(self._others.items()):
            days.forget(day)
            if not days:
                del self._others[account]

    def retire(self, account: str | None) -> None:
        """Add all sessions of an account to the sum of the account `other`."""
        for key in [key for key in self._sessions if key[0] == account]:
            self._fold(self._sessions.pop(key), OTHER)
        if (rest := self._others.pop(account, None)) is not None:
            self._others.setdefault(OTHER, Buckets()).fold(rest)

    def _fold(self, session: Session, account: str | None) -> None:
        others = self._others.setdefault(account, Buckets())
        for days in session.leaves.values():
            others.fold(days)
