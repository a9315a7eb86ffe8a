"""What is gathered about a call until it is settled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from ..formats.format import RequestReading
from ..providers import Method
from ..record import LimitReading, Reading, Transport

MAX_LIMITS = 64
"""Limit readings kept for one call, from its headers, events and error together; a dozen is
many."""

Ending = Literal["complete", "client_aborted", "upstream_aborted"]
"""How a flow ended: in good order, or broken off by one of its sides."""

NO_QUERY: Mapping[str, str] = MappingProxyType({})


class RequestHead(NamedTuple):
    """What is known of a request before its body."""

    id: str
    """mitmproxy's id of the flow."""
    method: Method
    host: str
    path: str
    """The request's path, without its query."""
    headers: Mapping[str, str]
    """Header names are in lower case."""
    timestamp: float
    """Epoch seconds when the request began."""
    query: Mapping[str, str] = NO_QUERY
    peer: str | None = None
    """Id of the client's connection."""


NOTHING_READ = Reading()


@dataclass(slots=True)
class Response:
    """What is known of the HTTP response beside its messages. Of a socket it is the upgrade."""

    transport: Transport
    """The framing of the body; until the head came, a guess."""
    status: int | None = None
    """HTTP status; None until the head came."""
    base: Reading = NOTHING_READ
    """What the response's headers say."""
    limits: tuple[LimitReading, ...] = ()
    """Limits that no call has been given yet: those of the head, and those that came on a socket
    since the last call."""
    size: int = 0
    """Bytes of the body on the wire."""
    faults: int = 0
    """Messages that could not be read."""
    gap: bool = False
    """Something that may matter was too large or too dense to be read, and was passed over; of a
    socket, the lanes say it."""
    failed: bool = False
    """A bug in llmtally ended the reading, so nothing that was read is used."""


@dataclass(slots=True)
class Lane:
    """One response of an LLM that is still coming in."""

    request: RequestReading
    body: Mapping[str, Any] | None
    """The fields of the request; kept until the response is settled, for attribution."""
    timestamp: float
    """Epoch seconds when the request began."""
    started: float
    """Epoch seconds when the request had been sent."""
    reading: Reading = NOTHING_READ
    """What the messages have said so far."""
    first_content: float | None = None
    """Epoch seconds when the first content came."""
    delivered: int = 0
    """Bytes of generated text received so far."""
    envelope: int = 0
    """Bytes of the first message with content, without that content. A message that is skipped
    unparsed is assumed to have as many."""
    gap: bool = False
    """A message of it, or of another on the same socket, was too large or too dense to be read:
    its counts may not be the last."""
    echo_unknown: bool = False
    """Parts of the request were too large or too dense to be read, so it is unknown whether an
    error's message repeats them."""
    request_bytes: int | None = None
    """Size of the request's body, or of the client's frame."""
    response_bytes: int = 0
    """Size of the messages of a response that shares its connection or body; 0 for one that has the
    body for itself."""
    limits: list[LimitReading] = field(default_factory=list)
    """Limits that its messages reported."""
