"""Who may ask: the token and its cookie, and what browsers say about where a request comes from.

Any page in a browser can send requests to 127.0.0.1, and DNS rebinding lets it read the answers as
if they were its own. So the token alone is not relied on: the `Host` must be ours, and so must the
page that asks. https://fetch.spec.whatwg.org/#origin-header https://www.w3.org/TR/fetch-metadata/
"""

from __future__ import annotations

import hmac
import os
import secrets
import socket
import stat
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from ..system.atomic_write import atomic_write

TOKEN_FILE = "web-token"  # noqa: S105  # the name of a file
TOKEN_BYTES = 24
"""192 random bits: nobody guesses them, however often they try."""

TOKEN_LENGTH_MIN = 16
"""Characters of a token that a person chose: nothing else slows guessing down."""

TOKEN_LENGTH_MAX = 512
"""Characters: more than anybody needs, and short enough for a URL and a header."""

COOKIE_SECONDS = 30 * 86_400
"""How long a browser stays logged in: a month, as the token lives on in its file."""

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
WILDCARDS = frozenset({"", "0.0.0.0", "::"})  # noqa: S104  # compared with, not bound to


def load_token(directory: Path, configured: str | None) -> str:
    """Return the configured token, or the one in the directory, which the first start makes.
    Raises ValueError and OSError."""
    if configured:
        if not is_token(configured):
            raise ValueError(
                f"a token has {TOKEN_LENGTH_MIN} to {TOKEN_LENGTH_MAX} letters, digits or "
                "`-._~`; leave it empty to have one made"
            )
        return configured
    return kept_token(directory) or _make_token(directory / TOKEN_FILE)


def kept_token(directory: Path) -> str | None:
    """Return the token that an earlier start made, or None if there is none that can be trusted.
    Raises OSError."""
    path = directory / TOKEN_FILE
    try:
        kept = path.read_text("ascii").strip() if is_private(path) else ""
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    return kept if is_token(kept) else None


def login_url(page: str, token: str) -> str:
    """Return the URL that logs a browser in. It contains the token: keep it secret."""
    return f"{page}login?token={token}"


def is_token(text: str) -> bool:
    """Whether a text can be a token: long enough, and made of RFC 3986's unreserved characters,
    which need no quoting in a URL or a header."""
    return TOKEN_LENGTH_MIN <= len(text) <= TOKEN_LENGTH_MAX and all(
        char.isascii() and (char.isalnum() or char in "-._~") for char in text
    )


def is_private(path: Path) -> bool:
    """Whether nobody but its owner can have read or written the file."""
    info = path.stat(follow_symlinks=False)
    return (
        stat.S_ISREG(info.st_mode)
        and not info.st_mode & (stat.S_IRWXG | stat.S_IRWXO)
        and info.st_uid == os.geteuid()
    )


def _make_token(path: Path) -> str:
    """Make a random token and write it to its file."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    token = secrets.token_urlsafe(TOKEN_BYTES)
    atomic_write(path, f"{token}\n".encode())
    return token


def cookies(header: str) -> dict[str, str]:
    """Parse a `Cookie` header. `http.cookies` stops at the first cookie that it finds malformed,
    and other servers on this host may set such cookies."""
    pairs = (part.strip().partition("=") for part in header.split(";"))
    return {name: value for name, _, value in pairs}


def split_host(authority: str) -> tuple[str, int | None] | None:
    """Split `host:port` into the host, in lower case without brackets, and the port; None if it is
    malformed."""
    try:
        parts = urlsplit(f"//{authority}")
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if host is None or parts.netloc != authority or parts.username is not None:
        return None
    return host, port


def is_loopback(host: str) -> bool:
    """Whether connecting to this host leads to this machine, in any spelling of the address that a
    resolver accepts (`127.1`)."""
    name = host.lower().rstrip(".")
    try:
        return (
            name == "localhost"
            or name.endswith(".localhost")
            or socket.inet_aton(name)[0] in (0, 127)
        )
    except (OSError, ValueError):
        pass
    try:
        address = ip_address(name)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback or address.is_unspecified


class Access:
    """Decides who may use the server at one address."""

    def __init__(self, token: str, host: str, port: int) -> None:
        self.port = port
        self.host = host.lower()
        # Browsers send a host's cookies to all its ports: the name keeps two proxies on one host
        # apart, and the value, which is not the token, is worth nothing to other servers that see
        # it.
        self.cookie_name = f"llmtally_{port}"
        self._token = token.encode()
        self._cookie = hmac.new(self._token, self.cookie_name.encode(), "sha256").hexdigest()

    # The token

    def is_token(self, offered: str) -> bool:
        """Whether a text is the token, compared in constant time."""
        return hmac.compare_digest(offered.encode(), self._token)

    def is_logged_in(self, headers: Mapping[str, str]) -> bool:
        """Whether the request has the cookie, or the token as `Authorization: Bearer` (RFC
        6750)."""
        scheme, _, credentials = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self.is_token(credentials.strip())
        offered = cookies(headers.get("cookie", "")).get(self.cookie_name, "")
        return hmac.compare_digest(offered.encode(), self._cookie.encode())

    @property
    def set_cookie(self) -> str:
        """The `Set-Cookie` value that logs a browser in. Not `Secure`: loopback has no TLS."""
        return (
            f"{self.cookie_name}={self._cookie}; Path=/; Max-Age={COOKIE_SECONDS}; HttpOnly; "
            "SameSite=Strict"
        )

    # The origin

    def is_ours(self, authority: str) -> bool:
        """Whether `Host` names this server.

        Any port will do, as with `ssh -L`: rebinding needs one of the attacker's names. For the
        same reason any address will do if we listen on all of them.
        """
        split = split_host(authority)
        if split is None:
            return False
        name = split[0]
        return (
            name in LOOPBACK_NAMES
            or name == self.host
            or (self.host in WILDCARDS and _is_address(name))
        )

    def is_same_origin(self, headers: Mapping[str, str]) -> bool:
        """Whether the request comes from our page (same host and port), or from no page."""
        origin = headers.get("origin")
        if (
            origin is not None
            and origin.partition("://")[2].lower() != headers.get("host", "").lower()
        ):
            return False
        return headers.get("sec-fetch-site", "none") in ("same-origin", "none")

    @staticmethod
    def is_navigation(headers: Mapping[str, str]) -> bool:
        """Whether a person follows a link to us: the page with the link cannot read what is shown
        then."""
        return (
            headers.get("sec-fetch-mode") == "navigate"
            and headers.get("sec-fetch-dest") == "document"
        )


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
