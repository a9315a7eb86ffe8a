"""`llmtally page`."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .options import Failure, journal_option, note_skipped, prices_option

if TYPE_CHECKING:
    from ..tally.journal_page import JournalPage

EXAMPLES = """
\b
Examples:
  llmtally page                    the last 7 days and what comes
  llmtally page --dir ~/from-ci    of a journal from elsewhere
  llmtally page --port 0           on any port that is free
  ssh -t -L 8088:127.0.0.1:8088 HOST llmtally page
                                   of another machine

It is the page that a proxy has, made of the journal: what `llmtally run` spent can be looked at
during and after it. Where a proxy that is running on the directory has a page, its address is
printed instead, as only that one knows what makes no record: limits that clients ask for apart,
limits of your own, connections that were refused.

Nothing is written. The token in the address is good until the command ends.

Ctrl-C ends it. Exit codes: 0 done, 2 a mistake in the command, or the port is taken.
"""


@click.command(epilog=EXAMPLES)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8088,
    show_default=True,
    help="Where it listens; 0 takes any.",
)
@click.option(
    "--open/--no-open",
    "opens",
    default=True,
    show_default=True,
    help="On a terminal: open it in the browser.",
)
@prices_option
@journal_option
def command(port: int, opens: bool, prices: Path | None, directory: Path) -> None:
    """Show the journal as the page, without a proxy."""
    import webbrowser

    from ..system import presence
    from ..web.access import kept_token, login_url

    opens = opens and sys.stdout.isatty() and has_browser(os.environ)
    if page := next((proxy.page for proxy in presence.running(directory) if proxy.page), None):
        if token := kept_token(directory):  # unless the proxy was given another, it is this one
            page = login_url(page, token)
        click.echo(f"llmtally: the proxy that is running has a page, at {page}")
        if opens:
            webbrowser.open(page)
        return
    with suppress(KeyboardInterrupt):  # the way to end it
        _show(directory, port, prices, opens=opens)


def _show(directory: Path, port: int, prices: Path | None, *, opens: bool) -> None:
    import asyncio

    from ..pricing import Pricer
    from ..tally.journal_page import JournalPage

    pricer = Pricer(override_path=prices)
    if problem := pricer.reload_if_changed():
        raise click.BadParameter(problem, param_hint="--prices")
    troubles: list[str] = []
    page = JournalPage(directory, port=port, explain=pricer.price, on_trouble=troubles.append)
    asyncio.run(_serve(page, directory, opens=opens))
    if troubles:
        raise Failure(
            f"{troubles[0]} Choose another port with --port, or let --port 0 take any that is free."
        )


async def _serve(page: JournalPage, directory: Path, *, opens: bool) -> None:
    import threading
    import webbrowser

    if (url := page.open()) is None:
        return
    try:
        click.echo(f"llmtally: the page of the journal in {directory} is at {url}")
        if opens:  # in a thread of its own: some browsers keep the one who opens them waiting
            threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
        await page.read_back()
        note_skipped(page.follower)
        await page.follow()
    finally:
        page.close()


def has_browser(environment: Mapping[str, str]) -> bool:
    """Whether there is a screen before the person who asks; a browser in the terminal would take
    that away."""
    if any(environment.get(name) for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY")):
        return True
    return sys.platform == "darwin" and not environment.get("SSH_CONNECTION")
