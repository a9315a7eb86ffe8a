"""Base URLs: the way to the proxy for clients that follow no proxy, or trust no authority but their
own.

Each variable that SDKs read gets a reverse proxy on loopback, before the provider it named or else
the SDK's own. A preload in NODE_OPTIONS could make an old Node follow proxies, too, but it is code
of ours in every Node that a client starts, and one that may not read the file (a sandbox) does not
start at all. A base URL is a setting.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import ExitStack
from typing import NamedTuple
from urllib.parse import urlsplit

from .proxy import ProxyError, upstream_mode

DEFAULTS = {
    "OPENAI_BASE_URL": "https://api.openai.com/v1",
    "ANTHROPIC_BASE_URL": "https://api.anthropic.com",
    "GOOGLE_GEMINI_BASE_URL": "https://generativelanguage.googleapis.com",
}
"""Where the SDKs of each provider, in Python and Node, and its agent lead without the variable."""


class BaseUrls(NamedTuple):
    """What makes the detour."""

    arguments: list[str]
    """mitmdump's."""
    environment: dict[str, str]
    """The client's."""


def base_urls(before: Mapping[str, str]) -> BaseUrls:
    """Modes on free ports, and the variables that lead there. Raises ProxyError."""
    if upstream_mode(before):
        raise ProxyError(
            "--base-urls cannot lead through another proxy, and HTTPS_PROXY names one."
        )
    arguments, environment = ["--mode", "regular"], {}
    for (name, default), port in zip(DEFAULTS.items(), _free_ports(len(DEFAULTS)), strict=True):
        url = before.get(name) or default
        try:
            parts = urlsplit(url)
            host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
            origin = f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")
        except ValueError:
            host = None
        if not host or parts.scheme not in ("http", "https"):
            raise ProxyError(f"{name} is no URL: {url}")
        arguments += ["--mode", f"reverse:{origin}@127.0.0.1:{port}"]
        environment[name] = f"http://127.0.0.1:{port}{parts.path}"
    return BaseUrls(arguments, environment)


def _free_ports(count: int) -> list[int]:
    """mitmproxy takes port 0 for one mode alone. Nobody else is given them in the second until it
    listens."""
    with ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return [each.getsockname()[1] for each in sockets]
