"""A network of the tests' own: a client's machine and a router, joined by a cable. Needs root, `ip`
and `nft`.

Both are network namespaces: nothing of this machine's own network is touched, and nothing leads out
of them. https://man7.org/linux/man-pages/man8/ip-netns.8.html
"""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path

ROUTER, CLIENT, PROVIDER = "192.0.2.1", "192.0.2.2", "203.0.113.7"
"""Nobody has any of these addresses: what is sent there has to pass the router.
https://www.rfc-editor.org/rfc/rfc5737"""

CLONE_NEWNET = 0x40000000
"""https://man7.org/linux/man-pages/man2/setns.2.html"""


@cache
def lacking(*programs: str) -> str:
    """What this machine lacks for such a network and these programs; empty if it has all."""
    missing = [program for program in ("ip", "nft", *programs) if shutil.which(program) is None]
    if os.geteuid() != 0:
        missing.append("root")
    elif (
        not missing
        and subprocess.run(
            ["unshare", "--net", "true"], capture_output=True, check=False
        ).returncode
        != 0
    ):
        missing.append("network namespaces")
    return ", ".join(missing)


NOT_HERE = {
    mode: what
    for mode, what in {"transparent": lacking(), "wireguard": lacking("wireguard-go", "wg")}.items()
    if what
}
"""Modes between machines that this one cannot test, and what it lacks for them."""


class Network:
    """The network's two machines, client and router."""

    def __init__(self) -> None:
        self.client, self.router = (
            f"llmtally-{os.getpid()}-{name}" for name in ("client", "router")
        )
        self._tunnel = f"wg{os.getpid()}"
        for machine in (self.client, self.router):
            run("ip", "netns", "add", machine)
            run("ip", "-n", machine, "link", "set", "lo", "up")
        run(
            "ip",
            "link",
            "add",
            "eth0",
            "netns",
            self.client,
            "type",
            "veth",
            "peer",
            "name",
            "eth0",
            "netns",
            self.router,
        )
        for machine, address in ((self.client, CLIENT), (self.router, ROUTER)):
            run("ip", "-n", machine, "address", "add", f"{address}/24", "dev", "eth0")
            run("ip", "-n", machine, "link", "set", "eth0", "up")
        run("ip", "-n", self.client, "route", "add", "default", "via", ROUTER)

    def close(self) -> None:
        """Remove the network."""
        for machine in (self.client, self.router):
            run("ip", "netns", "delete", machine)

    def listener(self) -> socket.socket:
        """A socket on the router's loopback."""

        def make() -> socket.socket:
            libc = ctypes.CDLL(None, use_errno=True)
            with Path("/run/netns", self.router).open() as namespace:
                assert libc.setns(namespace.fileno(), CLONE_NEWNET) == 0, os.strerror(
                    ctypes.get_errno()
                )
            return socket.create_server(("127.0.0.1", 0))

        # whose namespace it is: a thread moves by itself, and ends here
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(make).result()

    def redirect(self, port: int) -> None:
        """The router redirects connections to port 443 to one of its ports, as the documentation of
        mitmproxy's transparent mode describes."""
        rules = f"""
            table ip llmtally {{
                chain prerouting {{
                    type nat hook prerouting priority dstnat
                    iifname eth0 tcp dport 443 redirect to :{port}
                }}
            }}"""
        run("ip", "netns", "exec", self.router, "nft", "-f", "-", stdin=rules)

    @contextmanager
    def tunnel(self, configuration: str, directory: Path) -> Iterator[None]:
        """The client has a WireGuard tunnel to the router, through which it reaches the
        provider."""
        given = dict(line.split(" = ", 1) for line in configuration.splitlines() if " = " in line)
        port = given["Endpoint"].rpartition(":")[2]
        file = directory / "tunnel.conf"
        file.write_text(
            f"[Interface]\nPrivateKey = {given['PrivateKey']}\n"
            f"[Peer]\nPublicKey = {given['PublicKey']}\nAllowedIPs = 0.0.0.0/0\nEndpoint = "
            f"{ROUTER}:{port}\n"
        )
        within = ("ip", "netns", "exec", self.client)
        # runs in the background until its device is gone
        run(*within, "wireguard-go", self._tunnel)
        try:
            run(*within, "wg", "setconf", self._tunnel, str(file))
            run("ip", "-n", self.client, "address", "add", given["Address"], "dev", self._tunnel)
            run("ip", "-n", self.client, "link", "set", self._tunnel, "up")
            run("ip", "-n", self.client, "route", "add", PROVIDER, "dev", self._tunnel)
            yield
        finally:
            run("ip", "-n", self.client, "link", "delete", self._tunnel)


def run(*command: str, stdin: str = "") -> None:
    """Run it to its end."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (command, done.stdout + done.stderr)
