"""`wire/content_coding.py`: every coding, any split, damage, and bombs."""

from __future__ import annotations

import gzip
import random
import tracemalloc
import zlib
from collections.abc import Callable

import brotli  # type: ignore[import-untyped]  # ships no types
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from llmtally.record import WireError
from llmtally.wire import content_coding
from llmtally.wire.content_coding import MAX_PIECE, content_decoder
from splits import cuts, decoded, every_byte, split


def raw_deflate(data: bytes) -> bytes:
    """A bare deflate stream."""
    coder = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return coder.compress(data) + coder.flush()


def small_window(data: bytes) -> bytes:
    """The zlib format with the smallest window, whose first byte is not the usual one."""
    coder = zlib.compressobj(wbits=9)
    return coder.compress(data) + coder.flush()


def quick_brotli(data: bytes) -> bytes:
    """Brotli, without its slow search for the best."""
    return bytes(brotli.compress(data, quality=2))


CODERS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("gzip", gzip.compress),
    ("x-gzip", gzip.compress),
    ("deflate", zlib.compress),
    ("deflate", raw_deflate),
    ("deflate", small_window),
    ("br", quick_brotli),
    ("zstd", zstandard.compress),
    ("identity", bytes),
    ("", bytes),
]
BOMBS = [CODERS[0], CODERS[2], CODERS[5], CODERS[6]]
ENCODINGS = ["gzip", "deflate", "br", "zstd", "gzip, br", "zstd,deflate,gzip"]
MEMORY = 48 * 2**20
"""What a bomb may take: brotli before 1.2 needs nearly all of it, the others a few pieces."""

TEXT = b"".join(b'data: {"n": %d}\n\n' % n for n in range(100))

each_coding = pytest.mark.parametrize(("encoding", "encode"), CODERS)


@pytest.fixture
def brotli_before_1_2(monkeypatch: pytest.MonkeyPatch) -> None:
    """A brotli whose output cannot be limited, as mitmproxy 11 installs it."""
    current = brotli.Decompressor

    class Decompressor:
        def __init__(self) -> None:
            self._real = current()
            self.is_finished = self._real.is_finished

        def process(self, data: bytes) -> bytes:
            assert len(data) <= content_coding.BROTLI_SLICE
            return bytes(self._real.process(data))

    monkeypatch.setattr(brotli, "Decompressor", Decompressor)


@each_coding
def test_round_trip(encoding: str, encode: Callable[[bytes], bytes]) -> None:
    """Each coding is undone, whole and byte by byte, whatever the case of its name."""
    assert decoded(content_decoder(encoding), [encode(TEXT)]) == TEXT
    assert decoded(content_decoder(encoding.upper()), every_byte(encode(TEXT))) == TEXT


def test_output_that_was_cut_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """What zlib still holds when its input is used up comes out with that input, not with the
    next."""
    monkeypatch.setattr(content_coding, "MAX_PIECE", 7)
    coded = raw_deflate(b"ab" + b"3" * 300)
    for end in range(len(coded) + 1):
        assert decoded(content_decoder("deflate"), [coded[:end]]) == zlib.decompressobj(
            -zlib.MAX_WBITS
        ).decompress(coded[:end])


@given(st.binary(max_size=300), cuts, st.sampled_from(CODERS))
def test_any_split_gives_the_same_bytes(
    data: bytes, at: list[int], coder: tuple[str, Callable[[bytes], bytes]]
) -> None:
    """However the coded bytes are cut, the same bytes come out."""
    encoding, encode = coder

    assert decoded(content_decoder(encoding), split(encode(data), at)) == data


def test_chain_is_undone_in_reverse() -> None:
    """The coding named last was applied last and is undone first; `identity` and empty names count
    for nothing."""
    coded = brotli.compress(gzip.compress(TEXT))

    assert decoded(content_decoder("gzip, identity,, BR "), every_byte(coded)) == TEXT


@pytest.mark.parametrize(
    "encoding", ["compress", "aws-chunked", "gzip, x", "gzip;q=1", "gzip," * 5]
)
def test_unknown_or_too_many_codings_are_refused(encoding: str) -> None:
    """What cannot be undone is said at once."""
    with pytest.raises(WireError):
        content_decoder(encoding)


def test_gzip_members_and_what_follows_them() -> None:
    """Members follow each other; padding after the last one is ignored."""
    coded = gzip.compress(b"one ") + gzip.compress(b"") + gzip.compress(b"two") + b"\0\0garbage"

    assert decoded(content_decoder("gzip"), [coded]) == b"one two"
    assert decoded(content_decoder("gzip"), every_byte(coded)) == b"one two"


@pytest.mark.parametrize(
    ("encoding", "encode"), [("deflate", zlib.compress), ("deflate", raw_deflate)]
)
def test_deflate_ends_with_its_stream(encoding: str, encode: Callable[[bytes], bytes]) -> None:
    """What follows a deflate stream is ignored."""
    assert decoded(content_decoder(encoding), [encode(TEXT) + b"rest", b"more"]) == TEXT


def test_zstd_frames_follow_each_other() -> None:
    """Several frames are one body, and skippable frames are skipped."""
    skippable = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"skip"
    coded = zstandard.compress(b"one ") + skippable + zstandard.compress(b"two")

    assert decoded(content_decoder("zstd"), [coded]) == b"one two"
    assert decoded(content_decoder("zstd"), every_byte(coded)) == b"one two"


@pytest.mark.parametrize("max_piece", [7, MAX_PIECE])
def test_each_flush_of_the_coder_is_decoded_at_once(
    monkeypatch: pytest.MonkeyPatch, max_piece: int
) -> None:
    """An event that the server flushed comes out whole with its last byte, in every coding, however
    often its output is cut."""
    monkeypatch.setattr(content_coding, "MAX_PIECE", max_piece)
    gzipper = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    brotlier = brotli.Compressor()
    zstder = zstandard.ZstdCompressor().compressobj()
    for encoding, encode in (
        ("gzip", lambda data: gzipper.compress(data) + gzipper.flush(zlib.Z_SYNC_FLUSH)),
        ("br", lambda data: brotlier.process(data) + brotlier.flush()),
        (
            "zstd",
            lambda data: zstder.compress(data) + zstder.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK),
        ),
    ):
        decoder = content_decoder(encoding)
        for event in (
            b"data: 1\n\n",
            b"data: 2\n\n",
            b"data: " + b"3" * 3 * max(max_piece, 1000),
            b"data: 4\n\n",
        ):
            assert b"".join(decoder.decode(encode(event))) == event


@each_coding
def test_body_that_was_cut_off_is_no_damage(
    encoding: str, encode: Callable[[bytes], bytes]
) -> None:
    """A body without its end raises nothing, and what came of it is a beginning of the whole."""
    got = decoded(content_decoder(encoding), [encode(TEXT)[:-5]])

    assert TEXT.startswith(got)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_damage_is_said_once_after_what_came_before(encoding: str) -> None:
    """A stream that turns to noise raises once, keeps what earlier calls gave, and then yields
    nothing."""
    encode = {
        "gzip": gzip.compress,
        "deflate": zlib.compress,
        "br": brotli.compress,
        "zstd": zstandard.compress,
    }
    coded = TEXT * 50
    for name in encoding.split(","):
        coded = encode[name.strip()](coded)
    decoder = content_decoder(encoding)
    list(decoder.decode(coded[: len(coded) // 2]))
    with pytest.raises(WireError):
        for _ in range(20):
            list(decoder.decode(random.Random(1).randbytes(1000)))

    assert list(decoder.decode(coded)) == []


def test_wrong_checksum_is_damage() -> None:
    """A gzip member whose checksum fails is damaged; its bytes had been given before."""
    coded = bytearray(gzip.compress(TEXT))
    coded[-5] ^= 1
    decoder = content_decoder("gzip")

    assert b"".join(decoder.decode(bytes(coded[:-8]))) == TEXT
    with pytest.raises(WireError):
        list(decoder.decode(bytes(coded[-8:])))


@given(st.binary(max_size=300), cuts, st.sampled_from(ENCODINGS))
def test_arbitrary_bytes_raise_only_wire_error(data: bytes, at: list[int], encoding: str) -> None:
    """No bytes make a decoder raise anything but WireError."""
    decoder = content_decoder(encoding)
    for piece in split(data, at):
        try:
            list(decoder.decode(piece))
        except WireError:
            assert list(decoder.decode(piece)) == []


@given(st.binary(min_size=1, max_size=20), st.integers(0, 200), st.sampled_from(CODERS))
def test_noise_in_a_good_stream_raises_only_wire_error(
    noise: bytes, at: int, coder: tuple[str, Callable[[bytes], bytes]]
) -> None:
    """Noise behind a good beginning makes no decoder raise anything but WireError."""
    encoding, encode = coder
    coded = encode(TEXT)
    try:
        decoded(content_decoder(encoding), [coded[:at] + noise + coded[at:]])
    except WireError as error:
        assert str(error)


def bomb_size(encoding: str, coded: bytes) -> tuple[int, int]:
    """Bytes given before the decoder gave up, or all, and the memory that took at most."""
    decoder = content_decoder(encoding)
    total = 0
    tracemalloc.start()
    try:
        for piece in decoder.decode(coded):
            assert len(piece) <= MAX_PIECE
            total += len(piece)
    except WireError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return total, peak


@pytest.mark.parametrize(("encoding", "encode"), BOMBS)
def test_bomb_comes_in_pieces(
    monkeypatch: pytest.MonkeyPatch, encoding: str, encode: Callable[[bytes], bytes]
) -> None:
    """50 MB out of some kilobytes, if they are allowed, come whole, and never more than a few
    pieces of them are in memory."""
    monkeypatch.setattr(content_coding, "FREE_OUTPUT", 2**26)
    total, peak = bomb_size(encoding, encode(bytes(50_000_000)))

    assert total == 50_000_000
    assert peak < MEMORY


@pytest.mark.parametrize(("encoding", "encode"), BOMBS)
def test_bomb_is_not_followed_to_its_end(encoding: str, encode: Callable[[bytes], bytes]) -> None:
    """What decodes to far more than it can honestly hold is refused."""
    coded = encode(bytes(400_000_000))
    total, peak = bomb_size(encoding, coded)

    assert total <= content_coding.FREE_OUTPUT + content_coding.MAX_RATIO * len(coded)
    assert total < 100_000_000
    assert peak < MEMORY


def test_bomb_in_a_chain_is_refused_in_the_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bomb whose output is another coding's nothing is refused as well."""
    monkeypatch.setattr(content_coding, "FREE_OUTPUT", 2**20)
    nothing = gzip.compress(b"")
    coded = quick_brotli(nothing * (2**22 // len(nothing)))
    with pytest.raises(WireError):
        decoded(content_decoder("gzip, br"), [coded])


def test_zstd_window_is_bounded() -> None:
    """A frame that asks for a window beyond that of the coding is refused."""
    parameters = zstandard.ZstdCompressionParameters(window_log=27)
    coder = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    with pytest.raises(WireError):
        decoded(content_decoder("zstd"), [coder.compress(TEXT) + coder.flush()])


@pytest.mark.parametrize(("encoding", "encode"), BOMBS)
def test_small_bomb_is_not_followed_far(encoding: str, encode: Callable[[bytes], bytes]) -> None:
    """Tens of kilobytes of tiny events cost no more than a few megabytes of them do."""
    coded = encode(b"data: {}\n\n" * 6_000_000)[: 16 * 2**10]
    total, _ = bomb_size(encoding, coded)

    assert total <= 8 * 2**20


@pytest.mark.usefixtures("brotli_before_1_2")
def test_old_brotli_is_fed_in_small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where brotli's output cannot be limited its input is, and the same bytes come out."""
    monkeypatch.setattr(content_coding, "FREE_OUTPUT", 2**26)
    total, peak = bomb_size("br", quick_brotli(bytes(50_000_000)))

    assert total == 50_000_000
    assert peak < MEMORY
    assert decoded(content_decoder("br"), [brotli.compress(TEXT), b"rest"]) == TEXT
