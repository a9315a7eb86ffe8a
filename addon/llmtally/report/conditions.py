"""A filter as SQL: values from outside are parameters."""

from __future__ import annotations

from .columns import MODEL
from .filters import Filter

_FILTERED = {
    "model": (MODEL, f"provider || '/' || {MODEL}"),
    "client": ("client",),
    "project": ("project",),
} | {name: (name,) for name in ("session", "account", "run")}
"""By name of a filter, the SQL of what its patterns may match."""


def condition(chosen: Filter) -> tuple[str, list[str]]:
    """The filter as SQL and its parameters."""
    terms, parameters = ["true"], []
    if chosen.since is not None:
        terms.append(f"ended >= {timestamp(chosen.since)}")
    if chosen.until is not None:
        terms.append(f"ended < {timestamp(chosen.until)}")
    for name, patterns in chosen.patterns().items():
        choices = [(value, pattern) for value in _FILTERED[name] for pattern in patterns]
        terms.append("(" + " OR ".join(f"{value} LIKE ? ESCAPE '\\'" for value, _ in choices) + ")")
        parameters += [_like(pattern) for _, pattern in choices]
    return " AND ".join(terms), parameters


def _like(pattern: str) -> str:
    """A pattern with `*` and `?` as one for LIKE."""
    return pattern.translate(
        {ord("\\"): "\\\\", ord("%"): "\\%", ord("_"): "\\_", ord("*"): "%", ord("?"): "_"}
    )


def literal(text: str) -> str:
    """Text as an SQL literal, for places where no parameter may stand."""
    return "'" + text.replace("'", "''") + "'"


def timestamp(seconds: float) -> str:
    """Epoch seconds as an SQL timestamp."""
    return f"make_timestamp({round(seconds * 1_000_000)})"
