"""The journal: one JSON object per line in `usage-YYYY-MM-DD.jsonl`, one file for each UTC day on
which calls ended.

Whole lines are appended with one `write` each to a file opened with O_APPEND, so processes can
share a directory, and what is written survives their death. A line that was cut off (a kill, a full
disk) is ended before the next record is written, and skipped by readers. `writer` appends from a
thread, to a `day_file`; `lines` says what a line is, `reading` and `follower` read calls from them;
`directory` knows the files.
https://pubs.opengroup.org/onlinepubs/9799919799/functions/write.html
"""

from .directory import account_key, days, make_directory, outdone, utc_day
from .lines import LINE_CAP
from .reading import (
    DAMAGE_KEPT,
    Damage,
    DamageReport,
    check_file,
    copy_calls,
    read,
    read_file,
    read_records,
    warm_page_cache,
)
from .writer import Journal

__all__ = [
    "DAMAGE_KEPT",
    "LINE_CAP",
    "Damage",
    "DamageReport",
    "Journal",
    "account_key",
    "check_file",
    "copy_calls",
    "days",
    "make_directory",
    "outdone",
    "read",
    "read_file",
    "read_records",
    "utc_day",
    "warm_page_cache",
]
