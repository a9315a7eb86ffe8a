"""What a request authenticates with, and what follows from it: whose account it is, and whether a plan pays."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field

import orjson

from ..formats.format import mapping
from ..record import Billing
from .request import USER_AGENT_CAP, RequestView

_ROTATING = ("sk-ant-oat", "ya29.", "eyJ")
"""OAuth access tokens of Anthropic and Google, and JWTs: replaced every few hours."""
JWT_CAP = 64 * 1024
"""Characters of a JSON web token that is read: real ones have 2 K."""


@dataclass(frozen=True, slots=True)
class Credential:
    """What a request authenticates with. Never stored: lives as long as the request is looked at."""

    identity: str = field(repr=False)
    """The part that outlives the request: no signature, no expiry."""
    secret: str = field(repr=False)
    rotates: bool = False


def read_credential(view: RequestView) -> Credential | None:
    """The credential wherever a provider takes one, in the order of the commonest."""
    scheme, _, token = view.headers.get("authorization", "").partition(" ")
    if scheme.upper().startswith("AWS4-"):
        found = re.search(r"Credential=([^/,\s]+)", token[:USER_AGENT_CAP])
        return Credential(found.group(1), found.group(1)) if found else None
    secret = token.strip() or scheme
    for name in ("x-api-key", "api-key", "x-goog-api-key"):
        secret = secret or view.headers.get(name, "")
    secret = secret or view.query.get("key", "") or view.query.get("X-Amz-Credential", "").partition("/")[0]
    return _describe(secret) if secret else None


def _describe(secret: str) -> Credential:
    if secret.startswith("tid="):  # Copilot: `tid=<user>;exp=<soon>;..`
        return Credential(secret.partition(";")[0], secret)
    if subject := _jwt_subject(secret):
        return Credential(subject, secret)
    return Credential(secret, secret, rotates=secret.startswith(_ROTATING))


def _jwt_subject(token: str) -> str | None:
    """Issuer and subject of a JWT; not verified, the provider does that."""
    if not token.startswith("eyJ") or len(token) > JWT_CAP or token.count(".") != 2:
        return None
    payload = token.split(".")[1]
    try:
        claims = mapping(orjson.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))))
    except ValueError:
        return None
    subject = claims.get("sub")
    return f"{claims.get('iss')}|{subject}" if isinstance(subject, str) and subject else None


def billing_of(view: RequestView, credential: Credential | None) -> Billing | None:
    """`subscription` where a plan's credential or a plan's own host says so."""
    if credential is not None and credential.secret.startswith("sk-ant-oat"):
        return "subscription"
    if "chatgpt-account-id" in view.headers or view.host in ("chatgpt.com", "cloudcode-pa.googleapis.com"):
        return "subscription"
    if view.host.endswith(".githubcopilot.com") or view.host == "copilot-proxy.githubusercontent.com":
        return "subscription"
    return None
