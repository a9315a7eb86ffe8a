"""Questions over the journal, answered by DuckDB straight from its lines. https://duckdb.org/docs/stable/data/json/loading_json

Only the columns a question needs are read, with their types given, so that a million records take about a second. Sums are those
of the live view: integers (tokens, picodollars), the same in whatever order they are made, where adding floats is not. A line that
is no record reads as one without a time; it is counted and named, and never ends a report.
"""

from __future__ import annotations

import itertools
import re
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, Self

import duckdb

from . import journal
from .filters import Filter
from .journal import DamageReport
from .local_time import Zone, localised, offsets, zone_name
from .record import rfc3339
from .schema import SCHEMA, RecordError, from_line
from .tracker.totals import COST_CAP, PICODOLLARS, UNKNOWN, ZERO, Totals, by_model, minus, model_of, of_call, plus, summed, to_json

THREADS = 2
"""Two read a gigabyte in a second; each further one takes buffers of its own."""

MEMORY_LIMIT = "200MB"
"""What does not fit goes to a temporary directory, so a report runs on the machine that has the proxy on it."""

BLOCK_SECONDS = 5 * 3600
"""Length of the window that subscriptions are limited by."""

NAMES_CAP = 20
"""Unpriced models that are named: enough to see what a price file lacks."""

COLUMNS = {
    "schema": "INTEGER",
    "timestamp": "TIMESTAMP",
    "request_id": "VARCHAR",
    "response_id": "VARCHAR",
    "provider": "VARCHAR",
    "api": "VARCHAR",
    "host": "VARCHAR",
    "path": "VARCHAR",
    "model": "VARCHAR",
    "request_model": "VARCHAR",
    "status": "INTEGER",
    "transport": "VARCHAR",
    "outcome": "VARCHAR",
    "coverage": "VARCHAR",
    "stop_reason": "VARCHAR",
    "error": "STRUCT(type VARCHAR, message VARCHAR)",
    "estimated": "BOOLEAN",
    "reported_output_tokens": "BIGINT",
    "streaming": "BOOLEAN",
    "input_tokens": "BIGINT",
    "cache_read_tokens": "BIGINT",
    "cache_write_tokens": "BIGINT",
    "cache_write_30m_tokens": "BIGINT",
    "cache_write_1h_tokens": "BIGINT",
    "cache_write_12h_tokens": "BIGINT",
    "output_tokens": "BIGINT",
    "reasoning_tokens": "BIGINT",
    "input_audio_tokens": "BIGINT",
    "cache_read_audio_tokens": "BIGINT",
    "output_audio_tokens": "BIGINT",
    "input_image_tokens": "BIGINT",
    "output_image_tokens": "BIGINT",
    "total_tokens": "BIGINT",
    "server_tools": "MAP(VARCHAR, BIGINT)",
    "parts": "JSON",
    "cost_usd": "DOUBLE",
    "cost_source": "VARCHAR",
    "cost_approximate": "BOOLEAN",
    "list_cost_usd": "DOUBLE",
    "billing": "VARCHAR",
    "service_tier": "VARCHAR",
    "request_service_tier": "VARCHAR",
    "speed": "VARCHAR",
    "inference_geo": "VARCHAR",
    "started": "TIMESTAMP",
    "ended": "TIMESTAMP",
    "ttft_ms": "DOUBLE",
    "duration_ms": "DOUBLE",
    "request_bytes": "BIGINT",
    "response_bytes": "BIGINT",
    "client": "VARCHAR",
    "client_version": "VARCHAR",
    "session": "VARCHAR",
    "session_source": "VARCHAR",
    "agent": "VARCHAR",
    "parent_agent": "VARCHAR",
    "agent_type": "VARCHAR",
    "request_class": "VARCHAR",
    "project": "VARCHAR",
    "account": "VARCHAR",
    "retry": "INTEGER",
    "run": "VARCHAR",
    "limits": "JSON",
}
"""The view `calls`: every field of a record. Times are UTC."""

_MODEL = f"coalesce(nullif(model, ''), nullif(request_model, ''), '{UNKNOWN}')"
_COST = f"CASE WHEN cost_usd BETWEEN 0 AND {COST_CAP} THEN CAST(round_even(cost_usd * {PICODOLLARS}, 0) AS HUGEINT) END"
_TOKENS_UNKNOWN = "coalesce(input_tokens, cache_read_tokens, cache_write_tokens, output_tokens) IS NULL"
_REFUSED = "coverage IS NOT DISTINCT FROM 'error'"
_SUBSCRIPTION = "billing IS NOT DISTINCT FROM 'subscription'"

AGGREGATES = {
    "calls": "count(*)",
    "errors": "count(*) FILTER (outcome = 'error')",
    "unpriced": "count(*) FILTER (coverage = 'unpriced')",
    "uncounted": f"count(*) FILTER ({_TOKENS_UNKNOWN} AND NOT {_REFUSED})",
    "uncosted": f"count(*) FILTER (cost IS NULL AND NOT {_REFUSED})",
    "input_tokens": "coalesce(sum(input_tokens), 0)",
    "cache_read_tokens": "coalesce(sum(cache_read_tokens), 0)",
    "cache_write_tokens": "coalesce(sum(cache_write_tokens), 0)",
    "output_tokens": "coalesce(sum(output_tokens), 0)",
    "reasoning_tokens": "coalesce(sum(reasoning_tokens), 0)",
    "spent": f"coalesce(sum(cost) FILTER (NOT {_SUBSCRIPTION}), 0)",
    "api_value": f"coalesce(sum(cost) FILTER ({_SUBSCRIPTION}), 0)",
}
"""What `tracker.totals.of_call` says of one call, summed: the fields of `Totals` in their order."""


@dataclass(frozen=True, slots=True)
class Grouping:
    """One kind of report."""

    keys: dict[str, str]
    """Names of what a row is about, and their SQL."""
    details: dict[str, str] = field(default_factory=dict)
    """What else is said of a row."""
    by_time: bool = False
    """Rows are in the order of time; otherwise the most expensive comes first."""
    name: Callable[[Any], str] = str
    """What DuckDB gave for a key, as a name: made once a row here, a million times there."""


GROUPINGS = {
    "daily": Grouping({"day": "CAST(local AS DATE)"}, by_time=True),
    "weekly": Grouping({"week": "CAST(date_trunc('week', local) AS DATE)"}, by_time=True),
    "monthly": Grouping({"month": "CAST(date_trunc('month', local) AS DATE)"}, by_time=True, name=lambda day: str(day)[:7]),
    "session": Grouping(
        {"session": "session"},
        {name: f"CASE WHEN session IS NOT NULL THEN arg_max({name}, ended) END" for name in ("client", "project")},
    ),
    "model": Grouping({"provider": "provider", "model": _MODEL}),
    "client": Grouping({"client": "client"}),
    "project": Grouping({"project": "project"}),
    "blocks": Grouping({"block": "epoch(date_trunc('minute', ended))"}, by_time=True),
}
"""Weeks begin on Monday and are called by that day. Blocks are made of minutes, in `_blocks`."""

_FILTERED = {"model": (_MODEL, f"provider || '/' || {_MODEL}"), "client": ("client",), "project": ("project",)} | {
    name: (name,) for name in ("session", "account")
}
"""By name of a filter, the SQL of what its patterns may match."""


class ReportError(Exception):
    """The question or the journal does not allow an answer; the message says why."""


class _DamageError(ReportError):
    """A line is no record, and was not to be ignored."""


class Row(NamedTuple):
    """One line of a report."""

    key: tuple[str | None, ...]
    totals: Totals
    first: float
    """Epoch seconds: when the first of the calls ended."""
    last: float
    details: tuple[str | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """The answer."""

    name: str
    rows: list[Row]
    totals: Totals
    """Over all calls, also those of rows that were cut off. A call without a price that has several models is one call here."""
    warmups: int
    """Warm-ups of a socket: not billed, in no row."""
    unpriced_models: list[str]
    """`provider/model` of calls without a price, the first few."""
    damage: DamageReport

    def arranged(self, order: str | None, limit: int | None) -> Report:
        """Its first rows by `cost`, `tokens`, `calls` or `name`; by the report's own order if None."""
        orders = {
            "cost": lambda row: (-row.totals.cost, -row.totals.total_tokens),
            "tokens": lambda row: -row.totals.total_tokens,
            "calls": lambda row: -row.totals.calls,
            "name": lambda row: [part or "" for part in row.key],
        }
        order = order or ("name" if GROUPINGS[self.name].by_time else "cost")
        rows = sorted(sorted(self.rows, key=orders["name"]), key=orders[order])
        return replace(self, rows=rows[:limit])


@dataclass(frozen=True, slots=True)
class Answer:
    """What a query of the user's own gave."""

    columns: list[str]
    rows: list[tuple[Any, ...]]
    damage: DamageReport


class Database:
    """The journal's files from `since` to `until` (epoch seconds) as views. Raises ReportError."""

    def __init__(self, directory: Path, *, since: float | None = None, until: float | None = None) -> None:
        self._directory = directory
        self._days = journal.days(directory, _utc_day(since), _utc_day(until))
        self._spill = tempfile.TemporaryDirectory(prefix="llmtally-")
        self._connection = duckdb.connect(
            config={
                "threads": THREADS,
                "memory_limit": MEMORY_LIMIT,
                "temp_directory": self._spill.name,
                "autoinstall_known_extensions": False,  # nothing is fetched from the network
                "preserve_insertion_order": False,
            }
        )
        self._connection.execute("SET enable_progress_bar = true; SET enable_progress_bar_print = false")
        self._read(COLUMNS, tolerant=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._spill.cleanup()

    @property
    def is_empty(self) -> bool:
        """There is no file to read."""
        return not self._days

    def progress(self) -> float:
        """Percent of the running query that is done, asked from another thread."""
        return max(0.0, self._connection.query_progress())

    def interrupt(self) -> None:
        """End the running query, from another thread."""
        self._connection.interrupt()

    def report(self, name: str, chosen: Filter, zone: Zone) -> Report:
        """One of `GROUPINGS` over the chosen calls.

        The journal is first read as if all of it were whole, which takes a quarter less time, and tolerantly where it is not.
        """
        needed = _needed(GROUPINGS[name], chosen)
        try:
            self._read(needed, tolerant=False)
            return self._report(name, chosen, zone)
        except _DamageError:
            self._read(needed, tolerant=True)
            return self._report(name, chosen, zone)

    def _report(self, name: str, chosen: Filter, zone: Zone) -> Report:
        grouping = GROUPINGS[name]
        rows: list[Row] = []
        warmups = damaged = parts = 0
        for *key, is_damaged, is_warmup, first, last, with_parts, details, sums in self._groups(grouping, chosen, zone):
            group = Totals._make(sums)
            if is_damaged:
                damaged += group.calls
            elif is_warmup:
                warmups += group.calls
            else:
                names = tuple(None if part is None else grouping.name(part) for part in key)
                rows.append(Row(names, group, first, last, details))
                parts += with_parts
        totals = summed(row.totals for row in rows)
        if name == "model" and parts:
            rows = self._shared_out(rows, chosen)
        if name == "blocks":
            rows = list(_blocks(rows, zone))
        unpriced = self._unpriced(chosen) if totals.unpriced else []
        return Report(name, rows, totals, warmups, unpriced, self._damage(damaged))

    def sql(self, query: str) -> Answer:
        """The rows of one statement."""
        result = self._execute(query)
        if result is None:  # what DuckDB makes of a comment alone, whatever its types say
            raise ReportError("There is no statement in it.")
        described = result.description or ()
        if any("WITH TIME ZONE" in str(kind) for _, kind, *_ in described):
            raise ReportError("Times with a zone can't be shown, only those without: now()::TIMESTAMP. Times of calls are UTC.")
        columns = [column[0] for column in described]
        rows = self._fetch(result)
        (damaged,) = self._fetch(self._execute("SELECT count(*) FROM lines WHERE ended IS NULL"))[0]
        return Answer(columns, rows, self._damage(damaged))

    def _groups(self, grouping: Grouping, chosen: Filter, zone: Zone) -> Iterator[tuple[Any, ...]]:
        """`(*keys, is damaged, is warm-up, first, last, calls with parts, details, sums)`."""
        keys = [*grouping.keys.values(), "ended IS NULL", "coalesce(request_class = 'warmup', false)"]
        facts = ["epoch(min(ended))", "epoch(max(ended))", "count(parts)" if "model" in grouping.keys else "0"]
        selected = [*keys, *facts, *grouping.details.values(), *AGGREGATES.values()]
        where, parameters = _condition(chosen)
        query = f"""
            SELECT {", ".join(selected)}
            FROM (SELECT *, {self._local(zone)} AS local, {_COST} AS cost FROM lines)
            WHERE ended IS NULL OR ({where})
            GROUP BY {", ".join(str(n) for n in range(1, len(keys) + 1))}"""  # noqa: S608  # what comes from outside is a parameter
        said = len(keys) + len(facts)
        for row in self._fetch(self._execute(query, parameters)):
            yield *row[:said], row[said : -len(AGGREGATES)], row[-len(AGGREGATES) :]

    def _unpriced(self, chosen: Filter) -> list[str]:
        """Names for what could not be priced."""
        where, parameters = _condition(chosen)
        query = f"""
            SELECT DISTINCT provider || '/' || {_MODEL} FROM calls
            WHERE coverage = 'unpriced' AND request_class IS DISTINCT FROM 'warmup' AND {where} ORDER BY 1 LIMIT {NAMES_CAP}"""  # noqa: S608
        return [name for (name,) in self._fetch(self._execute(query, parameters))]

    def _shared_out(self, rows: Iterable[Row], chosen: Filter) -> list[Row]:
        """Calls that billed several models count for each of them, as in the live view. They are few, and read once more."""
        shared = {row.key: row for row in rows}
        source = f"SELECT json FROM read_ndjson_objects({self._files()}{_TOLERANT}) WHERE contains(json::VARCHAR, '\"parts\":')"  # noqa: S608
        result = self._execute(source)
        while lines := self._fetch(result, 1000):
            for (line,) in lines:
                with suppress(RecordError):
                    call = from_line(line.encode())
                    if call.parts and call.attribution.request_class != "warmup" and chosen.accepts(call):
                        whole = of_call(call)
                        answered = (call.provider, model_of(call))
                        shared[answered] = _with(shared[answered], minus(ZERO, whole))
                        for model, share in by_model(call, whole):
                            key = (call.provider, model)
                            shared[key] = _with(shared.get(key) or Row(key, ZERO, call.ended, call.ended), share)
        return list(shared.values())

    def _damage(self, count: int) -> DamageReport:
        """The damaged lines: how many, and where the first are."""
        found = DamageReport()
        if count:
            files = self._fetch(self._execute("SELECT DISTINCT file FROM lines WHERE ended IS NULL"))
            paths = {Path(path) for (path,) in files}
            for day, path in self._days:
                if path in paths and len(found.first) < journal.DAMAGE_KEPT:
                    for _ in journal.read(self._directory, since=day, until=day, damage=found):
                        pass
        return DamageReport(count, found.first)

    def _read(self, names: Iterable[str], *, tolerant: bool) -> None:
        """Make the views: `lines` has all, without a time where a line is no record; `calls` has the records."""
        kinds = {name: COLUMNS[name] for name in names}
        if self.is_empty:
            nulls = ", ".join(f"NULL::{kind} AS {name}" for name, kind in kinds.items())
            source = f"(SELECT {nulls}, NULL AS file WHERE false)"
        else:
            columns = ", ".join(f"{name}: {_literal(kind)}" for name, kind in kinds.items())
            source = f"read_ndjson({self._files()}, columns = {{{columns}}}, filename = 'file'{_TOLERANT if tolerant else ''})"
        time = f"CASE WHEN schema = {SCHEMA} THEN ended END"
        self._execute(f"CREATE OR REPLACE VIEW lines AS SELECT * REPLACE ({time} AS ended) FROM {source}")  # noqa: S608
        self._execute("CREATE OR REPLACE VIEW calls AS SELECT * FROM lines WHERE ended IS NOT NULL")

    def _files(self) -> str:
        """Names are taken as patterns there."""
        return "[" + ", ".join(_literal("".join(f"[{c}]" if c in "*?[" else c for c in str(path))) for _, path in self._days) + "]"

    def _local(self, zone: Zone) -> str:
        """`ended` on the zone's clock."""
        if self.is_empty:
            return "ended"
        changes = offsets(self._days[0][0] - timedelta(days=1), self._days[-1][0] + timedelta(days=1), zone)
        seconds = str(changes[-1][1])
        for (_, before), (at, _) in reversed(list(itertools.pairwise(changes))):
            seconds = f"CASE WHEN ended < {_timestamp(at)} THEN {before} ELSE {seconds} END"
        return f"ended + to_seconds({seconds})"

    def _execute(self, query: str, parameters: Iterable[object] = ()) -> duckdb.DuckDBPyConnection:
        with _own_errors():
            return self._connection.execute(query, list(parameters))

    def _fetch(self, result: duckdb.DuckDBPyConnection, count: int | None = None) -> list[tuple[Any, ...]]:
        with _own_errors():
            return result.fetchall() if count is None else result.fetchmany(count)


@contextmanager
def _own_errors() -> Iterator[None]:
    try:
        yield
    except (duckdb.InvalidInputException, duckdb.ConversionException) as error:
        raise _DamageError(str(error)) from error
    except duckdb.Error as error:
        raise ReportError(str(error)) from error


_TOLERANT = f", ignore_errors = true, maximum_object_size = {2 * journal.LINE_CAP}"
"""A line that is no JSON becomes a row of NULLs. Longer ones than ours are read whole: the reader needs no cap to be safe."""


def _needed(grouping: Grouping, chosen: Filter) -> list[str]:
    """The columns that a report reads: each one costs, even where it is only known."""
    said = [*grouping.keys.values(), *grouping.details.values(), *AGGREGATES.values(), _COST, _MODEL, _condition(chosen)[0]]
    words = set(re.findall(r"\w+", " ".join(said))) | {"schema", "ended", "provider", "request_class"}
    return [name for name in COLUMNS if name in words or (name == "parts" and "model" in grouping.keys)]


def _condition(chosen: Filter) -> tuple[str, list[str]]:
    """The filter as SQL and its parameters."""
    terms, parameters = ["true"], []
    if chosen.since is not None:
        terms.append(f"ended >= {_timestamp(chosen.since)}")
    if chosen.until is not None:
        terms.append(f"ended < {_timestamp(chosen.until)}")
    for name, patterns in chosen.patterns().items():
        choices = [(value, pattern) for value in _FILTERED[name] for pattern in patterns]
        terms.append("(" + " OR ".join(f"{value} LIKE ? ESCAPE '\\'" for value, _ in choices) + ")")
        parameters += [_like(pattern) for _, pattern in choices]
    return " AND ".join(terms), parameters


def _like(pattern: str) -> str:
    """`*` and `?` in the words of LIKE."""
    return pattern.translate({ord("\\"): "\\\\", ord("%"): "\\%", ord("_"): "\\_", ord("*"): "%", ord("?"): "_"})


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _timestamp(seconds: float) -> str:
    return f"make_timestamp({round(seconds * 1_000_000)})"


def _utc_day(seconds: float | None) -> date | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).date()


def _with(row: Row, more: Totals) -> Row:
    return row._replace(totals=plus(row.totals, more))


def _blocks(minutes: Iterable[Row], zone: Zone) -> Iterator[Row]:
    """Five hours from the minute of the first call, then five from the next call after that, as the live view estimates windows."""
    blocks: dict[int, list[Row]] = defaultdict(list)
    start = -BLOCK_SECONDS
    for row in sorted(minutes, key=lambda row: row.first):
        minute = int(float(row.key[0] or 0))
        if minute >= start + BLOCK_SECONDS:
            start = minute
        blocks[start].append(row)
    for start, rows in blocks.items():
        name = localised(start, zone).isoformat(timespec="minutes")
        yield Row((name,), summed(row.totals for row in rows), rows[0].first, max(row.last for row in rows))


def as_json(report: Report, zone: Zone, chosen: Filter) -> dict[str, Any]:
    """`{report, timezone, since, until, rows[], totals, warmups, unpriced_models, damaged{count, lines[]}}`."""
    grouping = GROUPINGS[report.name]
    return {
        "report": report.name,
        "timezone": zone_name(zone),
        "since": None if chosen.since is None else rfc3339(chosen.since),
        "until": None if chosen.until is None else rfc3339(chosen.until),
        "rows": [
            dict(zip(grouping.keys, row.key, strict=True))
            | dict(zip(grouping.details, row.details, strict=True))
            | to_json(row.totals)
            | {"first_call": rfc3339(row.first), "last_call": rfc3339(row.last)}
            for row in report.rows
        ],
        "totals": to_json(report.totals),
        "warmups": report.warmups,
        "unpriced_models": report.unpriced_models,
        "damaged": damage_as_json(report.damage),
    }


def damage_as_json(damage: DamageReport) -> dict[str, Any]:
    """`{count, lines[{file, line, reason}]}`; the first lines only."""
    lines = [{"file": each.path.name, "line": each.line, "reason": each.reason} for each in damage.first]
    return {"count": damage.count, "lines": lines}
