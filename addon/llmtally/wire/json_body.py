"""JSON bodies: a whole document, or an array whose elements come one by one. RFC 8259.

    [{"candidates": [...]}
    ,
    {"candidates": [...], "usageMetadata": {...}}]

is how Gemini streams without `alt=sse`. JSON may hold images and audio as base64 strings of many
megabytes, and embeddings as arrays of numbers. `read` and `load` empty these before they parse,
because nothing that is read here is that long. What is still too large, or too dense, to become a
tree of objects is skimmed: `json_skim`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from itertools import chain
from typing import Any, NamedTuple

import orjson

from ..record import Transport, WireError
from .json_skim import MAX_TEXT, Skimmer
from .messages import Rest

MAX_BODY = 64 * 2**20
"""Bytes of one document. Answers with ten generated images, as base64, are the largest: a few
megabytes each."""

MAX_ELEMENT = 32 * 2**20
"""Bytes of one element of a streamed array: as much as one event of an event stream."""

PRUNE_ABOVE = 64 * 2**10
"""Shorter texts are parsed as they are, which takes 1 to 2 ms and 3 MB whatever they hold."""

STRIDE = 2**10
"""Long values are found by looking for a stretch of this length, at multiples of it, that has no
quote. An array of numbers is always found if it is twice as long, and so is a string without quotes
inside: embeddings and base64 have none, and are longer."""

LONG_STRING = 32 * 2**10
"""Bytes from which a string is emptied. Shorter ones cost little, and may say who asked, and how
much text came."""

MAX_LENIENT = 2**20
"""Bytes up to which a text that is not strict JSON is still parsed, slowly. Messages of a stream
are far shorter."""

MAX_MARKS = 2**16
"""Brackets and strings of one element of a streamed array, each of which takes about a microsecond
to find. Elements are what other streams send as events, and have some dozens."""

MAX_DIGITS = 20
"""Digits of a whole number that is read as one: those of 64 bits."""

_BOM = b"\xef\xbb\xbf"
_BLANKS = b" \t\r\n"
_QUOTE = b'"'
_BACKSLASH = 0x5C
_OPENING, _CLOSING = b"[{", b"]}"
_BRACKET = re.compile(rb"[\[\]{}]")
_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in _OPENING + _CLOSING)


class TooLargeError(WireError):
    """A message is, or has something in it that matters, too large or too dense to be read."""


class Parsed(NamedTuple):
    """What was read of one JSON text."""

    value: Any
    missed: bool
    """Something that may matter was too large or too dense, and was passed over."""


def read(data: bytes) -> Parsed:
    """The value of one JSON text, whose long strings and arrays of numbers may be empty; of a text
    that is too large or too dense, the members that matter. Raises WireError."""
    if len(data) <= PRUNE_ABOVE:
        return Parsed(_parse(data.strip(_BLANKS).removeprefix(_BOM)), missed=False)
    skimmer = Skimmer(_parse)
    value = skimmer.read(prune(data, most=MAX_TEXT).strip(_BLANKS).removeprefix(_BOM))
    return Parsed(value, skimmer.missed)


def load(data: bytes) -> Any:
    """The same value; raises TooLargeError where something that matters was passed over."""
    value, missed = read(data)
    if missed:
        raise TooLargeError("JSON that is too large or too dense")
    return value


def _parse(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if len(text) > MAX_LENIENT:
            raise WireError(f"not JSON: {error}") from error
        return _load_leniently(text)


def _load_leniently(text: bytes) -> Any:
    """Parse what servers send though strict JSON forbids it: half a surrogate pair (an emoji cut
    between two deltas), NaN, raw control characters, broken UTF-8.

    The second pass leaves only values that can be written as UTF-8 again. A number that is not
    finite becomes its text, which is neither a count nor absent.
    """
    try:
        value = json.loads(
            text.decode("utf-8", "replace"),
            strict=False,
            parse_constant=str,
            parse_float=_finite,
            parse_int=_of_sane_length,
        )
        return orjson.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        raise WireError(f"not JSON: {error}") from error


def _finite(number: str) -> float | str:
    return value if math.isfinite(value := float(number)) else number


def _of_sane_length(number: str) -> int | str:
    return int(number) if len(number) <= MAX_DIGITS else number


def prune(text: bytes | bytearray, *, most: int | None = None) -> bytes:
    """The same JSON with long strings and long arrays of numbers emptied, if `text` is longer than
    `PRUNE_ABOVE`.

    Takes milliseconds for megabytes of base64 or of embeddings: no byte is looked at in Python.
    Parsing those would take half a second in which no other thread runs. Raises TooLargeError where
    more than `most` bytes are left.
    """
    if len(text) <= PRUNE_ABOVE:
        return bytes(text)
    kept = []
    copied = size = 0
    for begin, end in chain(_long_values(text), [(len(text), len(text))]):
        size += begin - copied
        if most is not None and size > most:
            raise TooLargeError("JSON that is too large")
        kept.append((copied, begin))
        copied = end
    return b"".join([text[begin:end] for begin, end in kept])


def _long_values(text: bytes | bytearray) -> Iterator[tuple[int, int]]:
    """Where the insides of long strings, and of long arrays without strings, begin and end.

    A stretch without quotes is inside a string if the number of quotes before it is odd.
    """
    known = quote = 0
    inside = False  # whether `known` is inside a string
    for stretch in range(0, len(text) - STRIDE, STRIDE):
        if stretch < quote or text.find(_QUOTE, stretch, stretch + STRIDE) >= 0:
            continue
        inside ^= _is_odd_number_of_quotes(text[known:stretch])
        begin = max(text.rfind(_QUOTE, known, stretch) + 1, known)
        if (quote := text.find(_QUOTE, stretch)) < 0:
            quote = len(text)
        known = quote
        if not inside:
            yield from _long_arrays(text, begin, quote)
        elif quote < len(text):
            known -= _backslashes_before(text, quote)  # they may escape it
            if known - begin >= LONG_STRING:
                yield begin, known


def _long_arrays(text: bytes | bytearray, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """The same for the innermost arrays between `begin` and `end`, where no string is. A long one
    ends at least a stride behind the end of the one before, so the search may skip that far."""
    at = begin
    while (closing := text.find(b"]", at + STRIDE, end)) >= 0:
        opening = text.rfind(b"[", at, closing) + 1
        if opening and closing - opening > STRIDE and text.find(b"]", opening, closing) < 0:
            yield opening, closing
        at = closing


def _is_odd_number_of_quotes(text: bytes | bytearray) -> bool:
    """Whether strings are opened or closed an odd number of times in `text`, which does not begin
    within an escape."""
    quotes = text.count(_QUOTE)
    if b"\\" in text:
        quotes -= text.replace(b"\\\\", b"").count(b'\\"')
    return quotes % 2 == 1


def _string_end(text: bytearray, at: int) -> int:
    """Index of the quote that closes the string in which `at` lies; -1 if it is not there yet."""
    while (
        (quote := text.find(_QUOTE, at)) > 0
        and text[quote - 1] == _BACKSLASH
        and _backslashes_before(text, quote) % 2
    ):
        at = quote + 1
    return quote


def _backslashes_before(text: bytes | bytearray, end: int) -> int:
    """Length of the run of backslashes that ends before `end`."""
    run = 0
    while run < end:
        window = text[max(end - run - 256, 0) : end - run]
        found = len(window) - len(window.rstrip(b"\\"))
        run += found
        if found < len(window):
            break
    return run


class JsonBody:
    """Gives one document when the body ends."""

    transport: Transport = "json"
    cut = skipped_events = skipped_content = 0

    def __init__(self) -> None:
        self.faults = 0
        self._body: bytes | bytearray = b""
        """A body that comes whole, as most do, is never copied: for tens of megabytes that holds
        all other work for long."""

    def feed(self, data: bytes) -> list[bytes]:
        """Keep the bytes; no message is returned before the body ends."""
        if self.faults:
            return []
        if not self._body:
            self._body = data
        else:
            self._body = self._body if isinstance(self._body, bytearray) else bytearray(self._body)
            self._body += data
        if len(self._body) > MAX_BODY:
            self.faults = 1
            self._body = b""
        return []

    def seek(self, *_: object) -> None:
        """Do nothing: the document is given whatever it holds."""

    def finish(self) -> Rest:
        """The document, whole or cut off; nothing for an empty body. Raises TooLargeError."""
        body, self._body = self._body, b""
        if isinstance(body, bytearray):  # a copy of all of it would take as much memory again
            body = prune(body, most=MAX_TEXT)
        return Rest(unfinished=body.strip(_BLANKS) or None)


class JsonArray:
    """Gives the elements of a top-level array, each as soon as it is whole. An object in place of
    the array counts as one element.

    Elements are objects or arrays; numbers and strings are passed over, and so is an element that
    never ends.
    """

    transport: Transport = "json_array"
    skipped_events = skipped_content = 0

    def __init__(self) -> None:
        self.faults = self.cut = 0
        self._dead = False
        """An element had more than `MAX_MARKS`: no more is read."""
        self._marks = 0
        """Brackets and strings of the open element."""
        self._buffer = bytearray()
        self._at = 0
        """Where in the buffer the scan continues."""
        self._start: int | None = None
        """Where in the buffer the open element begins; None between elements."""
        self._depth = 0
        self._floor = 0
        """The depth between elements: 1 within the top-level array."""
        self._in_string = False
        self._dropping = False

    def feed(self, data: bytes) -> list[bytes]:
        """The elements that `data` completes."""
        if self._dead:
            return []
        self._buffer += data
        elements = list(self._scan())
        if (
            self._start is not None
            and len(self._buffer) - self._start > MAX_ELEMENT
            and not self._dropping
        ):
            self.faults += 1
            self._dropping = True
        self._forget()
        return elements

    def seek(self, *_: object) -> None:
        """Do nothing: all elements are given."""

    def finish(self) -> Rest:
        """Nothing is left: an element that lacks its end cannot be parsed."""
        self._buffer.clear()
        self._at = 0
        self._start = None
        return Rest()

    def _scan(self) -> Iterator[bytes]:
        buffer = self._buffer
        while self._at < len(buffer):
            if self._in_string:
                self._marks += 1
                quote = _string_end(buffer, self._at)
            else:
                quote = buffer.find(_QUOTE, self._at)
                yield from self._read_brackets(self._at, quote if quote >= 0 else len(buffer))
            if self._marks > MAX_MARKS:
                self.faults += 1
                self._dead = True
                self._start = None
                return
            if quote < 0:
                self._at = len(buffer)
                return
            self._in_string = not self._in_string
            self._at = quote + 1

    def _read_brackets(self, begin: int, end: int) -> Iterator[bytes]:
        """The elements that end between `begin` and `end`, where no string is."""
        stretch = self._buffer[begin:end]
        brackets = stretch.translate(None, _NOT_BRACKETS)
        closing = brackets.count(b"]") + brackets.count(b"}")
        if closing < self._depth - self._floor:  # no element can end here: spare the walk
            self._depth += len(brackets) - 2 * closing
            return
        if not brackets:
            return
        for found in _BRACKET.finditer(stretch):
            at, byte = begin + found.start(), found[0][0]
            self._marks += 1
            if byte in _OPENING:
                self._open(at, byte)
            elif (element := self._close(at)) is not None:
                yield element
            if self._marks > MAX_MARKS:
                return

    def _open(self, at: int, byte: int) -> None:
        if self._depth == 0 and byte == _OPENING[0]:
            self._floor = 1
        elif self._depth == self._floor:
            self._start = at
            self._marks = 0
            self.cut += 1
        self._depth += 1

    def _close(self, at: int) -> bytes | None:
        self._depth = max(self._depth - 1, 0)
        if self._depth < self._floor:
            self._floor = 0
        if self._start is None or self._depth != self._floor:
            return None
        start, self._start = self._start, None
        if self._dropping:
            self._dropping = False
            return None
        if at + 1 - start > MAX_ELEMENT:
            self.faults += 1
            return None
        return bytes(self._buffer[start : at + 1])

    def _forget(self) -> None:
        """Keep the open element; of anything else that was scanned, no more than a backslash that
        escapes the next byte."""
        if self._start is None or self._dropping:
            escaping = self._in_string and _backslashes_before(self._buffer, len(self._buffer)) % 2
            self._buffer[:] = b"\\" if escaping else b""
            self._at = len(self._buffer)
            if self._dropping:
                self._start = 0
        elif self._start:
            del self._buffer[: self._start]
            self._at -= self._start
            self._start = 0
