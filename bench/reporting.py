"""What a report over a year's journal costs, beside ccusage over as many entries of Claude Code's
log.

Both are asked the same: tokens and money by day, in UTC, as JSON. The calls are made up, the same
for both, and their sums by day are kept while they are made: a wrong answer is shown as different.
ccusage comes from the Node registry; where that cannot be reached, its row stays empty.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from llmtally.journal import utc_day
from llmtally.record import Attribution, Call, LimitReading, Usage, rfc3339
from llmtally.schema import to_line

from .calls import claude_code_call
from .report import FULL, Goal, Plan, Section

CCUSAGE = "ccusage@20.0.24"
"""The version is pinned, so that a run next year compares with the same."""

CALLS = {True: 1_000_000, False: 100_000}
"""How many calls, by whether the plan is the full one."""

DAYS = 90
SESSIONS = 2000
SECONDS_GOAL, MEGABYTES_GOAL = 1.5, 250.0
"""Goals for the full million of calls."""

BARE = """
import sys, duckdb
sums = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "cost_usd")
columns = {"ended": "TIMESTAMP", **dict.fromkeys(sums, "BIGINT"), "cost_usd": "DOUBLE"}
source = f"read_ndjson('{sys.argv[1]}/*.jsonl', columns = {columns})"
columns = ", ".join(f"sum({name})" for name in sums)
query = f"SELECT ended::DATE, count(*), {columns} FROM {source} GROUP BY 1"
print(duckdb.connect(config={"threads": 2}).execute(query).fetchall())
"""
"""The least that DuckDB can be asked for: no report of ours can be faster."""

Tokens = dict[str, int]
"""The sum of tokens, by day."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What one program took to answer, and its answer."""

    seconds: float
    """Wall clock, from start to end of the process; the median."""
    cpu_seconds: float
    megabytes: float
    """The most resident memory that it held."""
    output: bytes


def run(plan: Plan) -> Section:
    """Ask all programs in turn, so that what slows the machine down for a while slows all."""
    count = CALLS[plan is FULL]
    with tempfile.TemporaryDirectory() as made:
        directory = Path(made)
        expected = _generate(directory, count)
        commands = _commands(directory)
        measured = _measure(commands, rounds=plan.rounds + 2)
    rows = [
        (
            name,
            each.seconds,
            each.cpu_seconds,
            each.megabytes,
            _verdict(name, each.output, expected),
        )
        for name, each in measured.items()
    ]
    ours = measured["llmtally report daily"]
    return Section(
        f"Reports: the tokens and the money of each of {DAYS} days, {count:,} calls",
        ("asked", "s", "CPU s", "peak MB", "sums"),
        [tuple(row) for row in rows],
        [
            Goal(f"report of {count:,} records", ours.seconds, SECONDS_GOAL, "s"),
            Goal("its peak memory", ours.megabytes, MEGABYTES_GOAL, "MB"),
        ],
        ("A record is 1.2 kB, an entry of Claude Code's log without its text 0.6 kB.",),
    )


def _commands(directory: Path) -> dict[str, Sequence[str]]:
    commands: dict[str, Sequence[str]] = {
        "llmtally report daily": _llmtally("daily", directory),
        "llmtally report session": _llmtally("session", directory),
        "DuckDB, bare": (sys.executable, "-c", BARE, str(directory / "journal")),
    }
    with suppress(OSError, subprocess.CalledProcessError):
        where = ["--prefix", str(directory / "npm")]
        subprocess.run(
            ["npm", "install", "--silent", "--no-audit", "--no-fund", *where, CCUSAGE],
            check=True,
            capture_output=True,
        )
        ccusage = directory / "npm" / "node_modules" / ".bin" / "ccusage"
        claude = f"CLAUDE_CONFIG_DIR={directory / 'claude'}"
        commands[CCUSAGE] = (
            "env",
            claude,
            str(ccusage),
            "claude",
            "daily",
            "--json",
            "--offline",
            "--timezone",
            "UTC",
        )
    return commands


def _llmtally(name: str, directory: Path) -> Sequence[str]:
    return (
        sys.executable,
        "-m",
        "llmtally",
        "report",
        name,
        "--json",
        "--timezone",
        "UTC",
        "--dir",
        str(directory / "journal"),
    )


def _measure(commands: Mapping[str, Sequence[str]], rounds: int) -> dict[str, Measured]:
    runs: dict[str, list[Measured]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            runs[name].append(_once(command))
    return {
        name: Measured(
            median(r.seconds for r in each),
            median(r.cpu_seconds for r in each),
            max(r.megabytes for r in each),
            each[0].output,
        )
        for name, each in runs.items()
    }


def _once(command: Sequence[str]) -> Measured:
    began = time.monotonic()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.DEVNULL)
        _, _, used = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
        process.returncode = 0
        output.seek(0)
        return Measured(
            seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, output.read()
        )


def _verdict(name: str, output: bytes, expected: Tokens) -> str:
    """Whether the answer is the one computed while the calls were made."""
    if "daily" not in name and name != CCUSAGE:
        return ""
    said = json.loads(output)
    rows = said["rows"] if "rows" in said else said["daily"]
    tokens = {
        row.get("day") or row["date"]: row.get("total_tokens") or row["totalTokens"] for row in rows
    }
    return "equal" if tokens == expected else "DIFFERENT"


def _generate(directory: Path, count: int) -> Tokens:
    """The journal and Claude Code's log of the same calls; returns the sums by day."""
    chance = random.Random(1)
    journal, log = directory / "journal", directory / "claude" / "projects" / "shop"
    journal.mkdir()
    log.mkdir(parents=True)
    tokens: Counter[str] = Counter()
    entries: dict[str, list[bytes]] = {}
    for day, calls in _by_day(chance, count):
        with (journal / f"usage-{day}.jsonl").open("wb") as file:
            for call in calls:
                file.write(to_line(call))
                entries.setdefault(call.attribution.session or "", []).append(_entry(call))
                tokens[day] += call.usage.total_tokens or 0
        for session, lines in entries.items():
            with (log / f"{session}.jsonl").open("ab") as file:
                file.writelines(lines)
        entries.clear()
    return dict(tokens)


def _by_day(chance: random.Random, count: int) -> Iterator[tuple[str, Iterator[Call]]]:
    begin = datetime(2026, 8, 1, tzinfo=UTC).timestamp()
    sessions = [
        f"{chance.getrandbits(32):08x}-1111-4222-8333-{chance.getrandbits(48):012x}"
        for _ in range(SESSIONS)
    ]
    for day in range(DAYS):
        numbers = range(day * count // DAYS, (day + 1) * count // DAYS)
        times = (begin + day * 86400 + 10 + 86000 * at / len(numbers) for at in range(len(numbers)))
        made = (
            _call(chance, number, at, sessions[number * SESSIONS // count])
            for number, at in zip(numbers, times, strict=True)
        )
        yield str(utc_day(begin + day * 86400)), made


def _call(chance: random.Random, number: int, ended: float, session: str) -> Call:
    """A call as Claude Code makes them, with most of its input from the cache."""
    model = chance.choice(("claude-opus-4-8", "claude-sonnet-5", "claude-haiku-4-5-20251001"))
    return claude_code_call(
        ended,
        model,
        Usage(
            chance.randrange(2000),
            chance.randrange(200_000),
            chance.randrange(9000),
            output_tokens=chance.randrange(1, 3000),
        ),
        request_id=f"{chance.getrandbits(128):032x}",
        response_id=f"msg_{number:024x}",
        request_model=model,
        stop_reason="tool_use",
        cost_usd=round(chance.random(), 7),
        service_tier="standard",
        request_bytes=61022,
        response_bytes=18233,
        attribution=Attribution(
            client_version="2.1.197",
            session=session,
            request_class="main",
            project="/home/me/shop",
            account="a1b2c3d4e5f6",
        ),
        limits=tuple(
            LimitReading(
                key=key, source="provider_native", utilization=31.0, resets_at=1785182400.0
            )
            for key in ("5h", "7d")
        ),
    )


def _entry(call: Call) -> bytes:
    """The same call in Claude Code's log."""
    usage = call.usage
    entry = {
        "parentUuid": call.request_id,
        "isSidechain": False,
        "userType": "external",
        "cwd": "/home/me/shop",
        "sessionId": call.attribution.session,
        "version": "2.1.197",
        "gitBranch": "main",
        "type": "assistant",
        "message": {
            "id": call.response_id,
            "type": "message",
            "role": "assistant",
            "model": call.model,
            "content": [{"type": "text", "text": "done"}],
            "stop_reason": call.stop_reason,
            "usage": {
                "input_tokens": usage.input_tokens,
                "cache_creation_input_tokens": usage.cache_write_tokens,
                "cache_read_input_tokens": usage.cache_read_tokens,
                "output_tokens": usage.output_tokens,
                "service_tier": "standard",
            },
        },
        "requestId": f"req_{call.request_id}",
        "uuid": call.request_id,
        "timestamp": rfc3339(call.ended),
    }
    return json.dumps(entry, separators=(",", ":")).encode() + b"\n"
