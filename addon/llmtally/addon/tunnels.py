"""Which TLS connections are opened: all of them, or those of LLM hosts alone (`usage_intercept`); the others pass as they are."""

from __future__ import annotations

from collections.abc import Callable

from mitmproxy import ctx, tls
from mitmproxy.proxy.mode_specs import ReverseMode

from .. import quota
from ..providers import Provider


class Tunnels:
    """Leaves closed what holds no calls."""

    name = "llmtally-tunnels"

    def __init__(self, provider: Callable[[str], Provider | None]) -> None:
        """`provider` finds the row of a host, the user's own among them."""
        self._provider = provider

    def tls_clienthello(self, data: tls.ClientHelloData) -> None:
        """A client begins to encrypt: it has said for whom, or its CONNECT or the address it reached did."""
        if ctx.options.usage_intercept == "all" or isinstance(data.context.client.proxy_mode, ReverseMode):
            return
        address = data.context.server.address
        host = (data.client_hello.sni or (address[0] if address else "")).lower().rstrip(".")
        data.ignore_connection = self._provider(host) is None and host not in quota.PROVIDERS
