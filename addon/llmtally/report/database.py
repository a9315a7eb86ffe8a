"""The journal's files as views of DuckDB, and the queries over them."""

from __future__ import annotations

import itertools
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import duckdb

from .. import journal
from ..journal import DamageReport
from ..schema import SCHEMA, RecordError, from_line
from ..text.local_time import Zone, offsets
from ..tracker.totals import ZERO, Totals, by_model, minus, model_of, of_call, plus, summed
from .answers import Answer, Report, Row
from .blocks import blocks_of
from .columns import AGGREGATES, COLUMNS, COST, MODEL
from .conditions import condition, literal, timestamp
from .filters import Filter
from .groupings import GROUPINGS, Grouping

THREADS = 2
"""Threads of DuckDB: two read a gigabyte in a second; each further one takes more memory for
buffers."""

MEMORY_LIMIT = "200MB"
"""Memory of DuckDB: what does not fit goes to a temporary directory, so that a report can run on
the proxy's machine."""

NAMES_CAP = 20
"""Unpriced models that are named: enough to see what a price file lacks."""


class ReportError(Exception):
    """The query cannot be answered; the message says why."""


class _DamageError(ReportError):
    """A line is not a record, and the views were made to refuse those."""


class Database:
    """The journal's files from `since` to `until` (epoch seconds) as views. Raises ReportError."""

    def __init__(
        self, directory: Path, *, since: float | None = None, until: float | None = None
    ) -> None:
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
        self._connection.execute(
            "SET enable_progress_bar = true; SET enable_progress_bar_print = false"
        )
        self._read(COLUMNS, tolerant=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._spill.cleanup()

    @property
    def is_empty(self) -> bool:
        """Whether there is no file to read."""
        return not self._days

    def progress(self) -> float:
        """Percent of the running query that is done, asked from another thread."""
        return max(0.0, self._connection.query_progress())

    def interrupt(self) -> None:
        """End the running query, from another thread."""
        self._connection.interrupt()

    def report(self, name: str, chosen: Filter, zone: Zone) -> Report:
        """One of `GROUPINGS` over the chosen calls.

        The journal is first read as if all of it were whole, which takes a quarter less time, and
        tolerantly where it is not.
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
        for *key, is_damaged, is_warmup, first, last, with_parts, details, sums in self._groups(
            grouping, chosen, zone
        ):
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
            rows = list(blocks_of(rows, zone))
        unpriced = self._unpriced(chosen) if totals.unpriced else []
        return Report(name, rows, totals, warmups, unpriced, self._damage(damaged))

    def sql(self, query: str) -> Answer:
        """Run one SQL statement over the views and give its rows."""
        result = self._execute(query)
        if result is None:  # what DuckDB makes of a comment alone, whatever its types say
            raise ReportError("There is no statement in it.")
        described = result.description or ()
        if any("WITH TIME ZONE" in str(kind) for _, kind, *_ in described):
            raise ReportError(
                "Times with a zone can't be shown, only those without: now()::TIMESTAMP. "
                "Times of calls are UTC."
            )
        columns = [column[0] for column in described]
        rows = self._fetch(result)
        (damaged,) = self._fetch(self._execute("SELECT count(*) FROM lines WHERE ended IS NULL"))[0]
        return Answer(columns, rows, self._damage(damaged))

    def _groups(self, grouping: Grouping, chosen: Filter, zone: Zone) -> Iterator[tuple[Any, ...]]:
        """`(*keys, is damaged, is warm-up, first, last, calls with parts, details, sums)`."""
        keys = [
            *grouping.keys.values(),
            "ended IS NULL",
            "coalesce(request_class = 'warmup', false)",
        ]
        facts = [
            "epoch(min(ended))",
            "epoch(max(ended))",
            "count(parts)" if "model" in grouping.keys else "0",
        ]
        selected = [*keys, *facts, *grouping.details.values(), *AGGREGATES.values()]
        where, parameters = condition(chosen)
        query = f"""
            SELECT {", ".join(selected)}
            FROM (SELECT *, {self._local(zone)} AS local, {COST} AS cost FROM lines)
            WHERE ended IS NULL OR ({where})
            GROUP BY {", ".join(str(n) for n in range(1, len(keys) + 1))}"""  # noqa: S608  # what comes from outside is a parameter
        said = len(keys) + len(facts)
        for row in self._fetch(self._execute(query, parameters)):
            yield *row[:said], row[said : -len(AGGREGATES)], row[-len(AGGREGATES) :]

    def _unpriced(self, chosen: Filter) -> list[str]:
        """The first `provider/model` names of calls without a price."""
        where, parameters = condition(chosen)
        query = f"""
            SELECT DISTINCT provider || '/' || {MODEL} FROM calls
            WHERE coverage = 'unpriced' AND request_class IS DISTINCT FROM 'warmup' AND {where}
            ORDER BY 1 LIMIT {NAMES_CAP}"""  # noqa: S608
        return [name for (name,) in self._fetch(self._execute(query, parameters))]

    def _shared_out(self, rows: Iterable[Row], chosen: Filter) -> list[Row]:
        """Split calls that billed several models among these models, as the live view does. There
        are few of them, and they are read a second time."""
        shared = {row.key: row for row in rows}
        source = f"read_ndjson_objects({self._files()}{_TOLERANT})"
        has_parts = "contains(json::VARCHAR, '\"parts\":')"
        result = self._execute(f"SELECT json FROM {source} WHERE {has_parts}")  # noqa: S608
        while lines := self._fetch(result, 1000):
            for (line,) in lines:
                with suppress(RecordError):
                    call = from_line(line.encode())
                    if (
                        call.parts
                        and call.attribution.request_class != "warmup"
                        and chosen.accepts(call)
                    ):
                        whole = of_call(call)
                        answered = (call.provider, model_of(call))
                        shared[answered] = _with(shared[answered], minus(ZERO, whole))
                        for model, share in by_model(call, whole):
                            key = (call.provider, model)
                            shared[key] = _with(
                                shared.get(key) or Row(key, ZERO, call.ended, call.ended), share
                            )
        return list(shared.values())

    def _damage(self, count: int) -> DamageReport:
        """The damaged lines: how many, and where the first are."""
        found = DamageReport()
        if count:
            files = self._fetch(
                self._execute("SELECT DISTINCT file FROM lines WHERE ended IS NULL")
            )
            paths = {Path(path) for (path,) in files}
            for day, path in self._days:
                if path in paths and len(found.first) < journal.DAMAGE_KEPT:
                    for _ in journal.read(self._directory, since=day, until=day, damage=found):
                        pass
        return DamageReport(count, found.first)

    def _read(self, names: Iterable[str], *, tolerant: bool) -> None:
        """Make the views: `lines` has every line, without a time if it is not a record; `calls` has
        the records."""
        kinds = {name: COLUMNS[name] for name in names}
        if self.is_empty:
            nulls = ", ".join(f"NULL::{kind} AS {name}" for name, kind in kinds.items())
            source = f"(SELECT {nulls}, NULL AS file WHERE false)"
        else:
            columns = ", ".join(f"{name}: {literal(kind)}" for name, kind in kinds.items())
            source = (
                f"read_ndjson({self._files()}, columns = {{{columns}}}, filename = "
                f"'file'{_TOLERANT if tolerant else ''})"
            )
        time = f"CASE WHEN schema = {SCHEMA} THEN ended END"
        selected = f"SELECT * REPLACE ({time} AS ended) FROM {source}"  # noqa: S608
        self._execute(f"CREATE OR REPLACE VIEW lines AS {selected}")
        self._execute("CREATE OR REPLACE VIEW calls AS SELECT * FROM lines WHERE ended IS NOT NULL")

    def _files(self) -> str:
        """The files as a list for DuckDB, which reads each name as a pattern, so it is escaped."""
        return (
            "["
            + ", ".join(
                literal("".join(f"[{c}]" if c in "*?[" else c for c in str(path)))
                for _, path in self._days
            )
            + "]"
        )

    def _local(self, zone: Zone) -> str:
        """SQL for `ended` in the local time of the zone."""
        if self.is_empty:
            return "ended"
        changes = offsets(
            self._days[0][0] - timedelta(days=1), self._days[-1][0] + timedelta(days=1), zone
        )
        seconds = str(changes[-1][1])
        for (_, before), (at, _) in reversed(list(itertools.pairwise(changes))):
            seconds = f"CASE WHEN ended < {timestamp(at)} THEN {before} ELSE {seconds} END"
        return f"ended + to_seconds({seconds})"

    def _execute(self, query: str, parameters: Iterable[object] = ()) -> duckdb.DuckDBPyConnection:
        with _own_errors():
            return self._connection.execute(query, list(parameters))

    def _fetch(
        self, result: duckdb.DuckDBPyConnection, count: int | None = None
    ) -> list[tuple[Any, ...]]:
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
"""A line that is not JSON becomes a row of NULLs. Lines longer than the journal's cap are read
whole: this reader is safe without one."""


def _needed(grouping: Grouping, chosen: Filter) -> list[str]:
    """The columns that a report reads: each one costs, even where it is only known."""
    said = [
        *grouping.keys.values(),
        *grouping.details.values(),
        *AGGREGATES.values(),
        COST,
        MODEL,
        condition(chosen)[0],
    ]
    words = set(re.findall(r"\w+", " ".join(said))) | {
        "schema",
        "ended",
        "provider",
        "request_class",
    }
    return [
        name for name in COLUMNS if name in words or (name == "parts" and "model" in grouping.keys)
    ]


def _utc_day(seconds: float | None) -> date | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).date()


def _with(row: Row, more: Totals) -> Row:
    return row._replace(totals=plus(row.totals, more))
