"""`wire/framing.py`: the choice of a framing, by media type or by first bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtally.record import Transport
from llmtally.wire import framing
from llmtally.wire.framing import Opaque, Sniffing, choose, is_streaming
from splits import cuts, every_byte, messages, split

BOM = b"\xef\xbb\xbf"
NEEDLES = (b'"usage"',)
SSE = b'data: {"a":1}\n\ndata: {"usage":1}\n\n'
NDJSON = b'{"a":1}\n{"usage":1}\n'
EVERY_TYPE = [
    "text/event-stream",
    "application/x-ndjson",
    "application/vnd.amazon.eventstream",
    "application/grpc",
    "application/json",
    "audio/mpeg",
    "",
]


@pytest.mark.parametrize(
    ("content_type", "transport", "streaming"),
    [
        ("text/event-stream", "sse", True),
        ("Text/Event-Stream; charset=utf-8", "sse", True),
        ("application/x-ndjson", "ndjson", True),
        ("application/jsonl;charset=utf-8", "ndjson", True),
        ("binary/octet-stream", "ndjson", True),
        ("application/vnd.amazon.eventstream", "eventstream", True),
        ("application/grpc", "grpc", True),
        ("application/grpc+proto", "grpc", True),
        ("application/json", "json", False),
        ("application/problem+json", "json", False),
        ("audio/mpeg", "binary", False),
        ("image/svg+xml", "binary", False),
    ],
)
def test_media_type_decides(content_type: str, transport: Transport, streaming: bool) -> None:
    """A media type has one framing whatever its case and parameters, and says whether it must be
    streamed."""
    assert choose(content_type).transport == transport
    assert is_streaming(content_type) == streaming
    assert isinstance(choose(content_type), Sniffing) == (transport == "json")


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain; charset=utf-8",
        "application/octet-stream",
        "nonsense",
        ";;",
        "application/x-protobuf",
    ],
)
def test_other_media_types_are_sniffed(content_type: str) -> None:
    """What no media type tells is left to the first bytes, and is not held to be a stream."""
    assert isinstance(choose(content_type), Sniffing)
    assert not is_streaming(content_type)


def test_hint_tells_an_array_from_a_document() -> None:
    """A route that streams an array is believed where the body is JSON, and nowhere else."""
    array = choose("application/json", hint="json_array")

    assert array.transport == "json_array"
    assert array.feed(b'[{"a":1},') == [b'{"a":1}']
    assert choose("text/event-stream", hint="json_array").transport == "sse"
    assert choose("application/json", hint="sse").transport == "json"


@pytest.mark.parametrize(
    ("body", "transport", "found"),
    [
        (SSE, "sse", [b'{"a":1}', b'{"usage":1}']),
        (BOM + b"\r\n" + SSE, "sse", [b'{"a":1}', b'{"usage":1}']),
        (b": comment\n\n" + SSE, "sse", [b'{"a":1}', b'{"usage":1}']),
        (b"event: a\n" + SSE, "sse", [b'{"a":1}', b'{"usage":1}']),
        (b"retry: 10\nid: 1\n" + SSE, "sse", [b'{"a":1}', b'{"usage":1}']),
        (NDJSON, "ndjson", [b'{"a":1}', b'{"usage":1}']),
        (b"\n\n" + BOM + b'{"a":1}\n', "json", [b'{"a":1}']),
        (b'{"a":1}', "json", [b'{"a":1}']),
        (b'{\n"a": 1\n}\n', "json", [b'{\n"a": 1\n}']),
        (b'[{"a":1}\n,{"b":2}]', "json_array", [b'{"a":1}', b'{"b":2}']),
        (b"<html>\n{}\n</html>", "binary", []),
        (b"\x00\x00\x00", "binary", []),
        (b"dat", "binary", []),
        (b"", "json", []),
        (b" \n", "json", []),
    ],
)
def test_first_bytes_decide_where_the_media_type_does_not(
    body: bytes, transport: Transport, found: list[bytes]
) -> None:
    """An unlabelled body is recognised, whole and byte by byte, and says what it became."""
    for pieces in ([body], every_byte(body)):
        sniffing = Sniffing()

        assert messages(sniffing, pieces) == found
        assert sniffing.transport == transport


def test_lines_are_given_as_they_come_once_recognised() -> None:
    """From the second line on, unlabelled NDJSON is not held back."""
    sniffing = Sniffing()

    assert sniffing.feed(b'{"a":1}\n') == []
    assert sniffing.feed(b'{"b":2}\n') == [b'{"a":1}', b'{"b":2}']
    assert sniffing.feed(b'{"c":3}\n') == [b'{"c":3}']


def test_long_first_line_is_a_document(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second line is waited for only so long, and it makes no difference in how many pieces."""
    monkeypatch.setattr(framing, "MAX_FIRST_LINE", 100)
    body = b'{"a":"' + b"x" * 100 + b'"}\n{"b":2}'

    assert messages(Sniffing(), [body[:101], body[101:]]) == [body]
    assert messages(Sniffing(), [body]) == [body]


@pytest.mark.parametrize("label", ["", "application/octet-stream", "application/json"])
def test_many_lines_at_once_are_lines(label: str) -> None:
    """A whole file of a batch, longer than the inspected beginning, is not mistaken for one
    document, nor is a document mistaken for lines."""
    lines = [b'{"id":"%d","x":"%s"}' % (n, b"x" * 70_000) for n in range(30)]
    body = b"\n".join(lines)
    document = b'{\n "a": [\n' + b",\n".join(lines) + b"]}"

    assert messages(choose(label), [body]) == lines
    assert messages(choose(label), split(body, [1, 70_000, 70_100, 500_000])) == lines
    assert messages(choose(label), [document]) == [document]


@pytest.mark.parametrize(
    ("content_type", "hint", "body", "transport", "found"),
    [
        ("application/json", None, SSE, "sse", [b'{"a":1}', b'{"usage":1}']),
        (
            "application/problem+json",
            None,
            b"\n: ping\n\n" + SSE,
            "sse",
            [b'{"a":1}', b'{"usage":1}'],
        ),
        ("application/json", None, NDJSON, "ndjson", [b'{"a":1}', b'{"usage":1}']),
        ("application/json", None, b'{"a":1}\n', "json", [b'{"a":1}']),
        ("application/json", None, b"[1,\n2]", "json", [b"[1,\n2]"]),
        ("application/json", None, b"<html>", "json", [b"<html>"]),
        ("application/json", None, b"dat", "json", [b"dat"]),
        ("application/json", "json_array", SSE, "sse", [b'{"a":1}', b'{"usage":1}']),
        (
            "application/json",
            "json_array",
            b'[{"a":1},\n{"b":2}]',
            "json_array",
            [b'{"a":1}', b'{"b":2}'],
        ),
        ("application/json", "json_array", b'{"a":1}\n', "json_array", [b'{"a":1}']),
    ],
)
def test_json_is_not_always_json(
    content_type: str, hint: Transport | None, body: bytes, transport: Transport, found: list[bytes]
) -> None:
    """Event streams and lines labelled as JSON are what they are; all else is left to the label."""
    for pieces in ([body], every_byte(body)):
        sniffing = choose(content_type, hint=hint)

        assert isinstance(sniffing, Sniffing)
        assert messages(sniffing, pieces) == found
        assert sniffing.transport == transport


def test_needles_and_counts_pass_through() -> None:
    """Needles set before or after the recognition reach the framing, and its counts can be seen."""
    before = Sniffing()
    before.seek(NEEDLES)
    after = Sniffing()
    after.feed(b": comment\n\n")
    after.seek(NEEDLES)
    short = Sniffing()
    short.feed(b": comment\n\n")
    short.seek(NEEDLES, (), 15)

    assert messages(short, [SSE]) == [b'{"usage":1}']
    assert (short.skipped_content, short.skipped_events) == (0, 0)
    short.seek(NEEDLES, (), 14 - len(b"data: \n\n"))
    short.feed(SSE)
    assert (short.skipped_content, short.skipped_events) == (15 - 14, 1)
    assert (before.faults, before.skipped_content, before.skipped_events) == (0, 0, 0)
    for sniffing in (before, after):
        assert messages(sniffing, [SSE]) == [b'{"usage":1}']
        assert (sniffing.faults, sniffing.skipped_content, sniffing.skipped_events) == (0, 15, 1)


def test_opaque_bodies_have_no_messages() -> None:
    """Audio and pictures are passed over."""
    opaque = choose("audio/mpeg")

    assert isinstance(opaque, Opaque)
    assert messages(opaque, [b'{"a":1}\n']) == []


@given(
    st.sampled_from(EVERY_TYPE),
    st.binary(max_size=100) | st.sampled_from([SSE, NDJSON, b"[1,{}]"]),
    cuts,
)
def test_any_split_gives_the_same_messages(content_type: str, body: bytes, at: list[int]) -> None:
    """For every framing: no bytes raise anything but WireError, and no split changes the
    messages."""
    whole, cut = choose(content_type), choose(content_type)

    assert messages(whole, [body]) == messages(cut, split(body, at))
    assert whole.faults == cut.faults
