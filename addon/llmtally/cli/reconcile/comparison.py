"""The calls of the journal and of the log that are compared, and how they differ."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from ...record import Call, Usage
from .client_logs import Logged

CLIENTS = ("claude-code", "codex")
"""The clients whose logs are read, by their name in records."""

MARGIN_SECONDS = 3600.0
"""How far beyond the requested time both sides are read, so that a call at its edge is seen on
both: none takes longer."""

FIELDS = (
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
)
"""Counts that are compared where the log has them; the model is compared, too."""


class JournalCall(NamedTuple):
    """What is compared of a call in the journal."""

    client: str | None
    at: float
    """When it ended, in epoch seconds."""
    usage: Usage
    models: tuple[str, ...]
    """The model that answered and the one requested: clients log one or the other."""
    response_id: str | None
    request_id: str
    threads: tuple[str, ...]
    """The ids of its agent and its session: a client's log names one of them."""
    request_class: str | None
    cost_usd: float | None
    estimated: bool


class Difference(NamedTuple):
    """One field on which the two sides disagree."""

    field: str
    wire: int | str | None
    log: int | str | None


class Pair(NamedTuple):
    """One call that both sides know."""

    call: JournalCall
    logged: Logged
    joined_by: Literal["response_id", "thread"]
    differences: tuple[Difference, ...]


@dataclass(slots=True)
class Comparison:
    """The calls of both sides, by whether and how they agree."""

    equal: list[Pair] = field(default_factory=list)
    different: list[Pair] = field(default_factory=list)
    wire_only: list[JournalCall] = field(default_factory=list)
    """Calls that the client did not log."""
    log_only: list[Logged] = field(default_factory=list)
    """Calls that bypassed the proxy."""

    @property
    def calls(self) -> int:
        """All calls known to either side."""
        return len(self.equal) + len(self.different) + len(self.wire_only) + len(self.log_only)

    @property
    def agreement_pct(self) -> float | None:
        """The share of calls on which both sides agree; None without a call in the journal that the
        log could agree with."""
        return 100 * len(self.equal) / self.calls if self.calls > len(self.log_only) else None

    def of(self, client: str) -> Comparison:
        """The calls of one client."""
        return self._where(
            lambda logged: logged.client == client, lambda call: call.client == client
        )

    def between(self, since: float, until: float) -> Comparison:
        """The calls of a period, by the clock of either side."""
        return self._where(
            lambda logged: since <= logged.at < until, lambda call: since <= call.at < until
        )

    def _where(
        self, of_log: Callable[[Logged], bool], of_journal: Callable[[JournalCall], bool]
    ) -> Comparison:
        return Comparison(
            [pair for pair in self.equal if of_log(pair.logged)],
            [pair for pair in self.different if of_log(pair.logged)],
            [call for call in self.wire_only if of_journal(call)],
            [logged for logged in self.log_only if of_log(logged)],
        )


def journal_call(call: Call) -> JournalCall | None:
    """What is compared of a call; None for one that used no tokens, which clients do not log."""
    if not call.usage.total_tokens or call.attribution.request_class == "warmup":
        return None
    who = call.attribution
    return JournalCall(
        client=who.client,
        at=call.ended,
        usage=call.usage,
        models=tuple(model for model in (call.model, call.request_model) if model),
        response_id=call.response_id,
        request_id=call.request_id,
        threads=tuple(name for name in (who.agent, who.session) if name),
        request_class=who.request_class,
        cost_usd=call.cost_usd,
        estimated=call.estimated,
    )


def comparable(call: JournalCall, logged: Logged) -> Usage:
    """The call's usage in the buckets that the log has: older versions of Codex count cache writes
    as input."""
    usage = call.usage
    if (
        logged.client == "codex"
        and logged.usage.cache_write_tokens is None
        and usage.cache_write_tokens
    ):
        return usage._replace(
            input_tokens=(usage.input_tokens or 0) + usage.cache_write_tokens,
            cache_write_tokens=None,
        )
    return usage


def differences(call: JournalCall, logged: Logged) -> Iterator[Difference]:
    """The fields that differ. An unknown count in the journal differs from one in the log that is
    not 0."""
    ours, theirs = comparable(call, logged), logged.usage
    for name in FIELDS:
        wired, said = getattr(ours, name), getattr(theirs, name)
        if said is not None and said != (wired or 0):
            yield Difference(name, wired, said)
    if logged.model is not None and call.models and logged.model not in call.models:
        yield Difference("model", call.models[0], logged.model)
