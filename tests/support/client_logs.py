"""Logs as Claude Code and Codex write them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from llmtally.record import rfc3339

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp()
MODEL = "gpt-6.1-sol"


def claude_line(
    response_id: str, at: float = NOON, model: str = "claude-opus-4-8", **usage: int
) -> dict[str, Any]:
    """A line of Claude Code's log."""
    counts = {
        "input_tokens": 12,
        "cache_read_input_tokens": 20000,
        "cache_creation_input_tokens": 1800,
        "output_tokens": 410,
    }
    counts |= usage
    return {
        "type": "assistant",
        "timestamp": rfc3339(at),
        "sessionId": "session-1",
        "requestId": "req_1",
        "isSidechain": False,
        "message": {
            "id": response_id,
            "model": model,
            "usage": {
                **counts,
                "cache_creation": {
                    "ephemeral_5m_input_tokens": 300,
                    "ephemeral_1h_input_tokens": 1500,
                },
            },
        },
    }


def token_count(
    after: float, total: tuple[int, int, int], last: tuple[int, int, int] | str | None = "the same"
) -> dict[str, Any]:
    """A `token_count` event of Codex's some seconds after noon: input, of it cached, output."""
    info = {"total_token_usage": _codex_counts(total)}
    if last is not None:
        info["last_token_usage"] = _codex_counts(total if isinstance(last, str) else last)
    payload = {"type": "token_count", "info": info, "rate_limits": None}
    return {"timestamp": rfc3339(NOON + after), "type": "event_msg", "payload": payload}


def usage_record(
    after: float, response_id: str, usage: tuple[int, int, int], thread: str = "thread-1"
) -> dict[str, Any]:
    """What Codex has written of each response since 0.155, before its `token_count`."""
    payload = {
        "thread_id": thread,
        "session_id": "session-1",
        "response_id": response_id,
        "usage": _codex_counts(usage),
    }
    return {"timestamp": rfc3339(NOON + after), "type": "token_usage_record", "payload": payload}


def numbered(lines: Iterable[dict[str, Any]], first: int = 0) -> list[dict[str, Any]]:
    """The lines with the numbers that newer versions of Codex give them."""
    return [{**line, "ordinal": ordinal} for ordinal, line in enumerate(lines, first)]


def _codex_counts(counts: tuple[int, int, int]) -> dict[str, int]:
    return {
        "input_tokens": counts[0],
        "cached_input_tokens": counts[1],
        "output_tokens": counts[2],
        "total_tokens": counts[0] + counts[2],
    }


def write_claude(directory: Path, lines: Iterable[dict[str, Any]], name: str = "session-1") -> None:
    """A file of Claude Code's."""
    _write(directory / "projects" / "p" / f"{name}.jsonl", lines)


def write_codex(
    directory: Path,
    thread: str,
    lines: Iterable[dict[str, Any]],
    *,
    created: str = "2026-11-20T11:00:00.000Z",
    ancestors: Iterable[str] = (),
    folder: str = "sessions",
    **meta: Any,
) -> None:
    """A file of Codex's; a fork repeats its ancestors' first lines after its own. `meta` is more of
    what its first line says."""
    metas = [
        {
            "timestamp": created,
            "type": "session_meta",
            "payload": {"id": name, "cwd": "/p", **(meta if name == thread else {})},
        }
        for name in (thread, *ancestors)
    ]
    context = {"timestamp": created, "type": "turn_context", "payload": {"model": MODEL}}
    _write(
        directory / folder / "2026" / "11" / "20" / f"rollout-{thread}.jsonl",
        [*metas, context, *lines],
    )


def _write(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
