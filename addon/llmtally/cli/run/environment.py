"""The environment that sends a client through the proxy and makes it trust the proxy's authority.

Programs read different variables, so all are set: each line below names who reads it. What the user
has set is kept: certificates are copied from the user's files, and NO_PROXY is extended.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ...attribution.run_tag import Run, user_info
from .trust import machine_roots, with_authority

REPLACING = {
    "SSL_CERT_FILE": (
        "OpenSSL, Python SDKs (httpx), Codex CLI, Claude Code, opencode, Go, Ruby, native-tls "
        "and rustls in Rust"
    ),
    "REQUESTS_CA_BUNDLE": "Python's requests, boto3",
    "CODEX_CA_CERTIFICATE": "Codex CLI",
    "AWS_CA_BUNDLE": "boto3 and the AWS CLI",
    "CURL_CA_BUNDLE": "curl, requests",
    "GIT_SSL_CAINFO": "git",
    "PIP_CERT": "pip",
    "CARGO_HTTP_CAINFO": "cargo",
    "HTTPLIB2_CA_CERTS": "httplib2",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": "gRPC",
    "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE": "gcloud",
    "NIX_SSL_CERT_FILE": "programs from Nix, before SSL_CERT_FILE",
}
"""Variables that replace the roots that a program trusts, and who reads them."""

ADDING = {
    "NODE_EXTRA_CA_CERTS": "Node: Claude Code, Gemini CLI, opencode, the Node SDKs",
    "DENO_CERT": "Deno",
}
"""Variables that add to the roots that a program trusts, and who reads them."""

PROXY = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")
"""curl reads `http_proxy` in lower case only.
https://everything.curl.dev/usingcurl/proxies/env.html"""

LOOPBACK = ("localhost", "127.0.0.1", "::1")
"""Hosts that are never reached through a proxy: agents talk to servers on the same machine."""


@dataclass(frozen=True, slots=True)
class ProxyTarget:
    """The proxy that a client is sent to, and the authority that it has to trust."""

    host: str
    port: int
    authority: Path
    directory: Path
    """The journal's directory, in which files of certificates are kept."""


def client_environment(before: Mapping[str, str], target: ProxyTarget, run: Run) -> dict[str, str]:
    """The client's whole environment. Raises OSError if a file of certificates cannot be made."""
    host = f"[{target.host}]" if ":" in target.host else target.host
    roots = machine_roots()
    added = {name: f"http://{user_info(run)}@{host}:{target.port}" for name in PROXY}
    for name in (*REPLACING, *ADDING):
        trusted = Path(before[name]) if before.get(name) else roots if name in REPLACING else None
        added[name] = str(with_authority(trusted, target.authority, target.directory))
    no_proxy = covering_loopback(before.get("NO_PROXY") or before.get("no_proxy") or "")
    # Node reads proxy variables since 22.21, if it is told to.
    # https://nodejs.org/api/cli.html#node_use_env_proxy1
    return {
        **before,
        **added,
        "NO_PROXY": no_proxy,
        "no_proxy": no_proxy,
        "NODE_USE_ENV_PROXY": "1",
        "LLMTALLY_RUN": run.name,
    }


def covering_loopback(no_proxy: str) -> str:
    """A value of NO_PROXY with loopback added."""
    listed = [entry.strip() for entry in no_proxy.split(",") if entry.strip()]
    return ",".join([*listed, *(name for name in LOOPBACK if name not in listed)])
