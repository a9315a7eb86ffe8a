"""Decides what calls are like: conversations whose context grows and is read from the cache, and
now and then trouble."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Literal

HEADER = "x-demo-turn"
"""The header in which the client sends a turn to the fake provider."""

Fate = Literal["answered", "refused", "left", "broken", "cut"]
"""`refused`: an error instead of an answer. `left`: the user stops a stream. `broken`: an error
within a stream. `cut`: a stream that just ends."""

TROUBLES: dict[int, Fate] = {2: "refused", 8: "left", 15: "broken", 19: "refused", 24: "cut"}
TROUBLES_EVERY = 28
"""Of this many calls of a user, those in `TROUBLES` go wrong: far more than in reality, so that
each kind is seen within a minute."""

CACHE_MISS = 0.04
"""Share of turns in which nothing comes from the cache."""

MISSES = ("tools_changed", "tools_changed", "messages_changed", "previous_message_not_found")
"""Reasons for a cache miss, in Anthropic's words; the last means that the cache has expired."""

COMPACTED_AT, COMPACTED_TO = 150_000, 14_000
"""Tokens of context at which agents sum up the conversation, and what is left of it."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One call, as it is going to be."""

    cached: int
    """Tokens of input that the cache has."""
    uncached: int
    """Tokens of input that the cache does not have."""
    output: int
    """Tokens of output, reasoning included."""
    reasoning: int
    """Subset of `output` that is reasoning."""
    seconds: float
    """From the request to the end of the answer."""
    fate: Fate = "answered"
    """How the call is going to end."""
    missed: str | None = None
    """Why the cache was missed; None if it was not."""

    def to_header(self) -> str:
        """The header's value, as the client sends it."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_header(cls, value: str | None) -> Turn:
        """Read the header's value, as the provider does."""
        return cls(**json.loads(value or "{}"))


class Conversation:
    """Makes turns, each of which has all that was said before as its context."""

    def __init__(self, chance: Random, *, shared: int, talkative: float = 1.0) -> None:
        """`shared`: tokens of instructions and tools, which other conversations have brought into
        the cache."""
        self._chance = chance
        self._context = shared
        self._talkative = talkative

    def turn(self, fate: Fate = "answered") -> Turn:
        """Make the next turn, and add it to the context if it is answered."""
        chance = self._chance
        said = int(self._talkative * min(chance.lognormvariate(6.9, 0.9), 12_000))
        output = 15 + int(self._talkative * min(chance.lognormvariate(5.7, 0.8), 4_000))
        missed = chance.choice(MISSES) if chance.random() < CACHE_MISS else None
        cached = 0 if missed else self._context
        turn = Turn(
            cached=cached,
            uncached=self._context - cached + said,
            output=output,
            reasoning=int(output * chance.uniform(0, 0.6)),
            seconds=min(1.2 + output / 130, 7.0),
            fate=fate,
            missed=missed,
        )
        if fate == "answered":
            self._context += said + output
            if self._context > COMPACTED_AT:
                self._context = COMPACTED_TO
        return turn


class Troubles:
    """Decides which calls of a user go wrong."""

    def __init__(self, first: int = 0) -> None:
        """`first`: how many calls there have been, so that not all users are in trouble at the same
        time."""
        self._calls = count(first + 1)

    def next(self) -> Fate:
        """How the next call ends."""
        return TROUBLES.get(next(self._calls) % TROUBLES_EVERY, "answered")
