"""Where the tally of a directory listens, and who is at the other end of a connection."""

from __future__ import annotations

import hashlib
import os
import socket
import stat
import struct
import sys
import tempfile
from pathlib import Path

NAME = "tally.sock"

PATH_CAP = 100
"""Bytes of a path that fit a socket's address, on Linux (107) and on macOS (103)."""


def socket_path(directory: Path) -> Path:
    """The socket of a directory: in it, or under the runtime directory where its path would be too
    long. Raises OSError if that folder belongs to somebody else."""
    path = directory.absolute() / NAME
    if len(os.fsencode(path)) <= PATH_CAP:
        return path
    name = hashlib.sha256(os.fsencode(path.parent.resolve())).hexdigest()[:16]
    runtime = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    folder = Path(runtime) / f"llmtally-{os.getuid()}"
    if len(os.fsencode(folder)) > PATH_CAP - 24:
        folder = Path("/tmp") / f"llmtally-{os.getuid()}"  # noqa: S108  checked below
    folder.mkdir(mode=0o700, exist_ok=True)
    info = folder.stat(follow_symlinks=False)
    if (
        not stat.S_ISDIR(info.st_mode)
        or info.st_uid != os.getuid()
        or info.st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    ):
        raise PermissionError(1, "others can write to the folder of the socket", str(folder))
    return folder / f"{name}.sock"


def is_ours(connection: socket.socket) -> bool:
    """Whether the process at the other end runs as our user. Only Linux is asked: elsewhere the
    socket's permissions say so."""
    if sys.platform != "linux":
        return True
    size = struct.calcsize("3i")
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    _, uid, _ = struct.unpack("3i", credentials)
    return bool(uid == os.getuid())
