"""`llmtally tally`: counts what the proxies of a directory observe."""

from __future__ import annotations

import signal
from pathlib import Path

import click

from .options import Failure, journal_option

EXAMPLES = """
\b
Examples:
  llmtally tally                   count for ~/.llmtally until Ctrl-C
  llmtally tally --dir ~/work      another directory

Proxies with `--set usage_tally=process` only pass on what they see; this process reads it, prices
it, writes the journal and serves the page. There is one for a directory. The first proxy starts it
by itself, and it ends some seconds after the last one; started by hand, it goes on.

Ctrl-C ends it. Exit codes: 0 done, 2 the directory cannot be used, or has a tally already.
"""


@click.command(epilog=EXAMPLES)
@click.option("--for-proxies", is_flag=True, hidden=True, help="End once no proxy needs it.")
@journal_option
def command(directory: Path, for_proxies: bool) -> None:
    """Count what the proxies of a directory see, in one process."""
    import asyncio

    from ..tally.server import AlreadyRunningError

    try:
        asyncio.run(_run(directory, for_proxies=for_proxies))
    except AlreadyRunningError:
        if not for_proxies:
            raise Failure(f"Another tally counts {directory} already.") from None
    except OSError as error:
        raise Failure(
            f"{directory} cannot be used: {error.strerror}. Choose another with --dir."
        ) from error


async def _run(directory: Path, *, for_proxies: bool) -> None:
    import asyncio

    from ..tally.server import TallyServer

    server = TallyServer(directory, lingers=not for_proxies)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, server.stop)
    if not for_proxies:
        click.echo(f"llmtally: counting what proxies see into {directory}")
    await server.run()
