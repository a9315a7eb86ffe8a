"""Node in `llmtally run`: today's SDKs, and versions of Node that ignore every proxy."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from llmtally.cli.run.base_urls import DEFAULTS, base_urls
from llmtally.cli.run.node import follows_proxies, node_of, version
from llmtally.cli.run.proxy import ProxyError
from llmtally_run import Runner
from node_packages import SYSTEM, installed
from upstream.answers import anthropic_events, json_answer, sse_answer
from upstream.handler import Answer, Reply, Request
from upstream.server import Upstream

PACKAGES = {
    f"node-20@npm:node-{SYSTEM}": "20.20.2",
    f"node-24@npm:node-{SYSTEM}": "24.21.0",
    "openai": "6.49.0",
    "@anthropic-ai/sdk": "1.11.0",
    "@google/genai": "2.32.0",
    "ai": "6.0.326",
    "@ai-sdk/openai": "3.0.141",
}
"""A Node that follows no proxy, one that does, and the SDKs whose traffic was studied."""

SCRIPTS = Path(__file__).parents[1] / "support" / "node_sdks"
CLIENTS = {
    "openai": "openai-js",
    "anthropic": "anthropic-js",
    "gemini": "google-genai-js",
    "vercel": "vercel-ai-sdk",
}
OUTPUT = {"json": 300, "sse": 400}
"""Tokens by transport, so that no row of one passes for the other's."""

_numbers = itertools.count(1)


def new_id(prefix: str) -> str:
    """The proxy counts an id once."""
    return f"{prefix}-{next(_numbers)}"


@pytest.fixture(scope="session")
def modules() -> Path:
    """The directory in which Node and the SDKs are installed."""
    return installed("node", PACKAGES)


@pytest.fixture
def runner(upstream: Upstream, confdir: Path, tmp_path: Path) -> Runner:
    """A user whose environment sets no base URL."""
    runner = Runner(upstream, confdir, tmp_path)
    for name in DEFAULTS:
        runner.environment.pop(name, None)
    return runner


@pytest.fixture
def providers(upstream: Upstream) -> None:
    """Providers that answer whole or in a stream, as they are asked."""
    gemini = r"/v1(?:beta)?/models/gemini-3.8-flash:"
    upstream.route("api.openai.com", "/v1/chat/completions", chat)
    upstream.route("api.openai.com", "/v1/responses", responses)
    upstream.route("api.anthropic.com", "/v1/messages", messages)
    upstream.route(
        "generativelanguage.googleapis.com",
        f"{gemini}generateContent",
        json_answer(content("json")),
    )
    upstream.route(
        "generativelanguage.googleapis.com",
        rf"{gemini}streamGenerateContent\?alt=sse",
        sse_answer(content("sse")),
    )


async def chat(request: Request, reply: Reply) -> None:
    """`POST /v1/chat/completions`."""

    def usage(output: int) -> dict[str, Any]:
        details = {"cached_tokens": 1024, "cache_write_tokens": 100}
        return {
            "prompt_tokens": 1500,
            "prompt_tokens_details": details,
            "completion_tokens": output,
            "total_tokens": 1500 + output,
        }

    base = {"id": new_id("chatcmpl"), "created": 1, "model": "gpt-5.4"}
    if request.json().get("stream"):
        base["object"] = "chat.completion.chunk"
        delta = {
            **base,
            "choices": [{"index": 0, "delta": {"content": "Hello"}, "finish_reason": "stop"}],
        }
        answer = sse_answer(delta, {**base, "choices": [], "usage": usage(OUTPUT["sse"])}, "[DONE]")
    else:
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": "Hello"},
            "finish_reason": "stop",
        }
        answer = json_answer(
            {
                **base,
                "object": "chat.completion",
                "choices": [choice],
                "usage": usage(OUTPUT["json"]),
            }
        )
    await answer(request, reply)


async def responses(request: Request, reply: Reply) -> None:
    """`POST /v1/responses`."""

    def completed(output: int) -> dict[str, Any]:
        details = {"cached_tokens": 1000, "cache_write_tokens": 100}
        usage = {
            "input_tokens": 1200,
            "input_tokens_details": details,
            "output_tokens": output,
            "output_tokens_details": {"reasoning_tokens": 64},
            "total_tokens": 1200 + output,
        }
        return {**base, "status": "completed", "output": [item], "usage": usage}

    base = {
        "id": new_id("resp"),
        "object": "response",
        "created_at": 1,
        "model": "gpt-5.4",
        "output": [],
        "status": "in_progress",
    }
    text = {"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}
    item = {
        "id": new_id("msg"),
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [text],
    }
    if request.json().get("stream"):
        answer = sse_answer(
            {"type": "response.created", "sequence_number": 0, "response": base},
            {
                "type": "response.output_item.added",
                "sequence_number": 1,
                "output_index": 0,
                "item": {**item, "content": []},
            },
            {
                "type": "response.output_item.done",
                "sequence_number": 2,
                "output_index": 0,
                "item": item,
            },
            {
                "type": "response.completed",
                "sequence_number": 3,
                "response": completed(OUTPUT["sse"]),
            },
        )
    else:
        answer = json_answer(completed(OUTPUT["json"]))
    await answer(request, reply)


async def messages(request: Request, reply: Reply) -> None:
    """`POST /v1/messages`."""
    model, usage = (
        "claude-opus-4-8",
        {"input_tokens": 12, "cache_creation_input_tokens": 5, "cache_read_input_tokens": 7},
    )
    answer: Answer
    if request.json().get("stream"):
        answer = sse_answer(
            *anthropic_events(new_id("msg"), model, usage, OUTPUT["sse"], ("Hello",))
        )
    else:
        text = [{"type": "text", "text": "Hello"}]
        message = {
            "id": new_id("msg"),
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": text,
        }
        answer = json_answer(
            {
                **message,
                "stop_reason": "end_turn",
                "usage": {**usage, "output_tokens": OUTPUT["json"]},
            }
        )
    await answer(request, reply)


def content(transport: str) -> dict[str, Any]:
    """`POST /v1beta/models/...`."""
    part = {
        "content": {"role": "model", "parts": [{"text": "Hello"}]},
        "finishReason": "STOP",
        "index": 0,
    }
    counts = {"promptTokenCount": 1000, "cachedContentTokenCount": 400}
    output = {
        "candidatesTokenCount": OUTPUT[transport] - 20,
        "thoughtsTokenCount": 20,
        "totalTokenCount": 1000 + OUTPUT[transport],
    }
    return {
        "responseId": new_id("r"),
        "modelVersion": "gemini-3.8-flash",
        "candidates": [part],
        "usageMetadata": counts | output,
    }


TRUTH = {
    "openai_chat": [376, 1024, 100],
    "openai_responses": [100, 1000, 100],
    "anthropic_messages": [12, 7, 5],
    "gemini_generate": [600, 400, 0],
}
"""Input, cache reads and cache writes, as the providers above count them."""


def rows(records: list[dict[str, Any]]) -> list[list[Any]]:
    """What the scripts print of their calls, from the records."""
    names = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens")
    return sorted(
        [record["api"], record["transport"], *(record.get(name) or 0 for name in names)]
        for record in records
    )


def run_sdk(
    runner: Runner, modules: Path, node: str, sdk: str, *options: str
) -> list[dict[str, Any]]:
    """Run the SDK's script: its figures, the records' and the providers' are the same. Returns the
    records."""
    script = (SCRIPTS / f"{sdk}.mjs").read_text()
    done = runner.run(
        *(str(modules / node / "bin" / "node"), "--input-type=module", "--eval", script),
        options=["--name", "script", *options],
        cwd=modules,  # where a script that is not a file finds its packages
    )

    assert done.returncode == 0, done.stderr
    own = sorted(json.loads(done.stdout))
    records = runner.records()
    assert (
        own
        == rows(records)
        == [[api, transport, *TRUTH[api], OUTPUT[transport]] for api, transport, *_ in own]
    )
    assert {transport for _, transport, *_ in own} == {"json", "sse"}
    return records


@pytest.mark.parametrize("sdk", CLIENTS)
def test_an_sdk(runner: Runner, providers: None, modules: Path, sdk: str) -> None:
    """An SDK's answers, whole and streamed, are counted as it counts them, under its name and
    version."""
    records = run_sdk(runner, modules, "node-24", sdk)

    assert {(record["client"], record["run"], record["project"]) for record in records} == {
        (CLIENTS[sdk], "script", str(modules))
    }
    assert {record["client_version"] for record in records} <= set(PACKAGES.values())


@pytest.mark.parametrize("sdk", CLIENTS)
def test_an_sdk_on_a_node_that_knows_no_proxy(
    runner: Runner, providers: None, modules: Path, sdk: str
) -> None:
    """`--base-urls` points it at llmtally, with the run's name, and it needs no certificate."""
    records = run_sdk(runner, modules, "node-20", sdk, "--base-urls")

    assert {(record["client"], record["run"]) for record in records} == {(CLIENTS[sdk], "script")}
    assert {record["host"] for record in records} <= {
        url.split("/")[2] for url in DEFAULTS.values()
    }


def test_a_node_that_goes_past_is_named(runner: Runner, modules: Path) -> None:
    """Where nothing was counted and the client runs on a Node that ignores proxies, the run says
    so, and what to do."""
    said = [
        runner.run(str(modules / node / "bin" / "node"), "--eval", "0").stderr
        for node in ("node-20", "node-24")
    ]

    assert "Node 20.20.2 ignores proxies" in said[0]
    assert "llmtally run --base-urls" in said[0]
    assert "llmtally doctor" in said[1]


@pytest.mark.parametrize(
    ("version", "follows"),
    [
        ("18.20.8", False),
        ("20.20.2", False),
        ("22.20.0", False),
        ("22.21.0", True),
        ("23.11.1", False),
        ("24.0.0", True),
        ("26.10.0", True),
    ],
)
def test_nodes_that_follow(version: str, follows: bool) -> None:
    """Support came with 24 and was taken back to 22.21, but not to 23."""
    assert follows_proxies(version) == follows


@pytest.mark.parametrize(
    ("first_line", "found"),
    [
        ("#!/usr/bin/env node", True),
        ("#!/usr/bin/env -S node --enable-source-maps", True),
        ("#!/usr/bin/env python3", False),
        ("#!/bin/sh", False),
        ("// node", False),
        ("", False),
    ],
)
def test_the_node_of_a_script(tmp_path: Path, first_line: str, found: bool) -> None:
    """A script's first line names its Node; a program called `node` is Node itself."""
    for name, text in (("node", "#!/bin/sh\necho v20.20.2\n"), ("agent", f"{first_line}\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}

    assert node_of(["agent"], environment) == (str(tmp_path / "node") if found else None)
    assert node_of([str(tmp_path / "node"), "script.mjs"], environment) == str(tmp_path / "node")
    assert node_of(["no-such-program"], environment) is None
    assert version(str(tmp_path / "node")) == "20.20.2"
    assert version(str(tmp_path / "agent")) is None


@pytest.mark.parametrize(
    ("before", "origin", "path"),
    [
        ({}, "https://api.openai.com", "/v1"),
        ({"OPENAI_BASE_URL": ""}, "https://api.openai.com", "/v1"),
        (
            {"OPENAI_BASE_URL": "https://gateway.example/llm/v1"},
            "https://gateway.example",
            "/llm/v1",
        ),
        ({"OPENAI_BASE_URL": "http://[::1]:4000"}, "http://[::1]:4000", ""),
    ],
)
def test_base_urls(before: Mapping[str, str], origin: str, path: str) -> None:
    """A call goes to the URL that a variable named; each has a port to itself."""
    arguments, environment = base_urls(before)

    port = environment["OPENAI_BASE_URL"].split(":")[2].partition("/")[0]
    assert environment["OPENAI_BASE_URL"] == f"http://127.0.0.1:{port}{path}"
    assert f"reverse:{origin}@127.0.0.1:{port}" in arguments
    assert "regular" in arguments
    assert len(set(environment.values())) == len(environment) == len(DEFAULTS)


@pytest.mark.parametrize(
    "url", ["api.openai.com/v1", "ftp://api.openai.com", "http://", "http://[::1"]
)
def test_a_base_url_that_is_none(url: str) -> None:
    """The mistake is named, and nothing is started."""
    with pytest.raises(ProxyError, match="OPENAI_BASE_URL is not a URL"):
        base_urls({"OPENAI_BASE_URL": url})


def test_base_urls_behind_another_proxy() -> None:
    """Reverse proxies connect to their provider directly, which a company's network would
    refuse."""
    with pytest.raises(ProxyError, match="HTTPS_PROXY"):
        base_urls({"HTTPS_PROXY": "http://proxy.example:3128"})
