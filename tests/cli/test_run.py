"""`llmtally run`: real clients through a real mitmdump, in front of a fake upstream."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from unittest.mock import ANY

import pytest

from calls import NOON, a_call, write
from llmtally.attribution import run_tag
from llmtally.attribution.run_tag import Run, Runs
from llmtally.cli.run import command as run_command
from llmtally.cli.run import foreground
from llmtally.cli.run.environment import ProxyTarget, client_environment, covering_loopback
from llmtally.cli.run.proxy import ProxyError, upstream_mode
from llmtally.cli.run_summary import calls_of
from llmtally.record import TEXT_CAP, Attribution, Call, Usage
from llmtally_run import Runner
from upstream.answers import anthropic_events, json_answer, sse_answer
from upstream.handler import DEADLINE
from upstream.proxy import Proxy
from upstream.server import Upstream

CHAT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-5.4",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
    ],
    "usage": {"prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050},
}
ASK_OPENAI = """
import openai
answer = openai.OpenAI(api_key="sk-test", max_retries=0).chat.completions.create(
    model="gpt-5.4", messages=[]
)
print(answer.usage.prompt_tokens, answer.usage.completion_tokens)
"""
ASK_ANTHROPIC = """
import anthropic
client = anthropic.Anthropic(api_key="sk-ant-api03-test", max_retries=0)
messages = [{"role": "user", "content": "hi"}]
with client.messages.stream(model="claude-opus-4-8", max_tokens=9, messages=messages) as stream:
    usage = stream.get_final_message().usage
print(usage.input_tokens, usage.output_tokens)
"""


@pytest.fixture
def runner(upstream: Upstream, confdir: Path, tmp_path: Path) -> Runner:
    """A user of this test's own."""
    return Runner(upstream, confdir, tmp_path)


@pytest.mark.parametrize("program", [ASK_OPENAI, ASK_ANTHROPIC], ids=["openai", "anthropic"])
def test_a_python_client_is_counted(runner: Runner, upstream: Upstream, program: str) -> None:
    """The record, what the client itself says and what the provider served agree; the run's name
    and directory are on it."""
    upstream.route("api.openai.com", "/v1/chat/completions", json_answer(CHAT))
    events = anthropic_events("msg_1", "claude-opus-4-8", {"input_tokens": 1000}, 50, ("hi",))
    upstream.route("api.anthropic.com", "/v1/messages", sse_answer(*events))

    done = runner.run(sys.executable, "-c", program, options=["--name", "nightly"])

    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["1000", "50"]
    [record] = runner.records()
    assert (record["input_tokens"], record["output_tokens"]) == (1000, 50)
    assert (record["run"], record["project"]) == ("nightly", str(runner.home))
    assert f"nightly: ${record['cost_usd']:.4f} | 1 call | in 1000, out 50" in done.stderr


def test_the_run_is_told_to_the_proxy_alone(runner: Runner, upstream: Upstream) -> None:
    """What the client sends for the proxy reaches no provider, neither in a tunnel nor over plain
    HTTP."""
    upstream.route("gateway.example", "/v1/chat/completions", json_answer(CHAT))
    upstream.route(
        "api.openai.com", "/v1/chat/completions", json_answer({**CHAT, "id": "chatcmpl-2"})
    )
    ask = [
        "curl",
        "-sS",
        "-d",
        "{}",
        "http://gateway.example/v1/chat/completions",
        "--next",
        "-sS",
        "-d",
        "{}",
    ]

    done = runner.run(*ask, "https://api.openai.com/v1/chat/completions", options=["--name", "r1"])

    assert done.returncode == 0, done.stderr
    assert [record["run"] for record in runner.records()] == ["r1", "r1"]
    assert [
        name
        for served in upstream.served
        for name, _ in served.request.headers
        if name == run_tag.HEADER
    ] == []


def test_only_llm_hosts_are_opened(runner: Runner, upstream: Upstream) -> None:
    """Another host's own certificate reaches the client, which needs its own trust for it; an LLM
    host's is mitmproxy's."""
    upstream.route("example.com", "/", json_answer({}))
    upstream.route("api.openai.com", "/v1/models", json_answer({}))
    look = [
        "curl",
        "-sSk",
        "-o",
        os.devnull,
        "-w",
        "%{certs}",
        "https://example.com/",
        "https://api.openai.com/v1/models",
    ]
    if (
        "certs"
        not in subprocess.run(
            ["curl", "--help", "all"], capture_output=True, text=True, check=True
        ).stdout
    ):
        look = ["curl", "-sSkv", "https://example.com/", "https://api.openai.com/v1/models"]

    done = runner.run(*look)

    said = done.stdout + done.stderr
    assert said.count("llmtally test upstream") >= 1
    assert said.index("llmtally test upstream") < said.index("mitmproxy")


def test_all_hosts_are_opened_on_request(runner: Runner, upstream: Upstream) -> None:
    """`--intercept all` opens every connection, so that a gateway nobody knows is found by its
    paths."""
    upstream.route("gateway.example", "/v1/chat/completions", json_answer(CHAT))

    runner.run(
        "curl",
        "-sS",
        "-d",
        "{}",
        "https://gateway.example/v1/chat/completions",
        options=["--intercept", "all"],
    )

    assert [record["host"] for record in runner.records()] == ["gateway.example"]


def test_a_shell_and_what_it_starts(runner: Runner, upstream: Upstream) -> None:
    """A script's calls are summed by model, with the dearest one named."""
    upstream.route("api.openai.com", "/v1/chat/completions", json_answer(CHAT))
    events = anthropic_events(
        "msg_1",
        "claude-opus-4-8",
        {"input_tokens": 5, "cache_read_input_tokens": 995},
        5000,
        ("hi",),
    )
    upstream.route("api.anthropic.com", "/v1/messages", sse_answer(*events))
    script = (
        "curl -sS -d '{}' https://api.openai.com/v1/chat/completions && "
        """curl -sS -d '{"stream":true}' https://api.anthropic.com/v1/messages; exit 7"""
    )

    done = runner.run("bash", "-c", script)

    assert done.returncode == 7
    said = done.stderr.splitlines()
    assert "2 calls | in 2000, out 5050 | 50% cached" in said[0]
    assert said[3].split()[:7] == ["anthropic", "claude-opus-4-8", "1", "5", "0", "995", "99.5%"]
    assert said[4].split()[:3] == ["openai", "gpt-5.4", "1"]
    assert re.fullmatch(
        r"most expensive: \$0\.12\d+ \| anthropic claude-opus-4-8 \| in 1000, out 5000 \| \S+",
        said[5],
    )
    assert said[6:] == ["details: llmtally page"]


def test_where_the_details_are(runner: Runner, upstream: Upstream) -> None:
    """The command that shows them can be copied: it names the directory where this one did."""
    upstream.route("api.openai.com", "/v1/chat/completions", json_answer(CHAT))
    directory = runner.home / "of a project"

    done = runner.run(
        "curl",
        "-sS",
        "-d",
        "{}",
        "https://api.openai.com/v1/chat/completions",
        options=["--dir", str(directory)],
    )

    assert done.stderr.splitlines()[-1] == f"details: llmtally page --dir '{directory}'"


@pytest.mark.parametrize(
    ("script", "code"), [("exit 7", 7), ("kill -9 $$", 137), ("kill -TERM $$", 143)]
)
def test_the_clients_exit_code(runner: Runner, script: str, code: int) -> None:
    """It is ours; 128 and the number where a signal ended it."""
    assert runner.run("sh", "-c", script).returncode == code


def test_no_such_client(runner: Runner) -> None:
    """As shells say it, and without a trace of the stack."""
    done = runner.run("no-such-client")

    assert (done.returncode, done.stderr) == (
        127,
        "llmtally: no-such-client: no such program.\n",
    )


def test_a_client_that_is_no_program(runner: Runner, tmp_path: Path) -> None:
    """A file that cannot be executed is another code."""
    (tmp_path / "notes.txt").write_text("hello")

    assert runner.run(str(tmp_path / "notes.txt")).returncode == 126


def test_a_proxy_that_does_not_start(runner: Runner) -> None:
    """Its own reason is shown, the client is not started, and nothing is left running."""
    done = runner.run(
        "touch", "started", options=["--mitmdump-arg=--set", "--mitmdump-arg=usage_limits=nonsense"]
    )

    assert done.returncode == 125
    assert "usage_limits" in done.stderr
    assert not (runner.home / "started").exists()


def test_a_directory_that_is_a_file(runner: Runner, tmp_path: Path) -> None:
    """A mistake is said with its cure."""
    (tmp_path / "file").touch()

    done = runner.run("true", options=["--dir", str(tmp_path / "file" / "below")])

    assert done.returncode == 125
    assert "Choose another with --dir" in done.stderr


def test_a_name_that_cannot_stand_in_a_url(runner: Runner) -> None:
    """A name is checked before anything is started."""
    assert runner.run("true", options=["--name", "a/b@c"]).returncode == 2


def test_what_is_not_known_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """Prices that are missing are counted, and failures; a sum without them is called what it
    is."""
    unpriced = a_call(model="new-model", cost_usd=None, coverage="unpriced")
    refused = a_call(coverage="error", outcome="error", usage=Usage(), cost_usd=None)

    assert said(capsys, unpriced, refused) == [
        "llmtally: r: cost unknown | 2 calls | in 40, out 5 | 75% cached | 1 unpriced | 1 failed",
        ANY,
        ANY,
        (
            "anthropic new-model            1     10            0          30   75.0%       5    "
            "    -         1"
        ),
        (
            "anthropic claude-opus-4-8      1      0            0           0       -       0  "
            "$0.0000         0"
        ),
    ]
    assert said(capsys, a_call(), unpriced)[0].startswith(
        "llmtally: r: at least $0.2500 | 2 calls |"
    )
    assert said(capsys, a_call(), a_call(billing="subscription"))[0].startswith(
        "llmtally: r: $0.2500 + $0.2500 API value | 2 calls |"
    )


def said(capsys: pytest.CaptureFixture[str], *calls: Call) -> list[str]:
    """The lines at the end of a run."""
    run_command._print_sums("r", calls)
    return capsys.readouterr().err.splitlines()


def of_kind(
    cost: float | None,
    request_class: str | None = "main",
    agent: str | None = None,
    kind: str | None = None,
) -> Call:
    """What an agent of that type did, in one session."""
    who = Attribution(session="s", agent=agent, agent_type=kind, request_class=request_class)
    return a_call(cost_usd=cost, attribution=who)


def test_kinds_of_work(capsys: pytest.CaptureFixture[str]) -> None:
    """The most expensive kind comes first; agents of a type count together with all their calls;
    unnamed work counts as the main agent's."""
    agents = [of_kind(0.3, "subagent", f"a{number}", "Explore") for number in range(9)]
    calls = [
        of_kind(6.0),
        of_kind(0.8, None),
        *agents,
        of_kind(0.4, "compaction", "a1"),
        of_kind(0.7, "auxiliary"),
    ]

    assert (
        said(capsys, *calls)[1]
        == "by kind: main $6.80, subagent Explore x9 $3.10, auxiliary $0.7000"
    )


def test_kinds_of_work_are_honest_about_money(capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown cost is not shown as zero, and what a subscription's calls would have cost is not
    added to what was billed."""
    calls = [
        of_kind(0.5),
        of_kind(2.0)._replace(billing="subscription"),
        of_kind(None, "subagent", "a1"),
        of_kind(0.1, "probe"),
    ]

    assert "by kind: main $0.5000 + $2.00 API value, probe $0.1000, subagent cost unknown" in said(
        capsys, *calls
    )
    assert not [
        line
        for line in said(capsys, of_kind(None), of_kind(None, "probe"))
        if line.startswith("by kind")
    ]


def test_kinds_of_work_are_harmless_and_few(capsys: pytest.CaptureFixture[str]) -> None:
    """A terminal obeys nothing of a type that a client sent, and none is longer than a name can
    be."""
    calls = [of_kind(0.5), of_kind(0.1, "subagent", "a", "\x1b[2J" * 20)]
    many = [of_kind(float(n), "subagent", f"a{n}", f"type_{n}") for n in range(1, 12)]

    assert (
        said(capsys, *calls)[1]
        == "by kind: main $0.5000, "
        + ("subagent " + "\N{REPLACEMENT CHARACTER}[2J" * 10)[:40]
        + "… $0.1000"
    )
    assert said(capsys, *many)[1].endswith("subagent type 5 $5.00, others $10.00")


def test_many_models_share_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    """A script that tries them all does not fill the screen; one call of one model is one line."""
    lines = said(capsys, *(a_call(model=f"m{number}", cost_usd=0.25) for number in range(13)))

    assert lines[0].startswith("llmtally: r: $3.25 | 13 calls")
    assert (lines[13].split()[:2], lines[13].split()[-1]) == (["others", "3"], "$0.7500")
    assert len(said(capsys, a_call())) == 1


def test_a_warm_up_is_no_call(tmp_path: Path) -> None:
    """It is not billed. Other runs and what was before are not this run's either."""
    mine = Attribution(run="r")
    calls = [
        a_call(NOON, request_id="mine", attribution=mine),
        a_call(NOON, attribution=mine._replace(request_class="warmup")),
        a_call(NOON, attribution=Attribution(run="other")),
        a_call(NOON - 60, attribution=mine),
    ]

    assert [
        call.request_id for call in calls_of(write(tmp_path / "journal", calls), "r", NOON - 1)
    ] == ["mine"]


# Signals


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + DEADLINE
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_is_handed_on(runner: Runner, number: signal.Signals) -> None:
    """A signal to us alone reaches the client, whose way of ending is ours, and the proxy is ended,
    too."""
    script = (
        f"trap 'exit 9' {number.name.removeprefix('SIG')}; touch ready-client; while :; do sleep "
        "0.05; done"
    )
    with subprocess.Popen(
        runner.command("bash", "-c", script),
        env=runner.environment,
        cwd=runner.home,
        start_new_session=True,
        stderr=subprocess.PIPE,
    ) as process:
        wait_for(runner.home / "ready-client")
        process.send_signal(number)
        process.communicate(timeout=DEADLINE)

    assert process.returncode == 9
    assert list((runner.usage_dir / "proxies").iterdir()) == []


def test_a_signal_while_the_client_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is handed on, too, however short the time is between a program's start and our knowing of
    it."""
    start = foreground._start

    def signalled(
        command: Sequence[str], environment: Mapping[str, str]
    ) -> subprocess.Popen[bytes]:
        client = start(command, environment)
        wait_for(tmp_path / "ready")
        os.kill(os.getpid(), signal.SIGTERM)
        return client

    monkeypatch.setattr(foreground, "_start", signalled)
    script = (
        f"trap 'exit 9' TERM; touch '{tmp_path}/ready'; for _ in $(seq 200); do sleep 0.05; done"
    )

    assert foreground.run(["sh", "-c", script], os.environ) == 9


class Terminal:
    """A terminal with a program in it, as a person sees it."""

    def __init__(self, command: list[str], environment: dict[str, str], cwd: Path) -> None:
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(cwd)
            os.execvpe(command[0], command, environment)
        self.seen = ""

    def expect(self, text: str) -> None:
        """Read until the text is there."""
        deadline = time.monotonic() + DEADLINE
        while text not in self.seen:
            assert time.monotonic() < deadline, self.seen
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    self.seen += os.read(self.fd, 65536).decode(errors="replace")
                except OSError as error:
                    raise AssertionError(f"it ended: {self.seen}") from error
        self.seen = self.seen.partition(text)[2]

    def type(self, text: str) -> None:
        """Type text into the terminal."""
        os.write(self.fd, text.encode())

    def close(self) -> int:
        """Wait until the program has ended."""
        _, status = os.waitpid(self.pid, 0)
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


def test_the_keyboard(runner: Runner) -> None:
    """Ctrl-C reaches the client once and not us; Ctrl-Z gives the shell back and `fg` continues."""
    client = """
import signal, time
times = []
signal.signal(signal.SIGINT, lambda *_: (times.append(1), print("interrupted", len(times), flush=True)))
print("client ready", flush=True)
while len(times) < 2:
    time.sleep(0.05)
time.sleep(0.3)
print("times:", len(times), flush=True)
"""
    terminal = Terminal(["bash", "--norc", "-i"], {**runner.environment, "PS1": "$ "}, runner.home)
    quoted = " ".join(f"'{part}'" for part in runner.command(sys.executable, "client.py"))
    (runner.home / "client.py").write_text(client)
    terminal.type(f"{quoted}; echo code=$?\n")
    terminal.expect("client ready\r\n")
    terminal.type("\x03")
    terminal.expect("interrupted 1")
    terminal.type("\x1a")
    terminal.expect("Stopped")
    terminal.type("echo sh''ell; fg; echo co''de=$?\n")
    terminal.expect("shell\r\n")
    time.sleep(0.5)
    terminal.type("\x03")
    terminal.expect("interrupted 2")
    terminal.expect("times: 2")
    terminal.expect("code=0")
    terminal.type("exit 3\n")

    assert terminal.close() == 3


def test_an_interactive_shell(runner: Runner) -> None:
    """`llmtally run -- bash` is a shell with job control, and gives the terminal back in the
    end."""
    terminal = Terminal(
        ["bash", "--norc", "-i"], {**runner.environment, "PS1": "outer$ "}, runner.home
    )
    quoted = " ".join(f"'{part}'" for part in runner.command("bash", "--rcfile", "rc", "-i"))
    (runner.home / "rc").write_text("PS1='in''ner$ '")
    terminal.type(quoted + "\n")
    terminal.expect("inner$ ")
    terminal.type("sleep 60; echo st''opped\n")
    terminal.expect("\r\n")
    time.sleep(1)
    terminal.type("\x1a")
    terminal.expect("stopped\r\n")
    terminal.type("kill -KILL %1; sleep 1; echo run=$LLMTALLY_RUN; exit 5\n")
    terminal.expect("run=bash-")
    terminal.expect("made no calls")
    terminal.type("echo code=$?; exit 0\n")
    terminal.expect("code=5")

    assert terminal.close() == 0


# Joining


def joined(runner: Runner, proxy: Proxy) -> Runner:
    """The user's journal is the proxy's; no argument is for a mitmdump of the run's own, so a run
    may join."""
    runner.environment["LLMTALLY_DIR"] = str(proxy.usage_dir)
    runner.usage_dir = proxy.usage_dir
    runner.redirected = []
    return runner


def test_a_running_proxy_is_joined(
    runner: Runner, upstream: Upstream, start_proxy: Callable[..., Proxy]
) -> None:
    """Calls of two runs through one proxy are told apart from each other and from calls without a
    run."""
    proxy = start_proxy()
    wait_for(proxy.usage_dir / "proxies" / f"{proxy.process.pid}.json")
    for number in (1, 2, 3):
        upstream.route(
            "api.openai.com",
            f"/v1/chat/completions.n={number}",
            json_answer({**CHAT, "id": f"chatcmpl-{number}"}),
        )
    joined(runner, proxy)
    ask = ["curl", "-sS", "-d", "{}", "https://api.openai.com/v1/chat/completions?n="]

    done = [
        runner.run(*ask[:-1], f"{ask[-1]}{number}", options=["--name", f"run-{number}"])
        for number in (1, 2)
    ]
    subprocess.run(
        [*ask[:-1], f"{ask[-1]}3"],
        env={**runner.environment, **proxy.client_env(), "CURL_CA_BUNDLE": str(proxy.ca)},
        check=True,
        capture_output=True,
    )
    proxy.records(3)

    assert [record.get("run") for record in proxy.journal()] == ["run-1", "run-2", None]
    assert [each.returncode for each in done] == [0, 0]
    assert "run-2: $" in done[1].stderr
    assert "1 call |" in done[1].stderr
    proxy.stop()


def test_a_runs_own_proxy_is_not_joined_by_others(runner: Runner) -> None:
    """It ends with its run, so another run at the same time starts its own; a run within it joins
    it."""
    inner = " ".join(
        [f"'{sys.executable}'", "-m", "llmtally", "run", "--confdir", str(runner.confdir)]
    )
    script = f"""
echo outer ${{HTTPS_PROXY##*:}}
{inner} -- sh -c 'echo inner ${{HTTPS_PROXY##*:}}'
env -u HTTPS_PROXY -u https_proxy {inner} -- sh -c 'echo beside ${{HTTPS_PROXY##*:}}'
"""
    done = runner.run("bash", "-c", script)

    ports = dict(line.split() for line in done.stdout.splitlines())
    assert ports["inner"] == ports["outer"]
    assert ports["beside"] != ports["outer"]


def test_the_file_of_a_killed_proxy_misleads_nobody(
    runner: Runner, start_proxy: Callable[..., Proxy]
) -> None:
    """A proxy that was killed is not joined."""
    proxy = start_proxy()
    wait_for(proxy.usage_dir / "proxies" / f"{proxy.process.pid}.json")
    proxy.kill()

    done = joined(runner, proxy).run("sh", "-c", "echo ${HTTPS_PROXY##*:}")

    assert done.returncode == 0
    assert done.stdout.strip() != str(proxy.port)


# Environment


@pytest.fixture
def route(tmp_path: Path) -> ProxyTarget:
    (tmp_path / "ca.pem").write_text("OURS\n")
    return ProxyTarget("127.0.0.1", 8080, tmp_path / "ca.pem", tmp_path / "usage")


def test_what_the_user_trusts_stays_trusted(route: ProxyTarget, tmp_path: Path) -> None:
    """A file that a variable names is taken over; without one, a variable that replaces the roots
    gets the machine's."""
    (tmp_path / "company.pem").write_text("COMPANY")
    mine = str(tmp_path / "company.pem")

    env = client_environment(
        {"SSL_CERT_FILE": mine, "NODE_EXTRA_CA_CERTS": mine, "OTHER": "x"}, route, Run("r", "/")
    )

    assert (
        Path(env["SSL_CERT_FILE"]).read_text()
        == Path(env["NODE_EXTRA_CA_CERTS"]).read_text()
        == "COMPANY\nOURS\n"
    )
    assert Path(env["DENO_CERT"]).read_text() == "OURS\n"
    assert Path(env["REQUESTS_CA_BUNDLE"]).read_text().endswith("\nOURS\n")
    assert "BEGIN CERTIFICATE" in Path(env["REQUESTS_CA_BUNDLE"]).read_text()
    assert env["OTHER"] == "x"


def test_the_machines_roots_are_in_the_file(runner: Runner) -> None:
    """OpenSSL reads all of them, and ours."""
    script = (
        "import ssl, os; "
        "print(len(ssl.create_default_context(cafile=os.environ['SSL_CERT_FILE']).get_ca_certs()))"
    )
    roots = len(ssl.create_default_context().get_ca_certs())

    assert int(runner.run(sys.executable, "-c", script).stdout) > roots > 50


def test_files_are_made_once(route: ProxyTarget) -> None:
    """The same certificates again need no second file; nobody else may write them."""
    for _ in range(2):
        client_environment({}, route, Run("r", "/"))

    assert len(list((route.directory / "certificates").iterdir())) == 2
    assert {
        path.stat().st_mode & 0o777 for path in (route.directory / "certificates").iterdir()
    } == {0o600}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "localhost,127.0.0.1,::1"),
        ("corp.example, 127.0.0.1", "corp.example,127.0.0.1,localhost,::1"),
    ],
)
def test_no_proxy_covers_loopback(before: str, after: str) -> None:
    """What was listed stays, and nothing is listed twice."""
    assert covering_loopback(before) == after


@pytest.mark.parametrize(
    ("url", "mode"),
    [
        (None, []),
        ("http://proxy.example:3128", ["--mode", "upstream:http://proxy.example:3128"]),
        ("https://proxy.example", ["--mode", "upstream:https://proxy.example:443"]),
        ("proxy.example:3128", ["--mode", "upstream:http://proxy.example:3128"]),
    ],
)
def test_a_proxy_behind_ours(url: str | None, mode: list[str]) -> None:
    """A company's proxy is still used."""
    assert upstream_mode({"https_proxy": url} if url else {}) == mode


@pytest.mark.parametrize("url", ["http://user:secret@proxy.example:3128", "socks5://proxy.example"])
def test_a_proxy_that_cannot_stand_behind_ours(url: str) -> None:
    """It is refused with the way out, and its password is not repeated."""
    with pytest.raises(ProxyError) as refusal:
        upstream_mode({"HTTPS_PROXY": url})

    assert "secret" not in str(refusal.value)


def test_through_another_proxy(
    runner: Runner, upstream: Upstream, start_proxy: Callable[..., Proxy]
) -> None:
    """A run behind another proxy goes through it, and counts."""
    other = start_proxy(addon=None)
    upstream.route("api.openai.com", "/v1/chat/completions", json_answer(CHAT))
    runner.redirected = [
        f"--mitmdump-arg={each}" for each in ("--set", f"ssl_verify_upstream_trusted_ca={other.ca}")
    ]

    done = runner.run(
        "curl",
        "-sS",
        "-d",
        "{}",
        "https://api.openai.com/v1/chat/completions",
        environment={"HTTPS_PROXY": other.url},
    )

    assert json.loads(done.stdout)["id"] == "chatcmpl-1"
    assert [record["host"] for record in runner.records()] == ["api.openai.com"]
    assert "POST https://api.openai.com" in other.log


# The name in the header


@pytest.mark.parametrize(
    "directory", ["/home/me/shop", "/größe/a b:@%", "/" + "x" * 4000, "/bad\udcff"]
)
def test_a_run_survives_the_url(directory: str) -> None:
    """What a client sends for the user info of its proxy's URL names the run again."""
    import base64

    header = (
        "Basic "
        + base64.b64encode(run_tag.user_info(Run("nightly-1.a", directory)).encode()).decode()
    )

    found = run_tag.read(header)

    assert found is not None
    assert found.name == "nightly-1.a"
    assert found.directory == directory.replace("\udcff", "\ufffd")[:TEXT_CAP]


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic",
        "Basic ###",
        "Bearer x",
        "Basic dXNlcjpwYXNz",
        "Basic bGxtdGFsbHkuOg==",
        "Basic /w==",
    ],
)
def test_another_password_is_left_alone(header: str) -> None:
    """It may be for a proxy behind this one, or for mitmproxy's own `proxyauth`."""
    assert not Runs().authorised("connection", header)


def test_connections_are_forgotten() -> None:
    """However many there were, the newest are remembered."""
    remembered = Runs()
    import base64

    header = "Basic " + base64.b64encode(run_tag.user_info(Run("r", "/")).encode()).decode()
    for number in range(run_tag.CONNECTIONS_CAP + 1):
        remembered.authorised(str(number), header)

    assert remembered.of("0") is None
    assert remembered.of("1") == Run("r", "/")


def test_curl_is_there() -> None:
    """curl is installed, which these tests need."""
    assert shutil.which("curl")
