"""What is gathered about a call until it is settled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from ..formats.format import RequestReading
from ..providers import Method
from ..record import LimitReading, Reading, Transport

Ending = Literal["complete", "client_aborted", "upstream_aborted"]


NO_QUERY: Mapping[str, str] = MappingProxyType({})


class RequestHead(NamedTuple):
    """What is known of a request before its body."""

    id: str
    """The flow's id."""
    method: Method
    host: str
    path: str
    """Without the query."""
    headers: Mapping[str, str]
    """Names in lower case."""
    timestamp: float
    """Epoch seconds when the request began."""
    query: Mapping[str, str] = NO_QUERY
    peer: str | None = None
    """The client connection."""


NOTHING_READ = Reading()


@dataclass(slots=True)
class Response:
    """What is known of an HTTP response beside its messages; on a socket, of the upgrade."""

    transport: Transport
    status: int | None = None
    """None until the head came."""
    base: Reading = NOTHING_READ
    """What the head says."""
    limits: tuple[LimitReading, ...] = ()
    """Limits that no call has been given yet: those of the head, and those between two responses on
    a socket."""
    size: int = 0
    """Bytes of the body on the wire."""
    faults: int = 0
    """Messages that could not be read."""
    failed: bool = False
    """Reading it has gone wrong by a bug of ours: nothing of it is believed."""


@dataclass(slots=True)
class Lane:
    """One response in the making."""

    request: RequestReading
    body: Mapping[str, Any] | None
    """The parsed request; held until the response is settled, for attribution."""
    timestamp: float
    started: float
    reading: Reading = NOTHING_READ
    first_content: float | None = None
    delivered: int = 0
    """Bytes of generated text."""
    envelope: int = 0
    """Bytes that the first content message had around its text; stands for those of the messages
    skipped unparsed."""
    request_bytes: int | None = None
    response_bytes: int = 0
    limits: list[LimitReading] = field(default_factory=list)
