"""Real agents, installed from the Node registry, in `llmtally run`: the records agree with the
client's figures and with what the provider has sent."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from llmtally_run import Runner
from node_packages import SYSTEM, installed
from upstream.answers import anthropic_events, json_answer, sse_answer
from upstream.handler import Reply, Request, Socket
from upstream.server import Upstream

OPENCODE = f"opencode-{SYSTEM}"
PACKAGES = {
    "@anthropic-ai/claude-code": "2.1.197",
    "@openai/codex": "0.169.0",
    "@google/gemini-cli": "0.61.0",
    OPENCODE: "1.18.33",
}
"""The versions whose traffic was studied."""

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def programs() -> Path:
    """The directory in which the clients are installed."""
    # What the one script that matters does: the package's own program takes the place of a stub.
    return installed("clients", PACKAGES, "@anthropic-ai/claude-code/install.cjs") / ".bin"


@pytest.fixture
def runner(upstream: Upstream, confdir: Path, tmp_path: Path) -> Runner:
    """A user who has never started any of these clients."""
    runner = Runner(upstream, confdir, tmp_path)
    runner.environment |= {"TERM": "dumb", "CI": "1", "GIT_CONFIG_GLOBAL": "/dev/null"}
    for name in [
        name
        for name in runner.environment
        if name.startswith(("ANTHROPIC_", "CLAUDE", "OPENAI_", "CODEX_", "GEMINI_"))
    ]:
        del runner.environment[name]
    return runner


def buckets(records: list[dict[str, Any]]) -> dict[str, Counter[str]]:
    """The records' tokens, summed by model."""
    sums: dict[str, Counter[str]] = {}
    for record in records:
        model = sums.setdefault(record["model"], Counter())
        for name in (
            "input_tokens",
            "cache_read_tokens",
            "cache_write_tokens",
            "output_tokens",
            "reasoning_tokens",
        ):
            model[name] += record.get(name) or 0
    return sums


def test_claude_code(runner: Runner, upstream: Upstream, programs: Path) -> None:
    """Every model's tokens are those of Claude Code's `modelUsage`, title call included, and its
    cost is ours."""

    async def messages(request: Request, reply: Reply) -> None:
        usage = {
            "input_tokens": 1000,
            "cache_read_input_tokens": 2000,
            "cache_creation_input_tokens": 300,
        }
        model = request.json()["model"]
        await sse_answer(*anthropic_events(f"msg_{next(_numbers)}", model, usage, 50, ("Hello.",)))(
            request, reply
        )

    upstream.route("api.anthropic.com", ".*", json_answer({}, status=404))
    upstream.route("api.anthropic.com", r"/v1/messages(\?beta=true)?", messages)

    done = runner.run(
        *(
            str(programs / "claude"),
            "-p",
            "Write a poem about the sea and nothing else.",
            "--output-format",
            "json",
        ),
        environment={"ANTHROPIC_API_KEY": "sk-ant-api03-test", "DISABLE_AUTOUPDATER": "1"},
    )

    assert done.returncode == 0, done.stdout + done.stderr
    own = json.loads(done.stdout)
    records = runner.records()
    asked = [served for served in upstream.served if served.request.path.startswith("/v1/messages")]
    assert len(records) == len(asked) >= 1
    stated = {
        model.partition("[")[0]: Counter(
            input_tokens=usage["inputTokens"],
            cache_read_tokens=usage["cacheReadInputTokens"],
            cache_write_tokens=usage["cacheCreationInputTokens"],
            output_tokens=usage["outputTokens"],
            reasoning_tokens=0,
        )
        for model, usage in own["modelUsage"].items()
    }
    assert buckets(records) == stated
    assert sum(record["cost_usd"] for record in records) == pytest.approx(own["total_cost_usd"])
    assert {(record["client"], record["session"], record["run"][:7]) for record in records} == {
        ("claude-code", own["session_id"], "claude-")
    }


def test_codex(runner: Runner, upstream: Upstream, programs: Path) -> None:
    """Turns on a WebSocket are what `codex exec --json` says of them; the warm-up is not counted as
    a call."""
    usage = {
        "input_tokens": 1000,
        "input_tokens_details": {"cached_tokens": 600},
        "output_tokens": 50,
        "output_tokens_details": {"reasoning_tokens": 20},
        "total_tokens": 1050,
    }

    async def responses(request: Request, socket: Socket) -> None:
        await socket.accept()
        while (frame := await socket.receive()) is not None:
            asked = json.loads(frame)
            if asked.get("type") != "response.create":
                continue
            for event in _response_events(
                asked.get("model", "gpt-5.4"), usage, warm_up=asked.get("generate") is False
            ):
                await socket.send(json.dumps(event))

    upstream.route("api.openai.com", ".*", json_answer({}, status=404))
    for host in ("chatgpt.com", "ab.chatgpt.com", "api.github.com"):  # where it looks for news
        upstream.route(host, ".*", json_answer({}, status=404))
    upstream.route_socket("api.openai.com", "/v1/responses", responses)

    done = runner.run(
        *(str(programs / "codex"), "exec", "--json", "--skip-git-repo-check", "hello"),
        environment={"CODEX_API_KEY": "sk-test"},
    )

    assert done.returncode == 0, done.stdout + done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    own = next(event["usage"] for event in events if event["type"] == "turn.completed")
    turns = [record for record in runner.records() if record.get("request_class") != "warmup"]
    [tokens] = buckets(turns).values()
    assert tokens["input_tokens"] + tokens["cache_read_tokens"] == own["input_tokens"] == 1000
    assert tokens["cache_read_tokens"] == own["cached_input_tokens"] == 600
    assert tokens["output_tokens"] == own["output_tokens"] == 50
    assert tokens["reasoning_tokens"] == own["reasoning_output_tokens"] == 20
    assert {(record["client"], record["transport"], record["run"][:6]) for record in turns} == {
        ("codex", "websocket", "codex-")
    }


def _response_events(model: str, usage: dict[str, Any], *, warm_up: bool) -> list[dict[str, Any]]:
    response: dict[str, Any] = {
        "id": f"resp_{next(_numbers)}",
        "object": "response",
        "model": model,
        "output": [],
        "status": "in_progress",
    }
    text = {"type": "output_text", "text": "Hello.", "annotations": []}
    item = {
        "type": "message",
        "id": f"msg_{next(_numbers)}",
        "role": "assistant",
        "status": "completed",
        "content": [text],
    }
    done = {**response, "status": "completed", "output": [] if warm_up else [item], "usage": usage}
    return [
        {"type": "response.created", "response": response},
        *(
            []
            if warm_up
            else [{"type": "response.output_item.done", "output_index": 0, "item": item}]
        ),
        {"type": "response.completed", "response": done},
    ]


def test_gemini_cli(runner: Runner, upstream: Upstream, programs: Path) -> None:
    """Every model's tokens are those of Gemini CLI's statistics, its router's included."""
    usage = {
        "promptTokenCount": 1000,
        "cachedContentTokenCount": 400,
        "candidatesTokenCount": 30,
        "thoughtsTokenCount": 20,
        "totalTokenCount": 1050,
    }

    def answer(request: Request, text: str) -> dict[str, Any]:
        model = request.path.partition("/models/")[2].partition(":")[0]
        content = {"role": "model", "parts": [{"text": text}]}
        return {
            "responseId": f"r{next(_numbers)}",
            "modelVersion": model,
            "candidates": [{"content": content, "finishReason": "STOP", "index": 0}],
            "usageMetadata": usage,
        }

    async def whole(request: Request, reply: Reply) -> None:
        choice = json.dumps(
            {
                "reasoning": "simple",
                "model_choice": "flash",
                "complexity_reasoning": "x",
                "complexity_score": 10,
            }
        )
        await json_answer(answer(request, choice))(request, reply)

    async def streamed(request: Request, reply: Reply) -> None:
        await sse_answer(answer(request, "Hello."))(request, reply)

    upstream.route("generativelanguage.googleapis.com", ".*", json_answer({}, status=404))
    upstream.route(
        "generativelanguage.googleapis.com", r"/v1(beta)?/models/[^:]+:generateContent.*", whole
    )
    upstream.route(
        "generativelanguage.googleapis.com",
        r"/v1(beta)?/models/[^:]+:streamGenerateContent.*",
        streamed,
    )
    settings = runner.home / ".gemini" / "settings.json"
    settings.parent.mkdir()
    settings.write_text(
        json.dumps(
            {
                "security": {"auth": {"selectedType": "gemini-api-key"}},
                "privacy": {"usageStatisticsEnabled": False},
            }
        )
    )

    done = runner.run(
        *(str(programs / "gemini"), "--skip-trust", "-p", "hello", "-o", "json"),
        environment={"GEMINI_API_KEY": "test", "GEMINI_CLI_TRUST_WORKSPACE": "true"},
    )

    assert done.returncode == 0, done.stdout + done.stderr
    own = json.loads(done.stdout[done.stdout.index("{") :])["stats"]["models"]
    records = runner.records()
    stated = {
        model: Counter(
            input_tokens=stats["tokens"]["prompt"] - stats["tokens"]["cached"],
            cache_read_tokens=stats["tokens"]["cached"],
            cache_write_tokens=0,
            output_tokens=stats["tokens"]["candidates"] + stats["tokens"]["thoughts"],
            reasoning_tokens=stats["tokens"]["thoughts"],
        )
        for model, stats in own.items()
    }
    assert buckets(records) == stated
    assert {(record["client"], record["run"][:7]) for record in records} == {
        ("gemini-cli", "gemini-")
    }


def test_opencode(runner: Runner, upstream: Upstream, programs: Path) -> None:
    """A step's tokens and cost are those that opencode reports; its title call, which it does not
    report, is counted beside them."""

    async def messages(request: Request, reply: Reply) -> None:
        usage = {
            "input_tokens": 1000,
            "cache_read_input_tokens": 2000,
            "cache_creation_input_tokens": 300,
        }
        model = request.json()["model"]
        await sse_answer(*anthropic_events(f"msg_{next(_numbers)}", model, usage, 50, ("Hello.",)))(
            request, reply
        )

    upstream.route("*", ".*", json_answer({}, status=404))  # where it looks for news
    upstream.route("api.anthropic.com", "/v1/messages", messages)

    done = runner.run(
        *(
            str(programs.parent / OPENCODE / "bin" / "opencode"),
            "run",
            "--model",
            "anthropic/claude-opus-4-8",
        ),
        *("--format", "json", "hello"),
        environment={
            "ANTHROPIC_API_KEY": "sk-ant-api03-test",
            "OPENCODE_DISABLE_AUTOUPDATE": "1",
            "PWD": str(runner.home),
        },
    )

    assert done.returncode == 0, done.stdout + done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    [own] = [event["part"] for event in events if event["type"] == "step_finish"]
    title, main = sorted(runner.records(), key=lambda record: record["request_class"])
    assert (title["request_class"], main["request_class"]) == ("auxiliary", "main")
    assert (
        (main["input_tokens"], main["output_tokens"])
        == (own["tokens"]["input"], own["tokens"]["output"])
        == (1000, 50)
    )
    assert main["cache_read_tokens"] == own["tokens"]["cache"]["read"] == 2000
    assert main["cache_write_tokens"] == own["tokens"]["cache"]["write"] == 300
    assert main["cost_usd"] == pytest.approx(own["cost"])
    assert main["project"] == str(runner.home)
    session = next(event["sessionID"] for event in events)
    assert {
        (record["client"], record["session"], record["run"][:9]) for record in (title, main)
    } == {("opencode", session, "opencode-")}
