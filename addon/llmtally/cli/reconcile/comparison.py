"""What is compared, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from ...record import Call, Usage
from .client_logs import Logged

CLIENTS = ("claude-code", "codex")
"""The clients whose logs are read, by their name in records."""

MARGIN_SECONDS = 3600.0
"""Read beyond the time asked for, so that a call at its edge is seen on both sides: none takes
longer."""

FIELDS = (
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
)
"""What is compared, where the log has a word for it; and the model."""


class JournalCall(NamedTuple):
    """What is compared of a call in the journal."""

    client: str | None
    at: float
    usage: Usage
    models: tuple[str, ...]
    """Served and asked for: clients log one or the other."""
    response_id: str | None
    request_id: str
    threads: tuple[str, ...]
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

    wire: JournalCall
    logged: Logged
    joined_by: Literal["response_id", "thread"]
    differences: tuple[Difference, ...]


@dataclass(slots=True)
class Comparison:
    """How the two sides compare."""

    equal: list[Pair] = field(default_factory=list)
    different: list[Pair] = field(default_factory=list)
    wire_only: list[JournalCall] = field(default_factory=list)
    """The client did not log them."""
    log_only: list[Logged] = field(default_factory=list)
    """They went past the proxy."""

    @property
    def calls(self) -> int:
        """All calls known to either side."""
        return len(self.equal) + len(self.different) + len(self.wire_only) + len(self.log_only)

    @property
    def agreement_pct(self) -> float | None:
        """The share on which both sides say the same; None where nothing was on the wire that the
        log could agree with."""
        return 100 * len(self.equal) / self.calls if self.calls > len(self.log_only) else None

    def of(self, client: str) -> Comparison:
        """The part of one client."""
        return self._where(
            lambda logged: logged.client == client, lambda wire: wire.client == client
        )

    def between(self, since: float, until: float) -> Comparison:
        """The part of a time, by the clock of either side."""
        return self._where(
            lambda logged: since <= logged.at < until, lambda wire: since <= wire.at < until
        )

    def _where(
        self, of_log: Callable[[Logged], bool], of_wire: Callable[[JournalCall], bool]
    ) -> Comparison:
        return Comparison(
            [pair for pair in self.equal if of_log(pair.logged)],
            [pair for pair in self.different if of_log(pair.logged)],
            [wire for wire in self.wire_only if of_wire(wire)],
            [logged for logged in self.log_only if of_log(logged)],
        )


def on_wire(call: Call) -> JournalCall | None:
    """What is compared of a call; None for one that spent nothing: clients log what was
    answered."""
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


def comparable(wire: JournalCall, logged: Logged) -> Usage:
    """What was on the wire in the buckets that the log has: an older Codex counts what is written
    to a cache as input."""
    usage = wire.usage
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


def differences(wire: JournalCall, logged: Logged) -> Iterator[Difference]:
    """An unknown count differs from one that is not 0, if the log can say it at all."""
    ours, theirs = comparable(wire, logged), logged.usage
    for name in FIELDS:
        wired, said = getattr(ours, name), getattr(theirs, name)
        if said is not None and said != (wired or 0):
            yield Difference(name, wired, said)
    if logged.model is not None and wire.models and logged.model not in wire.models:
        yield Difference("model", wire.models[0], logged.model)
