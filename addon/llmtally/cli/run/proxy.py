"""The proxy of a run: one that is already running on the directory, or a mitmdump that the run
starts."""

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
from typing import Self
from urllib.parse import urlsplit

from ...attribution.run_tag import OWN_RUN, Run, user_info
from ...journal import make_directory
from ...system import presence
from ...system.presence import OWNER, Presence
from ..main import find_addon
from .trust import machine_roots

START_SECONDS = 30.0
"""mitmdump takes about a second to start; a machine under load takes several."""

STOP_SECONDS = 10.0
"""A proxy settles what is in flight and ends in less than a second."""

JOINED_SECONDS = 0.5
"""A proxy that keeps running settles a call a tenth of a second after its end and writes it half of
that later; more if it is busy."""

POLL = 0.02
"""Seconds between two looks for the file of a proxy that is starting."""

LOG_SHOWN = 4_000
"""Characters of the log that are shown if it did not start: the reason is at its end."""


class ProxyError(Exception):
    """No proxy can be used or started; the message says why and what to do."""


def find_or_start(
    directory: Path,
    environment: Mapping[str, str],
    run: Run,
    *,
    confdir: Path,
    intercept: str,
    arguments: Sequence[str],
    may_join: bool,
) -> JoinedProxy | OwnProxy:
    """The proxy for a run: a running one if `may_join`, else a new one. Raises ProxyError."""
    try:
        make_directory(directory)
        if may_join and (running := to_join(directory, environment)) is not None:
            return JoinedProxy(running)
        # What the client would have trusted without us is what the proxy trusts upstream.
        trusted = environment.get("SSL_CERT_FILE") or str(machine_roots())
        options = {
            "usage_intercept": intercept,
            "usage_web": "false",
            "flow_detail": "0",
            "termlog_verbosity": "warn",
            "ssl_verify_upstream_trusted_ca": trusted,
        }
        return OwnProxy(
            directory,
            find_addon(),
            confdir=confdir,
            options=options,
            arguments=(*upstream_mode(environment), *arguments),
            environment={**environment, OWN_RUN: user_info(run)},
        )
    except OSError as error:
        raise ProxyError(
            f"{directory} can't be used: {error.strerror}. Choose another with --dir or "
            "$LLMTALLY_DIR."
        ) from error


def to_join(directory: Path, environment: Mapping[str, str]) -> Presence | None:
    """A running proxy: the one that the environment names (a run within a run), else one that no
    other run has started."""
    found = [each for each in presence.running(directory) if each.regular and each.open_to_all]
    wanted = _address(environment)
    return next((each for each in found if each.regular == wanted), None) or next(
        (each for each in found if not each.owner), None
    )


def mitmdump() -> str:
    """The path of mitmdump: beside the Python that runs us, else the first on PATH. Raises
    ProxyError."""
    beside = Path(sysconfig.get_path("scripts")) / "mitmdump"
    found = shutil.which(str(beside)) or shutil.which("mitmdump")
    if found is None:
        raise ProxyError(
            "mitmdump is not installed. Install it where llmtally is: python -m pip install "
            "mitmproxy"
        )
    return found


class JoinedProxy:
    """A proxy that was running before and keeps running."""

    log = ""
    """Empty: the log of a proxy that others started is not shown."""

    def __init__(self, presence: Presence) -> None:
        self.presence = presence

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        """Wait until the last calls are written."""
        if error is None:
            time.sleep(JOINED_SECONDS)


class OwnProxy:
    """A mitmdump as a child process: the terminal's signals do not reach it, and we end it."""

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
        self._last_log = ""
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
            self.presence = self._wait_until_running()
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _wait_until_running(self) -> Presence:
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
        """What it has printed; complete once it has been stopped."""
        if self._log.closed:
            return self._last_log
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def stop(self) -> None:
        """End the proxy; it settles and writes the calls in flight before."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._last_log = self.log
        self._log.close()


def reason(log: str) -> str:
    """The end of mitmdump's log, without the stack traces that it prints even for a mistake in an
    option."""
    said = [
        line
        for line in log.splitlines()
        if line.strip() and not line.startswith((" ", "Traceback (", "During handling of "))
    ]
    return "\n".join(dict.fromkeys(said))[-LOG_SHOWN:]


def upstream_mode(environment: Mapping[str, str]) -> list[str]:
    """mitmdump's arguments if the environment already names a proxy, as in a company's network.
    Raises ProxyError."""
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
            "HTTPS_PROXY has a password in it, which would be visible in the list of processes. "
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
