"""Content codings (RFC 9110, section 8.4.1) are undone here as the bytes come: gzip, deflate, br,
zstd and chains of them.

Servers flush the coder after each event of a stream, so each piece decodes to whole events at once.
Output is handed on in pieces: a few hundred bytes can decode to gigabytes (a "bomb"), which are
neither held in memory nor followed to their end.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Protocol

import brotli  # type: ignore[import-untyped]  # ships no types
import zstandard

from ..record import WireError

MAX_PIECE = 64 * 2**10
"""Bytes of decoded output handed on at once: a body can be given up after each."""

MAX_CODINGS = 4
"""Codings in one chain. One is usual; each needs memory for its window."""

FREE_OUTPUT = 4 * 2**20
MAX_RATIO = 200
"""A body may decode to `FREE_OUTPUT` bytes and beyond that to `MAX_RATIO` times its own size. Event
streams reach about 130, gzip 1,030 and brotli a million: without a limit a few kilobytes of a bomb
hold up the proxy for minutes."""

ZSTD_WINDOW = 8 * 2**20
"""RFC 9659: the largest window of the zstd content coding."""

ZLIB_SLICE = 16 * 2**10
"""Compressed bytes handed to zlib at once: each time its output is cut, it copies all the input it
has not used."""

ZSTD_SLICE = 128
"""Compressed bytes handed to zstd at once. It has no limit of output, but 4 bytes make at most one
block of 128 KiB: 4 MiB."""

BROTLI_SLICE = 16
"""The same for brotli before 1.2: output then stays below 48 MiB, measured with the strongest bomb
its coder makes."""


def content_decoder(encoding: str) -> ContentDecoder:
    """The decoder for a `Content-Encoding` value. Raises WireError for codings that are unknown or
    too many."""
    names = [
        name
        for part in encoding.lower().split(",")
        if (name := part.strip()) not in ("", "identity")
    ]
    if len(names) > MAX_CODINGS:
        raise WireError(f"{len(names)} content codings")
    unknown = [name for name in names if name not in _CODINGS]
    if unknown:
        raise WireError(f"unknown content coding {unknown[0][:32]!r}")
    return ContentDecoder([_CODINGS[name]() for name in reversed(names)])


def decode_whole(encoding: str, body: bytes, *, cap: int) -> bytes:
    """A whole body out of its codings. Raises WireError for what `content_decoder` and `decode` do,
    and beyond `cap` bytes."""
    decoded = []
    size = 0
    for piece in content_decoder(encoding).decode(body):
        size += len(piece)
        if size > cap:
            raise WireError(f"body of more than {cap} bytes")
        decoded.append(piece)
    return b"".join(decoded)


class _Coding(Protocol):
    def decode(self, data: bytes) -> Iterator[bytes]: ...


class ContentDecoder:
    """Undoes one coding or a chain, limits the output, and turns the libraries' errors into
    WireError.

    Every coding hands out all it has with each call, so nothing is left at the end of a body. A
    body that was cut off is not damaged: what came of it stands.
    """

    def __init__(self, codings: list[_Coding]) -> None:
        self._codings = codings
        self._allowance = FREE_OUTPUT
        self._dead = False

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Decoded pieces, none longer than `MAX_PIECE` unless nothing was coded; to be consumed
        whole before the next call.

        Raises WireError once where the data is damaged, and yields nothing from then on.
        """
        if not self._codings:
            yield data
            return
        if self._dead:
            return
        self._dead = True  # unless it ends well
        self._allowance += MAX_RATIO * len(data)
        pieces: Iterator[bytes] = iter((data,))
        for coding in self._codings:
            pieces = self._limit(chain.from_iterable(map(coding.decode, pieces)))
        try:
            yield from pieces
        except (zlib.error, brotli.error, zstandard.ZstdError) as error:
            raise WireError(f"damaged content coding: {error}") from error
        self._dead = False

    def _limit(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self._allowance -= len(piece)
            if self._allowance < 0:
                raise WireError("content coding decodes to more than any real body")
            yield from _slices(piece, MAX_PIECE)


def _slices(data: bytes, size: int) -> Iterator[bytes]:
    if len(data) <= size:
        return iter((data,) if data else ())
    return (data[start : start + size] for start in range(0, len(data), size))


class _Gzip:
    """One or more gzip members (RFC 1952, section 2.2). What follows the last, mostly padding, is
    ignored."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(zlib.MAX_WBITS | 16)

    def decode(self, data: bytes) -> Iterator[bytes]:
        for piece in _slices(data, ZLIB_SLICE):
            yield from self._decode(piece)

    def _decode(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._member.eof:
                if not data.startswith(b"\x1f"):
                    return
                self._member = zlib.decompressobj(zlib.MAX_WBITS | 16)
            yield from _inflate(self._member, data)
            data = self._member.unused_data


class _Deflate:
    """The zlib format (RFC 1950), or the bare deflate stream (RFC 1951) that some servers send
    under the same name."""

    def __init__(self) -> None:
        self._stream: zlib._Decompress | None = None

    def decode(self, data: bytes) -> Iterator[bytes]:
        if self._stream is None and data:
            # The low half of zlib's first byte is 8. A bare stream would begin so only with bits
            # set in its padding.
            self._stream = zlib.decompressobj(
                zlib.MAX_WBITS if data[0] & 0x0F == 8 else -zlib.MAX_WBITS
            )
        if self._stream is not None:
            for piece in _slices(data, ZLIB_SLICE):
                yield from _inflate(self._stream, piece)


def _inflate(stream: zlib._Decompress, data: bytes) -> Iterator[bytes]:
    while not stream.eof:
        output = stream.decompress(data, MAX_PIECE)
        yield output
        data = stream.unconsumed_tail
        if not data and len(output) < MAX_PIECE:
            return


class _Brotli:
    """RFC 7932. One call does not give all that its input holds, so the library is called again
    until nothing comes."""

    def __init__(self) -> None:
        self._stream = brotli.Decompressor()
        self._limited = hasattr(self._stream, "can_accept_more_data")

    def decode(self, data: bytes) -> Iterator[bytes]:
        for piece in _slices(data, len(data) if self._limited else BROTLI_SLICE):
            output = self._process(piece)
            while output:
                yield output
                output = self._process(b"")

    def _process(self, data: bytes) -> bytes:
        if self._stream.is_finished():
            return b""
        output: bytes = (
            self._stream.process(data, output_buffer_limit=MAX_PIECE)
            if self._limited
            else self._stream.process(data)
        )
        return output


class _Zstd:
    """RFC 8878, with the window of RFC 9659; frames follow each other."""

    def __init__(self) -> None:
        self._context = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW)
        self._frame = self._context.decompressobj()

    def decode(self, data: bytes) -> Iterator[bytes]:
        for piece in _slices(data, ZSTD_SLICE):
            rest = piece
            while rest:
                if self._frame.eof:
                    self._frame = self._context.decompressobj()
                yield self._frame.decompress(rest)
                rest = self._frame.unused_data


_CODINGS: dict[str, Callable[[], _Coding]] = {
    "gzip": _Gzip,
    "x-gzip": _Gzip,
    "deflate": _Deflate,
    "br": _Brotli,
    "zstd": _Zstd,
}
