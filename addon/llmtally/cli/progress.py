"""A progress bar for what takes longer than a second."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

from ..report import Database

PATIENCE_SECONDS = 1.0
"""Work that takes less time shows no bar."""

Result = TypeVar("Result")


def watched(database: Database, work: Callable[[], Result]) -> Result:
    """Run work that queries the database, with a progress bar; its result. Ctrl-C also ends the
    query."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(work)
        try:
            if not _done(future, PATIENCE_SECONDS) and sys.stderr.isatty():
                _show(database, future)
            return future.result()
        except KeyboardInterrupt:
            database.interrupt()
            raise


def _show(database: Database, future: Future[Result]) -> None:
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading the journal", total=100)
        while not _done(future, 0.1):
            bar.update(task, completed=database.progress())


def _done(future: Future[Result], seconds: float) -> bool:
    return bool(wait([future], seconds, FIRST_COMPLETED).done)
