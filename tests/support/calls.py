"""Calls and journals for tests of what reads them."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import UTC, datetime
from inspect import signature
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from llmtally.journal import utc_day
from llmtally.record import ApiError, Attribution, Call, LimitReading, Part, Usage
from llmtally.schema import to_line

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp()


def numbered_call(number: int = 0, ended: float = NOON) -> Call:
    """A call that its number tells from others: in its request id and its counts."""
    return a_call(
        ended,
        request_id=f"flow-{number}",
        usage=Usage(input_tokens=number, output_tokens=2 * number),
    )


def a_call(ended: float = NOON, **fields: Any) -> Call:
    """A priced call of three seconds."""
    call = Call(
        timestamp=ended - 3,
        started=ended - 2,
        ended=ended,
        request_id="flow",
        provider="anthropic",
        api="anthropic_messages",
        host="api.anthropic.com",
        path="/v1/messages",
        transport="sse",
        outcome="complete",
        coverage="priced",
        streaming=True,
        status=200,
        model="claude-opus-4-8",
        usage=Usage(input_tokens=10, cache_read_tokens=30, output_tokens=5),
        cost_usd=0.25,
        cost_source="prices",
        attribution=Attribution(
            client="claude-code", session="s-1", project="/home/me/shop", account="a1b2c3d4e5f6"
        ),
    )
    return call._replace(**fields)


def write(directory: Path, calls: Iterable[Call]) -> Path:
    """A journal of these calls."""
    directory.mkdir(exist_ok=True)
    for call in calls:
        with (directory / f"usage-{utc_day(call.ended)}.jsonl").open("ab") as file:
            file.write(to_line(call))
    return directory


def separating_runner(env: dict[str, str] | None = None) -> CliRunner:
    """Runs commands in this process, with standard error apart, which older versions of click have
    to be told."""
    apart: dict[str, Any] = (
        {"mix_stderr": False} if "mix_stderr" in signature(CliRunner).parameters else {}
    )
    return CliRunner(env=env, **apart)


def varied(count: int, seed: int = 0) -> list[Call]:
    """Calls of every kind there is, over the 60 days in which Europe and America change their
    clocks."""
    chance = random.Random(seed)
    begin = datetime(2026, 10, 1, tzinfo=UTC).timestamp()
    return [
        _varied(chance, number, round(begin + chance.random() * 60 * 86400, 3))
        for number in range(count)
    ]


def _varied(chance: random.Random, number: int, ended: float) -> Call:
    coverage = chance.choice(["priced"] * 6 + ["unpriced", "no_usage", "error", "unparsed"])
    usage = Usage() if coverage in ("no_usage", "error", "unparsed") else _usage(chance)
    cost = (
        None
        if coverage != "priced"
        else chance.choice([0.0, 1e-9, chance.random(), 12.3456789, 1e12])
    )
    model = chance.choice(["claude-opus-4-8", "gpt-5.4", "gpt_5%4", "", None])
    return a_call(
        ended,
        request_id=f"flow-{number}",
        response_id=f"msg_{number}",
        provider=chance.choice(["anthropic", "openai"]),
        model=model,
        request_model=chance.choice(["asked-for", None]),
        coverage=coverage,
        outcome="error" if coverage == "error" else chance.choice(["complete", "client_aborted"]),
        error=ApiError("overloaded_error", 'it said "no"\n') if coverage == "error" else None,
        usage=usage,
        parts=_parts(chance, usage, cost) if chance.random() < 0.2 else (),
        cost_usd=cost,
        cost_source=None if cost is None else "prices",
        estimated=chance.random() < 0.1,
        billing=chance.choice(["api", "subscription", "local"]),
        ttft_ms=12.5,
        duration_ms=2000.0,
        attribution=Attribution(
            client=chance.choice(["claude-code", "codex", None]),
            session=chance.choice([None, *(f"{n:02x}-session" for n in range(20))]),
            project=chance.choice(["/home/me/shop", "/home/me/work_shop", "C:\\code\\shop", None]),
            account=chance.choice(["a1b2c3d4e5f6", "ffffffffffff", None]),
            request_class=chance.choice(["main", "subagent", "warmup", None]),
            agent_type=chance.choice(["Explore", None]),
            run=chance.choice(["nightly", "claude-5f0a3c", None]),
            retry=chance.choice([None, 1]),
        ),
        limits=(
            LimitReading(
                key="5h", source="provider_native", utilization=31.0, resets_at=1785182400.0
            ),
        ),
    )


def _usage(chance: random.Random) -> Usage:
    def count(most: int) -> int | None:
        return chance.choice([None, 0, chance.randrange(most)])

    return Usage(
        count(2000),
        count(200_000),
        count(9000),
        output_tokens=count(3000),
        reasoning_tokens=count(300),
    )


def _parts(chance: random.Random, whole: Usage, cost: float | None) -> tuple[Part, ...]:
    """Some of them more than the whole, as it happens where a cost is stated."""
    return tuple(
        Part(
            "advisor",
            chance.choice(["claude-haiku-4-5", "gpt-5.4", None]),
            Usage(input_tokens=chance.choice([None, (whole.input_tokens or 0) // 3, 5])),
            cost_usd=None if cost is None else cost / chance.choice([2, 3]),
        )
        for _ in range(chance.randrange(1, 4))
    )
