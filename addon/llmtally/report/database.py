"""The journal's files as a view of DuckDB, and the queries over it.

What a line is, DuckDB does not decide: it takes "12" for a number and the first of 20 digits for
none. `journal.check_file` reads every file before, which takes as long again. A file that holds
nothing but calls, and lines that are known to be none, is read as it is; of another one DuckDB
reads a copy with its calls.
"""

from __future__ import annotations

import itertools
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
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


class _OtherJsonError(ReportError):
    """A line that is a record to the journal's readers is none to DuckDB, e.g. because a field that
    they ignore has no UTF-8."""


class Database:
    """The journal's files from `since` to `until` (epoch seconds) as the view `calls`. Raises
    ReportError."""

    def __init__(
        self, directory: Path, *, since: float | None = None, until: float | None = None
    ) -> None:
        self._directory = directory
        self._days = journal.days(directory, _utc_day(since), _utc_day(until))
        self._paths: list[Path] = []
        """What DuckDB reads, once the files are checked."""
        self._damage: DamageReport | None = None
        """The damaged lines; None until the files are checked."""
        self._checked_bytes = 0
        self._interrupted = False
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
        """Percent of the work that is done, asked from another thread: half of it is the check of
        the files, the other half the running query."""
        if self._damage is not None:
            return 50 + max(0.0, self._connection.query_progress()) / 2
        total = sum(path.stat().st_size for _, path in self._days if path.exists())
        return min(50.0, 50 * self._checked_bytes / max(1, total))

    def interrupt(self) -> None:
        """End the running work, from another thread."""
        self._interrupted = True
        self._connection.interrupt()

    def report(self, name: str, chosen: Filter, zone: Zone) -> Report:
        """One of `GROUPINGS` over the chosen calls."""
        needed = _needed(GROUPINGS[name], chosen)
        damage = self._check()
        try:
            self._read(needed)
            return self._report(name, chosen, zone, damage)
        except _OtherJsonError:
            self._copy_all()
            self._read(needed)
            return self._report(name, chosen, zone, damage)

    def _report(self, name: str, chosen: Filter, zone: Zone, damage: DamageReport) -> Report:
        grouping = GROUPINGS[name]
        rows: list[Row] = []
        warmups = parts = 0
        for *key, is_warmup, first, last, with_parts, details, sums in self._groups(
            grouping, chosen, zone
        ):
            group = Totals._make(sums)
            if is_warmup:
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
        return Report(name, rows, totals, warmups, unpriced, damage)

    def sql(self, query: str) -> Answer:
        """Run one SQL statement over the view and give its rows."""
        damage = self._check()
        self._read(COLUMNS, tolerant=True)
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
        return Answer(columns, self._fetch(result), damage)

    def _groups(self, grouping: Grouping, chosen: Filter, zone: Zone) -> Iterator[tuple[Any, ...]]:
        """`(*keys, is warm-up, first, last, calls with parts, details, sums)`."""
        keys = [
            *grouping.keys.values(),
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
            FROM (SELECT *, {self._local(zone)} AS local, {COST} AS cost FROM calls)
            WHERE {where}
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
        source = f"read_ndjson_objects({self._files()})"
        has_parts = "contains(json::VARCHAR, '\"parts\":')"
        result = self._execute(f"SELECT json FROM {source} WHERE {has_parts}")  # noqa: S608
        while lines := self._fetch(result, 1000):
            for (line,) in lines:
                try:
                    call = from_line(line.encode())
                except RecordError:  # a line of another kind
                    continue
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

    def _check(self) -> DamageReport:
        """Find the damaged lines, and what DuckDB can read as it is."""
        if self._damage is None:
            damage = DamageReport()
            for _, path in self._days:
                try:
                    path.stat()
                    is_plain = journal.check_file(path, damage, self._on_checked)
                    self._paths.append(path if is_plain else self._copy(path))
                except OSError as error:
                    raise ReportError(f"{path}: {error.strerror or error}") from error
            self._damage = damage
        return self._damage

    def _on_checked(self, size: int) -> None:
        self._checked_bytes += size
        if self._interrupted:
            raise ReportError("It was interrupted.")

    def _copy(self, path: Path) -> Path:
        copy = Path(self._spill.name) / f"{path.name.removesuffix('.gz')}"
        journal.copy_calls(path, copy)
        return copy

    def _copy_all(self) -> None:
        self._paths = [self._copy(path) for _, path in self._days]

    def _read(self, names: Iterable[str], *, tolerant: bool = False) -> None:
        """Make the view of the calls; `tolerant`: what is not JSON to DuckDB is left out."""
        kinds = {name: COLUMNS[name] for name in names}
        if self.is_empty:
            nulls = ", ".join(f"NULL::{kind} AS {name}" for name, kind in kinds.items())
            source = f"(SELECT {nulls} WHERE false)"
        else:
            columns = ", ".join(f"{name}: {literal(kind)}" for name, kind in kinds.items())
            ignore = ", ignore_errors = true" if tolerant else ""
            source = f"read_ndjson({self._files()}, columns = {{{columns}}}{ignore})"
        # Lines of other kinds have no schema.
        selected = f"SELECT * FROM {source} WHERE schema = {SCHEMA}"  # noqa: S608
        self._execute(f"CREATE OR REPLACE VIEW calls AS {selected}")

    def _files(self) -> str:
        """The files as a list for DuckDB, which reads each name as a pattern, so it is escaped."""
        return (
            "["
            + ", ".join(
                literal("".join(f"[{c}]" if c in "*?[" else c for c in str(path)))
                for path in self._paths
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
        raise _OtherJsonError(str(error)) from error
    except duckdb.Error as error:
        raise ReportError(str(error)) from error


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
