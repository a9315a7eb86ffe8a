"""Files of certificates for clients: what they trusted before, and the proxy's authority.

The variables that name such files mostly replace the machine's roots, which connections that are
not decrypted still need. So each file is a copy of the one that the client would have used, with
mitmproxy's authority added at the end.
"""

from __future__ import annotations

import hashlib
import ssl
from pathlib import Path

import certifi

from ...system.atomic_write import atomic_write

AUTHORITY = "mitmproxy-ca-cert.pem"
"""mitmproxy's certificate, in its confdir.
https://docs.mitmproxy.org/stable/concepts/certificates/"""

FOLDER = "certificates"
"""The folder of such files, in the journal's directory."""

SYSTEM_ROOTS = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",  # macOS, BSD
)
"""Files in which systems keep all their roots. https://go.dev/src/crypto/x509/root_linux.go"""

PEM_CAP = 16 * 2**20
"""Bytes that are read of a file; a machine's roots have some 250 kB."""


def machine_roots() -> Path:
    """The file with the roots that this machine trusts; certifi's if there is none."""
    named = ssl.get_default_verify_paths()
    for path in (named.openssl_cafile, *SYSTEM_ROOTS):
        if Path(path).is_file():
            return Path(path)
    return Path(certifi.where())


def with_authority(base: Path | None, authority: Path, directory: Path) -> Path:
    """Make a file with the certificates of `base` (if it can be read) and the authority's. Raises
    OSError.

    The file is named by its content: the same certificates never make a second file, and a file
    that a client still reads is never rewritten.
    """
    pem = (
        read_pem(base).rstrip() + b"\n" + authority.read_bytes() if base else authority.read_bytes()
    )
    folder = directory / FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{hashlib.sha256(pem).hexdigest()[:16]}.pem"
    if not path.exists():
        atomic_write(path, pem.lstrip())
    return path


def read_pem(path: Path) -> bytes:
    """The content of a file; empty if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(PEM_CAP)
    except OSError:
        return b""
