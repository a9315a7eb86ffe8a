"""Puts together what a request says of who sent it, and remembers what links requests."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import OrderedDict
from collections.abc import Mapping
from typing import TypeVar

from ..record import Attribution
from ..redact import holds_known_key
from .clients import PREVIOUS_RESPONSE, Client, RequestClass
from .conversation import conversation_hashes
from .credentials import Credential, billing_of, read_credential
from .request import HEADER_CAP, RequestView
from .sources import clean, first, is_path
from .user_agent import identify, version_of

SESSION_HEADERS = ("x-session-id", "x-litellm-session-id", "helicone-session-id")
"""Headers that people set on purpose to name a session, whatever the client."""

SESSION_GAP = 30 * 60
"""Seconds of silence after which the same connection counts as a new session: a coffee break is
shorter, a meeting is not."""

PREFIXES_CAP = 16_384
"""Conversation states remembered, one per request without a session id."""
RESPONSES_CAP = 16_384
"""Response ids remembered, for requests that name one in `previous_response_id`."""
CONNECTIONS_CAP = 4_096
"""Client connections remembered, with their session."""
AGENTS_CAP = 4_096
"""Agents whose root session is remembered."""
PROJECTS_CAP = 4_096
"""Sessions whose project is remembered, as only their first request may name it."""
ACCOUNTS_CAP = 4_096
"""Credentials and devices whose account is remembered, by their hash."""

_ID = re.compile(r"[\w.:@/+=~#-]{1,128}", re.ASCII)


class Attributor:
    """Attributes requests, and remembers what links them: ids, directories and keyed hashes, no
    text and no credential."""

    def __init__(self, key: bytes) -> None:
        self._mac = hmac.new(key, digestmod="sha256")
        self._chain_key = hashlib.sha256(key).digest()
        self._prefixes: OrderedDict[str, str] = OrderedDict()
        self._responses: OrderedDict[str, str] = OrderedDict()
        self._connections: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._roots: OrderedDict[str, str] = OrderedDict()
        self._projects: OrderedDict[str, str] = OrderedDict()
        self._accounts: OrderedDict[str, str] = OrderedDict()

    def attribute(self, view: RequestView, *, now: float) -> Attribution:
        """Find out who sent this request; `now` is in epoch seconds."""
        client, version = identify(view.headers)
        credential = read_credential(view)
        account = self._account(view, client, credential)
        session, session_source = self._session(view, client, account, now)
        session, agent, parent_agent = self._place(view, client, session)
        agent_type = self._identifier(first(client.agent_type, view))
        return Attribution(
            client=client.name or None,
            client_version=version_of(first(client.version, view)) or version,
            session=session,
            session_source=session_source,
            agent=agent,
            parent_agent=parent_agent,
            agent_type=agent_type,
            request_class=_request_class(view, client, subagent=bool(agent or agent_type)),
            project=self._project(view, client, session),
            account=account,
            retry=_retries(view.headers),
            billing=billing_of(view, credential),
        )

    def answered(self, response_id: str, session: str | None) -> None:
        """Remember a response's session, for a request that names the response as its previous
        one."""
        if session and (known := clean(response_id)):
            _remember(self._responses, known, session, RESPONSES_CAP)

    def _account(
        self, view: RequestView, client: Client, credential: Credential | None
    ) -> str | None:
        """One hash per account, however a request identifies it.

        In this order: the account id the client states; the account that this credential (or, for
        tokens that rotate, this device) came with before; the device, for tokens that rotate; the
        credential.
        """
        shown = [credential.identity] if credential else []
        if (credential is None or credential.rotates) and (device := first(client.device, view)):
            shown.append(device)
        aliases = [self._digest("account", identity) for identity in shown]
        if stated := first(client.account, view):
            account = self._hash(stated)
        else:
            known = (_recall(self._accounts, alias) for alias in aliases)
            account = next((found for found in known if found), None) or (
                self._hash(shown[-1]) if shown else None
            )
        if account:
            for alias in aliases:
                _remember(self._accounts, alias, account, ACCOUNTS_CAP)
        return account

    def _hash(self, identity: str | None) -> str | None:
        if not identity:
            return None
        mac = self._mac.copy()
        mac.update(identity.encode("utf-8", "surrogatepass"))
        return mac.hexdigest()[:12]

    def _identifier(self, value: str | None) -> str | None:
        """An id as it is, or its keyed hash if it may be a sentence or a key: equal ids stay
        equal."""
        if not value or not (value := value.strip()):
            return None
        return value if _ID.fullmatch(value) and not holds_known_key(value) else self._hash(value)

    def _session(
        self, view: RequestView, client: Client, account: str | None, now: float
    ) -> tuple[str | None, str | None]:
        for name in SESSION_HEADERS:
            if (said := view.headers.get(name)) and (session := self._identifier(said)):
                own = any(source.name == name for source in client.session)
                return session, "client_header" if own else "header"
        for source in client.session:
            if (said := source.read(view)) and (session := self._identifier(said)):
                return session, "client_header" if source.where == "header" else "body"
        if previous := first(PREVIOUS_RESPONSE, view):
            return _recall(self._responses, previous) or self._digest(
                "response", previous
            ), "previous_response"
        if session := self._by_prefix(view, client, account):
            return session, "prefix"
        if session := self._by_connection(view, account, now):
            return session, "connection"
        return None, None

    def _by_prefix(self, view: RequestView, client: Client, account: str | None) -> str | None:
        """The session of the longest conversation seen with which this one begins; a new session
        is named by the hash of its conversation."""
        hashes = conversation_hashes(self._chain_key, f"{client.name}\n{account}", view.messages)
        if not hashes:
            return None
        known = (_recall(self._prefixes, state) for state in reversed(hashes))
        session = next((found for found in known if found), hashes[-1])
        _remember(self._prefixes, hashes[-1], session, PREFIXES_CAP)
        return session

    def _by_connection(self, view: RequestView, account: str | None, now: float) -> str | None:
        user_agent = view.headers.get("user-agent", "")[:HEADER_CAP]
        if not (view.peer or user_agent):
            return None
        connection = self._digest("connection", view.peer or "", user_agent, account or "")
        session, seen = _recall(self._connections, connection) or ("", 0.0)
        if not session or now - seen > SESSION_GAP:
            session = self._digest(connection, str(now))
        _remember(self._connections, connection, (session, now), CONNECTIONS_CAP)
        return session

    def _project(self, view: RequestView, client: Client, session: str | None) -> str | None:
        """The project: a directory, or an opaque id. It is remembered by session, as later requests
        may leave out the opening message that names it."""
        if not client.project:
            return None
        said = first(client.project, view)
        if said is None:
            return _recall(self._projects, session) if session else None
        project = said if is_path(said) else self._identifier(said)
        if project and session:
            _remember(self._projects, session, project, PROJECTS_CAP)
        return project

    def _digest(self, *parts: str) -> str:
        data = "\n".join(parts).encode("utf-8", "surrogatepass")
        return hashlib.blake2b(data, digest_size=8, key=self._chain_key).hexdigest()

    def _place(
        self, view: RequestView, client: Client, session: str | None
    ) -> tuple[str | None, str | None, str | None]:
        """Session, agent and parent agent. The session is that of the main agent, which has no
        id."""
        if not (client.agent or client.parent_agent):
            return session, None, None
        agent = self._identifier(first(client.agent, view))
        parent = self._identifier(first(client.parent_agent, view))
        if agent == session:
            agent = None
        if client.agents_are_sessions and parent and not agent and parent != session:
            agent, session = session, _recall(self._roots, parent) or parent
        if agent and session:
            _remember(self._roots, agent, session, AGENTS_CAP)
        return session, agent, None if parent == session else parent


_COUNT = re.compile(r"(\d{1,4})\s*$")
_ATTEMPT = re.compile(r"\battempt=(\d{1,4})\b")


def _retries(headers: Mapping[str, str]) -> int | None:
    """Retries before this request: Stainless SDKs count from 0, AWS SDKs count attempts from 1."""
    if found := _COUNT.match(headers.get("x-stainless-retry-count", "")):
        return int(found[1])
    if found := _ATTEMPT.search(headers.get("amz-sdk-request", "")[:HEADER_CAP]):
        return max(int(found[1]) - 1, 0)
    return None


def _request_class(view: RequestView, client: Client, *, subagent: bool) -> RequestClass | None:
    if (
        view.body is not None
        and view.body.get("type") == "response.create"
        and view.body.get("generate") is False
    ):
        return "warmup"
    for source in client.request_class:
        if (said := source.read(view)) and (known := client.classes.get(said)):
            return known
    if client.recognise is not None and (recognised := client.recognise(view)):
        return recognised
    return "subagent" if subagent else client.default_class


_V = TypeVar("_V")


def _recall(memory: OrderedDict[str, _V], key: str) -> _V | None:
    value = memory.get(key)
    if value is not None:
        memory.move_to_end(key)
    return value


def _remember(memory: OrderedDict[str, _V], key: str, value: _V, cap: int) -> None:
    memory[key] = value
    memory.move_to_end(key)
    if len(memory) > cap:
        memory.popitem(last=False)
