"""Reports against sums made by hand, damaged journals, and what a million records may cost."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calls import NOON, a_call, varied, write
from llmtally import journal, report
from llmtally.record import Attribution, Call
from llmtally.report import AGGREGATES, COLUMNS, GROUPINGS, Database, Report, ReportError, as_json
from llmtally.report.database import _needed
from llmtally.report.filters import Filter
from llmtally.schema import FIELDS, to_line, to_record
from llmtally.text.local_time import Zone, localised
from llmtally.tracker.totals import ZERO, Totals, by_model, model_of, of_call, plus

BERLIN = ZoneInfo("Europe/Berlin")
EVERYTHING = Filter()


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal of 2,000 calls of every kind."""
    return write(tmp_path_factory.mktemp("varied"), varied(2000))


def ask(directory: Path, name: str, chosen: Filter = EVERYTHING, zone: Zone = BERLIN) -> Report:
    with Database(directory, since=chosen.since, until=chosen.until) as database:
        return database.report(name, chosen, zone)


def local_day(call: Call, zone: Zone = BERLIN) -> datetime:
    return localised(call.ended, zone).replace(hour=0, minute=0, second=0, microsecond=0)


KEYS: dict[str, Callable[[Call], tuple[str | None, ...]]] = {
    "daily": lambda call: (f"{local_day(call):%Y-%m-%d}",),
    "weekly": lambda call: (
        f"{local_day(call) - timedelta(days=local_day(call).weekday()):%Y-%m-%d}",
    ),
    "monthly": lambda call: (f"{local_day(call):%Y-%m}",),
    "session": lambda call: (call.attribution.session,),
    "client": lambda call: (call.attribution.client,),
    "project": lambda call: (call.attribution.project,),
    "account": lambda call: (call.attribution.account,),
    "run": lambda call: (call.attribution.run,),
    "outcome": lambda call: (call.outcome,),
}


def by_hand(
    calls: list[Call], key: Callable[[Call], tuple[str | None, ...]]
) -> dict[tuple[str | None, ...], Totals]:
    sums: dict[tuple[str | None, ...], Totals] = defaultdict(lambda: ZERO)
    for call in calls:
        sums[key(call)] = plus(sums[key(call)], of_call(call))
    return dict(sums)


def billed(directory: Path) -> list[Call]:
    return [call for call in journal.read(directory) if call.attribution.request_class != "warmup"]


@pytest.mark.parametrize("name", KEYS)
def test_sums_are_those_made_by_hand(directory: Path, name: str) -> None:
    """Every figure equals the one the live view's own arithmetic gives, to the last digit, also
    where clocks change."""
    answer = ask(directory, name)

    assert {row.key: row.totals for row in answer.rows} == by_hand(billed(directory), KEYS[name])


def test_a_kind_of_work_is_a_class_and_the_type_of_its_subagents(tmp_path: Path) -> None:
    """What a client calls its compaction is one, not another kind of subagent."""
    who = [
        ("main", None),
        ("subagent", "Explore"),
        ("subagent", None),
        ("compaction", "compact"),
        (None, None),
        (None, "x"),
    ]
    calls = [
        a_call(attribution=Attribution(request_class=request_class, agent_type=kind))
        for request_class, kind in who
    ]

    assert sorted(row.key[0] or "" for row in ask(write(tmp_path, calls), "kind").rows) == [
        "",
        "compaction",
        "main",
        "subagent",
        "subagent Explore",
    ]


def test_a_question_reads_no_column_it_does_not_need() -> None:
    """Each costs a tenth of a second a million records: what few groupings need, the others do not
    read."""
    needed = {name: set(_needed(grouping, EVERYTHING)) for name, grouping in GROUPINGS.items()}

    assert {name for name, columns in needed.items() if "agent_type" in columns} == {"kind"}
    assert {name for name, columns in needed.items() if "run" in columns} == {"run"}
    assert needed["daily"] == needed["outcome"] < needed["account"]


def test_a_call_of_several_models_counts_for_each(directory: Path) -> None:
    """`report model` shares calls out as the live view does, however odd their parts."""
    expected: dict[tuple[str, str], Totals] = defaultdict(lambda: ZERO)
    for call in billed(directory):
        expected[call.provider, model_of(call)] = plus(
            expected[call.provider, model_of(call)], ZERO
        )
        for model, share in by_model(call, of_call(call)):
            expected[call.provider, model] = plus(expected[call.provider, model], share)

    assert {row.key: row.totals for row in ask(directory, "model").rows} == expected


def test_every_report_adds_up_to_the_same(directory: Path) -> None:
    """Whatever it is grouped by, the total is that of all calls."""
    whole = by_hand(billed(directory), lambda _: ())[()]

    assert {name: ask(directory, name).totals for name in GROUPINGS} == dict.fromkeys(
        GROUPINGS, whole
    )


def test_warmups_are_counted_apart(directory: Path) -> None:
    """A warm-up is in no sum, and not forgotten."""
    warmups = sum(call.attribution.request_class == "warmup" for call in journal.read(directory))

    assert ask(directory, "daily").warmups == warmups > 0


FILTERS = [
    Filter(model=("gpt-5.4",)),
    Filter(model=("openai/gpt*", "asked-???")),
    Filter(model=("gpt_5%4",)),
    Filter(client=("codex",), project=("shop",)),
    Filter(project=("/home/me/*",)),
    Filter(project=("work_shop", "code\\shop")),
    Filter(session=("0",), account=("a1b2", "x")),
    Filter(run=("night*",)),
    Filter(since=NOON - 20 * 86400, until=NOON - 10 * 86400),
    Filter(since=NOON - 20 * 86400, model=("*",)),
]


@pytest.mark.parametrize("chosen", FILTERS)
def test_a_filter_means_the_same_everywhere(directory: Path, chosen: Filter) -> None:
    """SQL and Python choose the same calls, and every filter here chooses some and not all."""
    meant = [call for call in billed(directory) if chosen.accepts(call)]

    assert 0 < len(meant) < len(billed(directory))
    assert ask(directory, "client", chosen).totals == by_hand(meant, lambda _: ())[()]


def test_calls_of_several_models_are_filtered_too(directory: Path) -> None:
    """What is read a second time obeys the filter as well."""
    chosen = Filter(client=("codex",), since=NOON - 30 * 86400)
    meant = [call for call in billed(directory) if chosen.accepts(call)]

    assert ask(directory, "model", chosen).totals == by_hand(meant, lambda _: ())[()]


@settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    model=st.text(st.characters(codec="utf-8"), min_size=1, max_size=8),
    pattern=st.text("*?ab%_\\'\"[", max_size=4),
)
def test_any_text_can_be_a_pattern(
    tmp_path_factory: pytest.TempPathFactory, model: str, pattern: str
) -> None:
    """No pattern breaks the query, and SQL agrees with Python on all."""
    call = a_call(model=model)
    directory = write(tmp_path_factory.mktemp("pattern"), [call])
    chosen = Filter(model=(pattern,), session=(pattern,), project=(model, "*"))

    assert ask(directory, "client", chosen).totals.calls == chosen.accepts(call)
    assert ask(directory, "client", Filter(model=(pattern,))).totals.calls == Filter(
        model=(pattern,)
    ).accepts(call)


def test_blocks_are_five_hours_from_their_first_call(tmp_path: Path) -> None:
    """The next block begins with the first call after the five hours, not with the clock."""
    minutes = [0, 1, 299, 300, 301, 599, 2000]
    directory = write(tmp_path, [a_call(NOON + 60 * minute + 7) for minute in minutes])
    blocks = ask(directory, "blocks").rows

    assert [(row.key, row.totals.calls) for row in blocks] == [
        (("2026-11-20T13:00+01:00",), 3),
        (("2026-11-20T18:00+01:00",), 3),
        (("2026-11-21T22:20+01:00",), 1),
    ]
    assert (blocks[0].first, blocks[0].last) == (NOON + 7, NOON + 299 * 60 + 7)


def test_a_day_is_the_users(tmp_path: Path) -> None:
    """A call half an hour after midnight in Berlin is yesterday's in UTC, and is written to
    yesterday's file."""
    late = NOON + 11.5 * 3600
    directory = write(tmp_path, [a_call(late)])

    assert [
        ask(directory, "daily", zone=zone).rows[0].key for zone in (BERLIN, ZoneInfo("UTC"))
    ] == [
        ("2026-11-21",),
        ("2026-11-20",),
    ]


def test_order_and_limit(tmp_path: Path) -> None:
    """Time comes in its order, the rest by cost; a limit leaves the first."""
    calls = [
        a_call(NOON + day * 86400, model=f"m{day}", cost_usd=[1.0, 3.0, 2.0][day])
        for day in range(3)
    ]
    directory = write(tmp_path, calls)

    def names(name: str, order: str | None = None, limit: int | None = None) -> list[str | None]:
        return [row.key[-1] for row in ask(directory, name).arranged(order, limit).rows]

    assert names("daily") == ["2026-11-20", "2026-11-21", "2026-11-22"]
    assert names("model") == ["m1", "m2", "m0"]
    assert names("model", "name") == ["m0", "m1", "m2"]
    assert names("model", "cost", 1) == ["m1"]


def test_money_of_subscriptions_is_told_apart(tmp_path: Path) -> None:
    """What was not billed is never added to what was; without any known cost the sum is unknown."""
    calls = [
        a_call(cost_usd=0.1),
        a_call(cost_usd=0.2),
        a_call(cost_usd=4.0, billing="subscription"),
    ]
    answer = ask(write(tmp_path / "a", calls), "client")
    unpriced = ask(write(tmp_path / "b", [a_call(cost_usd=None, coverage="unpriced")]), "client")
    row = as_json(answer, BERLIN, EVERYTHING)["rows"][0]

    assert (row["spent_usd"], row["api_value_usd"]) == (0.3, 4.0)
    assert as_json(unpriced, BERLIN, EVERYTHING)["totals"]["cost_usd"] is None
    assert unpriced.unpriced_models == ["anthropic/claude-opus-4-8"]


def test_every_field_of_a_record_has_a_column() -> None:
    """No more and no fewer: the view `calls` is the record."""
    assert set(COLUMNS) == set(FIELDS)
    assert list(AGGREGATES) == list(Totals._fields)


def test_every_column_gives_what_was_written(tmp_path: Path) -> None:
    """A field of another type than its column, or one that is not in this call, fails here."""
    call = _full(Call)._replace(provider="anthropic", timestamp=NOON, started=NOON, ended=NOON)
    record = to_record(call)
    with Database(write(tmp_path, [call])) as database:
        answer = database.sql("SELECT * FROM calls")
    read = dict(zip(answer.columns, answer.rows[0], strict=True))
    noon = datetime(2026, 11, 20, 12, tzinfo=UTC).replace(tzinfo=None)

    assert set(record) == set(FIELDS)
    for name in ("timestamp", "started", "ended"):
        record[name] = noon
    for name in ("parts", "limits"):
        read[name] = json.loads(read[name])
    assert {name: read[name] for name in FIELDS} == record


def _full(kind: Any) -> Any:
    """A value of this type that has no default in it."""
    if get_origin(kind) in (Union, UnionType):
        (kind,) = (each for each in get_args(kind) if each is not NoneType)
    if get_origin(kind) is tuple:
        return (_full(get_args(kind)[0]),)
    if get_origin(kind) is Literal:
        return get_args(kind)[-1]
    if get_origin(kind) is Mapping:
        return {"web_search": 2}
    if hasattr(kind, "__annotations__"):
        hints = get_type_hints(kind).items()
        return kind(**{name: name != "pending" and _full(hint) for name, hint in hints})
    return {str: "text", int: 7, float: 2.5, bool: True}[kind]


DAMAGE = {
    b"garbage\n": "not JSON",
    b'{"schema":1,"ended":"2026-11\n': "not JSON",
    b"[1,2]\n": "not a record of schema 1: Expected `object`, got `array`",
    b"null\n": "not a record of schema 1: Expected `object`, got `null`",
    b"\0\0\0\n": "not JSON",
    b'{"schema":2,"ended":"2026-11-20T12:00:00Z"}\n': "not a record of schema 1: Invalid enum value 2 - at `$.schema`",
    b'{"schema":1,"model":"no time"}\n': "not a record of schema 1: Object missing required field `timestamp`",
    b'{"model":"\xff"}\n': "not JSON",
    b'{"schema":1,"model":"' + b"x" * 5_000_000 + b'"}\n': "cut off",
    b"[" * 100_000 + b"\n": "not a record of schema 1: Expected `object`, got `array`",
}


@pytest.mark.parametrize("line", DAMAGE, ids=lambda line: line[:12].decode(errors="replace"))
def test_a_damaged_line_is_counted_and_named(tmp_path: Path, line: bytes) -> None:
    """It changes no sum, wherever it stands."""
    path = write(tmp_path, [a_call(), a_call()]) / "usage-2026-11-20.jsonl"
    good = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(line + good[0] + line + good[1] + line.rstrip(b"\n"))
    answer = ask(tmp_path, "client")

    assert answer.totals == plus(of_call(a_call()), of_call(a_call()))
    assert answer.damage.count == 3
    assert [(each.path.name, each.line) for each in answer.damage.first] == [
        (path.name, 1),
        (path.name, 3),
        (path.name, 5),
    ]
    assert answer.damage.first[0].reason == DAMAGE[line]


@pytest.mark.parametrize(
    "value", [b'"abc"', b'"12"', b"{}", b"1e400", b"1" * 400, b"9223372036854775808", b"true"]
)
def test_a_field_of_another_type_makes_a_damaged_line(tmp_path: Path, value: bytes) -> None:
    """As all other readers take it, so that no two have different sums."""
    line = to_line(a_call()).replace(b'"output_tokens":5', b'"output_tokens":' + value)
    (tmp_path / "usage-2026-11-20.jsonl").write_bytes(line)
    answer = ask(tmp_path, "client")

    assert (answer.totals.calls, answer.damage.count) == (0, 1)


def test_what_is_no_json_to_duckdb_alone_is_a_call(tmp_path: Path) -> None:
    """A field that the readers ignore may hold bytes that DuckDB refuses the whole line for."""
    line = to_line(a_call())
    path = tmp_path / "usage-2026-11-20.jsonl"
    path.write_bytes(line + line.replace(b'{"schema"', b'{"later":"\xff","schema"'))

    assert ask(tmp_path, "client").totals == plus(of_call(a_call()), of_call(a_call()))


@settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(junk=st.binary(max_size=60))
def test_no_bytes_end_a_report(tmp_path_factory: pytest.TempPathFactory, junk: bytes) -> None:
    """A line of anything leaves the lines around it alone."""
    line = to_line(a_call())
    directory = tmp_path_factory.mktemp("junk")
    (directory / "usage-2026-11-20.jsonl").write_bytes(
        line + junk.replace(b"\n", b"") + b"\n" + line
    )
    answer = ask(directory, "daily")

    assert answer.totals.calls == 2
    assert answer.damage.count == bool(junk.replace(b"\n", b"").strip(b" \t\r\n\v\f"))


def test_names_are_no_patterns(tmp_path: Path) -> None:
    """A directory's name may contain a pattern of DuckDB or the end of a string."""
    directory = write(tmp_path / "it's [a]* {b}?", [a_call()])
    write(tmp_path / "it's a", [a_call()])

    assert ask(directory, "client").totals.calls == 1


def test_only_the_days_asked_for_are_read(tmp_path: Path) -> None:
    """A damaged file of another month is not even opened."""
    directory = write(tmp_path, [a_call()])
    (directory / "usage-2026-01-01.jsonl").write_bytes(b"garbage\n")

    assert ask(directory, "daily", Filter(since=NOON - 86400)).damage.count == 0
    assert ask(directory, "daily").damage.count == 1


@pytest.mark.parametrize("name", GROUPINGS)
def test_an_empty_journal_is_an_empty_report(tmp_path: Path, name: str) -> None:
    """No file, no rows, no error."""
    assert ask(tmp_path / "missing", name).rows == []


def test_sql(directory: Path) -> None:
    """The view has every field, nested ones too, and only records."""
    with Database(directory) as database:
        answer = database.sql(
            "SELECT count(*), count(error.message), max(limits->>'$[0].key') FROM calls"
        )
        refused = [call for call in journal.read(directory) if call.error]

    assert answer.rows == [(2000, len(refused), "5h")]


def test_sql_mistakes_are_told(directory: Path) -> None:
    """They come as our own error, with what DuckDB says."""
    with Database(directory) as database, pytest.raises(ReportError, match="nonsense"):
        database.sql("SELECT nonsense FROM calls")


def test_nothing_is_left_behind(
    directory: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A query that does not fit in memory goes to a directory for its owner alone, which goes
    away."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Database(directory) as database:
        (spill,) = tmp_path.iterdir()
        assert spill.stat().st_mode & 0o077 == 0
        database.sql(
            "SELECT count(*) FROM (SELECT a.i FROM range(8000000) a(i) ORDER BY hash(a.i), "
            "random()) "
        )

    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    """A file that is gone by the time it is read ends the report with a message, not a trace."""
    directory = write(tmp_path, [a_call()])
    with Database(directory) as database:
        (directory / "usage-2026-11-20.jsonl").unlink()
        with pytest.raises(ReportError, match="usage-2026-11-20"):
            database.report("daily", EVERYTHING, None)


PEAK = """
import json, sys, time
from pathlib import Path
from llmtally.report.filters import Filter
from llmtally.report import Database
began = time.process_time()
with Database(Path(sys.argv[1])) as database:
    answer = database.report("daily", Filter(), None)
peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024  # getrusage knows the parent's too
print(json.dumps({"calls": answer.totals.calls, "seconds": time.process_time() - began, "peak_mb": peak}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
def test_memory_and_time_stay_bounded(tmp_path: Path) -> None:
    """200,000 records take less than 250 MB and a few seconds of work; `bench/reporting.py`
    measures a million."""
    day = b"".join(to_line(call._replace(ended=NOON)) for call in varied(2000))
    with (tmp_path / "usage-2026-11-20.jsonl").open("wb") as file:
        for _ in range(100):
            file.write(day)
    said = subprocess.run(
        [sys.executable, "-c", PEAK, str(tmp_path)],
        cwd=Path(report.__file__).parent.parent.parent,
        capture_output=True,
        check=True,
        timeout=120,
    )
    measured = json.loads(said.stdout)

    assert measured["calls"] == 100 * sum(
        call.attribution.request_class != "warmup" for call in varied(2000)
    )
    assert measured["peak_mb"] < 250
    assert measured["seconds"] < 10


def test_a_query_can_be_ended(directory: Path) -> None:
    """Ctrl-C does not have to wait for the answer."""
    import threading

    with Database(directory) as database:
        timer = threading.Timer(0.3, database.interrupt)
        timer.start()
        began = time.monotonic()
        with pytest.raises(ReportError):
            database.sql("SELECT sum(a.i * b.i) FROM range(10000000) a(i), range(10000000) b(i)")
        timer.join()

    assert time.monotonic() - began < 10
