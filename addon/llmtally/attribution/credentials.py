"""Reads what a request authenticates with, and finds out whose account it is and whether a plan
pays."""

from __future__ import annotations

import base64
import re
from typing import NamedTuple

import orjson

from ..formats.format import mapping
from ..record import Billing
from .request import HEADER_CAP, RequestView

JWT_CAP = 64 * 1024
"""Characters of a JSON web token that is read: real ones have 2 K."""

_KEY_HEADERS = ("x-api-key", "api-key", "x-goog-api-key")
_PLANS = ("sk-ant-oat",)
"""How subscription tokens begin."""
_ROTATING = (*_PLANS, "ya29.", "eyJ")
"""OAuth access tokens of Anthropic and Google, and JWTs: replaced every few hours."""
_PLAN_HOSTS = frozenset(
    {
        *("chatgpt.com", "cloudcode-pa.googleapis.com", "copilot-proxy.githubusercontent.com"),
        *("coding.dashscope.aliyuncs.com", "coding-intl.dashscope.aliyuncs.com"),
    }
)
_PLAN_PATHS = {
    "api.z.ai": "/api/coding/",
    "open.bigmodel.cn": "/api/coding/",
    "api.kimi.com": "/coding/",
}
"""How the paths of coding plans begin, for hosts that sell both plans and API calls."""
_SCHEMES = frozenset({"bearer", "basic", "token"})
"""What may stand in `Authorization` without a credential behind it, which then is in another
header."""
_AWS_KEY_ID = re.compile(r"Credential=([^/,\s]+)")


class Credential(NamedTuple):
    """What a request authenticates with. It is never stored: it lives as long as the request is
    read."""

    identity: str
    """The part that stays the same from request to request: no signature, no expiry."""
    secret: str
    """The whole credential, to remove it from error messages."""
    rotates: bool = False
    """Whether it is replaced every few hours, so that it does not identify an account for long."""

    def __repr__(self) -> str:
        return f"Credential(rotates={self.rotates})"


def read_credential(view: RequestView) -> Credential | None:
    """Find the credential in the places where providers take one, the most common first."""
    scheme, _, token = view.headers.get("authorization", "").strip().partition(" ")
    if scheme[:5].upper() == "AWS4-":
        found = _AWS_KEY_ID.search(token, 0, HEADER_CAP)
        return Credential(found[1], found[1]) if found else None
    if secret := token.strip() or ("" if scheme.lower() in _SCHEMES else scheme):
        return _describe(secret)
    for name in _KEY_HEADERS:
        if secret := view.headers.get(name, ""):
            return _describe(secret)
    if view.query:
        secret = view.query.get("key") or view.query.get("X-Amz-Credential", "").partition("/")[0]
        if secret:
            return _describe(secret)
    return None


def _describe(secret: str) -> Credential:
    if secret.startswith("tid="):  # Copilot: `tid=<user>;exp=<soon>;..`
        return Credential(secret.partition(";")[0], secret)
    if secret.startswith("eyJ") and (subject := _jwt_subject(secret)):
        return Credential(subject, secret)
    return Credential(secret, secret, secret.startswith(_ROTATING))


def _jwt_subject(token: str) -> str | None:
    """Issuer and subject of a JWT; not verified, the provider does that."""
    if len(token) > JWT_CAP or token.count(".") != 2:
        return None
    payload = token.split(".")[1]
    try:
        claims = mapping(
            orjson.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        )
    except ValueError:
        return None
    subject = claims.get("sub")
    return f"{claims.get('iss')}|{subject}" if isinstance(subject, str) and subject else None


def billing_of(view: RequestView, credential: Credential | None) -> Billing | None:
    """`subscription` where the credential, the host or the path is that of a plan; else None."""
    if credential is not None and credential.secret.startswith(_PLANS):
        return "subscription"
    if (
        view.host in _PLAN_HOSTS
        or "chatgpt-account-id" in view.headers
        or view.host.endswith(".githubcopilot.com")
    ):
        return "subscription"
    if (path := _PLAN_PATHS.get(view.host)) is not None and view.path.startswith(path):
        return "subscription"
    return None
