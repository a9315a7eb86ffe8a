"""Base URLs: how clients that ignore proxies, or trust only their provider's certificate, reach the
proxy.

Each variable that SDKs read names a reverse proxy on loopback, in front of the provider that it
named before or the SDK's default. A preload in NODE_OPTIONS could make an old Node use proxies, but
it would run our code in every Node that a client starts, and a Node that may not read the file (in
a sandbox) would not start at all. A base URL is only a setting.
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
"""The base URLs that the SDKs for Python and Node, and each provider's agent, use by default."""


class BaseUrls(NamedTuple):
    """What both sides need to meet at base URLs."""

    arguments: list[str]
    """Arguments for mitmdump: one mode per base URL."""
    environment: dict[str, str]
    """Variables for the client: the base URLs."""


def base_urls(before: Mapping[str, str]) -> BaseUrls:
    """Reverse proxies on free ports, and the variables that name them. Raises ProxyError."""
    if upstream_mode(before):
        raise ProxyError(
            "--base-urls does not work behind another proxy, and HTTPS_PROXY names one."
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
            raise ProxyError(f"{name} is not a URL: {url}")
        arguments += ["--mode", f"reverse:{origin}@127.0.0.1:{port}"]
        environment[name] = f"http://127.0.0.1:{port}{parts.path}"
    return BaseUrls(arguments, environment)


def _free_ports(count: int) -> list[int]:
    """Ports that are free now: mitmproxy accepts port 0 for one mode only. The kernel does not hand
    them to others in the second until mitmproxy listens."""
    with ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return [each.getsockname()[1] for each in sockets]
