"""The record: what is written is read back, and what is not a record is refused."""

from __future__ import annotations

import ast
import importlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import llmtally.record
import llmtally.schema
from calls import a_call
from llmtally.record import (
    USAGE_FIELDS,
    ApiError,
    Attribution,
    Call,
    LimitReading,
    NotCounted,
    Part,
    QuotaAnswer,
    Usage,
)
from llmtally.schema import (
    FIELDS,
    RecordError,
    check_line,
    entry_line,
    from_line,
    read_line,
    to_line,
    to_record,
)

FULL = a_call(
    response_id="msg_1",
    usage=Usage(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, {"web_search": 2}),
    error=ApiError("overloaded_error", "Overloaded"),
    parts=(
        Part("message", "m", Usage(input_tokens=1), 0.5),
        Part("advisor", None, Usage(output_tokens=2)),
    ),
    attribution=Attribution(
        "c",
        "1",
        "s",
        "header",
        "a",
        "p",
        "Explore",
        "subagent",
        "/x",
        "0123456789ab",
        2,
        run="nightly",
    ),
    limits=(
        LimitReading(
            "5h",
            "provider_native",
            31.0,
            100.0,
            69.0,
            1_790_000_000.0,
            18_000.0,
            "allowed",
            "n",
            True,
        ),
    ),
    estimated=True,
    reported_output_tokens=1,
    cost_approximate=True,
    list_cost_usd=0.3,
    service_tier="standard",
    request_service_tier="auto",
    speed="fast",
    inference_geo="us",
    cache_miss_reason="tools_changed",
    cache_missed_tokens=41_300,
    ttft_ms=1.5,
    duration_ms=2.5,
    request_bytes=10,
    response_bytes=20,
    status=200,
    stop_reason="end_turn",
    request_model="m",
    streaming=True,
)


@pytest.mark.parametrize("call", [a_call(), FULL], ids=["few fields", "all fields"])
def test_there_and_back(call: Call) -> None:
    """A call is the same after it was written and read."""
    assert from_line(to_line(call)) == call
    assert to_record(call) == json.loads(to_line(call))


def test_the_fields() -> None:
    """Every field of the contract is written, no other, each in its place, and the total is the sum
    of the disjoint buckets."""
    record = to_record(FULL)
    own = [name for name in Call._fields if name not in (*NESTED, "pending")]
    who = [name for name in Attribution._fields if name != "billing"]

    assert set(record) == set(FIELDS), (
        f"give each of these a value in FULL above: {sorted(set(FIELDS) - set(record))}"
    )
    assert ("schema", *own, *USAGE_FIELDS, "total_tokens", *who, "parts", "limits") == FIELDS
    assert record["total_tokens"] == 1 + 2 + 3 + 7


@pytest.mark.parametrize("place", ["first", "last"])
def test_the_order_in_record_py_does_not_matter(tmp_path: Path, place: str) -> None:
    """A record is the same where record.py declares its fields in the opposite order, and a field
    that is added, first or last, is written and read back."""
    record, schema = rewritten(tmp_path / f"rewritten_{place}", added_first=place == "first")
    call = moved(FULL, record)
    call = call._replace(
        added_to_call=1,
        usage=call.usage._replace(added_to_usage=2),
        attribution=call.attribution._replace(added_to_attribution="x"),
    )

    written = schema.to_record(call)

    assert written == {
        **to_record(FULL),
        "added_to_call": 1,
        "added_to_usage": 2,
        "added_to_attribution": "x",
    }, "schema.py must find a field of record.py by its name, never by where it is declared"
    assert schema.from_line(schema.to_line(call)) == call, (
        "schema.py wrote a field of record.py that it does not read back to the same place"
    )


NESTED = ("usage", "attribution", "parts", "limits")
ADDED = {
    "Call": "added_to_call: int | None = None",
    "Usage": "added_to_usage: int | None = None",
    "Attribution": "added_to_attribution: str | None = None",
}


def rewritten(package: Path, *, added_first: bool) -> tuple[Any, Any]:
    """Modules made from record.py and schema.py: the fields of the former stand in the opposite
    order, with one more in each class that has a row in `ADDED`."""
    package.mkdir()
    tree = ast.parse(Path(llmtally.record.__file__).read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name in (*ADDED, "LimitReading"):
            fields = [each for each in node.body if isinstance(each, ast.AnnAssign)]
            methods = [each for each in node.body if isinstance(each, ast.FunctionDef)]
            required = [each for each in fields if each.value is None]
            optional: list[ast.stmt] = [each for each in fields if each.value is not None]
            added = ast.parse(ADDED.get(node.name, "")).body
            optional = [*optional, *added] if added_first else [*added, *optional]
            node.body = [*reversed(required), *reversed(optional), *methods]
    (package / "record.py").write_text(ast.unparse(tree), encoding="utf-8")
    shutil.copy(llmtally.schema.__file__, package)
    (package / "__init__.py").touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(package.parent)
        return (
            importlib.import_module(f"{package.name}.record"),
            importlib.import_module(f"{package.name}.schema"),
        )


def moved(value: Any, record: Any) -> Any:
    """The same value, made of the classes of another record module, by the names of its fields."""
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return tuple(moved(each, record) for each in value)
    names = getattr(value, "_fields", None) or getattr(value, "__dataclass_fields__", None)
    if names is None:
        return value
    made = getattr(record, type(value).__name__)
    return made(**{name: moved(getattr(value, name), record) for name in names})


def test_unknown_is_absent() -> None:
    """What nobody said is not written as 0; only the cost is said to be unknown."""
    record = to_record(a_call()._replace(usage=Usage(), cost_usd=None, cost_source=None))

    assert not [name for name in record if "tokens" in name]
    assert (record["cost_usd"], record["cost_source"]) == (None, None)


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"input_tokens": "12"},
        {"output_tokens": 1.5},
        {"cost_usd": "free"},
        {"timestamp": "yesterday"},
        {"server_tools": {"web_search": "2"}},
        {"error": "x"},
        {"limits": 5},
        {"limits": [{"key": "5h", "source": "provider_native", "resets_at": 1e308}]},
    ],
    ids=str,
)
def test_what_is_not_a_record(change: dict[str, Any]) -> None:
    """A line edited by hand is refused, not half believed."""
    record = {**to_record(a_call()), **change}

    with pytest.raises(RecordError):
        from_line(json.dumps(record).encode())


KIND_LINES = [
    QuotaAnswer(
        1_790_000_000.0, "anthropic", "a1b2c3d4e5f6", (LimitReading("5h", "provider_native"),)
    ),
    QuotaAnswer(1_790_000_000.123, "openai"),
    NotCounted("bypassed", 1_790_000_000.0, 3, "api.anthropic.com"),
    NotCounted("lost", 1_790_000_000.0, 1, reason="No space left on device"),
]


@pytest.mark.parametrize("entry", KIND_LINES, ids=lambda entry: type(entry).__name__)
def test_a_line_of_another_kind_is_read_back(entry: QuotaAnswer | NotCounted) -> None:
    """It states its kind and no schema, so that no reader of calls takes it for one."""
    line = entry_line(entry)

    assert read_line(line) == entry
    assert check_line(line) == json.loads(line)["kind"]
    assert "schema" not in json.loads(line)
    with pytest.raises(RecordError):
        from_line(line)
