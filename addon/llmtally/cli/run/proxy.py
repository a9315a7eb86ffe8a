"""The proxy of a run: one that is at work on the directory already, or a mitmdump of the run's
own."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from ...system import presence
from ...system.presence import OWNER, Presence

START_SECONDS = 30.0
"""mitmdump takes about a second to start; a machine under load takes several."""

STOP_SECONDS = 10.0
"""A proxy settles what is in flight and ends in less than a second."""

POLL = 0.02

LOG_SHOWN = 4_000
"""Characters of the log that are shown where it did not start: the reason stands at its end."""


class ProxyError(Exception):
    """There is no proxy; the message says why and what to do."""


def to_join(directory: Path, environment: Mapping[str, str]) -> Presence | None:
    """A proxy that is running: the one the environment leads to (a run within a run), else one that
    belongs to nobody."""
    found = [each for each in presence.running(directory) if each.regular and each.open_to_all]
    wanted = _address(environment)
    return next((each for each in found if each.regular == wanted), None) or next(
        (each for each in found if not each.owner), None
    )


def mitmdump() -> str:
    """The program: that of our own Python's environment, else the first on PATH. Raises
    ProxyError."""
    beside = Path(sysconfig.get_path("scripts")) / "mitmdump"
    found = shutil.which(str(beside)) or shutil.which("mitmdump")
    if found is None:
        raise ProxyError(
            "mitmdump is not installed. Install it where llmtally is: python -m pip install "
            "mitmproxy"
        )
    return found


class OwnProxy:
    """A mitmdump as a child: out of reach of the terminal's signals, ended by us."""

    def __init__(
        self,
        directory: Path,
        addon: Path,
        *,
        confdir: Path,
        options: Mapping[str, str],
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`options` are set on the command line unless `arguments`, the user's own, do. Raises
        ProxyError."""
        self._directory = directory
        self._owner = secrets.token_hex(8)
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  closed by stop()
        settings = {"confdir": str(confdir), "usage_dir": str(directory), **options}
        command = [mitmdump(), "-s", str(addon), "--listen-host", "127.0.0.1", "--listen-port", "0"]
        for name, value in settings.items():
            # mitmdump refuses two values
            if not any(argument.startswith(f"{name}=") for argument in arguments):
                command += ["--set", f"{name}={value}"]
        self._process = subprocess.Popen(  # noqa: S603  our own program
            [*command, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**(os.environ if environment is None else environment), OWNER: self._owner},
        )
        try:
            self.presence = self._announced()
        except BaseException:
            self.stop()
            raise

    def _announced(self) -> Presence:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            for each in presence.read_all(self._directory):
                if each.owner == self._owner:
                    return each
            try:
                code = self._process.wait(POLL)
            except subprocess.TimeoutExpired:
                continue
            raise ProxyError(f"mitmdump ended with exit code {code}:\n{reason(self.log)}")
        raise ProxyError(
            f"mitmdump did not start within {START_SECONDS:.0f} s:\n{reason(self.log)}"
        )

    @property
    def log(self) -> str:
        """What it has printed."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def stop(self) -> str:
        """End it; what is in flight is settled and written. Gives its log."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        log = self.log
        self._log.close()
        return log


def reason(log: str) -> str:
    """What mitmdump says at its end, without the stack traces that it prints for a mistake in an
    option, too."""
    said = [
        line
        for line in log.splitlines()
        if line.strip() and not line.startswith((" ", "Traceback (", "During handling of "))
    ]
    return "\n".join(dict.fromkeys(said))[-LOG_SHOWN:]


def upstream_mode(environment: Mapping[str, str]) -> list[str]:
    """mitmdump's arguments where the environment already leads through a proxy, as in a company's
    network. Raises ProxyError."""
    url = _url(environment)
    if url is None:
        return []
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ProxyError(
            f"HTTPS_PROXY is {parts.scheme}://...: only http:// and https:// proxies can "
            "stand behind llmtally."
        )
    if parts.username or parts.password:
        raise ProxyError(
            "HTTPS_PROXY has a password in it, which would be seen in the list of processes. "
            "Unset it, put mode: "
            "[upstream:http://HOST:PORT] and upstream_auth: USER:PASSWORD into "
            "~/.mitmproxy/config.yaml and start the proxy "
            'yourself: mitmdump -s "$(llmtally addon-path)". `llmtally run` joins it.'
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return ["--mode", f"upstream:{parts.scheme}://{host}:{port}"]


def _url(environment: Mapping[str, str]) -> str | None:
    url = environment.get("HTTPS_PROXY") or environment.get("https_proxy")
    return url and (url if "://" in url else f"http://{url}")


def _address(environment: Mapping[str, str]) -> tuple[str, int] | None:
    if (url := _url(environment)) is None:
        return None
    try:
        parts = urlsplit(url)
        return (
            "127.0.0.1" if parts.hostname == "localhost" else parts.hostname or "",
            parts.port or 80,
        )
    except ValueError:
        return None
