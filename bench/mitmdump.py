"""One mitmdump under test, on a core that nothing else here uses but, if that is asked for, the
tally that it starts.

CPU time is read from the process's own clock, to the nanosecond, where `/proc/<pid>/stat` counts in
steps of 10 ms. https://man7.org/linux/man-pages/man3/clock_getcpuclockid.3.html
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
from mitmproxy.certs import CertStore

ROOT = Path(__file__).parents[1]
USAGE = ROOT / "addon" / "usage.py"
REDIRECT = ROOT / "tests" / "support" / "upstream" / "redirect.py"
ADDONS = Path(__file__).parent / "addons"
STREAM_TRUE = ADDONS / "stream_true.py"
IDLE_HOOKS = ADDONS / "idle_hooks.py"
PARSE_EVERY_EVENT = ADDONS / "parse_every_event.py"
LOOP_HOLDS = ADDONS / "loop_holds.py"

START_SECONDS = 30.0
"""How long a start may take on a machine that is busy."""

CORES: set[int] = os.sched_getaffinity(0) if sys.platform == "linux" else set()

MARK = "LLMTALLY_UNDER_TEST"
"""Environment variable by which the processes that a mitmdump starts are found."""

_FAULTS = ("Traceback", "Addon error", "has crashed")
_QUIRK = re.compile(
    r"Exception in callback StreamReaderProtocol\.connection_made.*?CancelledError\n", re.DOTALL
)
"""What asyncio of Python 3.11 says of each connection that is open when mitmdump ends, with or
without the addon."""


def reports_fault(log: str) -> bool:
    """Whether a mitmdump's log says that something went wrong."""
    return any(fault in _QUIRK.sub("", log) for fault in _FAULTS)


class Mitmdump:
    """A process that sends everything to the upstream at `upstream_port`."""

    def __init__(
        self,
        scripts: Sequence[Path],
        upstream_port: int,
        directory: Path,
        *,
        tally_core: int = 0,
        package: Path | None = None,
    ) -> None:
        """`tally_core` is where the tally runs, if there is one; `package` is the folder of another
        llmtally than this one."""
        directory.mkdir()
        self._mark = str(directory)
        self._tally_core = tally_core
        self.port = 0
        self.usage_dir = directory / "usage"
        self.holds = directory / "holds"
        self._ready = directory / "ready"
        self._log = directory / "log"
        command = [
            str(Path(sysconfig.get_path("scripts")) / "mitmdump"),
            "-q",
            "--listen-host",
            "127.0.0.1",
            "--listen-port",
            "0",
        ]
        # Without the page, whose port may be that of a proxy in use.
        settings = {
            "confdir": directory.parent / "conf",
            "usage_dir": self.usage_dir,
            "usage_web": "false",
        }
        for name, value in settings.items():
            command += ["--set", f"{name}={value}"]
        for script in (*scripts, REDIRECT):
            command += ["-s", str(script)]
        environment = {
            **os.environ,
            "HOME": str(directory),
            "UPSTREAM_PORT": str(upstream_port),
            "PROXY_READY": str(self._ready),
            "LOOP_HOLDS": str(self.holds),
            MARK: self._mark,
            **({"PYTHONPATH": str(package)} if package is not None else {}),
        }
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, env=environment, stdout=log, stderr=subprocess.STDOUT
            )
        pin(self._process.pid, CORES)  # all of them until it is up

    async def started(self) -> None:
        """Wait until it listens, and pin it to its core."""
        deadline = time.monotonic() + START_SECONDS
        while not self._ready.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"mitmdump did not start:\n{self._log.read_text()}")
            await asyncio.sleep(0.02)
        self.pin()
        self.port = int(self._ready.read_text())

    def pin(self) -> None:
        """Keep all threads on their cores, also those that have begun since."""
        _pin_process(self._process.pid, 1)
        for process in tallies(self._mark):
            _pin_process(process.pid, self._tally_core)

    @property
    def tally_rss(self) -> float | None:
        """The memory that the tally holds, in MB; None without one."""
        found = tallies(self._mark)
        return sum(process.memory_info().rss for process in found) / 2**20 if found else None

    @property
    def cpu(self) -> float:
        """Seconds of CPU that all its threads have used."""
        return time.clock_gettime(~self._process.pid << 3 | 2)

    @property
    def peak_rss(self) -> float:
        """The most memory it ever held, in MB."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024

    @property
    def records(self) -> int:
        """How many lines its journal has."""
        return sum(path.read_bytes().count(b"\n") for path in self.usage_dir.glob("usage-*.jsonl"))

    def stop(self) -> None:
        """Stop it. Raises RuntimeError if anything went wrong in it."""
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(START_SECONDS)
        log = self._log.read_text()
        if code != 0 or reports_fault(log):
            raise RuntimeError(f"mitmdump had trouble (exit code {code}):\n{log}")


def tallies(mark: str) -> list[psutil.Process]:
    """The processes of llmtally beside mitmdump that were started with this mark: the tally."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == mark:
                command = process.cmdline()
                is_proxy = any(Path(word).name == "mitmdump" for word in command[:2])
                if not is_proxy and any("llmtally" in word for word in command):
                    found.append(process)
    return found


def _pin_process(pid: int, core: int) -> None:
    for task in Path(f"/proc/{pid}/task").iterdir():
        pin(int(task.name), {core})


def make_authority(directory: Path) -> None:
    """Make mitmproxy's CA, so that several can be started at once without each making it."""
    CertStore.from_store(directory / "conf", "mitmproxy", 2048)


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Keep this process on one core for a while. Does nothing where there is only one, or where
    cores can't be chosen."""
    pin(0, {core})
    try:
        yield
    finally:
        pin(0, CORES)


def pin(task: int, cores: set[int]) -> None:
    """Keep a thread, or this process (0), on these cores."""
    if sys.platform == "linux" and cores <= CORES:
        os.sched_setaffinity(task, cores)


def require_linux() -> None:
    """Exit with the reason where this can't be measured."""
    if sys.platform != "linux":
        raise SystemExit("This section reads /proc and pins processes to cores: it needs Linux.")
