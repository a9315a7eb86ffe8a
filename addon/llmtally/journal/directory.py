"""The journal's directory: its permissions, its files by day, and the key of the account hashes."""

from __future__ import annotations

import os
import secrets
import stat
from datetime import UTC, date, datetime
from pathlib import Path


def make_directory(directory: Path) -> None:
    """Make the directory, readable by its owner only. An existing one is closed to others only if
    it is empty or holds a journal."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    info = directory.stat()
    is_open = info.st_mode & (stat.S_IRWXG | stat.S_IRWXO) and not info.st_mode & stat.S_ISVTX
    if (
        is_open
        and info.st_uid == os.geteuid()
        and (not any(directory.iterdir()) or days(directory))
    ):
        directory.chmod(0o700)


def account_key(directory: Path) -> bytes:
    """The key of the account hashes, made once and kept in the directory. Raises OSError."""
    make_directory(directory)
    path, draft = directory / "key", directory / f"key.{os.getpid()}"
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(secrets.token_bytes(32))
    try:
        os.link(draft, path)  # atomic: another proxy may be starting
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return path.read_bytes()


def utc_day(seconds: float) -> date:
    """The UTC day of an epoch time."""
    return datetime.fromtimestamp(seconds, UTC).date()


def days(
    directory: Path, since: date | None = None, until: date | None = None
) -> list[tuple[date, Path]]:
    """The journal's files and their days, oldest first."""
    found = []
    for path in directory.glob("usage-*.jsonl"):
        try:
            day = date.fromisoformat(path.stem.removeprefix("usage-"))
        except ValueError:
            continue
        if (since is None or day >= since) and (until is None or day <= until):
            found.append((day, path))
    return sorted(found)
