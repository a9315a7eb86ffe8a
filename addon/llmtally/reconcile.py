"""The journal held against what clients logged of the same calls.

Responses are joined by the provider's id. Codex logged none before 0.155: there the calls of one thread are joined by equal
counts first, then in the order of time. What only one side knows is the point: calls the client hid from its own log, and calls
that went past the proxy.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from .client_logs import Logged
from .record import Call, Usage, rfc3339

CLIENTS = ("claude-code", "codex")
"""The clients whose logs are read, by their name in records."""

NEAR_SECONDS = 60.0
"""Calls of one thread with different counts are still the same if both sides have them this close in time."""

MARGIN_SECONDS = 3600.0
"""Read beyond the time asked for, so that a call at its edge is seen on both sides: none takes longer."""

FIELDS = (
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
)
"""What is compared, where the log has a word for it; and the model."""


class Wire(NamedTuple):
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

    wire: Wire
    logged: Logged
    joined_by: Literal["response_id", "thread"]
    differences: tuple[Difference, ...]


@dataclass(slots=True)
class Comparison:
    """How the two sides compare."""

    equal: list[Pair] = field(default_factory=list)
    different: list[Pair] = field(default_factory=list)
    wire_only: list[Wire] = field(default_factory=list)
    """The client did not log them."""
    log_only: list[Logged] = field(default_factory=list)
    """They went past the proxy."""

    @property
    def calls(self) -> int:
        """All calls known to either side."""
        return len(self.equal) + len(self.different) + len(self.wire_only) + len(self.log_only)

    @property
    def agreement_pct(self) -> float | None:
        """The share on which both sides say the same; None where there are no calls."""
        return 100 * len(self.equal) / self.calls if self.calls else None

    def of(self, client: str) -> Comparison:
        """The part of one client."""
        return self._where(lambda logged: logged.client == client, lambda wire: wire.client == client)

    def between(self, since: float, until: float) -> Comparison:
        """The part of a time, by the clock of either side."""
        return self._where(lambda logged: since <= logged.at < until, lambda wire: since <= wire.at < until)

    def _where(self, of_log: Callable[[Logged], bool], of_wire: Callable[[Wire], bool]) -> Comparison:
        return Comparison(
            [pair for pair in self.equal if of_log(pair.logged)],
            [pair for pair in self.different if of_log(pair.logged)],
            [wire for wire in self.wire_only if of_wire(wire)],
            [logged for logged in self.log_only if of_log(logged)],
        )


def on_wire(call: Call) -> Wire | None:
    """What is compared of a call; None for one that spent nothing: clients log what was answered."""
    if not call.usage.total_tokens or call.attribution.request_class == "warmup":
        return None
    who = call.attribution
    return Wire(
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


def compare(wires: Iterable[Wire], log: Iterable[Logged]) -> Comparison:
    """Join the two sides. Of calls that are not logged, only those of clients with a log are told."""
    done = Comparison()
    left = _joined_by_id(wires, log, done)
    left = _joined_by_thread(*left, done)
    done.wire_only = sorted((wire for wire in left[0] if wire.client in CLIENTS), key=lambda wire: wire.at)
    done.log_only = sorted(left[1], key=lambda logged: logged.at)
    return done


def _joined_by_id(wires: Iterable[Wire], log: Iterable[Logged], done: Comparison) -> tuple[list[Wire], list[Logged]]:
    """Returns what is left over."""
    unlogged: dict[str | None, list[Wire]] = defaultdict(list)
    for wire in wires:  # small servers give an id more than once
        unlogged[wire.response_id or wire.request_id].append(wire)
    unmatched = []
    for logged in log:
        known = unlogged.get(logged.response_id) if logged.response_id is not None else None
        if known:
            _settle(known.pop(0), logged, "response_id", done)
        else:
            unmatched.append(logged)
    return [wire for left in unlogged.values() for wire in left], unmatched


def _joined_by_thread(wires: list[Wire], log: list[Logged], done: Comparison) -> tuple[list[Wire], list[Logged]]:
    """Join what has no id on one side, thread by thread. Returns what is left over."""
    by_thread: dict[str | None, list[Wire]] = defaultdict(list)
    for wire in sorted(wires, key=lambda wire: wire.at):
        for thread in dict.fromkeys(wire.threads):
            by_thread[thread].append(wire)
    taken: set[str] = set()
    left = sorted(log, key=lambda logged: logged.at)
    for is_same in (_same_counts, _same_time):
        unmatched: list[Logged] = []
        for logged in left:
            candidates = [] if logged.response_id is not None else by_thread[logged.thread]
            same = next((wire for wire in candidates if wire.request_id not in taken and is_same(wire, logged)), None)
            if same is None:
                unmatched.append(logged)
            else:
                taken.add(same.request_id)
                _settle(same, logged, "thread", done)
        left = unmatched
    return [wire for wire in wires if wire.request_id not in taken], left


def _same_counts(wire: Wire, logged: Logged) -> bool:
    return not any(difference.field != "model" for difference in _differences(wire, logged))


def _same_time(wire: Wire, logged: Logged) -> bool:
    return abs(wire.at - logged.at) <= NEAR_SECONDS


def _settle(wire: Wire, logged: Logged, joined_by: Literal["response_id", "thread"], done: Comparison) -> None:
    differences = tuple(_differences(wire, logged))
    (done.different if differences else done.equal).append(Pair(wire, logged, joined_by, differences))


def _differences(wire: Wire, logged: Logged) -> Iterator[Difference]:
    """An unknown count differs from one that is not 0, if the log can say it at all."""
    ours, theirs = wire.usage, logged.usage
    if (
        logged.client == "codex" and theirs.cache_write_tokens is None and ours.cache_write_tokens
    ):  # an older Codex counts them as input
        ours = ours._replace(input_tokens=(ours.input_tokens or 0) + ours.cache_write_tokens, cache_write_tokens=None)
    for name in FIELDS:
        wired, said = getattr(ours, name), getattr(theirs, name)
        if said is not None and said != (wired or 0):
            yield Difference(name, wired, said)
    if logged.model is not None and wire.models and logged.model not in wire.models:
        yield Difference("model", wire.models[0], logged.model)


def as_json(comparison: Comparison) -> dict[str, Any]:
    """`{calls, equal, different, wire_only, log_only, agreement_pct, clients{}}` in numbers, then every call that is not equal."""
    return {
        **_counts(comparison),
        "clients": {client: _counts(comparison.of(client)) for client in CLIENTS},
        "differences": [
            {
                "client": pair.logged.client,
                "at": rfc3339(pair.wire.at),
                "response_id": pair.wire.response_id,
                "request_id": pair.wire.request_id,
                "joined_by": pair.joined_by,
                "estimated": pair.wire.estimated,
                "fields": {each.field: {"wire": each.wire, "log": each.log} for each in pair.differences},
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
            }
            for logged in comparison.log_only
        ],
    }


def _counts(comparison: Comparison) -> dict[str, Any]:
    return {
        "calls": comparison.calls,
        "equal": len(comparison.equal),
        "different": len(comparison.different),
        "wire_only": len(comparison.wire_only),
        "log_only": len(comparison.log_only),
        "agreement_pct": comparison.agreement_pct,
    }
