"""The command line, as a checkout and as an installed package have it."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from calls import NOON, a_call, separating_runner, write
from llmtally import __version__
from llmtally.cli import main as cli
from llmtally.cli import progress
from llmtally.cli import report as report_command
from llmtally.cli.run.proxy import reason
from llmtally.record import Attribution, Usage
from llmtally.report import GROUPINGS
from terminals import in_terminal, without_colour

PACKAGE = Path(cli.__file__).parents[1]


def test_the_addon_is_found_in_a_checkout() -> None:
    """`llmtally addon-path` prints a file that `mitmdump -s` can load."""
    said = CliRunner().invoke(cli.main, ["addon-path"])
    path = Path(said.output.strip())

    assert path.parts[-2:] == ("addon", "usage.py")
    assert "addons = [" in path.read_text()


def test_the_addon_is_found_in_an_installed_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wheel holds the file in a separate folder, because mitmproxy puts that folder on
    sys.path."""
    door = tmp_path / "llmtally" / "door" / "usage.py"
    door.parent.mkdir(parents=True)
    door.touch()
    monkeypatch.setattr(cli, "__file__", str(tmp_path / "llmtally" / "cli" / "main.py"))

    assert CliRunner().invoke(cli.main, ["addon-path"]).output == f"{door}\n"


def test_both_names_are_the_same_command() -> None:
    """`python -m llmtally` answers as `llmtally` does."""
    said = subprocess.run(
        [sys.executable, "-m", "llmtally", "--version"],
        cwd=Path(cli.__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )

    assert said.stdout.split()[-1] == __version__


def run(
    *arguments: str, env: dict[str, str] | None = None, standard_input: str | None = None
) -> Result:
    return separating_runner(env).invoke(cli.main, arguments, input=standard_input)


def started(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the command in a separate process."""
    command = [sys.executable, "-m", "llmtally", *arguments]
    return subprocess.run(
        command,
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A journal of three calls on two days, one without a price, and a damaged line."""
    calls = [
        a_call(NOON - 86400, model="claude-opus-4-8", cost_usd=1.25),
        a_call(model="claude-haiku-4-5", cost_usd=4.0, billing="subscription"),
        a_call(model="new-model", cost_usd=None, coverage="unpriced"),
        a_call(attribution=Attribution(request_class="warmup"), coverage="no_usage"),
    ]
    with (write(tmp_path / "journal", calls) / "usage-2026-11-20.jsonl").open("ab") as file:
        file.write(b"garbage\n")
    return tmp_path / "journal"


def test_every_command_is_found() -> None:
    """The table of commands names modules that exist, and the help lists all with what they do."""
    said = run("--help")

    modules = {
        path.relative_to(PACKAGE / "cli").with_suffix("")
        for path in (PACKAGE / "cli").rglob("*.py")
    }
    commands = {
        path
        for path in modules
        if "\ndef command(" in (PACKAGE / "cli" / path).with_suffix(".py").read_text()
    }

    assert {module.removeprefix(".").replace(".", "/") for module in cli.COMMANDS.values()} == set(
        map(str, commands)
    )
    assert said.exit_code == 0
    assert all(
        re.search(rf"^  {name} +\S", said.stdout, re.MULTILINE)
        for name in (*cli.COMMANDS, "addon-path")
    )


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_help_teaches(name: str) -> None:
    """Each command's help has a line to copy."""
    assert f"llmtally {name} " in run(name, "--help").stdout


@pytest.mark.parametrize("name", ["", *cli.COMMANDS, "addon-path"])
def test_help_fits(name: str) -> None:
    """In 80 columns no line is broken in the middle of a word."""
    said = CliRunner().invoke(
        cli.main, [*name.split(), "--help"], terminal_width=80, prog_name="llmtally"
    )

    assert [line for line in said.output.splitlines() if len(line) > 80] == []


def test_a_slip_of_the_pen() -> None:
    """The command that was meant is named."""
    said = run("rapport")

    assert (said.exit_code, said.stderr.splitlines()[-1]) == (
        2,
        "Error: No such command 'rapport'. Did you mean 'report'?",
    )
    assert run("xyzzy").stderr.splitlines()[-1] == "Error: No such command 'xyzzy'."


@pytest.mark.parametrize("name", ["report", "sql", "tail", "reconcile"])
def test_help_tells_exit_codes(name: str) -> None:
    """Scripts can rely on what is written."""
    assert "Exit codes: 0" in run(name, "--help").stdout


def test_report_names_are_those_of_the_report() -> None:
    """The choice is written out so that the help loads no database; it is the same list."""
    assert tuple(GROUPINGS) == report_command.NAMES


def test_report(directory: Path) -> None:
    """The table on standard output; what it leaves out on standard error."""
    said = run("report", "daily", "--dir", str(directory), "--timezone", "UTC")
    rows = [line.split() for line in said.stdout.splitlines()]

    assert said.exit_code == 0
    assert ["2026-11-19", "1", "10", "0", "30", "75.0%", "5", "$1.2500", "$0.0000", "0"] in rows
    assert rows[-1] == ["Total", "3", "30", "0", "90", "75.0%", "15", "≥$1.2500", "≥$4.0000", "1"]
    assert "1 call has no price, missing in the sums:\n  anthropic/new-model\n" in said.stderr
    assert "1 warm-up" in said.stderr
    assert "usage-2026-11-20.jsonl line 4: not JSON" in said.stderr


def test_report_json(directory: Path) -> None:
    """All there is to know, for programs."""
    said = json.loads(
        run("report", "model", "--dir", str(directory), "--json", "--limit", "1").stdout
    )

    assert [(row["provider"], row["model"]) for row in said["rows"]] == [
        ("anthropic", "claude-haiku-4-5")
    ]
    assert (
        said["totals"]["calls"],
        said["totals"]["spent_usd"],
        said["totals"]["api_value_usd"],
    ) == (3, 1.25, 4.0)
    assert said["unpriced_models"] == ["anthropic/new-model"]
    assert said["damaged"] == {
        "count": 1,
        "lines": [{"file": "usage-2026-11-20.jsonl", "line": 4, "reason": "not JSON"}],
    }
    assert said["warmups"] == 1


def test_what_is_unknown_is_not_nothing(directory: Path) -> None:
    """Calls without a known cost do not count as free, and a sum that lacks some is marked."""
    said = run("report", "model", "--dir", str(directory), "--timezone", "UTC")
    rows = {
        line.split()[1]: line.split()[-3:]
        for line in said.stdout.splitlines()
        if line.startswith("anthropic")
    }

    assert rows["new-model"] == ["-", "-", "1"]
    assert rows["claude-opus-4-8"] == ["$1.2500", "$0.0000", "0"]


def test_a_session_is_told_from_others(tmp_path: Path) -> None:
    """By who and where it was, and when. Calls without a session are of many, so none of them is
    named."""
    codex = a_call(NOON + 60, attribution=Attribution(session="0b1c2d3e", client="codex"))
    nobody = a_call(attribution=Attribution(client="gemini-cli", project="/home/me/notes"))
    directory = write(tmp_path / "journal", [a_call(), codex, nobody])
    said = run(
        "report", "session", "--dir", str(directory), "--timezone", "Asia/Tokyo", "--sort", "name"
    )

    assert said.stdout.splitlines()[3].split()[:6] == [
        "0b1c2d3e",
        "codex",
        "-",
        "11-20",
        "21:01",
        "1",
    ]
    assert said.stdout.splitlines()[4].split()[:6] == [
        "s-1",
        "claude-code",
        "/home/me/shop",
        "11-20",
        "21:00",
        "1",
    ]
    assert [
        line.split()[:3] for line in said.stdout.splitlines() if line.startswith("unknown")
    ] == [["unknown", "-", "-"]]


def test_a_run_is_told_from_calls_of_none(tmp_path: Path) -> None:
    """A nightly evaluation is asked for by its name, and calls outside any run do not appear as an
    unknown run."""
    nightly = [
        a_call(NOON + 60, attribution=Attribution(run="nightly", request_class="main")),
        a_call(
            NOON + 90,
            attribution=Attribution(run="nightly", request_class="subagent", agent_type="Explore"),
        ),
    ]
    where = ["--dir", str(write(tmp_path / "journal", [a_call(), *nightly])), "--timezone", "UTC"]
    by_run = run("report", "run", *where).stdout.splitlines()[2:4]
    by_kind = run("report", "kind", "--run", "night*", *where, "--csv").stdout.splitlines()[1:]
    tailed = run("tail", "--no-follow", "--run", "nightly", *where).stdout

    assert [line.split()[:4] for line in by_run] == [
        ["nightly", "11-20", "12:01", "2"],
        ["(none)", "11-20", "12:00", "1"],
    ]
    assert [line.split(",")[:2] for line in by_kind] == [["main", "1"], ["subagent Explore", "1"]]
    assert len(tailed.splitlines()) == 2


def test_failures_are_told_of(tmp_path: Path) -> None:
    """A day of nothing but refusals is not one that was free."""
    refused = a_call(coverage="error", outcome="error", usage=Usage(), cost_usd=None)
    said = run("report", "--dir", str(write(tmp_path / "journal", [refused, refused])))

    assert said.stderr == "2 calls ended in an error.\n"


def test_a_block_is_called_by_its_minute(tmp_path: Path) -> None:
    """On the clock of the zone that was asked for."""
    said = run(
        "report",
        "blocks",
        "--dir",
        str(write(tmp_path / "journal", [a_call(NOON + 59)])),
        "--timezone",
        "Asia/Tokyo",
    )

    assert said.stdout.splitlines()[2].split()[:2] == ["2026-11-20", "21:00"]


def test_names_in_notes_are_harmless(tmp_path: Path) -> None:
    """What has no price is named by whoever answered; a terminal obeys nothing of it. A few names
    are enough."""
    calls = [
        a_call(model=f"\x1b]0;owned\x07{number}", coverage="unpriced", cost_usd=None)
        for number in range(7)
    ]
    said = run("report", "--dir", str(write(tmp_path / "journal", calls)))

    assert said.stderr.splitlines() == [
        "7 calls have no price, missing in the sums:",
        *(
            f"  anthropic/\N{REPLACEMENT CHARACTER}]0;owned\N{REPLACEMENT CHARACTER}{number}"
            for number in range(5)
        ),
        "  and more",
    ]


def test_csv_has_the_same_columns_whatever_was_found(directory: Path, tmp_path: Path) -> None:
    """A script can rely on them; they are the fields of `--json`."""
    found = run("report", "--dir", str(directory), "--csv").stdout
    nothing = run("report", "--dir", str(tmp_path / "none"), "--csv").stdout
    row = json.loads(run("report", "--dir", str(directory), "--json").stdout)["rows"][0]

    assert found.splitlines()[0] == nothing.strip() == ",".join(row)


def test_report_csv_and_markdown(directory: Path) -> None:
    """A report can be printed as CSV and as a Markdown table."""
    as_csv = run("report", "client", "--dir", str(directory), "--csv").stdout
    as_markdown = run("report", "client", "--dir", str(directory), "--markdown").stdout

    assert next(csv.DictReader(io.StringIO(as_csv)))["spent_usd"] == "1.25"
    assert as_markdown.startswith("| Client | Calls |")


def test_report_filters(directory: Path) -> None:
    """Options choose the calls; a day given as the end is included."""
    filters = [
        "--until",
        "2026-11-19",
        "--timezone",
        "UTC",
        "--model",
        "claude-*",
        "--client",
        "claude-code",
        "--project",
        "shop",
    ]
    said = run(
        "report",
        "model",
        "--dir",
        str(directory),
        "--json",
        *filters,
        "--session",
        "s-",
        "--account",
        "a1",
    )

    assert [row["model"] for row in json.loads(said.stdout)["rows"]] == ["claude-opus-4-8"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["report", "hourly"],
        ["report", "--since", "tomorrow-ish"],
        ["report", "--timezone", "Europe/Atlantis"],
        ["report", "--since", "today", "--until", "2020-01-01"],
        ["report", "--limit", "0"],
        ["report", "--dir", __file__],
        ["sql"],
        ["sql", "select nonsense from calls"],
        ["sql", "select"],
        ["sql", " "],
        ["sql", "-- nothing"],
        ["sql", "select now()"],
        ["sql", "select 1; select nonsense"],
        ["tail", "-n", "-1"],
        ["reconcile", "--claude-dir", "/does/not/exist"],
        ["completion", "tcsh"],
        ["rapport"],
    ],
    ids=" ".join,
)
def test_mistakes(arguments: list[str], directory: Path) -> None:
    """A user's mistake is exit code 2 and a message that names it, never a stack trace."""
    where = (
        ["--dir", str(directory)]
        if arguments[0] in ("report", "sql", "tail") and "--dir" not in arguments
        else []
    )
    said = run(*arguments, *where)

    assert said.exit_code == 2
    assert isinstance(said.exception, SystemExit)
    assert "Error" in said.stderr


def test_a_mistake_in_an_option_of_the_proxy() -> None:
    """mitmproxy prints a stack trace for it; what is to be read is the line that names the
    option."""
    log = """[22:48:04.416] error in script addon/usage.py
Traceback (most recent call last):
  File "hooks.py", line 105, in configure
    self._tally.sink.set_limits(options.limits())
mitmproxy.exceptions.OptionsError: usage_limits: 'nonsense': no such limit.

During handling of the above exception, another exception occurred:

mitmproxy.exceptions.OptionsError: usage_limits: 'nonsense': no such limit.
Error logged during startup, exiting...
"""

    assert reason(log).splitlines() == [
        "[22:48:04.416] error in script addon/usage.py",
        "mitmproxy.exceptions.OptionsError: usage_limits: 'nonsense': no such limit.",
        "Error logged during startup, exiting...",
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ["report"],
        ["report", "--json"],
        ["report", "--csv"],
        ["sql", "select 1"],
        ["tail", "--no-follow"],
        ["reconcile"],
    ],
    ids=" ".join,
)
def test_nothing_found(arguments: list[str], tmp_path: Path) -> None:
    """Without a journal the exit code is 1, and the message names the directory."""
    said = run(*arguments, "--dir", str(tmp_path / "none"))

    assert said.exit_code == 1
    assert str(tmp_path / "none") in said.stderr


def test_the_directory_may_be_named_by_the_environment(directory: Path) -> None:
    """`LLMTALLY_DIR` has the effect of `--dir`."""
    assert run("report", env={"LLMTALLY_DIR": str(directory)}).exit_code == 0


def test_sql(directory: Path) -> None:
    """Rows as a table, or as JSON, which has no NaN."""
    query = (
        "SELECT model, cost_usd, 'nan'::DOUBLE AS odd, ended, sum(1::HUGEINT) OVER () AS n FROM "
        "calls ORDER BY model LIMIT 1"
    )
    said = run("sql", query, "--dir", str(directory), "--json")
    row = {
        "model": "claude-haiku-4-5",
        "cost_usd": 4.0,
        "odd": None,
        "ended": "2026-11-20 12:00:00",
        "n": 4,
    }

    assert json.loads(said.stdout) == [row]
    assert "damaged" in said.stderr
    assert "claude-haiku-4-5" in run("sql", query, "--dir", str(directory)).stdout
    assert run("sql", "SELECT 1 WHERE false", "--dir", str(directory)).exit_code == 1


@pytest.mark.parametrize("command", [["sql", "select 1"], ["report"], ["reconcile"]], ids=" ".join)
def test_nothing_is_json_too(command: list[str], tmp_path: Path) -> None:
    """What is piped into a JSON reader can be read."""
    said = run(*command, "--json", "--dir", str(tmp_path / "none"))

    assert said.exit_code == 1
    json.loads(said.stdout)


def test_sql_from_standard_input(directory: Path) -> None:
    """A question kept in a file."""
    said = run(
        "sql",
        "-",
        "--csv",
        "--dir",
        str(directory),
        standard_input="SELECT count(*) AS n FROM calls",
    )

    assert said.stdout == "n\n4\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    """The script of each shell asks us by the name the command is installed under."""
    said = run("completion", shell)

    assert said.exit_code == 0
    assert "_LLMTALLY_COMPLETE" in said.stdout


def test_completion_completes(tmp_path: Path) -> None:
    """Asked as the script asks: commands, reports and options."""

    def completed(words: str, at: int) -> set[str]:
        env = {
            **os.environ,
            "_LLMTALLY_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(at),
        }
        script = "from llmtally.cli.main import main; main(prog_name='llmtally')"
        said = subprocess.run(
            [sys.executable, "-c", script],
            cwd=PACKAGE.parent,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        return {line.partition(",")[2] for line in said.stdout.splitlines()}

    assert "reconcile" in completed("llmtally re", 1)
    assert "monthly" in completed("llmtally report m", 2)
    assert "kind" in completed("llmtally report k", 2)
    assert "--run" in completed("llmtally tail --r", 2)
    assert "--timezone" in completed("llmtally report --t", 2)
    # with which the shell completes names of files
    assert "./evaluate" in completed("llmtally run -- ./evaluate", 3)


def test_no_colour_in_a_pipe(directory: Path) -> None:
    """Nor any cut name, whatever the terminal."""
    said = started(
        "report", "project", "--dir", str(directory), env={**os.environ, "COLUMNS": "40"}
    )

    assert "\x1b" not in said.stdout + said.stderr
    assert "/home/me/shop" in said.stdout


def test_a_closed_pipe_is_no_error(directory: Path) -> None:
    """`llmtally ... | head` ends without a stack trace."""
    write(directory, [a_call(session) for session in range(int(NOON), int(NOON) + 20_000)])
    shell = f"{sys.executable} -m llmtally tail --no-follow -n 20000 --dir '{directory}' | head -1"
    said = subprocess.run(
        ["bash", "-c", shell],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert said.stdout.count("\n") == 1
    assert "Traceback" not in said.stderr


DOCTOR = ("doctor", "--no-probe", "--confdir", "/does/not/exist")


@pytest.mark.parametrize("width", [60, 80, 160])
def test_a_terminal_gets_what_fits(directory: Path, width: int) -> None:
    """Colour, and no line that wraps; with `NO_COLOR` no colour."""
    write(
        directory,
        [
            a_call(
                usage=Usage(10**9, 10**10, 10**8, output_tokens=10**8),
                cost_usd=98765.4321,
                billing="api",
            )
        ],
    )
    coloured = in_terminal(width, "report", "session", "--dir", str(directory))
    plain = in_terminal(width, "report", "session", "--dir", str(directory), NO_COLOR="1")
    text = without_colour(coloured)
    table = [
        line
        for line in text.splitlines()
        if "│" not in line and "call" not in line and "line" not in line
    ]

    assert "\x1b[35m" in coloured
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", plain)
    assert max(map(len, table)) <= width
    assert "/home/me/shop" in text
    assert "≥$98,766.68" in text


def test_text_breaks_between_words(directory: Path) -> None:
    """Of notes, and of doctor's findings, which stay in their column; a command is left whole, to
    be copied."""
    notes = in_terminal(30, "report", "--dir", str(directory)).splitlines()
    findings = without_colour(
        in_terminal(60, *DOCTOR, "--dir", str(directory), ends=(0, 1))
    ).splitlines()[:-1]

    assert "1 warm-up has been left out:" in notes
    assert {line[:8].strip() for line in findings} <= {"ok", "note", "BROKEN", ""}
    assert [line for line in findings if len(line) > 60 and not line.startswith("        $ ")] == []


def test_a_terminal_for_nothing_but_text(directory: Path) -> None:
    """`TERM=dumb` gets no colour from any command."""
    assert "\x1b" not in in_terminal(80, "report", "--dir", str(directory), TERM="dumb")
    assert "\x1b" not in in_terminal(
        80, "tail", "--no-follow", "--dir", str(directory), TERM="dumb"
    )
    assert "\x1b" not in in_terminal(80, *DOCTOR, "--dir", str(directory), ends=(0, 1), TERM="dumb")


@pytest.mark.parametrize("width", [80, 100, 160])
def test_calls_are_rows_of_a_terminal(directory: Path, width: int) -> None:
    """Of its width, with as much as it has room for; a day that is another one is said."""
    write(
        directory,
        [
            a_call(
                model="m" * 90,
                cost_usd=12345.5,
                attribution=Attribution(project="/a" * 90, client="c" * 90),
            )
        ],
    )
    said = in_terminal(width, "tail", "--no-follow", "--timezone", "UTC", "--dir", str(directory))
    lines = without_colour(said).splitlines()[:-1]

    assert max(map(len, lines)) <= width
    assert lines[0].split()[:6] == ["Time", "Model", "Input", "Cached", "Output", "Cost"]
    assert ("Took" in lines[0], "Project" in lines[0]) == (width >= 100, width >= 160)
    assert lines[1] == "2026-11-19"
    assert lines[2].split()[:6] == ["12:00:00", "claude-opus-4-8", "40", "75%", "5", "$1.25"]
    assert lines[-1].split()[-1].endswith("a/a") == (width >= 160)
    assert "$12,345.50" in lines[-1]


def test_all_fields_of_a_record_on_a_terminal(directory: Path) -> None:
    """Fifty columns are printed below each other, not squeezed into nothing."""
    lines = in_terminal(
        80, "sql", "select * from calls limit 1", "--dir", str(directory), TERM="dumb"
    ).splitlines()

    assert ["provider", "anthropic"] in [line.split() for line in lines]


def test_a_bar_for_what_takes_long(directory: Path) -> None:
    """Once patience is at its end; nothing before."""
    slow = "SELECT count(*) FROM range(20000) a(i), range(20000) b(i) WHERE hash(a.i, b.i) = 0"

    assert progress.PATIENCE_SECONDS == 1
    assert "reading the journal" in in_terminal(
        80, "sql", slow, "--dir", str(directory), patience=0.01
    )
    assert "reading the journal" not in in_terminal(80, "sql", slow, "--dir", str(directory))


def test_a_terminal_of_another_encoding(tmp_path: Path) -> None:
    """A name that the terminal's encoding lacks causes no stack trace."""
    directory = write(tmp_path / "journal", [a_call(model="模型" * 30)])
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}

    for arguments in (
        ["report", "model"],
        ["report", "model", "--csv"],
        ["report", "--json"],
        ["tail", "--no-follow"],
    ):
        said = started(*arguments, "--dir", str(directory), env=env)
        assert (said.returncode, said.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a disk that is always full")
@pytest.mark.parametrize(
    "arguments", [["report"], ["--help"], ["tail", "--no-follow"]], ids=" ".join
)
def test_a_full_disk_is_one_line(directory: Path, arguments: list[str]) -> None:
    """Wherever the answer was to go."""
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-m", "llmtally", *arguments]
        env = {**os.environ, "LLMTALLY_DIR": str(directory)}
        said = subprocess.run(
            command,
            cwd=PACKAGE.parent,
            env=env,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert (said.returncode, said.stderr) == (
        2,
        "Error: standard output: No space left on device.\n",
    )


def test_a_closed_output_is_no_error(directory: Path) -> None:
    """Some close it to be rid of it."""
    shell = f"'{sys.executable}' -m llmtally report --dir '{directory}' >&-"
    said = subprocess.run(
        ["bash", "-c", shell], cwd=PACKAGE.parent, capture_output=True, text=True, check=False
    )

    assert said.returncode == 0
    assert "Traceback" not in said.stderr


def test_ctrl_c_is_what_shells_take_it_for(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """130, and neither a stack trace nor a word."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(progress, "watched", interrupted)
    said = run("report", "--dir", str(directory))

    assert (said.exit_code, said.output) == (130, "")


def test_starting_stays_quick() -> None:
    """`--version`, as every prompt and status line will call us, loads no table, no database, no
    parser."""
    script = (
        "import sys; from llmtally.cli.main import main; main(['--version'], "
        "standalone_mode=False); print(*sys.modules)"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", script],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=True,
    )

    assert {"rich", "duckdb", "orjson", "llmtally.record", "llmtally.cli.options"} & set(
        loaded.stdout.split()
    ) == set()


def test_help_stays_quick() -> None:
    """The help of all commands loads their options alone: none of what they are made of, nor what
    makes random names."""
    script = (
        "import sys; from llmtally.cli.main import main; main(['--help'], "
        "standalone_mode=False); print(*sys.modules)"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", script],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    ours = {name for name in loaded.stdout.splitlines()[-1].split() if name.startswith("llmtally.")}

    assert {"rich", "duckdb", "orjson", "secrets", "asyncio", "ssl"} & set(
        loaded.stdout.splitlines()[-1].split()
    ) == set()
    commands = {f"llmtally.cli{module}" for module in cli.COMMANDS.values()}
    folders = {f"llmtally.cli.{name}" for name in ("run", "doctor", "reconcile")}
    assert ours - commands - folders == {
        "llmtally.cli",
        "llmtally.cli.main",
        "llmtally.cli.options",
    }
