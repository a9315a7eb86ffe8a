"""Files of certificates for clients: whatever they trusted before, and the proxy's authority.

The variables that name such files mostly replace the machine's own roots, and the connections that
are passed on unopened need those. So each file is a copy of what the client would have used, with
ours added at the end.
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

SYSTEM_ROOTS = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",  # macOS, BSD
)
"""Where systems keep all their roots in one file. https://go.dev/src/crypto/x509/root_linux.go"""

PEM_CAP = 16 * 2**20
"""Bytes of a file that are read; a machine's roots have some 250 kB."""


def machine_roots() -> Path:
    """The file with the roots this machine trusts; certifi's where there is none."""
    named = ssl.get_default_verify_paths()
    for path in (named.openssl_cafile, *SYSTEM_ROOTS):
        if Path(path).is_file():
            return Path(path)
    return Path(certifi.where())


def with_authority(base: Path | None, authority: Path, directory: Path) -> Path:
    """A file with the certificates of `base` (if it can be read) and the authority's. Raises
    OSError.

    It is named by its content: the same ones again make no second file, and one that a client still
    reads is never rewritten.
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
    """What is in a file; nothing if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(PEM_CAP)
    except OSError:
        return b""
