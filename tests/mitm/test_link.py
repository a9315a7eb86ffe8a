"""What the link keeps for a tally, and what it drops where that does not keep up."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from llmtally.mitm import link as module
from llmtally.mitm.link import Link
from llmtally.system.client_process import Processes
from llmtally.tally import protocol
from llmtally.tally.observations import (
    Answered,
    AnyObservation,
    Counted,
    Ended,
    FoundRoute,
    Head,
    Opened,
    Overloaded,
    Pieces,
    Requested,
)
from llmtally.tally.prices import Prices
from llmtally.tally.protocol import Settings
from llmtally.tally.tally import Tally

EVENT = (
    b'data: {"id":"chatcmpl-1","model":"gpt-5.4","choices":[],"usage":{"prompt_tokens":3,'
    b'"completion_tokens":4,"total_tokens":7}}\n\n'
)


@pytest.fixture
def link(tmp_path: Path) -> Link:
    """A link whose tally does not answer."""
    return Link(tmp_path, Settings())


def begin(key: int, body: bytes = b"{}") -> list[AnyObservation]:
    """A call whose answer is about to come."""
    head = Head(
        f"flow-{key}",
        "POST",
        "api.openai.com",
        "/v1/chat/completions",
        {"content-type": "application/json"},
        time.time(),
        {},
        "connection",
        None,
    )
    route = FoundRoute("openai", "openai_chat", None, False, True)
    return [
        Opened(key, head, route, ("run", "/home")),
        Requested(key, body, len(body), time.time()),
        Answered(key, 200, {"content-type": "text/event-stream"}, time.time()),
    ]


def pass_through(link: Link, key: int, body: bytes) -> None:
    for observation in begin(key):
        link.observe(observation)
    link.pieces(Pieces(key, body, [(10, time.time())], time.time()))
    link.end(Ended(key, "complete", time.time()), None)


def tally(directory: Path) -> Tally:
    return Tally(
        directory,
        prices=Prices(lambda work, then: None, pytest.fail),
        processes=Processes(lambda *_: None, lambda *_: None),
        clock=time.time,
        alert=pytest.fail,
        recognises=True,
    )


def journal(directory: Path) -> str:
    return "".join(path.read_text() for path in directory.glob("usage-*.jsonl"))


def test_messages_are_read_as_they_were_sent() -> None:
    """Whatever the pieces are in which a socket delivers them."""
    sent = [*begin(1), Pieces(1, EVENT, [(3, 1.5)], 2.0), Ended(1, "complete", 3.0)]
    counted = Counted("bypassed", "api.openai.com")
    data = protocol.pack(sent) + protocol.pack([counted])
    unpacker = protocol.from_proxy()

    read = [each for at in range(len(data)) for each in unpacker.feed(data[at : at + 1])]

    assert read == [sent, [counted]]


def test_all_is_kept_without_a_tally(link: Link, tmp_path: Path) -> None:
    """What nobody has seen goes to whoever counts instead, in its order."""
    pass_through(link, 1, EVENT)
    pass_through(link, 2, EVENT)
    left = link.release(sent=False)
    inline = tally(tmp_path)
    for observation in left:
        inline.observe(observation)
    inline.close()

    assert [type(each).__name__ for each in left[:5]] == [
        "Opened",
        "Requested",
        "Answered",
        "Pieces",
        "Ended",
    ]
    assert journal(tmp_path).count('"total_tokens":7') == 2
    assert link.backlog == 0


def test_what_is_kept_is_bounded(
    link: Link, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Above the cap of all flows, the bodies of the largest are dropped; its call says so."""
    monkeypatch.setattr(module, "PROXY_CAP", 100_000)
    pass_through(link, 1, EVENT)
    pass_through(link, 2, EVENT + b": \n" * 50_000)
    backlog = link.backlog
    inline = tally(tmp_path)
    for observation in link.release(sent=False):
        inline.observe(observation)
    inline.close()

    assert backlog < 100_000
    whole, dropped = journal(tmp_path).splitlines()
    assert '"coverage":"priced"' in whole
    assert '"coverage":"unparsed"' in dropped
    assert '"overload"' in dropped


def test_one_flow_is_bounded(link: Link, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that is dropped does not grow again."""
    monkeypatch.setattr(module, "FLOW_CAP", 50_000)
    for observation in begin(1):
        link.observe(observation)
    for _ in range(100):
        link.pieces(Pieces(1, b"x" * 10_000, [], time.time()))
    link.end(Ended(1, "complete", time.time(), body=b"x" * 90_000), None)
    left = link.release(sent=False)

    assert any(isinstance(each, Overloaded) for each in left)
    assert isinstance(left[-1], Ended)
    assert sum(len(each.data) for each in left if isinstance(each, Pieces)) == 0
    assert left[-1].body is None


def test_a_call_that_comes_again_is_counted_once(tmp_path: Path) -> None:
    """A tally knows what it, or the one before it, has written."""
    again = [*begin(1), Pieces(1, EVENT, [], time.time()), Ended(1, "complete", time.time())]
    first = tally(tmp_path)
    for observation in [*again, *again]:
        first.observe(observation)
    first.close()

    assert journal(tmp_path).count("\n") == 1
