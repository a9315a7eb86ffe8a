"""Every mode in which docs/connecting.md says clients reach the proxy: in each, a call has its
provider's name, and other hosts are not decrypted. Transparent and WireGuard need root and a
network made for the tests; where that cannot be had they are left out, and the first lines of the
test run say so. Local capture loads a program into the kernel of the whole machine: it was tried by
hand, see docs/connecting.md."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from network import NOT_HERE, PROVIDER, Network
from upstream.answers import json_answer
from upstream.handler import DEADLINE
from upstream.proxy import Proxy, StartProxy
from upstream.server import Upstream

CHAT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "model": "gpt-5.4",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
    ],
    "usage": {"prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050},
}
HOST = "api.openai.com"
INTERCEPT = {"usage_intercept": "llm"}
WIREGUARD = "wireguard@51820"

ALL = [
    "regular",
    "reverse",
    "socks5_by_name",
    "socks5_by_address",
    "upstream_proxy",
    "transparent",
    "wireguard",
]
MODES = [mode for mode in ALL if mode not in NOT_HERE]


class Way(NamedTuple):
    """A proxy in one mode."""

    proxy: Proxy
    upstream: Upstream
    curl: list[str]
    """The beginning of a client's command line: where it runs, and what leads it there."""
    base_url: str = f"https://{HOST}"


@pytest.fixture
def regular(start_proxy: StartProxy, upstream: Upstream) -> Way:
    """The client is configured to use the proxy."""
    proxy = start_proxy(options=INTERCEPT)
    return Way(proxy, upstream, ["curl", "--proxy", proxy.url])


@pytest.fixture
def reverse(start_proxy: StartProxy, upstream: Upstream) -> Way:
    """The proxy is the client's base URL."""
    proxy = start_proxy(options={**INTERCEPT, "mode": f"reverse:https://{HOST}"})
    return Way(proxy, upstream, ["curl"], proxy.url)


@pytest.fixture
def socks5_by_name(start_proxy: StartProxy, upstream: Upstream) -> Way:
    """The client sends names to the proxy."""
    proxy = start_proxy(options={**INTERCEPT, "mode": "socks5"})
    return Way(proxy, upstream, ["curl", "--proxy", f"socks5h://127.0.0.1:{proxy.port}"])


@pytest.fixture
def socks5_by_address(start_proxy: StartProxy, upstream: Upstream) -> Way:
    """The client resolves names, and sends addresses to the proxy."""
    proxy = start_proxy(options={**INTERCEPT, "mode": "socks5"})
    return Way(
        proxy, upstream, [*at_the_provider("curl"), "--proxy", f"socks5://127.0.0.1:{proxy.port}"]
    )


@pytest.fixture
def upstream_proxy(start_proxy: StartProxy, upstream: Upstream) -> Way:
    """The proxy sends its requests to another proxy."""
    other = start_proxy(addon=None, options={"ignore_hosts": ".*"})
    proxy = start_proxy(
        options={**INTERCEPT, "mode": f"upstream:{other.url}"},
        env={"UPSTREAM_PORT": str(other.port)},
    )
    return Way(proxy, upstream, ["curl", "--proxy", proxy.url])


@pytest.fixture
def network() -> Iterator[Network]:
    """A client's machine and a router."""
    made = Network()
    yield made
    made.close()


@pytest.fixture
def beyond(network: Network, tmp_path: Path) -> Iterator[Upstream]:
    """The fake upstream, at an address that the router reaches."""
    server = Upstream(tmp_path, network.listener())
    server.start()
    yield server
    server.reset()
    server.stop()


@pytest.fixture
def transparent(network: Network, beyond: Upstream, confdir: Path, tmp_path: Path) -> Iterator[Way]:
    """The router's packet filter sends the client's connections to the proxy; the client knows
    nothing of it."""
    proxy = Proxy(
        beyond,
        confdir,
        tmp_path / "proxy",
        options={**INTERCEPT, "mode": "transparent"},
        within=in_the(network.router),
    )
    network.redirect(proxy.port)
    yield Way(proxy, beyond, [*in_the(network.client), *at_the_provider("curl")])
    proxy.kill()


@pytest.fixture
def wireguard(network: Network, beyond: Upstream, confdir: Path, tmp_path: Path) -> Iterator[Way]:
    """All the client sends goes through a tunnel."""
    proxy = Proxy(
        beyond,
        confdir,
        tmp_path / "proxy",
        options={**INTERCEPT, "mode": "wireguard@51820"},
        within=in_the(network.router),
    )
    proxy.wait_for_log("Endpoint = ")
    with network.tunnel(proxy.log, tmp_path):
        yield Way(proxy, beyond, [*in_the(network.client), *at_the_provider("curl")])
    proxy.kill()


def in_the(machine: str) -> list[str]:
    return ["ip", "netns", "exec", machine]


def at_the_provider(curl: str) -> list[str]:
    """The addresses of the providers' names, instead of a name server."""
    return [curl, "--resolve", f"{HOST}:443:{PROVIDER}", "--resolve", f"example.com:443:{PROVIDER}"]


def fetch(way: Way, url: str, authority: Path, *arguments: str) -> str:
    """What the client gets; it trusts this authority alone."""
    command = [*way.curl, "-sS", "--noproxy", "", "--cacert", str(authority), *arguments, url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 0, done.stderr + way.proxy.log
    return done.stdout


@pytest.mark.parametrize("mode", MODES)
def test_a_call_is_the_providers(mode: str, request: pytest.FixtureRequest) -> None:
    """Whatever the mode, a call has the provider's name, price and tokens."""
    way: Way = request.getfixturevalue(mode)
    way.upstream.route(HOST, "/v1/chat/completions", json_answer(CHAT))

    fetch(
        way, f"{way.base_url}/v1/chat/completions", way.proxy.ca, "--data", '{"model": "gpt-5.4"}'
    )

    record = way.proxy.record()
    assert (record["host"], record["provider"], record["model"], record["client"]) == (
        HOST,
        "openai",
        "gpt-5.4",
        "curl",
    )
    assert (record["input_tokens"], record["output_tokens"], record["coverage"]) == (
        1000,
        50,
        "priced",
    )
    assert way.proxy.faults() == []


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "reverse"])
def test_other_hosts_stay_closed(mode: str, request: pytest.FixtureRequest) -> None:
    """With `usage_intercept=llm`, a client that trusts only the host's authority reaches the
    host."""
    way: Way = request.getfixturevalue(mode)
    way.upstream.route("example.com", "/v1/chat/completions", json_answer(CHAT))

    assert "chatcmpl-1" in fetch(
        way, "https://example.com/v1/chat/completions", way.upstream.authority.path, "--data", "{}"
    )

    assert way.proxy.journal() == []
    assert way.proxy.faults() == []
