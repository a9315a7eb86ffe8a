"""Checks mitmproxy's certificate authority: whether it exists, is valid, and is the one in use."""

from __future__ import annotations

import shlex
import ssl
from collections.abc import Iterator
from pathlib import Path

from ..run.trust import AUTHORITY, read_pem
from .finding import Finding, Setting

KEY = "mitmproxy-ca.pem"
"""The private key and the certificate. https://docs.mitmproxy.org/stable/concepts/certificates/"""

DAY = 86400.0
"""Seconds of a day, for what is said of the validity."""


def examine(setting: Setting) -> Iterator[Finding]:
    """Whether the certificate that clients trust is the one that mitmproxy signs with."""
    yield _authority(setting)


def _authority(setting: Setting) -> Finding:
    path, key = setting.confdir / AUTHORITY, setting.confdir / KEY
    make = f"llmtally run --own-proxy --confdir {shlex.quote(str(setting.confdir))} -- true"
    renew = f"rm -f {shlex.quote(str(setting.confdir))}/mitmproxy-ca* && {make}"
    if not path.exists() and not key.exists():
        return Finding(
            "authority",
            "note",
            f"There is no certificate authority in {setting.confdir} yet. The first start "
            "creates it.",
            make,
        )
    theirs, ours = certificates(path), certificates(key)
    if not theirs or not ours:
        broken = path if not theirs else key
        return Finding(
            "authority",
            "broken",
            f"{broken} holds no certificate: no client can trust the proxy.",
            renew,
        )
    if theirs != ours:
        return Finding(
            "authority",
            "broken",
            f"{path} is not the certificate in {key}: clients trust one that is not in use.",
            renew,
        )
    ends = _ends(path)
    if ends < setting.now:
        return Finding(
            "authority", "broken", f"The authority's certificate in {path} has expired.", renew
        )
    return Finding("authority", "ok", f"{path}, valid for {(ends - setting.now) / DAY:.0f} days.")


def certificates(path: Path) -> set[bytes]:
    """The certificates in a PEM file, in DER; none if it cannot be read."""
    found = set()
    for block in read_pem(path).decode("ascii", "replace").split(ssl.PEM_HEADER)[1:]:
        try:
            found.add(
                ssl.PEM_cert_to_DER_cert(
                    f"{ssl.PEM_HEADER}{block.partition(ssl.PEM_FOOTER)[0]}{ssl.PEM_FOOTER}"
                )
            )
        except ValueError:
            continue
    return {der for der in found if _is_certificate(der)}


def _is_certificate(der: bytes) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=der)
    except (ssl.SSLError, ValueError):
        return False
    return True


def _ends(path: Path) -> float:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=b"".join(certificates(path)))
    return max(
        float(ssl.cert_time_to_seconds(str(each["notAfter"]))) for each in context.get_ca_certs()
    )
