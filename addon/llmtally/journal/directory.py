"""The journal's directory: its permissions, its files by day, and the key of the account hashes."""

from __future__ import annotations

import os
import re
import secrets
import stat
from contextlib import suppress
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


_FILE = re.compile(r"usage-(\d{4}-\d\d-\d\d)\.jsonl(\.gz)?")


def days(
    directory: Path, since: date | None = None, until: date | None = None
) -> list[tuple[date, Path]]:
    """The journal's files and their days, oldest first. An old day may be compressed; if the plain
    file stands beside it, that one counts."""
    return sorted(
        (day, paths[-1])
        for day, paths in _by_day(directory).items()
        if (since is None or day >= since) and (until is None or day <= until)
    )


def outdone(directory: Path) -> list[Path]:
    """Compressed files that do not count, as the plain file of the same day stands beside them,
    oldest first."""
    return [paths[0] for _, paths in sorted(_by_day(directory).items()) if len(paths) > 1]


def _by_day(directory: Path) -> dict[date, list[Path]]:
    """The files of each day, the plain one last."""
    try:
        with os.scandir(directory) as entries:
            names = sorted((entry.name for entry in entries), reverse=True)
    except OSError:
        return {}
    found: dict[date, list[Path]] = {}
    for name in names:
        if (match := _FILE.fullmatch(name)) is not None:
            with suppress(ValueError):  # not a day
                found.setdefault(date.fromisoformat(match[1]), []).append(directory / name)
    return found
