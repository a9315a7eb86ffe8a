"""The terminal's screens in the README are what the commands print."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from rich.console import Console

from calls import a_call, write
from llmtally.cli import main as cli
from llmtally.cli.run import command
from llmtally.cli.tail_table import Rows
from llmtally.record import Attribution, Call, Usage
from terminals import in_terminal, without_colour

README = (Path(cli.__file__).parents[3] / "README.md").read_text()
UTC = ZoneInfo("UTC")
EVENING = 1795201033.0
"""2026-11-20 18:57:13, in UTC."""

MAIN = Attribution(client="claude-code", session="0b1c2d3e", project="/home/me/shop")


def call(model: str, usage: Usage, cost: float | None, after: float = 0, **fields: Any) -> Call:
    fields = {"provider": "anthropic", "attribution": MAIN} | fields
    return a_call(
        EVENING + after, model=model, usage=usage, cost_usd=cost, duration_ms=4210.0, **fields
    )


FIRST = call("claude-opus-4-8", Usage(12, 20_000, 1_800, output_tokens=410), 0.0372)
TITLE = call(
    "claude-haiku-4-5-20251001",
    Usage(2_700, 0, 0, output_tokens=125),
    0.0033,
    after=3,
    attribution=MAIN._replace(request_class="auxiliary"),
)


def test_the_end_of_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    """By model, where it was more than one."""
    later = [call("claude-opus-4-8", Usage(600, 22_400, 1_600, output_tokens=769), 0.0338)] * 11
    command._say("claude-5f0a3c", [FIRST, *later, TITLE, TITLE])

    assert stands_in_readme(capsys.readouterr().err)


def test_calls_as_they_happen(capsys: pytest.CaptureFixture[str]) -> None:
    """As wide as any terminal."""
    codex = call(
        "gpt-5.4-codex",
        Usage(1_980, 133_100, output_tokens=1_539),
        0.1008,
        after=11,
        billing="subscription",
    )
    aborted = call(
        "claude-opus-4-8",
        Usage(650, 21_800, 1_200, output_tokens=236),
        0.0225,
        after=14,
        estimated=True,
        outcome="client_aborted",
    )
    rows = Rows(Console(width=80, highlight=False), UTC, EVENING)
    for each in (FIRST, TITLE, codex, aborted):
        rows.show(each)

    assert stands_in_readme(capsys.readouterr().out)


def test_a_report(tmp_path: Path) -> None:
    """What is billed, what is not, and what has no price."""
    said = in_terminal(96, "report", "model", "--dir", str(write(tmp_path / "journal", spent())))

    assert stands_in_readme(without_colour(said))


def spent() -> list[Call]:
    """By several clients, on an API and on a subscription."""
    codex: dict[str, Any] = {"provider": "chatgpt_codex", "billing": "subscription"}
    unpriced: dict[str, Any] = {"provider": "openrouter", "coverage": "unpriced"}
    return [
        *[call("claude-opus-4-8", Usage(530, 34_272, 2_922, output_tokens=731), 0.0763)] * 412,
        *[call("gpt-5.4-codex", Usage(2_565, 33_822, output_tokens=1_203), 0.0769, **codex)] * 157,
        *[call("claude-haiku-4-5-20251001", Usage(2_524, 4_335, 316, output_tokens=253), 0.0054)]
        * 203,
        *[call("acme-coder-7b", Usage(5_339, output_tokens=1_133), None, **unpriced)] * 18,
    ]


def stands_in_readme(screen: str) -> bool:
    return "\n".join(line.rstrip() for line in screen.splitlines()) in README
