"""Windows of five hours, made of minutes: where one begins depends on all calls before it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from ..text.local_time import Zone, localised
from ..tracker.totals import summed
from .answers import Row

BLOCK_SECONDS = 5 * 3600
"""Length of the window that subscriptions are limited by."""


def blocks_of(minutes: Iterable[Row], zone: Zone) -> Iterator[Row]:
    """Five hours from the minute of the first call, then five from the next call after that, as the
    live view estimates windows."""
    blocks: dict[int, list[Row]] = defaultdict(list)
    start = -BLOCK_SECONDS
    for row in sorted(minutes, key=lambda row: row.first):
        minute = int(float(row.key[0] or 0))
        if minute >= start + BLOCK_SECONDS:
            start = minute
        blocks[start].append(row)
    for start, rows in blocks.items():
        name = localised(start, zone).isoformat(timespec="minutes")
        yield Row(
            (name,),
            summed(row.totals for row in rows),
            rows[0].first,
            max(row.last for row in rows),
        )
