"""Writes the screens in README.md and docs/commands.md, as the commands print them: `python
tests/writers/screens.py`.

A screen is a block after `<!-- screen: NAME -->`; the command at its beginning stays as it is.
"""

# ruff: noqa: E402  it is a script, too

from __future__ import annotations

import io
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any
from unittest import mock
from zoneinfo import ZoneInfo

from rich.console import Console

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "addon"), str(ROOT / "tests" / "support")]

from calls import NOON, a_call, separating_runner, write
from client_logs import claude_line, write_claude
from llmtally.cli import main as cli
from llmtally.cli import statusline
from llmtally.cli.doctor import authority, environment
from llmtally.cli.doctor import command as doctor
from llmtally.cli.doctor.finding import Setting
from llmtally.cli.run import command
from llmtally.cli.tail_table import Rows
from llmtally.record import Attribution, Call, LimitReading, Usage
from llmtally.schema import from_line
from llmtally.system import presence
from llmtally.text.call_line import one_line
from llmtally.tracker import Tracker
from terminals import in_terminal, without_colour

DOCUMENTS = (ROOT / "README.md", ROOT / "docs" / "commands.md")
BLOCK = re.compile(
    r"(?P<before><!-- screen: (?P<name>[\w-]+) -->\n```\n(?:\$ .*\n)?(?:\.\.\.\n)?)[^`]*```\n"
)

UTC = ZoneInfo("UTC")
EVENING = 1795201033.0
"""The time at which the screens are made: 2026-11-20 18:57:13 in UTC."""

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


def end_of_a_run(_: Path) -> str:
    """The end of a run, by model if there was more than one."""
    later = [call("claude-opus-4-8", Usage(600, 22_400, 1_600, output_tokens=769), 0.0338)] * 11
    said = io.StringIO()
    with redirect_stderr(said):
        command._print_sums("claude-5f0a3c", [FIRST, *later, TITLE, TITLE])
    return f"{said.getvalue()}details: llmtally page\n"


def calls_as_they_happen(_: Path) -> str:
    """What `tail` prints on a wide terminal."""
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
    said = io.StringIO()
    rows = Rows(Console(width=80, highlight=False, file=said), UTC, EVENING)
    for each in (FIRST, TITLE, codex, aborted):
        rows.show(each)
    return said.getvalue()


def a_call_in_a_line(_: Path) -> str:
    """The call that docs/record.md shows as a record."""
    example = re.search(r"```jsonc\n(.*?)```", (ROOT / "docs/record.md").read_text(), re.DOTALL)
    assert example is not None
    return one_line(from_line(re.sub(r"\s//.*", "", example.group(1)).encode()))


def a_report(directory: Path) -> str:
    """A report with billed calls, a subscription's and one without a price."""
    return in_terminal(96, "report", "model", "--dir", str(write(directory, spent())))


def an_answer(directory: Path) -> str:
    """The answer to the query in the document."""
    text = (ROOT / "docs" / "commands.md").read_text()
    [question] = re.findall(r'^\$ llmtally sql "(.*)"$', text, re.MULTILINE)
    return in_terminal(80, "sql", question, "--dir", str(write(directory, spent())))


def logs_alone(directory: Path) -> str:
    """What `reconcile` prints before the proxy was ever used."""
    write_claude(directory, [claude_line(f"msg_{number}") for number in range(31)])
    return reconciled(directory)


def both_sides(directory: Path) -> str:
    """What `reconcile` prints of a call that the log counts too early, a title that it leaves out,
    and a call that bypassed the proxy."""
    lines = [claude_line(f"msg_{number}") for number in range(31)]
    early = claude_line("msg_01Early", output_tokens=3)
    write_claude(directory, [*lines, early, claude_line("msg_01Alone", NOON + 60)])
    usage = Usage(12, 20_000, 1_800, None, 1_500, None, 410)
    seen = [f"msg_{number}" for number in range(31)] + ["msg_01Early"]
    calls = [
        *[a_call(response_id=name, request_id=name, usage=usage, cost_usd=0.0372) for name in seen],
        a_call(
            response_id="msg_01Title",
            model="claude-haiku-4-5-20251001",
            usage=Usage(2_700, 0, 0, output_tokens=125),
            cost_usd=0.0033,
            attribution=MAIN._replace(request_class="auxiliary"),
        ),
    ]
    write(directory / "journal", calls)
    return reconciled(directory)


def reconciled(directory: Path) -> str:
    """What `llmtally reconcile` prints of the journal and the logs in a directory."""
    places = {"dir": directory / "journal", "claude-dir": directory, "codex-dir": directory}
    given = [part for name, place in places.items() for part in (f"--{name}", str(place))]
    return separating_runner().invoke(cli.main, ["reconcile", *given, "--timezone", "UTC"]).stdout


def a_status_line(directory: Path) -> str:
    """The status line after two calls, an hour before a window ends."""
    windows = (("5h", 42.0, 4320, 18000.0), ("7d", 12.0, 400000, 604800.0))
    limits = tuple(
        LimitReading(
            key,
            "provider_native",
            utilization=full,
            resets_at=EVENING + left,
            window_seconds=length,
        )
        for key, full, left, length in windows
    )
    tracker = Tracker()
    tracker.add(call("claude-opus-4-8", Usage(12), 4.12, after=-600, limits=limits))
    answer = {"pid": os.getpid(), "running": True, **tracker.status(EVENING)}
    file = directory / "status.json"
    file.write_text(json.dumps(answer))
    os.utime(file, (EVENING, EVENING))
    return statusline.line(statusline.look(str(directory), {}, EVENING))


def an_examination(_: Path) -> str:
    """What `doctor` prints in a shell whose proxy has ended, before the first start."""
    setting = Setting(
        Path("/home/me/.llmtally"),
        Path("/home/me/.mitmproxy"),
        {"HTTPS_PROXY": "http://127.0.0.1:8080"},
        EVENING,
        Path("/usage.py"),
    )
    said = io.StringIO()
    screen = Console(width=100, highlight=False, file=said)
    with mock.patch.object(presence, "accepts", return_value=False):
        for finding in (*authority.examine(setting), *environment.examine(setting)):
            doctor._print(finding, screen)
    return said.getvalue()


SCREENS: dict[str, Callable[[Path], str]] = {
    "run": end_of_a_run,
    "tail": calls_as_they_happen,
    "line": a_call_in_a_line,
    "report": a_report,
    "sql": an_answer,
    "reconcile-logs": logs_alone,
    "reconcile": both_sides,
    "statusline": a_status_line,
    "doctor": an_examination,
}
"""Screens by their names in the documents. Each gets an empty directory."""


def spent() -> list[Call]:
    """Calls of several clients, billed by an API and covered by a subscription."""
    codex: dict[str, Any] = {"provider": "chatgpt_codex", "billing": "subscription"}
    unpriced: dict[str, Any] = {"provider": "openrouter", "coverage": "unpriced"}
    return [
        *[call("claude-opus-4-8", Usage(530, 34_272, 2_922, output_tokens=731), 0.0763)] * 412,
        *[call("gpt-5.4-codex", Usage(2_565, 33_822, output_tokens=1_203), 0.0769, **codex)] * 157,
        *[call("claude-haiku-4-5-20251001", Usage(2_524, 4_335, 316, output_tokens=253), 0.0054)]
        * 203,
        *[call("acme-coder-7b", Usage(5_339, output_tokens=1_133), None, **unpriced)] * 18,
    ]


def printed(name: str) -> str:
    """A screen by its name, without colour."""
    with tempfile.TemporaryDirectory() as directory:
        said = without_colour(SCREENS[name](Path(directory)))
    return "".join(f"{line.rstrip()}\n" for line in said.splitlines())


def with_screens(document: str) -> str:
    """The document with its screens as they should be."""
    return BLOCK.sub(lambda found: f"{found['before']}{printed(found['name'])}```\n", document)


if __name__ == "__main__":
    for path in DOCUMENTS:
        path.write_text(with_screens(path.read_text()))
