"""Checks by a live call: through a proxy as `llmtally run` starts it, with the user's certificates
and config, to a fake provider.

It is a reverse proxy, so that a client that trusts only the authority can call `api.anthropic.com`
and nothing leaves this machine. Its journal is temporary.
"""

from __future__ import annotations

import http.server
import json
import shlex
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ... import journal
from ..run.proxy import OwnProxy, ProxyError
from ..run.trust import AUTHORITY
from .finding import Finding, Setting

HOST = "api.anthropic.com"
USAGE = {"input_tokens": 11, "output_tokens": 7}
MESSAGE = {
    "id": "msg_doctor",
    "type": "message",
    "role": "assistant",
    "model": "claude-opus-4-8",
    "content": [],
    "usage": USAGE,
}

SECONDS = 10.0
"""Time limit for the call and for its record; together they take one or two seconds."""

CONFIG = "config.yaml"
"""mitmproxy's file of options, in its confdir."""


class _Provider(http.server.BaseHTTPRequestHandler):
    """A provider that answers every request with the same message."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        body = json.dumps(MESSAGE).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the library's name
        """Log nothing: requests are expected here."""


def examine(setting: Setting) -> Iterator[Finding]:
    """Whether a call through a new proxy is counted exactly."""
    yield _probe(setting)


def _probe(setting: Setting) -> Finding:
    options = {
        "usage_web": "false",
        "flow_detail": "0",
        "termlog_verbosity": "warn",
        "usage_quiet": "true",
    }
    with tempfile.TemporaryDirectory(prefix="llmtally-doctor-") as temporary, _provider() as port:
        directory = Path(temporary)
        arguments = ["--mode", f"reverse:http://127.0.0.1:{port}"]
        try:
            proxy = OwnProxy(
                directory,
                setting.addon,
                confdir=setting.confdir,
                options=options,
                arguments=arguments,
            )
        except (ProxyError, OSError) as error:
            return Finding(
                "probe", "broken", f"The proxy does not start. {error}", _without_config(setting)
            )
        try:
            _call(proxy.presence.listens[0][2], setting.confdir / AUTHORITY)
            counted = _counted(directory)
        except (OSError, ValueError) as error:
            return Finding(
                "probe",
                "broken",
                f"A call through the proxy fails: {error}",
                _new_authority(setting),
            )
        finally:
            proxy.stop()
    if counted != [USAGE]:
        return Finding(
            "probe",
            "broken",
            f"A call with {USAGE} was recorded as {counted}.",
            _without_config(setting),
        )
    return Finding("probe", "ok", "A call through a proxy, over TLS, was counted exactly.")


@contextmanager
def _provider() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Provider) as server:
        thread = threading.Thread(target=server.serve_forever, name="llmtally-doctor", daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()


def _call(port: int, authority: Path) -> None:
    """Make a call like a client that trusts only the authority. Raises OSError or ValueError."""
    context = ssl.create_default_context(cafile=authority)
    body = json.dumps({"model": MESSAGE["model"]}).encode()
    head = (
        f"POST /v1/messages HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: {len(body)}\r\n"
        "connection: close\r\n\r\n"
    )
    with (
        socket.create_connection(("127.0.0.1", port), SECONDS) as connection,
        context.wrap_socket(connection, server_hostname=HOST) as tls,
    ):
        tls.sendall(head.encode() + body)
        answer = b""
        while chunk := tls.recv(65536):
            answer += chunk
    if b" 200 " not in answer.partition(b"\r\n")[0]:
        raise ValueError(answer[:200].decode("latin-1"))


def _counted(directory: Path) -> list[dict[str, Any]]:
    """The usage of the records in the journal, as soon as there is one."""
    deadline = time.monotonic() + SECONDS
    found: list[dict[str, Any]] = []
    while not found and time.monotonic() < deadline:
        time.sleep(0.05)
        found = [
            {name: record.get(name) for name in USAGE} for record in journal.read_records(directory)
        ]
    return found


def _without_config(setting: Setting) -> str | None:
    config = setting.confdir / CONFIG
    return (
        f"mv {shlex.quote(str(config))} {shlex.quote(str(config))}.off" if config.exists() else None
    )


def _new_authority(setting: Setting) -> str:
    quoted = shlex.quote(str(setting.confdir))
    return f"rm -f {quoted}/mitmproxy-ca* && llmtally run --own-proxy --confdir {quoted} -- true"
