"""Checks the journal: its directory is usable, its lines are readable, its times are not in the
future."""

from __future__ import annotations

import os
import shlex
import stat
from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from ... import journal
from ...journal import DamageReport
from .finding import Finding, Setting

MAX_INSPECTED = timedelta(days=2)
"""How far back the journal is read: what is wrong now was written lately, and doctor should not
take minutes."""

CLOCK_SECONDS = 60.0
"""A record that is further in the future was written with another clock."""


def examine(setting: Setting) -> Iterator[Finding]:
    """The directory first, then the lines in it."""
    directory = _directory(setting.directory)
    yield directory
    if directory.level != "broken" and setting.directory.is_dir():
        yield from _lines(setting)


def _directory(directory: Path) -> Finding:
    quoted = shlex.quote(str(directory))
    if not directory.exists():
        above = next(parent for parent in directory.parents if parent.exists())
        if above.is_dir() and os.access(above, os.W_OK):
            return Finding("directory", "ok", f"{directory} will be created by the first start.")
        return Finding(
            "directory",
            "broken",
            f"{directory} cannot be created in {above}.",
            'export LLMTALLY_DIR="$HOME/.llmtally"',
        )
    if not directory.is_dir():
        return Finding(
            "directory",
            "broken",
            f"{directory} is not a directory, so no record can be kept.",
            f"mv {quoted} {quoted}.old",
        )
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        return Finding(
            "directory",
            "broken",
            f"{directory} can't be written, so no record is kept.",
            f'sudo chown -R "$USER" {quoted}',
        )
    if stat.S_IMODE(directory.stat().st_mode) & 0o077:
        return Finding(
            "directory",
            "note",
            f"{directory} can be read by others on this machine.",
            f"chmod 700 {quoted}",
        )
    return Finding("directory", "ok", f"{directory} is writable.")


def _lines(setting: Setting) -> Iterator[Finding]:
    damage = DamageReport()
    since = journal.utc_day(setting.now) - MAX_INSPECTED
    newest = max(
        (call.ended for call in journal.read(setting.directory, since=since, damage=damage)),
        default=None,
    )
    if damage.count:
        lines = (
            "A line cannot be read"
            if damage.count == 1
            else f"{damage.count:,} lines cannot be read, the first"
        )
        yield Finding("lines", "broken", f"{lines}: {damage.first[0]}.", _without(damage))
    elif newest is None:
        yield Finding(
            "lines",
            "note",
            f"No call was recorded in the last {MAX_INSPECTED.days} days.",
            "llmtally run -- CLIENT",
        )
    else:
        yield Finding(
            "lines", "ok", f"All lines of the last {MAX_INSPECTED.days} days can be read."
        )
    if outdone := journal.outdone(setting.directory):
        names = ", ".join(path.name for path in outdone[:3])
        yield Finding(
            "compressed",
            "note",
            f"The plain file of the same day counts, and not {names}.",
            f"mv {shlex.quote(str(outdone[0]))} {shlex.quote(f'{outdone[0]}.unused')}",
        )
    if newest is not None and newest > setting.now + CLOCK_SECONDS:
        hours = (newest - setting.now) / 3600
        text = (
            f"The newest record is {hours:.1f} h in the future: this machine's clock has been "
            "set back."
        )
        yield Finding("clock", "broken", text, "sudo timedatectl set-ntp true")
    else:
        yield Finding("clock", "ok", "No record is in the future.")


def _without(damage: DamageReport) -> str:
    """The command that removes damaged lines; it keeps the old file beside the new one."""
    lines: dict[Path, list[int]] = defaultdict(list)
    for each in damage.first:
        lines[each.path].append(each.line)
    return " && ".join(_without_lines(path, numbers) for path, numbers in lines.items())


def _without_lines(path: Path, numbers: list[int]) -> str:
    quoted = shlex.quote(str(path))
    if not all(numbers):  # the file itself
        is_cut_off = path.suffix == ".gz" and os.access(path, os.R_OK)
        return f"mv {quoted} {quoted}.damaged" if is_cut_off else f"chmod u+r {quoted}"
    script = shlex.quote(";".join(f"{line}d" for line in numbers))
    if path.suffix == ".gz":
        plain = shlex.quote(str(path.with_suffix("")))
        return f"gunzip {quoted} && sed -i.damaged {script} {plain}"
    return f"sed -i.damaged {script} {quoted}"
