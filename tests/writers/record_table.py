"""Writes the field tables of docs/record.md from the values: `python
tests/writers/record_table.py`."""

from __future__ import annotations

import ast
import inspect
import re
import sys
import types
import typing
from collections.abc import Container, Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "addon"))

from llmtally.record import USAGE_FIELDS, ApiError, Attribution, Call, LimitReading, Part, Usage  # noqa: E402  it is a script, too
from llmtally.schema import FIELDS, SCHEMA, to_record  # noqa: E402

DOCUMENT = ROOT / "docs" / "record.md"
BLOCK = re.compile(r"(<!-- fields: .*? -->\n).*?(<!-- /fields -->)", re.DOTALL)
HEAD = "| field | type | written | meaning |\n|---|---|---|---|\n"

TIMES = ("timestamp", "started", "ended")
JSON = {str: "string", int: "integer", float: "number", bool: "boolean"}

LEAST = Call(0.0, "", "", "", "", "", "json", "complete", "no_usage", 0.0, 0.0)
"""A call with only its required fields."""


def tables() -> str:
    """A table for each kind of object."""
    usage, total = FIELDS.index(USAGE_FIELDS[0]), FIELDS.index("total_tokens")
    [part] = to_record(LEAST._replace(parts=(Part("", None, Usage()),)))["parts"]
    [limit] = to_record(LEAST._replace(limits=(LimitReading("", "provider_native"),)))["limits"]
    call = to_record(LEAST)
    sections = {
        "The call": [
            row("schema", "integer", "always", f"{SCHEMA}."),
            *rows(Call, (*FIELDS[1:usage], "parts", "limits"), call),
        ],
        "Tokens": [
            *rows(Usage, FIELDS[usage:total], call),
            row("total_tokens", "integer", "if known", inspect.getdoc(Usage.total_tokens) or ""),
        ],
        "Who asked": rows(Attribution, FIELDS[total + 1 : -2], call),
        "`error`": rows(ApiError, ("type", "message"), ("type", "message")),
        "One of `parts`": [
            *rows(Part, ("kind", "model", "cost_usd"), part),
            "| those under Tokens | | if known | Its share of the tokens. |\n",
        ],
        "One of `limits`": rows(LimitReading, LimitReading._fields, limit),
    }
    return "\n".join(f"## {title}\n\n{HEAD}{''.join(lines)}" for title, lines in sections.items())


def rows(kind: type, names: Iterable[str], always: Container[str]) -> list[str]:
    """A row a field: its type, whether it is always written, and the text beneath it in the
    code."""
    hints, meanings = typing.get_type_hints(kind), texts_beneath(kind)
    lines = []
    for name in names:
        if name not in meanings:
            sys.exit(f"record.py: write a string with the meaning beneath `{kind.__name__}.{name}`")
        of = "time" if name in TIMES else json_type(hints[name])
        written = "always" if name in always else "if true" if of == "boolean" else "if known"
        lines.append(row(name, of, written, meanings[name]))
    return lines


def row(name: str, of: str, written: str, meaning: str) -> str:
    """One row of the table."""
    return f"| `{name}` | {of} | {written} | {' '.join(meaning.split())} |\n"


def texts_beneath(kind: type) -> dict[str, str]:
    """The strings beneath the fields of a class."""
    [defined] = ast.parse(inspect.getsource(kind)).body
    assert isinstance(defined, ast.ClassDef)
    return {
        field.target.id: text.value.value
        for field, text in pairwise(defined.body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


def json_type(hint: Any) -> str:
    """The JSON type of a value of this type; for a fixed set of words, the words."""
    if typing.get_origin(hint) is types.UnionType:
        [hint] = [each for each in typing.get_args(hint) if each is not type(None)]
    if typing.get_origin(hint) is typing.Literal:
        return ", ".join(f"`{word}`" for word in typing.get_args(hint))
    return JSON.get(hint) or ("array" if typing.get_origin(hint) is tuple else "object")


def with_tables(document: str) -> str:
    """The document with the tables as they should be."""
    return BLOCK.sub(
        lambda found: found.group(1) + "\n" + tables() + "\n" + found.group(2), document
    )


if __name__ == "__main__":
    DOCUMENT.write_text(with_tables(DOCUMENT.read_text()))
