"""Checks this shell's environment: which proxy clients use, and which certificates they trust.

Nothing has to be set, as `llmtally run` sets it for one client; but what is set has to agree.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from ...providers import PROVIDERS, RouteTable
from ...system import presence
from ...system.presence import Presence
from ..run.environment import ADDING, LOOPBACK, PROXY, REPLACING
from ..run.trust import AUTHORITY, machine_roots, with_authority
from .authority import certificates
from .finding import Finding, Setting

UNSET = "unset HTTPS_PROXY https_proxy HTTP_PROXY http_proxy"

NEEDED = ("SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE")
"""Without these some clients do not trust the proxy; the others matter only if they are set."""

BASE_URLS = (
    "ANTHROPIC_BASE_URL",
    "OPENAI_BASE_URL",
    "OPENAI_API_BASE",
    "GOOGLE_GEMINI_BASE_URL",
    "MISTRAL_SERVER_URL",
    "GROQ_BASE_URL",
)
"""Variables for base URLs that clients and SDKs read."""


def examine(setting: Setting) -> Iterator[Finding]:
    """The proxy first: trust only matters to clients that use one."""
    yield from _missing_files(setting)
    yield from _base_urls(setting)
    if (url := _proxy(setting)) is None:
        text = (
            "This shell sets no proxy for clients. Start them with `llmtally run`, or as "
            "docs/connecting.md describes."
        )
        yield Finding("environment", "note", text, "llmtally run -- CLIENT")
        return
    yield from _cases(setting)
    yield from _no_proxy(setting)
    if url.hostname is None or url.port is None:
        yield Finding(
            "environment",
            "broken",
            "HTTPS_PROXY is not a URL with a port: clients fail or bypass it.",
            UNSET,
        )
        return
    host = "127.0.0.1" if url.hostname == "localhost" else url.hostname
    ours = next(
        (each for each in presence.running(setting.directory) if each.regular == (host, url.port)),
        None,
    )
    yield _leads_to(host, url.port, ours)
    if ours is not None:
        yield from _trust(setting, ours)


def _proxy(setting: Setting) -> SplitResult | None:
    url = setting.environment.get("HTTPS_PROXY") or setting.environment.get("https_proxy")
    if not url:
        return None
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        _ = parts.port
    except ValueError:
        return urlsplit("")
    return parts


def _cases(setting: Setting) -> Iterator[Finding]:
    values = {name: setting.environment.get(name) for name in PROXY}
    if (
        values["HTTPS_PROXY"]
        and values["https_proxy"]
        and values["HTTPS_PROXY"] != values["https_proxy"]
    ):
        text = "HTTPS_PROXY and https_proxy differ: some programs read one, some the other."
        yield Finding("environment", "broken", text, 'export https_proxy="$HTTPS_PROXY"')


def _no_proxy(setting: Setting) -> Iterator[Finding]:
    for name in ("NO_PROXY", "no_proxy"):
        entries = [
            entry.strip() for entry in setting.environment.get(name, "").split(",") if entry.strip()
        ]
        excluding = [entry for entry in entries if _excludes(entry)]
        if excluding:
            kept = ",".join([entry for entry in entries if entry not in excluding] or LOOPBACK)
            text = (
                f"{name} has {', '.join(excluding)}: calls to such hosts bypass the proxy and "
                "are not counted."
            )
            yield Finding("no_proxy", "broken", text, f"export {name}={shlex.quote(kept)}")


def _excludes(entry: str) -> bool:
    """Whether an entry of NO_PROXY excludes a provider's host.
    https://everything.curl.dev/usingcurl/proxies/env.html"""
    suffix = entry.lstrip("*").lstrip(".")
    return entry == "*" or any(
        host == suffix or host.endswith(f".{suffix}") for row in PROVIDERS for host in row.hosts
    )


def _leads_to(host: str, port: int, ours: Presence | None) -> Finding:
    if ours is not None:
        return Finding(
            "environment", "ok", f"HTTPS_PROXY leads to the proxy of process {ours.pid}."
        )
    if not presence.accepts(host, port):
        return Finding(
            "environment",
            "broken",
            f"HTTPS_PROXY leads to {host}:{port}, where nothing listens: every client fails.",
            UNSET,
        )
    if host in LOOPBACK:
        text = (
            f"HTTPS_PROXY leads to {host}:{port}, where no llmtally proxy on this directory "
            "runs: nothing is counted here."
        )
        return Finding("environment", "broken", text, UNSET)
    text = (
        f"HTTPS_PROXY leads to {host}:{port}, another machine. `llmtally run` keeps using it, "
        "behind its own proxy."
    )
    return Finding("environment", "note", text, "llmtally run -- CLIENT")


def _trust(setting: Setting, proxy: Presence) -> Iterator[Finding]:
    authority = Path(proxy.confdir) / AUTHORITY
    ours = certificates(authority)
    roots = machine_roots()
    in_roots = ours <= certificates(roots)
    lacking = []
    for name, readers in {**REPLACING, **ADDING}.items():
        path = setting.environment.get(name)
        if path and not ours <= certificates(Path(path)) and Path(path).is_file():
            lacking.append((name, readers, f"{name} names {path}, which lacks"))
        elif not path and name in NEEDED and not (in_roots and name in REPLACING):
            lacking.append((name, readers, f"{name} is not set, so clients do not learn of"))
    for name, readers, what in lacking:
        path = setting.environment.get(name)
        base = Path(path) if path else roots if name in REPLACING else None
        text = (
            f"{what} mitmproxy's authority. Programs that read it bypass llmtally or fail: "
            f"{readers}."
        )
        yield Finding("trust", "broken", text, _exported(name, base, authority, setting.directory))
    if not lacking:
        yield Finding("trust", "ok", "This shell makes clients trust mitmproxy's authority.")


def _exported(name: str, base: Path | None, authority: Path, directory: Path) -> str:
    try:
        file = with_authority(base, authority, directory)
    except OSError:
        file = authority
    return f"export {name}={shlex.quote(str(file))}"


def _missing_files(setting: Setting) -> Iterator[Finding]:
    for name in (*REPLACING, *ADDING):
        path = setting.environment.get(name)
        if path and not certificates(Path(path)):
            text = (
                f"{name} names {path}, which holds no certificate: {(REPLACING | ADDING)[name]} "
                "cannot verify any server, or ignore the variable."
            )
            yield Finding("trust", "broken", text, f"unset {name}")


def _base_urls(setting: Setting) -> Iterator[Finding]:
    table = RouteTable()
    listening = {
        port for each in presence.running(setting.directory) for _, _, port in each.listens
    }
    for name in BASE_URLS:
        if not (url := setting.environment.get(name)):
            continue
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            yield Finding("base_url", "broken", f"{name} is not a URL: {url}", f"unset {name}")
            continue
        if host in LOOPBACK and port not in listening:
            if port is not None and presence.accepts("127.0.0.1", port):
                text = f"{name} leads to {host}:{port}, a local server, without a proxy in between."
                yield Finding(
                    "base_url",
                    "note",
                    text,
                    f'mitmdump --mode reverse:http://{host}:{port} -s "$(llmtally addon-path)"',
                )
            else:
                yield Finding(
                    "base_url",
                    "broken",
                    f"{name} leads to {host}:{port}, where nothing listens.",
                    f"unset {name}",
                )
        elif host not in LOOPBACK and table.provider(host) is None:
            text = (
                f"{name} leads to {host}, which llmtally does not know: `llmtally run` does not "
                "decrypt its connections."
            )
            yield Finding(
                "base_url",
                "note",
                text,
                f"llmtally run --mitmdump-arg=--set --mitmdump-arg=usage_hosts={host}=FORMAT "
                "-- CLIENT",
            )
