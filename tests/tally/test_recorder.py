"""What is added to a call when it has been settled."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path

import pytest

import calls
from llmtally.attribution.run_tag import Run
from llmtally.record import Attribution, Usage
from llmtally.system.client_process import ClientProcess, Processes
from llmtally.tally.prices import Prices
from llmtally.tally.recorder import completed
from llmtally.tally.tally import Tally

RUN = Run("r", "/home")
PROCESS = ClientProcess(41, "aider", "/home/ana/shop")


@pytest.mark.parametrize(
    ("stated", "run", "process", "expected"),
    [
        (Attribution(), None, None, Attribution()),
        (Attribution(), RUN, None, Attribution(project="/home", run="r")),
        (Attribution(project="/repo"), RUN, None, Attribution(project="/repo", run="r")),
        (Attribution(), Run("r", ""), None, Attribution(run="r")),
        (Attribution(client="x"), None, PROCESS, Attribution(client="x", project="/home/ana/shop")),
        (Attribution(project="/said"), None, PROCESS, Attribution(project="/said")),
        (Attribution(), None, ClientProcess(41, "daemon", "/"), Attribution()),
        (Attribution(), None, ClientProcess(41), Attribution()),
        (Attribution(), RUN, PROCESS, Attribution(project="/home", run="r")),
        (Attribution(), Run("r", ""), PROCESS, Attribution(project="/home/ana/shop", run="r")),
    ],
)
def test_who_asked_is_completed(
    stated: Attribution,
    run: Run | None,
    process: ClientProcess | None,
    expected: Attribution,
) -> None:
    """A project that the client stated stays; the run's directory comes before the process's, and
    `/` is nobody's project."""
    assert completed(stated, run, process) == expected


def test_a_settled_call_is_priced_attributed_and_journaled(tmp_path: Path) -> None:
    """The line of a call is returned; a duplicate is counted and has none."""
    tally = Tally(
        tmp_path,
        prices=Prices(lambda work, then: None, pytest.fail),
        processes=Processes(lambda *_: Future(), lambda *_: None),
        clock=lambda: 1_790_000_000.0,
        alert=pytest.fail,
    )
    usage = Usage(input_tokens=10, output_tokens=5)
    call = calls.a_call(1_790_000_000.0, usage=usage, cost_usd=None, cost_source=None)
    lines = tally.recorder.record([call, call._replace(coverage="duplicate")], RUN, "connection")
    tally.recorder.count("bypassed")
    tally.close()

    assert len(lines) == 1
    assert tally.recorder.coverage == {"priced": 1, "duplicate": 1, "bypassed": 1}
    (written,) = tmp_path.glob("usage-*.jsonl")
    assert b'"run":"r"' in written.read_bytes()
    assert b'"cost_usd":' in written.read_bytes()
