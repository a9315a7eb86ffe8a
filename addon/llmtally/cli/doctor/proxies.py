"""Checks the proxies: which run on the directory, and who uses the usual port."""

from __future__ import annotations

import shlex
import socket
import time
from collections.abc import Iterator

from ...system import presence
from ...system.client_process import ClientProcess, find
from ...system.presence import Presence
from .finding import Finding, Setting

USUAL_PORT = 8080
"""The port that mitmproxy listens on by default."""

ACCEPT_SECONDS = 0.1
"""How long a program takes to accept a connection."""


def examine(setting: Setting) -> Iterator[Finding]:
    """Whether the proxies that say they run do answer."""
    running = 0
    for each in presence.read_all(setting.directory):
        if each.answers:
            running += 1
            yield Finding("proxy", "ok", _describe(each))
        elif each.is_alive:
            yield Finding(
                "proxy",
                "broken",
                f"The proxy of process {each.pid} does not answer.",
                f"kill {each.pid}",
            )
        else:
            file = setting.directory / presence.FOLDER / f"{each.pid}.json"
            text = (
                f"The proxy of process {each.pid} was killed; calls in flight then are not counted."
            )
            yield Finding("proxy", "note", text, f"rm {shlex.quote(str(file))}")
    if not running:
        yield _usual_port()


def _usual_port() -> Finding:
    if not presence.accepts("127.0.0.1", USUAL_PORT):
        return Finding(
            "port",
            "ok",
            f"No proxy is running; port {USUAL_PORT} is free for one. `llmtally run` uses "
            "any free port.",
        )
    process = _holder(USUAL_PORT)
    whose = f"{process.name} (process {process.pid})" if process else "another program"
    return Finding(
        "port",
        "note",
        f"No proxy is running, and port {USUAL_PORT} is used by {whose}. `llmtally run` "
        "uses any free port.",
        f'mitmdump --listen-port {USUAL_PORT + 1} -s "$(llmtally addon-path)"',
    )


def _holder(port: int) -> ClientProcess | None:
    """The process that accepts connections on the port: it has the other end of ours."""
    try:
        with socket.create_connection(("127.0.0.1", port), presence.CONNECT_SECONDS):
            time.sleep(ACCEPT_SECONDS)
            return find(("127.0.0.1", port))
    except OSError:
        return None


def _describe(proxy: Presence) -> str:
    where = ", ".join(f"{mode} on {host or '*'}:{port}" for mode, host, port in proxy.listens)
    page = f", its page at {proxy.page}" if proxy.page else ""
    return (
        f"A proxy is running: {where} (process {proxy.pid}, llmtally {proxy.version}, opens "
        f"{proxy.intercept} TLS){page}."
    )
