"""The journal against made-up logs with every kind of difference."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from calls import a_call, separating_runner, write
from client_logs import MODEL, NOON, claude_line, token_count, write_claude, write_codex
from llmtally.cli import main as cli
from llmtally.cli.reconcile.answer import as_json
from llmtally.cli.reconcile.client_logs import Logged
from llmtally.cli.reconcile.comparison import Comparison, Difference, journal_call
from llmtally.cli.reconcile.joining import compare
from llmtally.cli.reconcile.sums import price_of, ratio, sums_of
from llmtally.pricing import Pricer
from llmtally.record import Attribution, Call, Usage

CLAUDE_USAGE = Usage(12, 20000, 1800, None, 1500, None, 410)
"""The usage that `claude_line` logs."""


def claude_call(
    response_id: str, at: float = NOON, usage: Usage = CLAUDE_USAGE, request_class: str = "main"
) -> Call:
    return a_call(
        at,
        request_id=f"flow-{response_id}",
        response_id=response_id,
        usage=usage,
        attribution=Attribution(
            client="claude-code", session="session-1", request_class=request_class
        ),
    )


def codex_call(number: int, at: float, usage: Usage, thread: str = "thread-1") -> Call:
    return a_call(
        at,
        request_id=f"flow-{number}",
        response_id=f"resp_{number}",
        provider="chatgpt_codex",
        model=MODEL,
        usage=usage,
        attribution=Attribution(
            client="codex", session="session-1", agent=thread, request_class="main"
        ),
    )


def compared(calls: list[Call], log: list[Logged]) -> Comparison:
    return compare([wire for call in calls if (wire := journal_call(call))], log)


def logged(
    response_id: str | None,
    usage: Usage,
    at: float = NOON,
    thread: str = "thread-1",
    model: str | None = None,
) -> Logged:
    return Logged("codex", at, usage, model, response_id, thread)


def free(_: Logged) -> float:
    return 0.0


def outcome(done: Comparison) -> tuple[int, int, int, int]:
    return len(done.equal), len(done.different), len(done.wire_only), len(done.log_only)


def test_each_kind_of_difference() -> None:
    """Equal, different, on the wire only, in the log only: each call is exactly one of them."""
    calls = [
        claude_call("same"),
        claude_call("other", usage=CLAUDE_USAGE._replace(output_tokens=900)),
        claude_call("title"),
    ]
    log = [
        Logged("claude-code", NOON, CLAUDE_USAGE, None, name)
        for name in ("same", "other", "bypassed")
    ]
    done = compared(calls, log)

    assert outcome(done) == (1, 1, 1, 1)
    assert done.different[0].differences == (Difference("output_tokens", 900, 410),)
    assert done.wire_only[0].response_id == "title"
    assert done.log_only[0].response_id == "bypassed"
    assert done.agreement_pct == 25.0


@pytest.mark.parametrize(
    "name",
    [
        "input_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "cache_write_1h_tokens",
        "output_tokens",
    ],
)
def test_each_count_is_compared(name: str) -> None:
    """The field is named, with both figures."""
    counts: dict[str, Any] = {name: 7}
    ours = CLAUDE_USAGE._replace(**counts)
    (pair,) = compared(
        [claude_call("msg", usage=ours)], [Logged("claude-code", NOON, CLAUDE_USAGE, None, "msg")]
    ).different

    assert pair.differences == (Difference(name, 7, getattr(CLAUDE_USAGE, name)),)


def test_an_unknown_count_is_no_zero() -> None:
    """What the log does not say is not compared; what the wire did not say differs from a number,
    and equals a logged 0."""
    unsaid = Logged("claude-code", NOON, Usage(input_tokens=12, output_tokens=410), None, "msg")
    wire = claude_call("msg", usage=CLAUDE_USAGE._replace(cache_write_1h_tokens=None))

    assert outcome(compared([claude_call("msg")], [unsaid])) == (1, 0, 0, 0)
    assert compared([wire], [logged("msg", CLAUDE_USAGE)]).different[0].differences == (
        Difference("cache_write_1h_tokens", None, 1500),
    )
    assert outcome(
        compared([wire], [logged("msg", CLAUDE_USAGE._replace(cache_write_1h_tokens=0))])
    ) == (1, 0, 0, 0)


def test_the_model_is_compared() -> None:
    """The log may name the one that was asked for or the one that served."""
    call = claude_call("msg")._replace(
        model="claude-opus-4-8-20260601", request_model="claude-opus-4-8"
    )
    models = ["claude-opus-4-8", "claude-opus-4-8-20260601", None, "claude-haiku-4-5"]

    assert [
        len(compared([call], [logged("msg", CLAUDE_USAGE, model=model)]).different)
        for model in models
    ] == [0, 0, 0, 1]


def test_what_spent_nothing_is_not_expected_in_a_log() -> None:
    """Refusals, warm-ups and other clients' calls do not count as missing from the log."""
    refused = claude_call("refused", usage=Usage())
    warmup = claude_call("warmup", request_class="warmup")
    sdk = claude_call("sdk")._replace(attribution=Attribution(client="anthropic-python"))

    assert outcome(compared([refused, warmup, sdk], [])) == (0, 0, 0, 0)


ONE, TWO = Usage(600, 400, output_tokens=50), Usage(500, 1000, output_tokens=30)


def test_codex_is_joined_by_counts_then_by_time() -> None:
    """Without ids the same counts are the same call, whatever the order; then what happened at the
    same time."""
    calls = [
        codex_call(1, NOON, ONE),
        codex_call(2, NOON + 10, TWO),
        codex_call(3, NOON + 100, ONE),
    ]
    log = [logged(None, TWO, NOON + 11), logged(None, ONE, NOON + 1), logged(None, TWO, NOON + 101)]
    done = compared(calls, log)

    assert outcome(done) == (2, 1, 0, 0)
    assert [pair.joined_by for pair in done.equal] == ["thread", "thread"]
    assert done.different[0].call.response_id == "resp_3"


def test_codex_threads_are_not_mixed() -> None:
    """The same counts in another thread are another call."""
    done = compared([codex_call(1, NOON, ONE, thread="other")], [logged(None, ONE)])

    assert outcome(done) == (0, 0, 1, 1)


def test_codex_far_apart_is_not_the_same() -> None:
    """Other counts, minutes later: one bypassed the proxy, one was not logged."""
    assert outcome(compared([codex_call(1, NOON, ONE)], [logged(None, TWO, NOON + 600)])) == (
        0,
        0,
        1,
        1,
    )


def test_codex_old_logs_count_cache_writes_as_input() -> None:
    """A log that has no word for them is not held to differ for it."""
    assert outcome(
        compared([codex_call(1, NOON, Usage(500, 400, 100, output_tokens=50))], [logged(None, ONE)])
    ) == (1, 0, 0, 0)


def test_codex_an_id_is_believed() -> None:
    """A log entry with an id is never joined by its counts to another response."""
    assert outcome(compared([codex_call(1, NOON, ONE)], [logged("resp_1", TWO)])) == (0, 1, 0, 0)
    assert outcome(compared([codex_call(1, NOON, ONE)], [logged("resp_9", ONE)])) == (0, 0, 1, 1)


def test_an_id_given_twice_is_two_calls() -> None:
    """A small server draws its ids from a few hundred: no call is lost for that."""
    calls = [claude_call("msg")._replace(request_id=f"flow-{n}") for n in (1, 2)]

    assert outcome(compared(calls, [Logged("claude-code", NOON, CLAUDE_USAGE, None, "msg")])) == (
        1,
        0,
        1,
        0,
    )


def test_json_tells_each_call() -> None:
    """The numbers, then every call that is not equal, with both figures."""
    calls = [claude_call("a"), claude_call("b", usage=CLAUDE_USAGE._replace(output_tokens=900))]
    log = [Logged("claude-code", NOON, CLAUDE_USAGE, None, name) for name in ("b", "c")]
    said = as_json(compared(calls, log), free)

    assert (
        said["calls"],
        said["equal"],
        said["different"],
        said["wire_only"],
        said["log_only"],
    ) == (3, 0, 1, 1, 1)
    assert said["differences"][0]["fields"] == {"output_tokens": {"wire": 900, "log": 410}}
    assert said["not_logged"][0]["response_id"] == "a"
    assert said["bypassed"][0]["response_id"] == "c"
    assert said["past_the_proxy"] == said["bypassed"]  # the old name, for one version
    assert said["clients"]["claude-code"]["calls"] == 3


def test_each_side_is_summed_up() -> None:
    """By bucket, over the calls that both know; calls of one side beside them, where they spoil no
    ratio."""
    calls = [
        claude_call(name, usage=CLAUDE_USAGE._replace(output_tokens=900))
        for name in ("a", "b", "title")
    ]
    log = [
        Logged("claude-code", NOON, CLAUDE_USAGE._replace(output_tokens=n), None, name)
        for name, n in (("a", 40), ("b", 50))
    ]
    sums = sums_of(
        compared(calls, [*log, Logged("claude-code", NOON, CLAUDE_USAGE, None, "past")]), free
    )

    assert [(each.calls, each.usage.input_tokens, each.usage.output_tokens) for each in sums] == [
        (2, 24, 1800),
        (2, 24, 90),
        (1, 12, 900),
        (1, 12, 410),
    ]
    assert (sums.wire.cost_usd, sums.wire_only.cost_usd) == (0.5, 0.25)
    assert (ratio(1800, 90), ratio(1800, 0), ratio(None, 90)) == (20.0, None, None)


def test_a_bucket_the_log_lacks_is_summed_as_the_log_does() -> None:
    """An old Codex counts cache writes as input; that does not count as a difference."""
    sums = sums_of(
        compared(
            [codex_call(1, NOON, Usage(500, 400, 100, output_tokens=50))], [logged(None, ONE)]
        ),
        free,
    )

    assert sums.wire.usage == sums.log.usage == ONE


def test_what_is_only_logged_has_a_price() -> None:
    """That of its provider's API; a call whose model is unknown has none, and is said to be
    missing."""
    price = price_of(Pricer())
    opus = Logged(
        "claude-code",
        NOON,
        Usage(1_000_000, 0, 0, output_tokens=100_000),
        "claude-opus-4-8",
        "a",
        "t",
    )
    nameless = opus._replace(model=None, response_id="b")
    unheard = opus._replace(model="acme-coder-7b", response_id="c")
    sums = sums_of(compared([], [opus, nameless, unheard]), price)

    assert price(opus) == pytest.approx(5 + 2.5)
    assert (sums.log_only.cost_usd, sums.log_only.uncosted) == (price(opus), 2)
    assert sums_of(compared([], [nameless]), price).log_only.cost_usd is None


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Logs of both clients and a journal, with each kind of difference."""
    write_claude(
        tmp_path,
        [
            claude_line("same"),
            claude_line("less", output_tokens=3),
            claude_line("bypassed", NOON + 60),
        ],
    )
    write_claude(tmp_path, [claude_line("before", NOON - 7200)], name="old")
    write_codex(tmp_path, "thread-1", [token_count(1, total=(1000, 400, 50))])
    calls = [
        claude_call("same"),
        claude_call("less"),
        claude_call("title", request_class="auxiliary"),
        codex_call(1, NOON, ONE),
    ]
    write(tmp_path / "journal", calls)
    return tmp_path


def run(logs: Path, *arguments: str) -> Result:
    given = ["--dir", str(logs / "journal"), "--claude-dir", str(logs), "--codex-dir", str(logs)]
    return separating_runner().invoke(
        cli.main, ["reconcile", *given, "--timezone", "UTC", *arguments]
    )


def test_the_command_tells_each_kind(logs: Path) -> None:
    """The table, the share of agreement, and exit code 1 for scripts. Calls logged before the
    journal began do not count as missing."""
    said = run(logs)

    assert said.exit_code == 1
    assert [
        line.split()
        for line in said.stdout.splitlines()
        if line.startswith(("claude-code", "codex", "Total"))
    ] == [
        ["claude-code", "4", "1", "1", "1", "1", "25.0%"],
        ["codex", "1", "1", "0", "0", "0", "100.0%"],
        ["Total", "5", "2", "1", "1", "1", "40.0%"],
        ["claude-code", "auxiliary", "1", "22,222", "$0.2500"],
    ]
    assert ["2026-11-20", "12:00:00", "less", "output_tokens", "410", "3", "-407"] in [
        line.split() for line in said.stdout.splitlines()
    ]
    assert ["output", "870", "463", "x1.88", "410", "410"] in [
        line.split() for line in said.stdout.splitlines()
    ]
    assert ["API", "prices", "$0.7500", "~$0.0659", "x11.4", "$0.2500", "~$0.0372"] in [
        line.split() for line in said.stdout.splitlines()
    ]
    assert "bypassed" in said.stdout
    assert "before" not in said.stdout


def test_the_command_agrees(logs: Path) -> None:
    """Exit code 0 where both sides say the same."""
    said = run(logs, "--client", "codex", "--json")

    assert said.exit_code == 0
    assert json.loads(said.stdout)["agreement_pct"] == 100.0
    assert json.loads(said.stdout)["sums"]["ratios"]["output_tokens"] == 1.0
    assert json.loads(said.stdout)["clients"]["codex"]["sums"]["log"]["input_tokens"] == 600


def test_the_command_looks_at_a_time(logs: Path) -> None:
    """A call at the edge is not torn into one on the wire and one in the log."""
    said = json.loads(run(logs, "--since", "2026-11-20T12:00:00.500", "--json").stdout)

    assert (said["equal"], said["wire_only"], said["log_only"]) == (1, 0, 1)


def test_logs_alone_are_said_to_be_that(logs: Path) -> None:
    """Before anyone ran the proxy there is something to see, and it is said whose figures these are
    and how to get the wire's."""
    arguments = ["--dir", str(logs / "nowhere")]
    said = run(logs, *arguments)
    as_json = json.loads(run(logs, "--json", *arguments).stdout)
    of_codex = run(logs, "--client", "codex", *arguments)

    assert said.exit_code == 1
    assert [line.split() for line in said.stdout.splitlines()[3:]] == [
        ["claude-code", "4", "48", "7,200", "80,000", "1,233", "~$0.1386"],
        ["codex", "1", "600", "-", "400", "50", "~$0.0017"],
    ]
    assert "these are the logs' own figures" in said.stderr
    assert said.stderr.endswith("llmtally run -- claude\n")
    assert of_codex.stderr.endswith("llmtally run -- codex\n")
    assert as_json["agreement_pct"] is None
    assert (as_json["log_only"], as_json["sums"]["log_only"]["output_tokens"]) == (5, 1283)
    assert [each["cost_usd"] is None for each in as_json["bypassed"]] == [False] * 5


def test_a_sum_in_which_something_is_missing_is_marked(logs: Path) -> None:
    """A model without a price does not count as free."""
    write_claude(logs, [claude_line("new", model="acme-coder-7b")], name="other")

    assert "≥~$0.1386" in run(logs, "--dir", str(logs / "nowhere")).stdout


def test_prices_of_ones_own_hold_for_logs(logs: Path) -> None:
    """As for the journal; a file that cannot be used is a mistake in the command."""
    prices, bad = logs / "prices.json", logs / "bad.json"
    prices.write_text(
        '{"anthropic/claude-opus-4-8": {"input": 0, "output": 1000, "cache_read": 0, '
        '"cache_write": 0, "cache_write_1h": 0}}'
    )
    bad.write_text("nonsense")
    said = run(
        logs, "--dir", str(logs / "nowhere"), "--client", "claude-code", "--prices", str(prices)
    )

    assert "~$1.23" in said.stdout
    assert run(logs, "--prices", str(bad)).exit_code == 2


def test_the_command_has_nothing_to_compare(logs: Path) -> None:
    """It says so, with exit code 1."""
    said = run(logs, "--since", "2027-01-01")
    missing = run(logs, "--dir", str(logs / "nowhere"), "--since", "2027-01-01")

    assert (said.exit_code, missing.exit_code) == (1, 1)
    assert "none in the logs" in missing.stderr
