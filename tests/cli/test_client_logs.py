"""What is read from the logs of clients, in the shapes they have had."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client_logs import (
    NOON,
    claude_line,
    numbered,
    token_count,
    usage_record,
    write_claude,
    write_codex,
)
from llmtally.cli.reconcile.client_logs import (
    Logged,
    claude_directories,
    codex_directories,
    read_claude,
    read_codex,
)
from llmtally.record import Usage


def test_claude_one_response_in_several_lines(tmp_path: Path) -> None:
    """Each block of an answer repeats the usage; the largest counts are the last ones."""
    lines = [claude_line("msg_1", output_tokens=n) for n in (1, 120, 3)]
    write_claude(tmp_path, [lines[0], lines[1]])
    write_claude(tmp_path, [lines[2]], name="resumed")
    (logged,) = read_claude([tmp_path])

    assert logged == Logged(
        "claude-code",
        NOON,
        Usage(12, 20000, 1800, None, 1500, None, 120),
        "claude-opus-4-8",
        "msg_1",
        "session-1",
    )


def test_claude_a_resumed_session_copies_its_history(tmp_path: Path) -> None:
    """The same response in the file of another session is one response, of the session that is read
    first."""
    write_claude(tmp_path, [claude_line("msg_1"), claude_line("msg_2", NOON + 5)])
    copied = [
        {**line, "sessionId": "session-2"}
        for line in (claude_line("msg_1"), claude_line("msg_2", NOON + 5))
    ]
    write_claude(
        tmp_path,
        [*copied, {**claude_line("msg_3", NOON + 60), "sessionId": "session-2"}],
        name="session-2",
    )

    assert [(logged.response_id, logged.thread) for logged in read_claude([tmp_path])] == [
        ("msg_1", "session-1"),
        ("msg_2", "session-1"),
        ("msg_3", "session-2"),
    ]


def test_claude_a_later_line_forgets_nothing(tmp_path: Path) -> None:
    """A line that leaves a count out does not take it back."""
    bare = claude_line("msg_1", output_tokens=500)
    del bare["message"]["usage"]["cache_creation"]
    write_claude(tmp_path, [claude_line("msg_1", output_tokens=1), bare])
    (logged,) = read_claude([tmp_path])

    assert logged.usage == Usage(12, 20000, 1800, None, 1500, None, 500)


def test_claude_turns_within_a_response(tmp_path: Path) -> None:
    """What a response was billed beside its answer (here its compaction) stands in `iterations`
    alone, as on the wire."""
    line = claude_line(
        "msg_1",
        input_tokens=220,
        output_tokens=8,
        cache_read_input_tokens=0,
        cache_creation_input_tokens=0,
    )
    line["message"]["usage"] |= {
        "cache_creation": None,
        "iterations": [
            {"type": "compaction", "input_tokens": 55_196, "output_tokens": 125},
            {"type": "message", "input_tokens": 220, "output_tokens": 8},
        ],
    }
    write_claude(tmp_path, [line])
    (logged,) = read_claude([tmp_path])

    assert (logged.usage.input_tokens, logged.usage.output_tokens) == (55_416, 133)


def test_claude_subagents_are_found(tmp_path: Path) -> None:
    """Subagents' logs, in a deeper directory, are read, too."""
    write_claude(
        tmp_path,
        [{**claude_line("msg_1"), "isSidechain": True}],
        name="session-1/subagents/agent-1",
    )

    assert [logged.response_id for logged in read_claude([tmp_path])] == ["msg_1"]


@pytest.mark.parametrize(
    "line",
    [
        {"type": "user", "message": {"id": "msg_1", "usage": {"input_tokens": 1}}},
        claude_line("msg_1", model="<synthetic>"),
        {**claude_line("msg_1"), "timestamp": "yesterday"},
        {**claude_line("msg_1"), "message": "usage"},
        {"type": "summary", "summary": '"usage"'},
        {**claude_line("msg_1"), "isApiErrorMessage": True},
        {"type": "progress", "data": {"message": claude_line("msg_1")}},
        {
            **claude_line("msg_1"),
            "message": {
                "id": "msg_1",
                "model": "m",
                "usage": {"input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 0},
            },
        },
    ],
)
def test_claude_other_lines_are_no_responses(tmp_path: Path, line: dict[str, Any]) -> None:
    """What the client says itself spent nothing."""
    write_claude(tmp_path, [line])

    assert list(read_claude([tmp_path])) == []


def test_claude_decorated_model(tmp_path: Path) -> None:
    """The context window that the client adds to a model's name is not on the wire."""
    write_claude(tmp_path, [claude_line("msg_1", model="claude-opus-4-8[1m]")])

    assert [logged.model for logged in read_claude([tmp_path])] == ["claude-opus-4-8"]


def test_codex_repeated_counts_are_one_response(tmp_path: Path) -> None:
    """Codex writes its counts again whenever its screen is refreshed."""
    first, second = (
        token_count(1, total=(1000, 400, 50)),
        token_count(5, total=(2500, 1400, 80), last=(1500, 1000, 30)),
    )
    write_codex(
        tmp_path,
        "thread-1",
        [
            first,
            token_count(2, total=(1000, 400, 50)),
            second,
            token_count(9, total=(2500, 1400, 80)),
        ],
    )

    assert [(logged.at, logged.usage) for logged in read_codex([tmp_path])] == [
        (NOON + 1, Usage(input_tokens=600, cache_read_tokens=400, output_tokens=50)),
        (NOON + 5, Usage(input_tokens=500, cache_read_tokens=1000, output_tokens=30)),
    ]


def test_codex_differences_where_only_sums_are_told(tmp_path: Path) -> None:
    """Old versions told the cumulative counts alone."""
    lines = [
        token_count(n, total=total, last=None)
        for n, total in ((1, (1000, 400, 50)), (5, (2500, 1400, 80)))
    ]
    write_codex(tmp_path, "thread-1", lines)

    assert [logged.usage for logged in read_codex([tmp_path])] == [
        Usage(input_tokens=600, cache_read_tokens=400, output_tokens=50),
        Usage(input_tokens=500, cache_read_tokens=1000, output_tokens=30),
    ]


def test_codex_cache_writes(tmp_path: Path) -> None:
    """They are part of Codex's input, and subtracted from it if they are reported."""
    line = token_count(1, total=(1000, 400, 50))
    for counts in line["payload"]["info"].values():
        counts["cache_write_input_tokens"] = 100
    write_codex(tmp_path, "thread-1", [line])

    assert [logged.usage for logged in read_codex([tmp_path])] == [
        Usage(500, 400, 100, output_tokens=50)
    ]


def test_codex_a_fork_repeats_its_parent(tmp_path: Path) -> None:
    """What a fork's file opens with was spent by its parent, also where the parent's file is
    gone."""
    history = [token_count(1, total=(1000, 400, 50)), token_count(5, total=(2500, 1400, 80))]
    write_codex(tmp_path, "parent", history)
    for name, parents in (("fork", ["parent"]), ("orphan", ["lost"])):
        replayed = [{**line, "timestamp": "2026-11-20T13:00:00.500Z"} for line in history]
        own = token_count(3700, total=(4000, 2400, 99), last=(1500, 1000, 19))
        write_codex(
            tmp_path, name, [*replayed, own], created="2026-11-20T13:00:00.000Z", ancestors=parents
        )

    threads = [logged.thread for logged in read_codex([tmp_path])]
    assert sorted(threads, key=str) == ["fork", "orphan", "parent", "parent"]


FIRST, SECOND = (1000, 400, 50), (1500, 1000, 30)
TOTAL = (2500, 1400, 80)
HISTORY = [
    usage_record(1, "resp_1", FIRST),
    token_count(1, total=FIRST),
    token_count(2, total=FIRST),
    usage_record(5, "resp_2", SECOND),
    token_count(5, total=TOTAL, last=SECOND),
]
"""Two responses, as Codex writes them since 0.155; its screen was refreshed once."""


def responses(directory: Path) -> list[tuple[str | None, str | None]]:
    return sorted(
        ((logged.thread, logged.response_id) for logged in read_codex([directory])), key=str
    )


def test_codex_records_are_the_responses(tmp_path: Path) -> None:
    """A response has a record with its id; the cumulative counts after it tell the same again."""
    write_codex(tmp_path, "thread-1", HISTORY)

    assert [(logged.response_id, logged.at, logged.usage) for logged in read_codex([tmp_path])] == [
        ("resp_1", NOON + 1, Usage(input_tokens=600, cache_read_tokens=400, output_tokens=50)),
        ("resp_2", NOON + 5, Usage(input_tokens=500, cache_read_tokens=1000, output_tokens=30)),
    ]


def test_codex_a_thread_goes_on_in_a_newer_version(tmp_path: Path) -> None:
    """What an older version counted stays, what the newer one recorded is added."""
    later = [usage_record(60, "resp_2", SECOND), token_count(60, total=TOTAL, last=SECOND)]
    write_codex(tmp_path, "thread-1", [token_count(1, total=FIRST), *later])

    assert responses(tmp_path) == [("thread-1", "resp_2"), ("thread-1", None)]


def test_codex_a_fork_repeats_its_parents_records(tmp_path: Path) -> None:
    """They are under the parent's name, however long after the fork they were written."""
    write_codex(tmp_path, "thread-1", HISTORY)
    own = [
        usage_record(90, "resp_3", FIRST, thread="fork"),
        token_count(90, total=(3500, 1800, 130), last=FIRST),
    ]
    write_codex(tmp_path, "fork", [*HISTORY, *own], ancestors=["thread-1"])

    assert responses(tmp_path) == [
        ("fork", "resp_3"),
        ("thread-1", "resp_1"),
        ("thread-1", "resp_2"),
    ]


@pytest.mark.parametrize(
    "meta",
    [
        {
            "subagent_history_start_ordinal": 8,
            "source": {"subagent": {"thread_spawn": {"parent_thread_id": "gone"}}},
        },
        {"history_base": {"end_ordinal_exclusive": 8}},
    ],
)
def test_codex_an_agent_begins_with_a_copy(tmp_path: Path, meta: dict[str, Any]) -> None:
    """What an agent was given of its parent's history is numbered below where its own begins."""
    counts = [line for line in HISTORY if line["type"] != "token_usage_record"]
    copied = numbered(counts, first=3)
    own = numbered([token_count(90, total=(3500, 1800, 130), last=FIRST)], first=8)
    write_codex(tmp_path, "agent", [*copied, *own], **meta)

    assert [(logged.thread, logged.at) for logged in read_codex([tmp_path])] == [
        ("agent", NOON + 90)
    ]


def test_codex_an_archived_copy_is_the_same_thread(tmp_path: Path) -> None:
    """Of an archived copy and the original, the longer one counts."""
    lines = [token_count(1, total=(1000, 400, 50)), token_count(5, total=(2500, 1400, 80))]
    write_codex(tmp_path, "thread-1", lines)
    write_codex(tmp_path, "thread-1", lines[:1], folder="archived_sessions")

    assert len(list(read_codex([tmp_path]))) == 2


def test_codex_names(tmp_path: Path) -> None:
    """Thread, model and, if it is logged, the response's id."""
    line = token_count(1, total=(1000, 400, 50))
    line["payload"]["response_id"] = "resp_1"
    write_codex(tmp_path, "thread-1", [line])
    (logged,) = read_codex([tmp_path])

    assert (logged.client, logged.thread, logged.model, logged.response_id) == (
        "codex",
        "thread-1",
        "gpt-6.1-sol",
        "resp_1",
    )


def test_directories(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clients' own variables name them."""
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", "/a, /b")
    monkeypatch.setenv("CODEX_HOME", "/c")

    assert claude_directories() == [Path("/a"), Path("/b")]
    assert codex_directories() == [Path("/c")]
    monkeypatch.delenv("CLAUDE_CONFIG_DIR")
    monkeypatch.delenv("CODEX_HOME")
    assert [path.name for path in (*claude_directories(), *codex_directories())] == [
        ".claude",
        "claude",
        ".codex",
    ]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["usage", "id", "info", "type"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_nothing_in_a_log_raises(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """A log may hold anything anywhere; it is not ours."""
    line: dict[str, Any] = data.draw(
        st.sampled_from(
            [
                claude_line("msg_1"),
                token_count(1, total=(3, 2, 1)),
                usage_record(1, "resp_1", (3, 2, 1)),
            ]
        )
    )
    line = json.loads(json.dumps(line))
    target = line
    while True:
        key = data.draw(st.sampled_from(sorted(target)))
        if isinstance(target[key], dict) and data.draw(st.booleans()):
            target = target[key]
        else:
            target[key] = data.draw(ANYTHING)
            break
    directory = tmp_path_factory.mktemp("logs")
    write_claude(directory, [line])
    write_codex(directory, "thread-1", [line])
    (directory / "projects" / "p" / "torn.jsonl").write_bytes(
        b'{"type": "assistant", "usage"\n"usage"\n\xff"usage"'
    )

    for logged in (*read_claude([directory]), *read_codex([directory])):
        assert all(count is None or count >= 0 for count in logged.usage[:-1])
