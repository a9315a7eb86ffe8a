r"""Answers each request. Does no I/O; the clock is passed in.

| path | answer |
|---|---|
| `/`, and each file of `static/` | the page |
| `/api/usage?account=` | `Tracker.usage`, `version`, `proxy{host, port, ca}` and
  `journal{healthy, errors, lost, waiting, followed}` |
| `/api/calls?limit=&before=` and `FILTERS` | `{calls: [records, newest first]}` |
| `/api/calls/{request_id}` | `{call: record, cost: the fields of record.Cost, by today's prices}` |
| `/api/sessions?limit=&rank=cost\|updated_at&account=` | `{sessions: [rows]}` |
| `/api/sessions/{id}?account=` | `Tracker.session`; ids are percent-encoded |
| `/api/series?minutes=&account=` | `Tracker.series` |
| `/api/events` | an event stream; see `events` |
| `/metrics` | Prometheus text |
| `/login?token=` | the cookie, and a redirect to the page; a form posts here too |
| `/healthz` | `ok` |

All but the last two need the token or the cookie, whether the path exists or not. An error is
`{error: text}`.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, TypeVar
from urllib.parse import parse_qsl, unquote

import orjson

from ..record import Call, Cost
from ..schema import to_record
from ..system.parts import Parts
from ..tracker import Tracker
from ..tracker.totals import UNKNOWN
from . import login
from .access import Access
from .assets import Asset
from .metrics import MEDIA_TYPE, Runtime, render
from .snapshots import Snapshots

MAX_PARAMETERS = 32
"""Parameters of a query or a form: more than there are filters."""

CALLS_DEFAULT = 100
CALLS_MAX = 1_000
SESSIONS_DEFAULT = 50
SERIES_DEFAULT = 60
SERIES_MAX = 8 * 1440
"""Minutes: all that the tracker keeps."""

FILTERS = (
    "model",
    "client",
    "session",
    "outcome",
    "provider",
    "coverage",
    "billing",
    "agent",
    "request_class",
    "project",
    "account",
)
"""Query parameters of `/api/calls` that filter records by a field; `account=unknown` selects those
without a credential, as everywhere."""

RANKS: Mapping[str, Literal["cost", "updated_at"]] = {"cost": "cost", "updated_at": "updated_at"}

COMPRESS_BYTES = 4_096
"""JSON from this size on is compressed: a page of records becomes a tenth, in a millisecond."""

SECURITY_HEADERS = (
    (
        "Content-Security-Policy",
        "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
)
"""Sent with every answer that does not set the same header itself."""

Headers = tuple[tuple[str, str], ...]

JSON: Headers = (("Content-Type", "application/json"),)
TEXT: Headers = (("Content-Type", "text/plain; charset=utf-8"),)


@dataclass(frozen=True, slots=True)
class Request:
    """A request whose body has been read."""

    method: str
    target: str
    """Path and query as on the wire."""
    headers: Mapping[str, str]
    """Header names are in lower case."""
    body: bytes = b""

    @property
    def path(self) -> str:
        """The path, not decoded: each has one spelling here, and any other is unknown."""
        return self.target.partition("?")[0]

    @property
    def last_segment(self) -> str:
        """The text after the last slash, decoded."""
        return unquote(self.path.rpartition("/")[2])

    @property
    def query(self) -> dict[str, str]:
        """The last value of each parameter. Raises BadRequestError."""
        return parameters(self.target.partition("?")[2])

    @property
    def accepts_gzip(self) -> bool:
        """Whether the client accepts a compressed answer."""
        return "gzip" in self.headers.get("accept-encoding", "")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server sends back."""

    status: int = 200
    headers: Headers = ()
    body: bytes = b""
    is_stream: bool = False
    """Whether this is the head of an event stream, which stays open."""


class BadRequestError(ValueError):
    """A parameter is malformed or out of range; the message is for the client."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The function that answers a path, and who may call it how."""

    answer: Callable[[Request], Answer]
    methods: tuple[str, ...] = ("GET",)
    is_public: bool = False
    """Whether it answers without a login."""


class App:
    """Answers requests about one tracker."""

    def __init__(
        self,
        tracker: Tracker,
        access: Access,
        assets: Mapping[str, Asset],
        *,
        clock: Callable[[], float],
        runtime: Callable[[], Runtime],
        explain: Callable[[Call], Cost],
    ) -> None:
        self._tracker = tracker
        self._access = access
        self._clock = clock
        self._runtime = runtime
        self._explain = explain
        self.snapshots = Snapshots(self._usage_json, clock)
        self.endpoints: dict[str, Endpoint] = {
            **{path: Endpoint(partial(_file, asset)) for path, asset in assets.items()},
            "/api/usage": Endpoint(self._usage),
            "/api/calls": Endpoint(self._calls),
            "/api/sessions": Endpoint(self._sessions),
            "/api/series": Endpoint(self._series),
            "/api/events": Endpoint(_events),
            "/metrics": Endpoint(self._metrics),
            "/login": Endpoint(self._login, methods=("GET", "POST"), is_public=True),
            "/healthz": Endpoint(_health, is_public=True),
        }
        self.families: dict[str, Endpoint] = {
            "/api/calls/": Endpoint(self._call),
            "/api/sessions/": Endpoint(self._session),
        }
        """Endpoints for paths that differ in what follows the last slash."""

    def answer(self, request: Request) -> Answer:
        """Answer a request, whatever it is."""
        answer = self._admit(request) or self._dispatch(request)
        own = {name for name, _ in answer.headers}
        return replace(
            answer,
            headers=(*answer.headers, *(pair for pair in SECURITY_HEADERS if pair[0] not in own)),
        )

    def _admit(self, request: Request) -> Answer | None:
        """Return a refusal, or None if the request may be answered."""
        access, headers = self._access, request.headers
        if not access.is_ours(headers.get("host", "")):
            return error(
                403, "unexpected Host header: open the address that was printed at the start"
            )
        if not access.is_same_origin(headers) and not self._is_navigation(request):
            return error(403, "cross-origin requests are refused")
        endpoint = self._endpoint(request.path)
        if (endpoint is None or not endpoint.is_public) and not access.is_logged_in(headers):
            return _unauthorized(login.ASK if request.path == "/" else None)
        return None

    def _is_navigation(self, request: Request) -> bool:
        return (
            request.method == "GET"
            and request.path in ("/", "/login")
            and self._access.is_navigation(request.headers)
        )

    def _endpoint(self, path: str) -> Endpoint | None:
        return self.endpoints.get(path) or self.families.get(path[: path.rfind("/") + 1])

    def _dispatch(self, request: Request) -> Answer:
        endpoint = self._endpoint(request.path)
        if endpoint is None:
            return error(404, "no such path")
        if request.method not in endpoint.methods:
            return replace(
                error(405, "this method is not allowed: the server is read-only"),
                headers=(*JSON, ("Allow", ", ".join(endpoint.methods))),
            )
        try:
            return endpoint.answer(request)
        except BadRequestError as problem:
            return error(400, str(problem))

    # The page

    def _login(self, request: Request) -> Answer:
        given = (
            request.query if request.method == "GET" else parameters(request.body.decode("latin-1"))
        )
        if "token" not in given:
            return _unauthorized(login.ASK)
        if not self._access.is_token(given["token"]):
            return _unauthorized(login.REFUSE)
        return Answer(303, (("Location", "/"), ("Set-Cookie", self._access.set_cookie)))

    # The JSON

    def _usage_json(self, now: float, account: str | None) -> bytes:
        usage, runtime = self._tracker.usage(now, account), self._runtime()
        if not runtime.journal_healthy or runtime.journal_lost:
            usage["problems"].append(
                {"kind": "journal", "subject": None, "count": runtime.journal_lost, "pct": None}
            )
        journal = {
            "healthy": runtime.journal_healthy,
            "errors": runtime.journal_errors,
            "lost": runtime.journal_lost,
            "waiting": runtime.journal_waiting,
            "followed": runtime.journal_followed,
        }
        proxy = None
        if runtime.reached_at is not None:
            proxy = {"host": runtime.reached_at[0], "port": runtime.reached_at[1], "ca": runtime.ca}
        answer = {**usage, "version": runtime.version, "journal": journal, "proxy": proxy}
        parts = Parts()
        if body := parts.make("the page", lambda: to_json(answer), b""):
            return body
        return to_json(
            {
                name: value
                for name, value in answer.items()
                if parts.make(f"{name} of the page", partial(to_json, value), b"")
            }
        )

    def _usage(self, request: Request) -> Answer:
        return _json(request, self.snapshots.get(request.query.get("account")).body)

    def _calls(self, request: Request) -> Answer:
        query = request.query
        filters: dict[str, Any] = {name: query[name] for name in FILTERS if name in query}
        if filters.get("account") == UNKNOWN:
            filters["account"] = None
        calls = self._tracker.calls(
            _number(query, "limit", CALLS_DEFAULT, CALLS_MAX), query.get("before"), filters
        )
        return _json(request, to_json({"calls": [to_record(call) for call in calls]}))

    def _call(self, request: Request) -> Answer:
        found = self._tracker.calls(1, filters={"request_id": request.last_segment})
        if not found:
            return error(404, "no such call")
        call = found[0]
        cost = self._explain(call)
        return _json(request, to_json({"call": to_record(call), "cost": cost._asdict()}))

    def _sessions(self, request: Request) -> Answer:
        query = request.query
        rank = RANKS.get(query.get("rank", "updated_at"))
        if rank is None:
            raise BadRequestError(f"rank must be one of {', '.join(RANKS)}")
        limit = _number(query, "limit", SESSIONS_DEFAULT, CALLS_MAX)
        rows = self._tracker.sessions(
            self._clock(), limit=limit, rank=rank, account=query.get("account")
        )
        return _json(request, to_json({"sessions": rows}))

    def _session(self, request: Request) -> Answer:
        session = self._tracker.session(
            request.last_segment, self._clock(), request.query.get("account")
        )
        if session is None:
            return error(404, "no such session")
        found = {
            **session.row,
            "totals": session.totals,
            "agents": session.agents,
            "calls": [to_record(call) for call in session.calls],
            "calls_complete": session.calls_complete,
        }
        return _json(request, to_json(found))

    def _series(self, request: Request) -> Answer:
        query = request.query
        minutes = _number(query, "minutes", SERIES_DEFAULT, SERIES_MAX)
        return _json(
            request, to_json(self._tracker.series(minutes, self._clock(), query.get("account")))
        )

    def _metrics(self, _: Request) -> Answer:
        burn, windows = self._tracker.gauges(self._clock())
        return Answer(
            200,
            (("Content-Type", MEDIA_TYPE),),
            render(self._tracker.counters, burn, windows, self._runtime()),
        )


def _file(asset: Asset, request: Request) -> Answer:
    headers: Headers = (
        ("Content-Type", asset.media_type),
        ("Cache-Control", "private, no-cache"),
        ("ETag", asset.etag),
        ("Vary", "Accept-Encoding"),
    )
    if asset.etag in request.headers.get("if-none-match", ""):
        return Answer(304, headers)
    if asset.compressed is not None and request.accepts_gzip:
        return Answer(200, (*headers, ("Content-Encoding", "gzip")), asset.compressed)
    return Answer(200, headers, asset.body)


def _events(_: Request) -> Answer:
    return Answer(200, (("Content-Type", "text/event-stream"),), is_stream=True)


def _health(_: Request) -> Answer:
    return Answer(200, TEXT, b"ok\n")


def _unauthorized(page: bytes | None) -> Answer:
    challenge = ("WWW-Authenticate", 'Bearer realm="llmtally"')
    if page is None:
        return replace(
            error(401, "log in at /login, or send the token as `Authorization: Bearer`"),
            headers=(*JSON, challenge),
        )
    return Answer(401, (*login.HEADERS, challenge), page)


def error(status: int, text: str) -> Answer:
    """Make an answer that says what is wrong, as JSON."""
    return Answer(status, JSON, to_json({"error": text}))


def _json(request: Request, body: bytes) -> Answer:
    headers = (*JSON, ("Vary", "Accept-Encoding"))
    if len(body) < COMPRESS_BYTES or not request.accepts_gzip:
        return Answer(200, headers, body)
    return Answer(200, (*headers, ("Content-Encoding", "gzip")), gzip.compress(body, 1))


def parameters(text: str) -> dict[str, str]:
    """Parse a query or a form: the last value of each parameter. Raises BadRequestError."""
    try:
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_PARAMETERS))
    except ValueError:
        raise BadRequestError(f"more than {MAX_PARAMETERS} parameters") from None


def _number(query: Mapping[str, str], name: str, default: int, most: int) -> int:
    try:
        number = int(query.get(name, default))
    except ValueError:
        raise BadRequestError(f"{name} is not a number") from None
    return max(1, min(number, most))


def to_json(value: Any) -> bytes:
    """Encode as JSON, whatever came off the wire: half a surrogate pair is replaced, and a sum
    beyond 64 bits is rounded to a float."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return orjson.dumps(_representable(value))


T = TypeVar("T")


def _representable(value: T) -> T | str | float | dict[Any, Any] | list[Any]:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return float(value)
    if isinstance(value, Mapping):
        return {_representable(key): _representable(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_representable(each) for each in value]
    return value
