"""Makes up last week's journal, so that the charts have a shape, and today a yesterday, at once.

The records are priced, attributed and written by the addon's own code; accounts and limits are
those of the live traffic.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from uuid import UUID

from llmtally.attribution import Attributor, RequestView
from llmtally.journal import account_key, utc_day
from llmtally.limits import read_headers
from llmtally.pricing import Pricer
from llmtally.record import ApiError, Attribution, Call, Usage
from llmtally.schema import to_line

from .cast import OPENROUTER, USERS, User
from .plans import HOUR, MINUTE, Plans
from .providers import openrouter_cost
from .turns import Conversation, Turn

DAYS = 7
"""Days of history: as many as the addon reads back at its start."""

MORNING, EVENING = 8 * HOUR, 19 * HOUR
"""Between these seconds of the day sessions begin: people work in the daytime."""

RECENT = (80, 66, 53, 40, 27)
"""Minutes since each user's last sessions, but for the open one, began."""

OPEN_TURNS = 60
"""Turns of the session that is still open: more than there is time for."""

REFUSED = 0.012
"""Share of calls that are answered with an error."""


def write(directory: Path, plans: Plans) -> None:
    """Write the journal of the last days up to now."""
    now = time.time()
    people = Attributor(account_key(directory))
    chance = Random(2026)  # noqa: S311  # the same every time, but for the clock
    pricer = Pricer()
    calls = [call for user in USERS for call in _calls(user, people, plans, chance, now)]
    for call in sorted(calls, key=lambda call: call.ended):
        with (directory / f"usage-{utc_day(call.ended)}.jsonl").open("ab") as journal:
            journal.write(to_line(call.priced(pricer.price(call))))


def _calls(
    user: User, people: Attributor, plans: Plans, chance: Random, now: float
) -> Iterator[Call]:
    who = people.attribute(RequestView(user.provider, user.host, user.path, user.headers), now=now)
    who = who._replace(
        client=user.client or who.client, project=user.directory, session_source="client_header"
    )
    for start, session in _sessions(user, chance, now):
        length = OPEN_TURNS if session == user.open_session else chance.randint(12, 30)
        for at, model, turn, agent, kind in _turns(user, chance, start, length):
            if at + turn.seconds < now:
                purpose = "subagent" if agent else who.request_class
                place = who._replace(
                    session=session, agent=agent, agent_type=kind, request_class=purpose
                )
                yield _call(user, place, plans, chance, at, model, turn)


def _sessions(user: User, chance: Random, now: float) -> Iterator[tuple[float, str]]:
    """When a user's sessions began, and their ids: some every day, some within the last hour and a
    half, and one that is still open."""
    today = (
        datetime.fromtimestamp(now).astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    )
    starts = [
        (today - timedelta(days=back)).timestamp() + chance.uniform(MORNING, EVENING)
        for back in range(DAYS)
        for _ in range(user.daily_sessions)
    ]
    for start in (
        *starts,
        *(now - (minutes + chance.uniform(-8, 8)) * MINUTE for minutes in RECENT),
    ):
        yield start, str(UUID(int=chance.getrandbits(128), version=4))
    yield now - chance.uniform(12, 25) * MINUTE, user.open_session


def _turns(
    user: User, chance: Random, start: float, length: int
) -> Iterator[tuple[float, str, Turn, str | None, str | None]]:
    """`(time, model, turn, agent, type of agent)`, in the order of the main agent's turns."""
    at = start
    main = Conversation(chance, shared=user.shared, talkative=user.talkative)
    for number in range(length):
        at += chance.uniform(5, 55)
        yield (
            at,
            user.model,
            main.turn("refused" if chance.random() < REFUSED else "answered"),
            None,
            None,
        )
        if number % 6 == 3:
            for kind, model in user.agents.items():
                agent = f"{chance.getrandbits(28):07x}"
                helper = Conversation(chance, shared=user.shared, talkative=user.talkative)
                for step in range(chance.randint(2, 5)):
                    yield at + 7 * step, model, helper.turn(), agent, kind


def _call(
    user: User, who: Attribution, plans: Plans, chance: Random, at: float, model: str, turn: Turn
) -> Call:
    headers = plans.earlier(user.host, at, turn.cached + turn.uncached)
    call = Call(
        timestamp=at,
        started=at + 0.1,
        ended=at + 0.1 + turn.seconds,
        request_id=f"demo-{chance.getrandbits(64):016x}",
        provider=user.provider,
        api=user.api,
        host=user.host,
        path=user.path,
        transport="sse",
        streaming=True,
        outcome="complete",
        coverage="priced",
        status=200,
        model=model,
        request_model=model,
        usage=_usage(user, turn),
        cache_miss_reason=turn.missed if user.provider == "anthropic" else None,
        cache_missed_tokens=turn.uncached if turn.missed and user.provider == "anthropic" else None,
        ttft_ms=round(200 * turn.seconds, 1),
        duration_ms=round(1000 * turn.seconds, 1),
        billing=who.billing or "api",
        attribution=who,
        limits=read_headers(headers, provider=user.provider, now=at),
    )
    if turn.fate == "refused":
        return call._replace(
            outcome="error",
            coverage="error",
            status=529,
            usage=Usage(),
            error=ApiError("overloaded_error", "Overloaded"),
            ttft_ms=None,
        )
    if user.host == OPENROUTER:
        return call._replace(cost_usd=openrouter_cost(turn), cost_source="provider")
    return call


def _usage(user: User, turn: Turn) -> Usage:
    """A turn's tokens in buckets. Anthropic's clients have new input written to the cache; with
    others writing to a cache costs nothing."""
    if user.provider == "anthropic":
        return Usage(
            input_tokens=min(12, turn.uncached),
            cache_read_tokens=turn.cached,
            cache_write_tokens=max(0, turn.uncached - 12),
            output_tokens=turn.output,
        )
    return Usage(
        turn.uncached, turn.cached, output_tokens=turn.output, reasoning_tokens=turn.reasoning
    )
