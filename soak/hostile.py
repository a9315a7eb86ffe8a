"""`scripts/soak hostile`: answers made to hurt whoever reads them, through mitmdump with the addon
and through one without.

The client must get every byte. How long the loop was held is what `bench/addons/loop_holds.py`
notices; memory is the most that the kernel saw.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import random
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from bench.mitmdump import LOOP_HOLDS, STREAM_TRUE, USAGE, make_authority, require_linux
from bench.report import Cell, Goal, Section

from . import answers, calls, readers
from .answers import Counts
from .calls import JSON, SSE, Request, Socket, Unit
from .peers import Client, Provider, WrongAnswerError
from .processes import tallies
from .proxies import Proxy, ProxyError
from .run import none_of

BARE, ADDON = "bare", "addon"
CONFIGURATIONS = {BARE: (STREAM_TRUE, LOOP_HOLDS), ADDON: (USAGE, LOOP_HOLDS)}

HOLD_GOAL = 3.0
"""Milliseconds that the longest hold may be longer than bare mitmdump's."""

QUIET = 0.3
"""Seconds without work after which all that was put off is done."""

PATIENCE = 60.0

Input = Callable[[float], list[Unit]]


@dataclass(frozen=True, slots=True)
class Measured:
    """What one input did to one mitmdump."""

    identical: bool
    seconds: float
    hold: float
    """Milliseconds."""
    rss: float
    """The most memory the proxy held, in MB."""
    tally_rss: float | None
    faults: tuple[str, ...]


def hostile(scale: float, names: Sequence[str], options: dict[str, str]) -> list[Section]:
    """Send the inputs with these names through both."""
    require_linux()
    return [asyncio.run(_hostile(scale, names, options))]


async def _hostile(scale: float, names: Sequence[str], options: dict[str, str]) -> Section:
    provider = Provider()
    await provider.start()
    rows: list[tuple[Cell, ...]] = []
    goals: list[Goal] = []
    notes: list[str] = []
    for name in names:
        units = INPUTS[name](scale)
        found = {
            configuration: await _through(configuration, units, provider, options)
            for configuration in CONFIGURATIONS
        }
        for configuration, each in found.items():
            rows.append((name, configuration, each.seconds, each.hold, each.rss, each.tally_rss))
            goals.append(none_of(f"{name}, {configuration}: other bytes", int(not each.identical)))
        bare, addon = found[BARE], found[ADDON]
        goals.append(
            Goal(f"{name}: longest hold, beyond bare", addon.hold - bare.hold, HOLD_GOAL, "ms")
        )
        goals.append(none_of(f"{name}: faults", len(addon.faults)))
        notes += [f"{name}: {fault}" for fault in addon.faults]
    provider.stop()
    columns = ("answer", "mitmdump", "seconds", "longest hold ms", "peak RSS MB", "tally RSS MB")
    return Section("Hostile peers", columns, rows, goals, tuple(notes))


async def _through(
    configuration: str, units: Sequence[Unit], provider: Provider, options: dict[str, str]
) -> Measured:
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        make_authority(folder)
        holds = folder / "holds"
        proxy = Proxy(
            provider.port,
            folder,
            "proxy",
            scripts=CONFIGURATIONS[configuration],
            options=options if configuration == ADDON else None,
            env={"LOOP_HOLDS": str(holds)},
        )
        await proxy.started()
        await _quiet(proxy, folder)
        already = len(holds.read_text().splitlines())
        began = time.monotonic()
        identical = await _ask(proxy, provider, units)
        seconds = time.monotonic() - began
        await _quiet(proxy, folder)
        rss = _peak(proxy.process.pid)
        counting = tallies(folder)
        tally_rss = max((_peak(process.pid) for process in counting), default=None)
        faults = await _faults(proxy) if configuration == ADDON else []
        try:
            await proxy.stop()
        except ProxyError as error:
            faults.append(str(error)[-800:])
        longest = max(map(float, holds.read_text().splitlines()[already:]), default=0.0)
        for process in counting:
            with contextlib.suppress(psutil.Error):
                process.kill()
        return Measured(identical, seconds, 1e3 * longest, rss, tally_rss, tuple(faults))


async def _ask(proxy: Proxy, provider: Provider, units: Sequence[Unit]) -> bool:
    client = Client(proxy.port, provider, lambda _: None)
    try:
        for unit in units:
            await client.ask(unit)
    except (WrongAnswerError, OSError, EOFError):
        return False
    finally:
        client.close()
    return True


async def _quiet(proxy: Proxy, folder: Path) -> None:
    """Wait until the processes have nothing more to do."""
    deadline = time.monotonic() + PATIENCE
    processes = [psutil.Process(proxy.process.pid), *tallies(folder)]
    while time.monotonic() < deadline:
        before = _cpu(processes)
        await asyncio.sleep(QUIET)
        if _cpu(processes) - before < 0.15 * QUIET:  # the watch of the loop itself takes some
            return


def _cpu(processes: Sequence[psutil.Process]) -> float:
    total = 0.0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def _peak(pid: int) -> float:
    """The most memory that a process ever held, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


async def _faults(proxy: Proxy) -> list[str]:
    """Which answers fail after the input."""
    faults = []
    looks: dict[str, Callable[[], object]] = {
        "status line": lambda: readers.status_line(proxy.usage_dir),
        "report": lambda: readers.of_report(proxy.usage_dir),
    }
    if (page := proxy.page) is not None:
        looks |= {
            "page": lambda: readers.of_page(page),
            "metrics": lambda: readers.of_metrics(page),
        }
    else:
        faults.append("no page")
    for name, look in looks.items():
        try:
            await asyncio.to_thread(look)
        except (OSError, ValueError, KeyError) as error:
            faults.append(f"{name} fails: {error}")
    return faults


# The inputs


def _json_call(number: int, body: bytes, headers: str = "", kind: str = JSON) -> Request:
    host, path = "api.openai.com", "/v1/chat/completions"
    asked = b'{"model": "gpt-5", "messages": []}'
    if "anthropic" in headers:
        host, path = "api.anthropic.com", "/v1/messages"
    message = (
        f"POST http://{host}{path} HTTP/1.1\r\nhost: {host}\r\naccept-encoding: gzip\r\n"
        f"authorization: Bearer sk-ant-oat01-0000000000\r\n{calls.NUMBER_HEADER}: {number}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(asked)}\r\n\r\n"
    ).encode() + asked
    head = f"content-type: {kind}\r\n{headers}".encode()
    return Request(number, message, 200, head, (body,), "none", True, {})


def _noise(size: int) -> bytes:
    """Text that hardly compresses: it pays for the allowance of what follows."""
    return b64encode(random.Random(size).randbytes(size * 3 // 4))


DENSE = b'{"a":[]},'
"""A member of an array that becomes thirty times its size when it is parsed."""


def dense_gzip(scale: float) -> list[Unit]:
    """Some 369 kB of gzip that decode to 60 MB of small objects, within what a coding is
    allowed."""
    noise = _noise(int(300_000 * scale))
    dense = DENSE * int(60_000_000 / len(DENSE) * scale)
    body = b'{"id": "%b", "choices": [%b{}], "usage": null}' % (noise, dense)
    return [_json_call(1, gzip.compress(body, 9), "content-encoding: gzip\r\n")]


def small_events(scale: float) -> list[Unit]:
    """58 kB of gzip that decode to a million small events."""
    body = b": %b\n\n" % _noise(int(30_000 * scale)) + b"data: {}\n\n" * int(1_100_000 * scale)
    return [_json_call(1, gzip.compress(body, 9), "content-encoding: gzip\r\n", SSE)]


def dripped(scale: float) -> list[Unit]:
    """A hundred small bombs, one after the other, in one body: each piece decodes to 4 MB."""
    event = b"data: " + json.dumps({"choices": [{}] * 60}).encode() + b"\n\n"
    count = max(1, int(4 * 2**20 * scale) // len(event))
    pieces = answers.gzipped(event * count for _ in range(100))
    call = _json_call(1, b"", "content-encoding: gzip\r\n", SSE)
    return [Request(1, call.message, 200, call.headers, pieces, "none", True, {}, drip=0.02)]


def large_frame(scale: float) -> list[Unit]:
    """A frame of 60 MB of small objects on a socket."""
    dense = DENSE.decode() * int(60_000_000 / len(DENSE) * scale)
    frame = (
        '{"type": "response.completed", "response": {"id": "resp_1", "output": ['
        f'{dense}{{}}], "usage": {{"input_tokens": 1, "output_tokens": 1}}}}}}'
    )
    headers = ((calls.NUMBER_HEADER, "1"),)
    return [Socket(range(1, 2), 0, "none", headers, (frame,))]


def many_names(scale: float) -> list[Unit]:
    """Counts under a million names."""
    names = {f"tool_{at}_requests": 1 for at in range(int(1_000_000 * scale))}
    usage = answers.chat_usage(Counts.of(1)) | {"server_tool_use": names}
    body = answers.chat_completion("chatcmpl-1", Counts.of(1)) | {"usage": usage}
    return [_json_call(1, json.dumps(body).encode())]


POISON = (
    "1e308", "-1e308", "nan", "inf", "-inf", "-1", "0", "1" + "0" * 400, "9" * 4_000, "1e400",
    "253402300800", "-62135596801", "9007199254740993", "0x7f", "", "2026-13-45T99:99:99Z",
    "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+23:59", "99999999999999999h", "1e308s", "\u00b2",
)  # fmt: skip
"""Numbers, times and durations that some arithmetic cannot take."""

LIMIT_HEADERS = (
    "anthropic-ratelimit-unified-5h-utilization",
    "anthropic-ratelimit-unified-5h-reset",
    "anthropic-ratelimit-unified-7d-utilization",
    "anthropic-ratelimit-unified-7d-reset",
    "anthropic-ratelimit-unified-reset",
    "anthropic-ratelimit-unified-overage-utilization",
    "anthropic-ratelimit-requests-limit",
    "anthropic-ratelimit-requests-remaining",
    "anthropic-ratelimit-requests-reset",
    "anthropic-ratelimit-tokens-limit",
    "anthropic-ratelimit-tokens-remaining",
    "anthropic-ratelimit-tokens-reset",
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
    "x-ratelimit-limit-tokens",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-tokens",
    "x-codex-primary-used-percent",
    "x-codex-primary-window-minutes",
    "x-codex-primary-reset-at",
    "x-codex-primary-reset-after-seconds",
    "x-codex-secondary-used-percent",
    "x-codex-secondary-window-minutes",
    "x-codex-secondary-reset-after-seconds",
    "retry-after",
)
COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens", "cost", "cached_tokens")


def poison(scale: float) -> list[Unit]:
    """Each poisonous number in each limit header and in each count of a body; the other headers of
    its kind say what is usual."""
    usual = {
        name: "0.5" if "utilization" in name or "percent" in name else "300"
        for name in LIMIT_HEADERS
    }
    units: list[Unit] = []
    step = max(1, round(1 / scale))
    for name in LIMIT_HEADERS:
        for value in POISON:
            kind = name.partition("-")[0]
            beside = {each: said for each, said in usual.items() if each.startswith(kind)}
            lines = "".join(
                f"{each}: {said}\r\n" for each, said in (beside | {name: value}).items()
            )
            number = len(units) + 1
            body = answers.chat_completion(f"chatcmpl-{number}", Counts.of(number))
            if kind == "anthropic":
                body = answers.anthropic_message(f"msg-{number}", Counts.of(number))
            units.append(_json_call(number, json.dumps(body).encode(), lines))
    for name in COUNTS:
        for value in POISON:
            number = len(units) + 1
            said = (
                value
                if value[:1].isdigit() and value.isascii() and value.isdigit()
                else f'"{value}"'
            )
            body = answers.chat_completion(f"chatcmpl-{number}", Counts.of(number))
            text = json.dumps(
                body | {"usage": {"prompt_tokens": 5, "completion_tokens": 5, name: "@"}}
            )
            units.append(_json_call(number, text.replace('"@"', said).encode()))
    return units[::step]


INPUTS: dict[str, Input] = {
    "dense-gzip": dense_gzip,
    "small-events": small_events,
    "dripped": dripped,
    "60-MB-frame": large_frame,
    "million-names": many_names,
    "poison": poison,
}
