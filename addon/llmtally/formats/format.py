"""Defines what a wire format is, and the few helpers that all formats share.

A format is one module with one or more `Format` values. Its heart is a pure fold `read(message,
reading) -> Reading`, the same for every message of a stream and for a whole body. Rules: the last
word wins (counts are cumulative, never add); absent is None, not 0; unknown keys are ignored;
whatever JSON comes in, nothing but `WireError` is raised.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from ..record import COUNT_CAP, ERROR_MESSAGE_CAP, TEXT_CAP, ApiError, Reading
from ..redact import REDACTED, redact

ERROR_TYPE_CAP = 64
"""Characters of an error's type: a word, the longest known has 45."""

SERVER_TOOLS_CAP = 32
"""Server tools kept of one response; providers know about ten."""

PARTS_CAP = 16
"""Models and kinds kept apart within one call: real calls have up to four; further ones are added
to the last."""

REASON_CAP = 64
"""Characters of the word for why a cache was missed: the longest known has 26."""

COUNT_DIGITS = len(str(COUNT_CAP))
"""Digits of the largest count: longer strings are not converted."""

MAX_ENTRIES = 256
"""Entries read of a list within a usage object: iterations, models, modalities. The sum of that
many counts still fits 64 bits."""

COUNT_NAMES = (
    "_tokens",
    "Tokens",
    "tokenCount",
    "TokenCount",
    "token_count",
    "eval_count",
    "cached_count",
)
_HOLDER_NAMES = ("_details", "Details", "cache_creation", "iterations", "_by_modality")
"""How the names of counts, and of objects and lists that hold counts, end in every format."""

_SERVER_TOOL = re.compile(r"[a-z0-9_]{1,64}")
_NOT_IN_A_TYPE = re.compile(r"[^\w .,:/#-]+")


@dataclass(frozen=True, slots=True)
class RequestReading:
    """What one request asked for, as its body says."""

    model: str | None = None
    service_tier: str | None = None
    warmup: bool = False
    """A `generate: false` on a Responses WebSocket: nothing is generated, nothing is billed."""


@dataclass(frozen=True, slots=True)
class Turn:
    """The place of one message on a connection or in a body with many responses."""

    lane: str
    """Responses that interleave have different lanes; one lane holds one response at a time."""
    phase: Literal["request", "read", "end", "close"]
    """`request`: a client asks for a response. `read`: fold it. `end`: fold it, then the response
    is settled. `close`: the same if a response is open in the lane; otherwise it is ignored (an
    error, an end said twice)."""


def no_content(message: Any) -> int:
    """The `content` of formats whose answers do not come in pieces."""
    return 0


def read_json_request(body: Mapping[str, Any]) -> RequestReading:
    """Read the request fields that nearly every API names alike."""
    return RequestReading(
        model=text(body.get("model")), service_tier=text(body.get("service_tier"))
    )


@dataclass(frozen=True, slots=True)
class Format:
    """How one wire format is read: a row of `FORMATS`."""

    name: str
    """The record's `api`, and the name users give it in `usage_hosts`."""
    read: Callable[[Any, Reading], Reading]
    """Folds one parsed message into the reading."""
    needles: tuple[bytes, ...] = ()
    """A message of a stream that holds none of these byte strings cannot change the reading, and is
    not parsed once content has been seen. Empty: every message is parsed. Choose needles that
    cannot stand inside a JSON string value (a quote in the needle is escaped there) and few of
    them: each costs a scan of the stream."""
    endings: tuple[bytes, ...] = ()
    """Those of the needles that matter only among the last messages of a stream (why it stopped,
    what went wrong) and are searched for only there."""
    content: Callable[[Any], int] = no_content
    """Length in UTF-8 bytes of the generated text (thinking and tool arguments too) that one stream
    message delivers; 0: none."""
    read_request: Callable[[Mapping[str, Any]], RequestReading] = read_json_request
    """Reads the request's JSON body, or the client's frame on a socket."""
    read_headers: Callable[[Mapping[str, str], Reading], Reading] | None = None
    """Folds response headers (names in lower case); called before any message."""
    turn: Callable[[Any, bool], Turn | None] | None = None
    """For connections and bodies with many responses: `(message, from_client)` to the message's
    place; None: it is ignored."""
    read_session: Callable[[Any], Mapping[str, RequestReading]] | None = None
    """Reads what a message of a socket, from either side, says about all later responses, by
    lane."""
    multiple: bool = False
    """An HTTP body of this format holds many responses (a batch's results), told apart by
    `turn`."""
    unwrap: Callable[[Any], Any] | None = None
    """Takes a message out of its envelope before `read`, `content` and `turn` see it."""
    self_terminating: bool = False
    """Streams of this format say when they are finished, so a stream that ends without that was cut
    off by the server."""
    counts_tokens: bool = True
    """False for APIs that report no tokens (speech): there, no usage is not a fault."""


def text(value: Any, cap: int = TEXT_CAP) -> str | None:
    """A non-empty string, cut at `cap` characters; anything else is None."""
    return value[:cap] if isinstance(value, str) and value else None


def count(value: Any) -> int | None:
    """A token count: a non-negative whole number. Floats occur (Cohere declares them), and digits
    in strings (headers, and what protobuf makes of 64 bits in JSON). Anything else is None."""
    if type(value) is int:  # as nearly all are
        return value if 0 <= value <= COUNT_CAP else None
    if value is None:
        return None
    if isinstance(value, str):
        value = (
            int(value)
            if value.isascii() and value.isdigit() and len(value) <= COUNT_DIGITS
            else None
        )
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not 0 <= value <= COUNT_CAP or value % 1:  # the first is also False for NaN
        return None
    return int(value)


def miscounted(usage: Any, depth: int = 3) -> bool:
    """Whether anything in a usage object, its details or its entries is not what its name says:
    counts, or holders of counts.

    What could be read of such an object stands, but what is derived from it (input without its
    cache, a sum) may be wrong.
    """
    if not isinstance(usage, dict):
        return bool(usage)  # some servers say "nothing" with an empty list or string
    for name, value in usage.items():
        if value is None or (type(value) is int and 0 <= value <= COUNT_CAP):
            continue
        held = name.endswith(_HOLDER_NAMES)
        if isinstance(value, dict | list) and depth:
            entries = value[:MAX_ENTRIES] if isinstance(value, list) else [value]
            if any(
                miscounted(entry, depth - 1) if isinstance(entry, dict) else held
                for entry in entries
            ):
                return True
        elif held:
            return True
        if name.endswith(COUNT_NAMES) and count(value) is None:
            return True
    return False


def number(value: Any) -> float | None:
    """A finite, non-negative amount, also as a decimal string; anything else is None."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    elif value is None or isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= COUNT_CAP else None  # also None for NaN


def mapping(value: Any) -> Mapping[str, Any]:
    """The value if it is a JSON object, else an empty one: an explicit null means the same as
    absent."""
    return value if isinstance(value, dict) else {}


def items(value: Any) -> list[Any]:
    """The value if it is a JSON array, else an empty one."""
    return value if isinstance(value, list) else []


def utf8_len(value: Any) -> int:
    """Length of a string in UTF-8 bytes; 0 for anything else. Lone surrogates count as three."""
    return len(value.encode("utf-8", "surrogatepass")) if isinstance(value, str) else 0


def api_error(value: Any) -> ApiError | None:
    """An error object in any provider's shape: `{type|code|status, message}`, or a bare string."""
    if isinstance(value, str) and value:
        return described_error("error", value)
    if not isinstance(value, dict) or not value:
        return None
    kind = next((found for key in ("type", "code", "status") if (found := value.get(key))), None)
    return described_error(kind, value.get("message"))


def cache_missed(reading: Reading, reason: Any, tokens: Any) -> Reading:
    """The reading with the reason why the cache was missed, and the provider's estimate of how many
    tokens were; what is None or of another type was not said."""
    return reading._replace(
        cache_miss_reason=text(reason, REASON_CAP), cache_missed_tokens=count(tokens)
    )


def described_error(kind: Any, message: Any = None) -> ApiError:
    """An error fit for a record: its type a word or number, its message without credentials and
    without the prompt."""
    if not isinstance(kind, str | int) or isinstance(kind, bool):
        kind = "error"
    name = redact(str(kind))
    if not name or REDACTED in name:
        name = "error"
    said = redact(message)[:ERROR_MESSAGE_CAP] if isinstance(message, str) else ""
    return ApiError(_NOT_IN_A_TYPE.sub("_", name)[:ERROR_TYPE_CAP].strip(), said)


def server_tools(called: Iterable[tuple[str, int | None]]) -> dict[str, int] | None:
    """Calls by tool, for providers that choose the tools' names; tools that were not called are
    left out."""
    named = ((name, n) for name, n in called if n and _SERVER_TOOL.fullmatch(name))
    return dict(islice(named, SERVER_TOOLS_CAP)) or None
