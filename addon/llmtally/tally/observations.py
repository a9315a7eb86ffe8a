"""What a proxy sees of the traffic to LLMs: the one interface between `mitm/` and the tally.

Each flow has a key, a number that its proxy gives to no other. A tally that is given observations
in their order needs nothing else, wherever they were made: in the same process or in another.
"""

from __future__ import annotations

import functools
from typing import TypeAlias

import msgspec

from .. import formats, providers
from ..exchange.values import Ending
from ..providers import Method, Provider, Route


class Head(msgspec.Struct, array_like=True, gc=False):
    """The head of a request, and where it came from."""

    id: str
    """mitmproxy's id of the flow."""
    method: Method
    host: str
    path: str
    """The request's path, without its query."""
    headers: dict[str, str]
    """Header names are in lower case."""
    timestamp: float
    """Epoch seconds when the request began."""
    query: dict[str, str]
    connection: str
    """Id of the client's connection."""
    peer: tuple[str, int] | None
    """The client's address."""


class FoundRoute(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """A route, by the names of its rows: the proxy that found it may know rows that a user has
    added."""

    provider: str
    format: str
    model: str | None
    streams_json: bool
    confirmed: bool


class Observation(msgspec.Struct, array_like=True, gc=False, tag=True):
    """Something that a proxy has seen."""


class Opened(Observation, tag=1):
    """A request to an LLM has begun."""

    key: int
    head: Head
    route: FoundRoute
    run: tuple[str, str] | None
    """Name and directory of the `llmtally run` that the client belongs to."""
    again: bool = False
    """Whether it may have been observed before, by a tally that has died."""


class Requested(Observation, tag=2):
    """The request has gone out."""

    key: int
    body: bytes | None
    """None: it was not kept."""
    size: int | None
    at: float
    """Epoch seconds."""


class Answered(Observation, tag=3):
    """The head of the response has come."""

    key: int
    status: int
    headers: dict[str, str]
    """Header names are in lower case."""
    at: float
    """Epoch seconds."""


class Pieces(Observation, tag=4):
    """Bytes of a streamed response body have come, as they are on the wire."""

    key: int
    data: bytes
    arrivals: list[tuple[int, float]]
    """Where the first pieces of `data` end, and when they came; as long as that matters."""
    at: float
    """Epoch seconds when the rest was there."""


class Frame(Observation, tag=5):
    """A WebSocket message has come."""

    key: int
    data: bytes
    from_client: bool
    at: float
    """Epoch seconds."""


class Ended(Observation, tag=6):
    """The flow is over."""

    key: int
    ending: Ending
    at: float
    """Epoch seconds."""
    error: str | None = None
    """What broke the connection to the provider."""
    body: bytes | None = None
    """The response's body, if it was not sent in pieces."""
    trailers: dict[str, str] | None = None
    """Trailers after the body; names in lower case."""


class Dropped(Observation, tag=7):
    """The flow is no call after all: no provider was asked, or reading it is given up."""

    key: int


class QuotaAnswer(Observation, tag=8):
    """A quota endpoint has answered a request with these headers (names in lower case)."""

    host: str
    path: str
    headers: dict[str, str]
    coding: str
    """The content coding of the answer."""
    body: bytes


class Counted(Observation, tag=9):
    """A response that makes no call: `bypassed`, or `unparsed` by a bug."""

    bucket: str
    host: str | None = None
    """The host of a connection that was `bypassed`."""


class Overloaded(Observation, tag=10):
    """What the flow holds was dropped, because the tally did not keep up."""

    key: int


class Listening(Observation, tag=11):
    """The proxy listens."""

    address: tuple[str, int] | None
    """The address for clients that use a proxy."""
    ca: str
    """Path of the certificate that clients have to trust."""


class PageApproached(Observation, tag=12):
    """The proxy has connected these addresses, and the page may be at the second one."""

    local: tuple[str, int]
    remote: tuple[str, int]


class Reset(Observation, tag=13):
    """A person wants the sums to begin at zero."""


AnyObservation: TypeAlias = (
    Opened
    | Requested
    | Answered
    | Pieces
    | Frame
    | Ended
    | Dropped
    | QuotaAnswer
    | Counted
    | Overloaded
    | Listening
    | PageApproached
    | Reset
)


def found(route: Route) -> FoundRoute:
    """The route by its names."""
    return FoundRoute(
        route.provider.name, route.format.name, route.model, route.streams_json, route.confirmed
    )


@functools.lru_cache(maxsize=1024)
def route_of(route: FoundRoute) -> Route:
    """The route that these names stand for. A provider without a row is a host that the user has
    added, which has no name but its own. Raises KeyError for an unknown format."""
    provider = providers.BY_NAME.get(route.provider) or Provider(route.provider, (), ())
    fmt = formats.BY_NAME[route.format]
    return Route(provider, fmt, route.model, route.streams_json, route.confirmed)
