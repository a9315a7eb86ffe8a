"""Reads what Claude Code and Codex logged about their calls: the other side of `reconcile`.

Claude Code writes a line for each block of an answer, `{"type": "assistant", "message": {"id",
"model", "usage"}}`: the response's id and the usage as known by then. Codex writes a
`token_usage_record` for each response, `{"thread_id", "response_id", "usage"}`; before 0.155 only
`token_count` events, `{"info": {"total_token_usage", "last_token_usage"}}`: cumulative for the
thread, without an id, and again whenever its screen is refreshed. Both copy histories: Claude Code
when a session is resumed, Codex when a thread is forked or starts an agent.
https://github.com/ccusage/ccusage/tree/main/rust/crates/ccusage/src/adapter and its issues 866,
1288, 1349
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from ...formats.anthropic_messages import read_message
from ...formats.format import count, mapping, text
from ...record import TOKEN_FIELDS, Reading, Usage, epoch

LINE_CAP = 64 * 2**20
"""Bytes that are read of a line. Lines hold whole conversations and pasted images; longer ones are
skipped."""

REPLAY_SECONDS = 1.0
"""A fork's file begins with its ancestors' history, written at once. No model answers that soon."""


class Logged(NamedTuple):
    """One response as the client logged it."""

    client: str
    at: float
    """When it was logged, in epoch seconds."""
    usage: Usage
    model: str | None = None
    response_id: str | None = None
    thread: str | None = None
    """The client's session or thread."""


def claude_directories() -> list[Path]:
    """Directories of Claude Code's logs: the old and the new default, or those that
    `CLAUDE_CONFIG_DIR` names."""
    named = os.environ.get("CLAUDE_CONFIG_DIR")
    roots = named.split(",") if named else ["~/.claude", "~/.config/claude"]
    return [Path(root.strip()).expanduser() for root in roots]


def codex_directories() -> list[Path]:
    """The directory of Codex's logs."""
    return [Path(os.environ.get("CODEX_HOME") or "~/.codex").expanduser()]


def read_claude(directories: Iterable[Path]) -> Iterator[Logged]:
    """Claude Code's responses under `projects/`, each once with its largest counts, as later lines
    are more complete."""
    found: dict[str, Logged] = {}
    for path in _files(directories, ("projects",)):
        for line in _lines(path, (b'"usage"',)):
            logged = _claude_line(line)
            if logged is not None and logged.response_id is not None:
                before = found.get(logged.response_id)
                found[logged.response_id] = (
                    logged
                    if before is None
                    else before._replace(usage=_largest(before.usage, logged.usage))
                )
    yield from (logged for logged in found.values() if logged.usage.total_tokens)


def _claude_line(line: Mapping[str, Any]) -> Logged | None:
    """The response that a line logs; None for other lines, such as errors that the client shows."""
    message, at = mapping(line.get("message")), _time(line.get("timestamp"))
    if (
        line.get("type") != "assistant"
        or line.get("isApiErrorMessage")
        or message.get("model") == "<synthetic>"
        or at is None
    ):
        return None
    said = read_message({**message, "type": "message"}, Reading())
    if said.usage is None or said.response_id is None:
        return None
    return Logged(
        client="claude-code",
        at=at,
        usage=said.usage,
        model=said.model and said.model.split("[")[0],  # `claude-opus-4-8[1m]`
        response_id=said.response_id,
        thread=text(line.get("sessionId")),
    )


def _largest(left: Usage, right: Usage) -> Usage:
    known = {
        name: max(getattr(left, name) or 0, n)
        for name in TOKEN_FIELDS
        if (n := getattr(right, name)) is not None
    }
    return left._replace(**known)


def read_codex(directories: Iterable[Path]) -> Iterator[Logged]:
    """Codex's responses under `sessions/` and `archived_sessions/`, each once."""
    threads: dict[str, _Thread] = {}
    for path in _files(directories, ("sessions", "archived_sessions")):
        thread = _codex_thread(path)
        known = threads.get(thread.name)
        if known is None or len(thread.events) > len(known.events):  # an archived file is a copy
            threads[thread.name] = thread
    for thread in threads.values():
        yield from _own_events(thread, threads)


class _Event(NamedTuple):
    """A change of a thread's cumulative counts."""

    total: Usage | None
    """The cumulative counts, if they were logged: a replayed event has its ancestor's."""
    logged: Logged


@dataclass(slots=True)
class _Thread:
    """A thread of Codex, read from one file."""

    name: str
    """The thread's id; the file's name until the id is read."""
    created: float | None = None
    ancestors: set[str] = field(default_factory=set)
    events: list[_Event] = field(default_factory=list)
    _copied: int = 0
    """Lines numbered below this are a copy of the history of the thread that started this one."""
    _recorded: bool = False
    """Each response has a record, so the cumulative counts are ignored."""
    _total: Usage | None = None
    _model: str | None = None

    def take(self, line: Mapping[str, Any]) -> None:
        """Add what a line of the file says."""
        kind, payload, at = (
            line.get("type"),
            mapping(line.get("payload")),
            _time(line.get("timestamp")),
        )
        if kind == "session_meta":
            self._begin(payload, at)
        elif (number := count(line.get("ordinal"))) is not None and number < self._copied:
            return
        elif kind == "turn_context":
            self._model = text(payload.get("model")) or self._model
        elif kind == "token_usage_record" and at is not None:
            self._record(payload, at)
        elif payload.get("type") == "token_count" and at is not None and not self._recorded:
            self._counts(mapping(payload.get("info")), at, text(payload.get("response_id")))

    def _begin(self, meta: Mapping[str, Any], at: float | None) -> None:
        """The first `session_meta` is this thread's; a fork repeats those of its ancestors."""
        name = text(meta.get("id"))
        if self.created is None and name is not None:
            self.name, self.created = name, at or 0.0
            base = count(mapping(meta.get("history_base")).get("end_ordinal_exclusive"))
            self._copied = count(meta.get("subagent_history_start_ordinal")) or base or 0
        self.ancestors |= {
            other
            for other in (name, text(meta.get("forked_from_id")))
            if other is not None and other != self.name
        }

    def _record(self, record: Mapping[str, Any], at: float) -> None:
        """Add a response with an id. A fork repeats its ancestors' records, which are skipped."""
        self._recorded = True
        usage = _codex_usage(record.get("usage"))
        if (
            usage is not None
            and usage.total_tokens
            and text(record.get("thread_id")) in (None, self.name)
        ):
            response_id = text(record.get("response_id"))
            self.events.append(
                _Event(None, Logged("codex", at, usage, self._model, response_id, self.name))
            )

    def _counts(self, info: Mapping[str, Any], at: float, response_id: str | None) -> None:
        total, last = (
            _codex_usage(info.get("total_token_usage")),
            _codex_usage(info.get("last_token_usage")),
        )
        if total is not None and total == self._total:
            return  # repeated for the screen
        usage = last or _difference(total, self._total)
        self._total = total or self._total
        if usage is not None and usage.total_tokens:
            self.events.append(
                _Event(total, Logged("codex", at, usage, self._model, response_id, self.name))
            )


def _codex_thread(path: Path) -> _Thread:
    thread = _Thread(path.stem)
    for line in _lines(
        path, (b'"session_meta"', b'"turn_context"', b'"token_usage_record"', b'"token_count"')
    ):
        thread.take(line)
    return thread


def _own_events(thread: _Thread, threads: Mapping[str, _Thread]) -> Iterator[Logged]:
    """The thread's responses without those that a fork repeats of its ancestors."""
    inherited = {
        event.total
        for name in thread.ancestors
        if name in threads
        for event in threads[name].events
    }
    replayed_until = (thread.created or 0.0) + REPLAY_SECONDS if thread.ancestors else 0.0
    for event in thread.events:
        if event.logged.at > replayed_until and (
            event.total is None or event.total not in inherited
        ):
            yield event.logged


def _codex_usage(value: object) -> Usage | None:
    """Codex's `input_tokens` include the cached ones; only newer versions say which of them were
    written to a cache."""
    counts = mapping(value)
    whole, read = count(counts.get("input_tokens")), count(counts.get("cached_input_tokens"))
    written = count(counts.get("cache_write_input_tokens"))
    usage = Usage(
        input_tokens=None if whole is None else max(0, whole - (read or 0) - (written or 0)),
        cache_read_tokens=read,
        cache_write_tokens=written,
        output_tokens=count(counts.get("output_tokens")),
        reasoning_tokens=count(counts.get("reasoning_output_tokens")),
    )
    return usage or None


def _difference(total: Usage | None, before: Usage | None) -> Usage | None:
    """The usage that a response added to the cumulative counts."""
    if total is None or before is None:
        return total
    return Usage(
        **{
            name: max(0, n - (getattr(before, name) or 0))
            for name in TOKEN_FIELDS
            if (n := getattr(total, name)) is not None
        }
    )


def _files(directories: Iterable[Path], folders: tuple[str, ...]) -> list[Path]:
    return sorted(
        path
        for directory in directories
        for folder in folders
        for path in (directory / folder).rglob("*.jsonl")
    )


def _lines(path: Path, marks: tuple[bytes, ...]) -> Iterator[Mapping[str, Any]]:
    """The JSON objects that may matter: only lines with one of the marks are parsed."""
    try:
        with path.open("rb") as file:
            while line := file.readline(LINE_CAP):
                if any(mark in line for mark in marks):
                    with suppress(orjson.JSONDecodeError):  # cut off, or being written
                        yield mapping(orjson.loads(line))
    except OSError:  # gone, or not ours to read
        return


def _time(value: object) -> float | None:
    with suppress(ValueError, OverflowError):
        return epoch(value) if isinstance(value, str) else None
    return None
