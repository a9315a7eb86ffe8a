"""Which `llmtally run` a call belongs to: the proxy's URL names the run, and clients send that name
to the proxy.

The URL is `http://llmtally.NAME:DIRECTORY@127.0.0.1:PORT`, the directory in base64url. A client
sends what stands before the `@` as `Proxy-Authorization: Basic`, with CONNECT or, for plain HTTP,
with each request. It is meant for the proxy alone and goes no further.
https://www.rfc-editor.org/rfc/rfc9110#section-11.7
"""

from __future__ import annotations

import base64
import binascii
import re
from collections import OrderedDict
from typing import NamedTuple

from ..record import TEXT_CAP

HEADER = "proxy-authorization"

CONNECTIONS_CAP = 4_096
"""Client connections remembered; an agent has some ten open at a time."""

HEADER_CAP = 16_384
"""Characters of the header that are read: enough for the longest path, encoded in base64 twice."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""The names that a run may have: they stand in a URL unescaped."""

OWN_RUN = "LLMTALLY_OWN_RUN"
"""Environment variable that gives the run's name to the proxy that it starts, for calls that name
no run, such as those of a client with a base URL."""

_PREFIX = "llmtally."


class Run(NamedTuple):
    """One start of `llmtally run`."""

    name: str
    directory: str
    """The working directory in which it was started."""


def user_info(run: Run) -> str:
    """What stands before the `@` of the proxy's URL."""
    directory = base64.urlsafe_b64encode(run.directory.encode(errors="surrogateescape")).decode()
    return f"{_PREFIX}{run.name}:{directory.rstrip('=')}"


def read(header: str) -> Run | None:
    """The run that a `Proxy-Authorization` header names; None for any other header."""
    scheme, _, credentials = header[:HEADER_CAP].partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return parse(base64.b64decode(credentials).decode())
    except (binascii.Error, ValueError):
        return None


def parse(user_info: str) -> Run | None:
    """The run in what stands before the `@`, if it is one."""
    user, _, password = user_info.partition(":")
    try:
        directory = base64.urlsafe_b64decode(password + "=" * (-len(password) % 4)).decode(
            errors="replace"
        )
    except (binascii.Error, ValueError):
        return None
    name = user.removeprefix(_PREFIX)
    if name == user or not NAME.fullmatch(name):
        return None
    return Run(name, "".join(char for char in directory if char.isprintable())[:TEXT_CAP])


class Runs:
    """The runs behind client connections."""

    def __init__(self, own: Run | None = None) -> None:
        """`own` is the run of connections that name none, in a proxy that a run has started."""
        self._own = own
        self._runs: OrderedDict[str, Run] = OrderedDict()

    def authorised(self, connection: str, header: str | None) -> bool:
        """Remember the run that a header on this connection names. True if it names one: then the
        header is meant for the proxy alone."""
        if header is None or (run := read(header)) is None:
            return False
        self._runs[connection] = run
        self._runs.move_to_end(connection)
        if len(self._runs) > CONNECTIONS_CAP:
            self._runs.popitem(last=False)
        return True

    def of(self, connection: str) -> Run | None:
        """The run that a connection belongs to, if any."""
        return self._runs.get(connection, self._own)
