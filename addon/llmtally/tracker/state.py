"""What the tracker knows, and how a call changes it. A call is added once, in constant time, to
each of:

the timeline of its account, provider and model; of its session and agent; of its client, project,
request class and outcome; the limit windows that it reports; the ring of newest calls. Everything
that is shown is computed from these. What is older than the first of the last seven whole UTC days
is forgotten, so that a state read back from the journal equals one that was never interrupted.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

from ..record import Call, milliseconds
from .ledger import OTHER, Ledger
from .scope import Scope
from .sessions import Sessions
from .timeline import MINUTE, MINUTES_PER_DAY, NEVER, Resolution, day_start, minute_of
from .totals import Totals, cut
from .windows import Windows

RETENTION_DAYS = 7
"""Whole UTC days before today that are kept: the longest plan window but for monthly quotas."""

ESTIMATE_SECONDS = 5 * 3600.0
"""Seconds of the window that is assumed if no provider reports one."""

ESTIMATE_MINUTES = int(ESTIMATE_SECONDS) // MINUTE

MODEL_LEVELS = (Resolution(1, 26 * 60), Resolution(10, 8 * 144))
"""One-minute steps for a day's chart, ten-minute steps for the week."""

FACET_LEVELS = (
    Resolution(1, ESTIMATE_MINUTES + 1),
    Resolution(MINUTES_PER_DAY, RETENTION_DAYS + 1),
)


@dataclass(frozen=True, slots=True)
class Caps:
    """How many of each are kept at most. Further ones are counted under the name `other`."""

    models: int = 256
    """Timelines by account, provider and model. One that is busy in every minute of a week takes
    1.4 MB, a usual one some 20 kB."""
    facets: int = 256
    """Timelines by account, client, project, request class and outcome."""
    sessions: int = 10_000
    """Sessions kept separately: a week of a busy team. 2 to 5 kB each."""
    accounts: int = 64
    """Accounts kept separately: a team on one proxy."""
    calls: int = 5_000
    """Newest calls kept to be looked at, and as many from before the process began; about 2 kB
    each. Older ones are in the journal alone."""
    windows: int = 256
    """Limit windows remembered: an account has a handful, classic rate limits four for each model.
    The one with the oldest report is dropped."""


CAPS = Caps()


class ModelKey(NamedTuple):
    """Key of a model's timeline."""

    account: str | None
    provider: str
    model: str


class FacetKey(NamedTuple):
    """Key of a timeline by client, project, request class and outcome."""

    account: str | None
    client: str | None
    project: str | None
    request_class: str | None
    outcome: str | None


class State:
    """All that is known of the calls since the last reset."""

    def __init__(self, caps: Caps, windows: Windows) -> None:
        """`windows` are kept when the state is reset, as they are the providers'."""
        self.models: Ledger[ModelKey] = Ledger(caps.models, MODEL_LEVELS, _other_model)
        self.facets: Ledger[FacetKey] = Ledger(caps.facets, FACET_LEVELS, _other_facet)
        self.sessions = Sessions(caps.sessions)
        self.windows = windows
        self._calls: deque[Call] = deque(maxlen=caps.calls)
        self._restored_calls: deque[Call] = deque(maxlen=caps.calls)
        """Calls of earlier runs; kept apart, as new calls may come before these have been read
        back."""
        self.coverage: dict[int, Counter[tuple[str | None, str]]] = {}
        """Responses by account and bucket, by the first minute of each day."""
        self.accounts: OrderedDict[str | None, float] = OrderedDict()
        """When each account was last active, the least recently active first."""
        self.cost_sources: OrderedDict[ModelKey, str | None] = OrderedDict()
        """Where the newest price of a model came from; as many as there are timelines."""
        self.first_call: float | None = None
        self._caps = caps
        self._anchors: dict[str | None, dict[int, float]] = {}
        """When the first call of a minute ended, by account, for recent minutes."""
        self._horizon = NEVER

    def keep(self, call: Call, *, restored: bool) -> None:
        """Keep one of the newest calls; `restored`: it comes from the journal."""
        (self._restored_calls if restored else self._calls).append(call)

    def count(
        self,
        call: Call,
        account: str | None,
        ended: float,
        row: Totals,
        shares: Sequence[tuple[str, Totals]],
    ) -> None:
        """Count one call: `row` is the whole call, `shares` its parts by model, with the model that
        answered last. `account` is the account's name here, `ended` is rounded as in the
        journal."""
        minute = minute_of(ended)
        for model, share in shares:
            self._count_model(
                ModelKey(account, call.provider, model), minute, share, call.cost_source
            )
        who = call.attribution
        facet = FacetKey(
            account, cut(who.client), cut(who.project), who.request_class, call.outcome
        )
        self.facets.add(facet, minute, row)
        self.sessions.add(call, account, shares[-1][0], ended, row)
        self._anchor(account, minute, ended)
        if self.first_call is None or ended < self.first_call:
            self.first_call = ended

    def _count_model(
        self, key: ModelKey, minute: int, share: Totals, cost_source: str | None
    ) -> None:
        self.models.add(key, minute, share)
        if self.cost_sources.get(key, "") != cost_source:
            self.cost_sources[key] = cost_source
            if len(self.cost_sources) > self._caps.models:
                self.cost_sources.popitem(last=False)

    def count_coverage(self, bucket: str, account: str | None, at: float, count: int = 1) -> None:
        """Count responses in a bucket of coverage."""
        day = int(at // MINUTE) // MINUTES_PER_DAY * MINUTES_PER_DAY
        today = self.coverage.get(day)
        if today is None:
            today = self.coverage[day] = Counter()
            if len(self.coverage) > RETENTION_DAYS + 1:
                del self.coverage[min(self.coverage)]
        today[account, bucket] += count

    def newest_calls(self) -> Iterator[Call]:
        """The calls that are kept, newest first."""
        return chain(reversed(self._calls), reversed(self._restored_calls))

    def oldest_within_estimate(self, now: float, scope: Scope) -> float | None:
        """When the oldest call of the last 5 hours ended; None if there was none."""
        ends = (
            ended
            for owner, anchors in self._anchors.items()
            if scope.includes(owner)
            for ended in anchors.values()
            if ended > now - ESTIMATE_SECONDS
        )
        return min(ends, default=None)

    def advance(self, now: float) -> None:
        """Forget everything older than the retention. This has an effect once a day."""
        horizon = horizon_of(now)
        if horizon <= self._horizon:
            return
        self._horizon = horizon
        self.models.forget(horizon)
        self.facets.forget(horizon)
        self.sessions.forget(horizon)
        for day in [day for day in self.coverage if day < horizon]:
            del self.coverage[day]

    def _anchor(self, account: str | None, minute: int, ended: float) -> None:
        anchors = self._anchors.get(account)
        if anchors is None:
            anchors = self._anchors[account] = {}
        if (first := anchors.get(minute)) is not None:
            anchors[minute] = min(first, ended)
            return
        anchors[minute] = ended
        if len(anchors) > 2 * ESTIMATE_MINUTES:
            newest = max(anchors)
            self._anchors[account] = {
                each: at for each, at in anchors.items() if each >= newest - ESTIMATE_MINUTES
            }

    def account_of(self, account: str | None, at: float) -> str | None:
        """Note that an account was active, and return its name here. Beyond the cap, the least
        recently active one is counted as `other` from then on."""
        account = cut(account)
        if account in self.accounts:
            self.accounts.move_to_end(account)
            self.accounts[account] = max(self.accounts[account], at)
            return account
        self.accounts[account] = at
        if len(self.accounts) - (OTHER in self.accounts) > self._caps.accounts:
            oldest = next(name for name in self.accounts if name != OTHER)
            self._retire(oldest)
        return account

    def _retire(self, account: str | None) -> None:
        last_active = self.accounts.pop(account)
        self.accounts[OTHER] = max(self.accounts.get(OTHER, last_active), last_active)
        self.models.retire(account, lambda key: key._replace(account=OTHER))
        self.facets.retire(account, lambda key: key._replace(account=OTHER))
        self.sessions.retire(account)
        self.windows.retire(account)
        for minute, ended in self._anchors.pop(account, {}).items():
            self._anchor(OTHER, minute, ended)
        for day in self.coverage.values():
            for key in [key for key in day if key[0] == account]:
                day[OTHER, key[1]] += day.pop(key)


def as_journaled(at: float) -> float:
    """A time rounded as in the journal: to whole milliseconds."""
    return milliseconds(at) / 1000


def horizon_of(now: float) -> int:
    """The first minute that is retained."""
    return day_start(now) - RETENTION_DAYS * MINUTES_PER_DAY


def _other_model(key: ModelKey) -> ModelKey:
    return key._replace(model=OTHER)


def _other_facet(key: FacetKey) -> FacetKey:
    return FacetKey(key.account, OTHER, OTHER, OTHER, OTHER)
