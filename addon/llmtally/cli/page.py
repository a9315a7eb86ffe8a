"""`llmtally page`: serves the page from the journal, without a proxy."""

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
  llmtally page                    the last 7 days, and new calls
  llmtally page --dir ~/from-ci    a journal from elsewhere
  llmtally page --port 0           on any free port
  ssh -t -L 8088:127.0.0.1:8088 HOST llmtally page
                                   the journal of another machine

This is the page that a proxy serves, made from the journal: it shows what `llmtally run` spends,
while it runs and afterwards. If a running proxy on the directory serves a page, that page's URL is
printed instead: only the proxy knows what is not in the journal, such as limits that clients ask
for separately, your budgets, and refused connections.

Nothing is written. The token in the URL is valid until the command ends.

Ctrl-C ends it. Exit codes: 0 done, 2 a mistake in the command, or the port is in use.
"""


@click.command(epilog=EXAMPLES)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8088,
    show_default=True,
    help="Port to listen on; 0 takes any free one.",
)
@click.option(
    "--open/--no-open",
    "opens",
    default=True,
    show_default=True,
    help="Open the page in a browser (only on a terminal).",
)
@prices_option
@journal_option
def command(port: int, opens: bool, prices: Path | None, directory: Path) -> None:
    """Show the journal in a browser, without a proxy."""
    import webbrowser

    from ..system import presence
    from ..web.access import kept_token, login_url

    opens = opens and sys.stdout.isatty() and has_browser(os.environ)
    if page := next((proxy.page for proxy in presence.running(directory) if proxy.page), None):
        if token := kept_token(directory):  # right unless the proxy was given another one
            page = login_url(page, token)
        click.echo(f"llmtally: the running proxy has a page at {page}")
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
            f"{troubles[0]} Choose another port with --port, or any free one with --port 0."
        )


async def _serve(page: JournalPage, directory: Path, *, opens: bool) -> None:
    import threading
    import webbrowser

    if (url := page.open()) is None:
        return
    try:
        click.echo(f"llmtally: the journal in {directory} is shown at {url}")
        if opens:  # in a thread, because some browsers block the caller until they are closed
            threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
        await page.read_back()
        note_skipped(page.follower)
        await page.follow()
    finally:
        page.close()


def has_browser(environment: Mapping[str, str]) -> bool:
    """Whether a browser can open a window here; one that runs in the terminal would hide our
    output."""
    if any(environment.get(name) for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY")):
        return True
    return sys.platform == "darwin" and not environment.get("SSH_CONNECTION")
