"""The journal: one JSON object a line in `usage-YYYY-MM-DD.jsonl`, one file for each UTC day on
which calls ended.

Whole lines go by one `write` to a file opened with O_APPEND, so processes can share a directory,
and what is written survives their death. A line that was cut off (a kill, a full disk) is ended
before the next record goes in, and skipped when it is read. `writer` appends from a thread, to a
`day_file`; `reading` reads; `directory` is where it all is.
https://pubs.opengroup.org/onlinepubs/9799919799/functions/write.html
"""

from .directory import account_key, days, make_directory, utc_day
from .reading import (
    DAMAGE_KEPT,
    LINE_CAP,
    Damage,
    DamageReport,
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
    "days",
    "make_directory",
    "read",
    "warm_page_cache",
    "read_file",
    "read_records",
    "utc_day",
]
