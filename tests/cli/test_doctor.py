"""`llmtally doctor` on set-ups that are broken one way each: it names the trouble, and the command
it gives cures it."""

from __future__ import annotations

import datetime
import gzip
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from calls import a_call, write
from llmtally.cli import main as cli
from llmtally.cli.doctor import counted, programs
from llmtally.cli.doctor.finding import Setting
from llmtally.journal import utc_day
from llmtally.system import presence
from llmtally.system.presence import Presence
from llmtally_run import PROXY_VARIABLES
from upstream.handler import DEADLINE
from upstream.proxy import ROOT, Proxy

Findings = dict[str, list[dict[str, Any]]]

CERTIFICATES = (
    "SSL_",
    "NODE_EXTRA",
    "REQUESTS_CA",
    "CURL_CA",
    "AWS_CA",
    "GIT_SSL",
    "PIP_CERT",
    "HTTPLIB2",
    "GRPC",
    "CLOUDSDK",
    "NIX_",
)


class Patient:
    """A home with a journal and an authority, in good health until a test breaks something."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.directory = home / "journal"
        self.confdir = home / "conf"
        programs = home / "bin"
        programs.mkdir()
        command = programs / "llmtally"
        command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m llmtally "$@"\n')
        command.chmod(0o755)
        self.environment = {
            **{
                name: value
                for name, value in os.environ.items()
                if name not in PROXY_VARIABLES
                and not name.startswith(CERTIFICATES)
                and not name.endswith("BASE_URL")
            },
            "HOME": str(home),
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT / "addon"),
            "LLMTALLY_DIR": str(self.directory),
        }

    def shell(self, script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", script],
            env=self.environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=4 * DEADLINE,
            check=False,
        )

    def examined(self, before: str = "", *, probe: bool = False) -> tuple[int, Findings]:
        """What doctor finds in a shell in which something was typed before."""
        doctor = (
            f"llmtally doctor --json --confdir {shlex.quote(str(self.confdir))} "
            f"{'--probe' if probe else '--no-probe'}"
        )
        done = self.shell(f"{before}\n{doctor}")
        assert "Traceback" not in done.stderr, done.stderr
        found: Findings = {}
        for finding in json.loads(done.stdout):
            found.setdefault(finding["check"], []).append(finding)
        return done.returncode, found

    def broken(self, check: str, before: str = "", *, probe: bool = False) -> dict[str, Any]:
        """The one thing that is broken."""
        code, found = self.examined(before, probe=probe)
        broken = [
            finding for each in found.values() for finding in each if finding["level"] == "broken"
        ]
        assert [finding["check"] for finding in broken] == [check], broken
        assert code == 1
        return broken[0]

    def cured(self, finding: dict[str, Any], before: str = "", *, probe: bool = False) -> None:
        """After the cure, typed in the same shell, nothing is broken."""
        code, found = self.examined(f"{before}\n{finding['cure']} || exit 99", probe=probe)
        assert code == 0, found


@pytest.fixture
def patient(tmp_path: Path, confdir: Path, shared_proxy: Proxy) -> Patient:
    """A new one, with an authority that mitmproxy has made."""
    patient = Patient(tmp_path)
    patient.confdir.mkdir()
    for path in confdir.glob("mitmproxy-ca*"):
        (patient.confdir / path.name).write_bytes(path.read_bytes())
    write(patient.directory, [a_call(time.time())])
    patient.directory.chmod(0o700)
    return patient


@pytest.fixture
def a_server() -> Iterator[int]:
    """The port of a program that is not a proxy."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def a_free_port() -> Iterator[int]:
    """A port on which nobody listens; it is held, so that no test beside this one gets it."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def test_in_good_health(patient: Patient) -> None:
    """Nothing is broken, and a call through a proxy with the user's own certificates is counted."""
    code, found = patient.examined(probe=True)

    assert code == 0, found
    assert [
        found[name][0]["level"]
        for name in ("python", "mitmproxy", "directory", "lines", "clock", "authority", "probe")
    ] == ["ok"] * 7
    assert len(list(patient.directory.glob("usage-*"))) == 1


def test_the_very_first_time(patient: Patient) -> None:
    """Before the first start nothing is there, which is not a problem; the command for a missing
    authority creates it."""
    patient.shell(f"rm -r {patient.directory} {patient.confdir}")

    code, found = patient.examined()

    assert code == 0
    assert found["authority"][0]["level"] == "note"
    assert patient.examined(found["authority"][0]["cure"])[1]["authority"][0]["level"] == "ok"


# Broken


def test_the_directory_is_a_file(patient: Patient) -> None:
    """No record can be kept there."""
    patient.shell(f"rm -r {patient.directory} && touch {patient.directory}")

    patient.cured(patient.broken("directory"))


def test_the_authority_is_garbage(patient: Patient) -> None:
    """A file that holds no certificate is trusted by nobody."""
    (patient.confdir / "mitmproxy-ca-cert.pem").write_text(
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    )

    patient.cured(patient.broken("authority"), probe=True)


def test_the_authority_is_not_the_one_in_use(patient: Patient) -> None:
    """Clients are pointed at a certificate that mitmproxy does not sign with."""
    _write_authority(patient.confdir / "mitmproxy-ca-cert.pem", days=365)

    patient.cured(patient.broken("authority"))


def test_the_authority_has_expired(patient: Patient) -> None:
    """It is as good as none."""
    _write_authority(patient.confdir / "mitmproxy-ca.pem", days=-1)
    certificate = (
        (patient.confdir / "mitmproxy-ca.pem").read_text().partition("-----BEGIN CERTIFICATE")
    )
    (patient.confdir / "mitmproxy-ca-cert.pem").write_text("".join(certificate[1:]))

    finding = patient.broken("authority")

    assert "expired" in finding["text"]
    patient.cured(finding)


def test_the_configuration_does_not_load(patient: Patient) -> None:
    """The proxy says why it does not start; the file is set aside."""
    (patient.confdir / "config.yaml").write_text("usage_limits:\n- nonsense\n")

    finding = patient.broken("probe", probe=True)

    assert "usage_limits" in finding["text"]
    patient.cured(finding, probe=True)


def test_the_proxy_is_gone(patient: Patient, a_free_port: int) -> None:
    """An exported variable outlives the proxy it led to."""
    before = f"export HTTPS_PROXY=http://127.0.0.1:{a_free_port}"
    finding = patient.broken("environment", before)

    assert "nothing listens" in finding["text"]
    patient.cured(finding, before)


def test_another_program_has_the_port(patient: Patient, a_server: int) -> None:
    """A proxy that is none of ours counts nothing."""
    before = (
        f"export HTTPS_PROXY=http://localhost:{a_server} https_proxy=http://localhost:{a_server}"
    )

    patient.cured(patient.broken("environment", before), before)


def test_lines_are_damaged(patient: Patient) -> None:
    """They are named and taken out, and what is taken out is kept; the others stay."""
    [path] = patient.directory.glob("usage-*")
    whole = path.read_bytes()
    path.write_bytes(b"garbage\n" + whole + b'{"schema":1,\n')

    finding = patient.broken("lines")

    assert f"{path.name} line 1" in finding["text"]
    patient.cured(finding)
    assert path.read_bytes() == whole


def test_lines_of_a_compressed_file_are_damaged(patient: Patient) -> None:
    """They are taken out of the file that it is unpacked to."""
    [path] = patient.directory.glob("usage-*")
    whole = path.read_bytes()
    path.with_suffix(".jsonl.gz").write_bytes(gzip.compress(b"garbage\n" + whole))
    path.unlink()

    patient.cured(patient.broken("lines"))
    assert path.read_bytes() == whole


def test_a_compressed_file_does_not_count(patient: Patient) -> None:
    """It is named, as the plain file of its day stands beside it."""
    [path] = patient.directory.glob("usage-*")
    path.with_suffix(".jsonl.gz").write_bytes(gzip.compress(path.read_bytes()))

    code, found = patient.examined()
    [finding] = found["compressed"]
    assert (code, finding["level"]) == (0, "note")
    assert f"{path.name}.gz" in finding["text"]
    patient.shell(finding["cure"])
    assert "compressed" not in patient.examined()[1]


def test_a_file_of_certificates_is_gone(patient: Patient) -> None:
    """A variable that names nothing leaves its readers without any root."""
    before = "export REQUESTS_CA_BUNDLE=/no/such/file.pem"

    patient.cured(patient.broken("trust", before), before)


def test_a_base_url_leads_nowhere(patient: Patient, a_free_port: int) -> None:
    """A reverse proxy that has ended."""
    before = f"export ANTHROPIC_BASE_URL=http://127.0.0.1:{a_free_port}"

    patient.cured(patient.broken("base_url", before), before)


class Led(Patient):
    """One whose shell leads clients through a running proxy."""

    def __init__(self, home: Path, proxy: Proxy) -> None:
        super().__init__(home)
        self.directory = proxy.usage_dir
        self.confdir = proxy.ca.parent
        self.environment["LLMTALLY_DIR"] = str(proxy.usage_dir)
        self.environment |= {
            name: str(proxy.ca)
            for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
        }
        self.environment |= {
            "HTTPS_PROXY": proxy.url,
            "https_proxy": proxy.url,
            "NO_PROXY": "localhost,127.0.0.1",
        }


@pytest.fixture
def led(tmp_path: Path, start_proxy: Callable[..., Proxy]) -> Led:
    proxy = start_proxy()
    deadline = time.monotonic() + DEADLINE
    while not list((proxy.usage_dir / "proxies").glob("*.json")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return Led(tmp_path, proxy)


def test_led_as_the_readme_says(led: Led) -> None:
    """The variables of docs/connecting.md are all that is needed."""
    code, found = led.examined()

    assert code == 0, found
    assert "leads to the proxy" in found["environment"][0]["text"]
    assert found["proxy"][0]["level"] == found["trust"][0]["level"] == "ok"


def test_node_is_not_told_of_the_authority(led: Led) -> None:
    """Claude Code and Gemini CLI would fail."""
    before = "unset NODE_EXTRA_CA_CERTS"
    finding = led.broken("trust", before)

    assert "Gemini CLI" in finding["text"]
    led.cured(finding, before)


def test_a_companys_roots_lack_the_authority(led: Led) -> None:
    """They stay trusted in the file that the cure names."""
    company = led.home / "company.pem"
    _write_authority(company, days=365)
    before = f"export SSL_CERT_FILE={company}"
    finding = led.broken("trust", before)

    led.cured(finding, before)
    bundle = shlex.split(finding["cure"])[1].partition("=")[2]
    assert (
        company.read_text().partition("-----BEGIN CERTIFICATE")[2].strip()
        in Path(bundle).read_text()
    )


@pytest.mark.parametrize("entry", ["*", ".anthropic.com", "api.openai.com"])
def test_providers_are_excluded(led: Led, entry: str) -> None:
    """What NO_PROXY excludes is never counted; the other entries stay."""
    before = f"export NO_PROXY='localhost,{entry},corp.example'"
    finding = led.broken("no_proxy", before)

    assert finding["cure"] == "export NO_PROXY=localhost,corp.example"
    led.cured(finding, before)


def test_the_two_spellings_differ(led: Led, a_server: int) -> None:
    """Some programs would go another way."""
    before = f"export https_proxy=http://127.0.0.1:{a_server}"

    led.cured(led.broken("environment", before), before)


# Not for a command to cure at once


def test_mitmproxy_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it there is nothing to run; the cure installs it beside llmtally."""

    def missing(_: str) -> str:
        raise metadata.PackageNotFoundError

    setting = Setting(
        Path("/nowhere"), Path("/nowhere"), {"PATH": ""}, time.time(), Path("/nowhere")
    )
    monkeypatch.setattr(metadata, "version", missing)
    found = {each.check: each for each in programs.examine(setting)}

    assert (found["mitmproxy"].level, found["mitmproxy"].cure) == (
        "broken",
        f"{sys.executable} -m pip install --upgrade mitmproxy",
    )


def test_mitmproxy_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compared by number, not as text."""
    setting = Setting(
        Path("/nowhere"), Path("/nowhere"), {"PATH": ""}, time.time(), Path("/nowhere")
    )
    levels = {}
    for version in ("9.0.1", "11.0.1", "11.0.2", "12.2.3"):
        monkeypatch.setattr(metadata, "version", lambda _, version=version: version)
        levels[version] = next(
            each.level for each in programs.examine(setting) if each.check == "mitmproxy"
        )

    assert levels == {"9.0.1": "broken", "11.0.1": "broken", "11.0.2": "ok", "12.2.3": "ok"}


@pytest.mark.parametrize(
    ("version", "told", "level"),
    [
        ("v22.20.9", {}, "note"),
        ("v24.0.0", {}, "note"),
        ("v24.0.0", {"NODE_USE_ENV_PROXY": "1"}, "ok"),
        ("", {}, "note"),
    ],
)
def test_node_goes_past(tmp_path: Path, version: str, told: dict[str, str], level: str) -> None:
    """Its own fetch does so if it is old, and if nobody tells it not to; `llmtally run` does."""
    (tmp_path / "node").write_text(f"#!/bin/sh\necho {version}\n")
    (tmp_path / "node").chmod(0o755)
    led = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HTTPS_PROXY": "http://127.0.0.1:8080"}
    setting = Setting(
        Path("/nowhere"), Path("/nowhere"), {**led, **told}, time.time(), Path("/nowhere")
    )

    assert [each.level for each in programs.examine(setting) if each.check == "node"] == [level]


def test_the_clock_was_set_back(patient: Patient) -> None:
    """Records in the future would fall out of today."""
    write(patient.directory, [a_call(time.time() + 7200)])

    assert "2.0 h in the future" in patient.broken("clock")["text"]


def test_answers_that_could_not_be_read(patient: Patient) -> None:
    """The cure shows which they were."""
    write(patient.directory, [a_call(time.time(), coverage="unparsed", cost_usd=None)])

    finding = patient.broken("unparsed")

    assert "api.anthropic.com" in patient.shell(finding["cure"]).stdout


def test_calls_without_a_price(patient: Patient) -> None:
    """The model is named, and the cure begins a price file for it."""
    write(
        patient.directory,
        [a_call(time.time(), coverage="unpriced", cost_usd=None, model="new-model")],
    )

    code, found = patient.examined()
    finding = found["unpriced"][0]
    patient.shell(finding["cure"])

    assert (code, finding["level"]) == (0, "note")
    assert "anthropic/new-model" in finding["text"]
    assert json.loads((patient.home / "llmtally-prices.json").read_text()).keys() == {
        "anthropic/new-model"
    }


def test_a_model_with_a_name_that_is_a_command(patient: Patient) -> None:
    """Whoever answers a call can name its model as he likes: the cure that is copied into a shell
    quotes it, whole."""
    model = "x'; touch owned; echo '" + "y" * 60
    write(patient.directory, [a_call(time.time(), coverage="unpriced", cost_usd=None, model=model)])

    patient.shell(patient.examined()[1]["unpriced"][0]["cure"])

    assert not (patient.home / "owned").exists()
    assert json.loads((patient.home / "llmtally-prices.json").read_text()).keys() == {
        f"anthropic/{model}"
    }


def test_lines_are_looked_at_though_others_can_read_them(patient: Patient) -> None:
    """What is a note about the directory keeps nothing else from being found."""
    patient.directory.mkdir(exist_ok=True)
    (patient.directory / f"usage-{utc_day(time.time())}.jsonl").write_text("garbage\n")
    patient.directory.chmod(0o755)

    found = patient.examined()[1]

    assert found["directory"][0]["level"] == "note"
    assert found["lines"][0]["text"].startswith("A line cannot be read: usage-")


def test_clients_that_go_past(led: Led, shared_proxy: Proxy) -> None:
    """A client that does not trust the authority is refused, counted and found."""
    ask = [
        "curl",
        "-sS",
        "-x",
        led.environment["HTTPS_PROXY"],
        "https://api.anthropic.com/v1/messages",
    ]
    environment = {
        name: value for name, value in led.environment.items() if not name.startswith("SSL")
    }
    assert subprocess.run(ask, env=environment, capture_output=True, check=False).returncode == 60
    deadline = time.monotonic() + DEADLINE
    status = led.directory / "status.json"
    while not status.exists() or json.loads(status.read_text())["coverage"].get("bypassed") != 1:
        assert time.monotonic() < deadline
        time.sleep(0.1)

    assert "A connection to an LLM host" in led.broken("bypassed")["text"]


@pytest.mark.parametrize(("days_ago", "level"), [(0, "broken"), (10, "ok")])
def test_those_that_went_past_on_another_day(tmp_path: Path, days_ago: int, level: str) -> None:
    """The state file of a proxy that has ended counts only for the day on which it was written."""
    now = time.time()
    status = tmp_path / "status.json"
    status.write_text('{"coverage": {"bypassed": 3}}')
    os.utime(status, (now - days_ago * 86_400,) * 2)

    findings = counted.examine(Setting(tmp_path, tmp_path, {}, now, tmp_path))

    assert [each.level for each in findings if each.check == "bypassed"] == [level]


def test_a_proxy_that_was_killed(patient: Patient, a_free_port: int) -> None:
    """Its file is taken away, and a process that has its number by now is left alone."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        _announce(patient, process, a_free_port)
        file = patient.directory / "proxies" / f"{process.pid}.json"
        file.write_text(
            json.dumps({**json.loads(file.read_bytes()), "start_time": "another boot 1234"})
        )

        finding = patient.examined()[1]["proxy"][0]

        assert (finding["level"], finding["cure"]) == ("note", f"rm {file}")
        assert "proxy" not in patient.examined(finding["cure"])[1]
        assert process.poll() is None


def test_a_proxy_that_does_not_answer(patient: Patient, a_free_port: int) -> None:
    """It lives and nobody can connect to it: it is ended."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        _announce(patient, process, a_free_port)

        finding = patient.broken("proxy")
        patient.shell(finding["cure"])

        assert process.wait(DEADLINE) == -signal.SIGTERM
    assert patient.examined()[1]["proxy"][0]["level"] == "note"


def _announce(patient: Patient, process: subprocess.Popen[bytes], port: int) -> None:
    presence.write(
        patient.directory,
        Presence(
            pid=process.pid,
            version="1",
            listens=(("regular", "127.0.0.1", port),),
            confdir="",
            intercept="all",
        ),
    )


def test_as_people_read_it(patient: Patient, a_free_port: int) -> None:
    """The trouble, and the command under it; no colour in a pipe."""
    done = patient.shell(
        f"export HTTPS_PROXY=http://127.0.0.1:{a_free_port}\nllmtally doctor --no-probe "
        f"--confdir {patient.confdir}"
    )

    lines = done.stdout.splitlines()
    at = next(
        number
        for number, line in enumerate(lines)
        if line.startswith("BROKEN  HTTPS_PROXY leads to")
    )
    assert lines[at + 1] == "        $ unset HTTPS_PROXY https_proxy HTTP_PROXY http_proxy"
    assert (done.returncode, done.stderr) == (1, "1 broken.\n")
    assert "\x1b" not in done.stdout


def test_help() -> None:
    """It says where to type it, which matters: the environment is that shell's."""
    assert (
        "in the shell that starts the client"
        in CliRunner().invoke(cli.main, ["doctor", "--help"]).output
    )


def _write_authority(path: Path, *, days: int) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mitmproxy")])
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - datetime.timedelta(days=730))
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
