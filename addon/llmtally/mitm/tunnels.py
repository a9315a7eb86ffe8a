"""Decides which TLS connections are decrypted (`usage_intercept`: all, or only those to LLM hosts),
and counts those that could not be."""

from __future__ import annotations

import logging
from collections.abc import Callable

from mitmproxy import ctx, tls
from mitmproxy.proxy.mode_specs import ReverseMode

from ..limits import quota_endpoints
from ..providers import RouteTable
from ..text.safe_text import printable

logger = logging.getLogger(__name__)

MAX_BYPASSED = 256
"""Hosts that are named in the log, once each; the provider table has fewer rows."""


class Tunnels:
    """Passes connections to other hosts on undecrypted, and counts clients that refused our
    certificate."""

    def __init__(self, count: Callable[[str, str], None]) -> None:
        """`count` counts a response in a coverage bucket, and for a host."""
        self.routes = RouteTable()
        """The provider table, with the user's rows."""
        self._count = count
        self._bypassed: set[str] = set()
        """Hosts that have been named."""

    def tls_clienthello(self, data: tls.ClientHelloData) -> None:
        """A client starts TLS: do not decrypt the connection if no LLM can be behind it. The host
        is the one that TLS names, else that of the CONNECT or the address that the client wanted to
        reach."""
        if ctx.options.usage_intercept == "all" or isinstance(
            data.context.client.proxy_mode, ReverseMode
        ):
            return
        address = data.context.server.address
        host = (data.client_hello.sni or (address[0] if address else "")).lower().rstrip(".")
        data.ignore_connection = (
            self.routes.provider(host) is None and host not in quota_endpoints.HOSTS
        )

    def tls_failed_client(self, data: tls.TlsData) -> None:
        """A client that does not trust the CA (or pins a certificate) has refused the connection:
        log it once for each host."""
        host = (data.context.client.sni or "").lower()
        if self.routes.provider(host) is None:
            return
        self._count("bypassed", host)
        if host not in self._bypassed and len(self._bypassed) < MAX_BYPASSED:
            self._bypassed.add(host)
            logger.warning(
                "llmtally: a client refused the connection to %s: it does not trust "
                "mitmproxy's CA. Its calls are not counted. "
                "Point it at mitmproxy-ca-cert.pem (docs/connecting.md says how for each client).",
                printable(host),
            )
