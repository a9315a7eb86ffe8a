"""`llmtally run`: finds or starts a proxy, runs a client through it and prints what it spent."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from ..options import Failure, confdir_option, journal_option, note

if TYPE_CHECKING:
    from ...attribution.run_tag import Run
    from ...record import Call
    from ...system.presence import Presence

REFUSED = 125
"""Exit code if llmtally could not start the client, as `env` and `timeout` use it."""

INTERRUPTED = 130
"""Exit code of a client that Ctrl-C has ended."""

LOG_LINES = 20
"""The proxy's last warnings that are printed: a client that does not trust it causes the same one
again and again."""

DOCTOR = "If it should have, `llmtally doctor` finds out why."


class Refusal(Failure):
    """Ends the command before the client was started."""

    exit_code = REFUSED


EXAMPLES = """
\b
Examples:
  llmtally run -- claude -p "hello"
  llmtally run -- codex exec "fix the tests"
  llmtally run -- gemini -p "hello"
  llmtally run -- python my_script.py
  llmtally run --name nightly -- ./evaluate.sh
  llmtally run -- bash              everything started in that shell
  llmtally run --base-urls -- node script.mjs
                                    Node before 22.21, which ignores proxies
  llmtally run -- env               the variables that a client gets

It starts a proxy on a free port and ends it with the client, or joins one that is already running
on the same directory. A proxy that it starts decrypts only connections to LLM hosts; all others
pass through untouched. The client gets HTTPS_PROXY and similar variables, NO_PROXY for loopback,
and certificate files that hold what it trusted before and mitmproxy's certificate.

\b
Other ways to connect a client, with a proxy started by hand:
  mitmdump -s "$(llmtally addon-path)" MODE            or: scripts/run MODE
where MODE is
  (nothing)                set HTTPS_PROXY for the client, as `run` does
  --mode reverse:https://api.anthropic.com
                           set a base URL for the client:
                           ANTHROPIC_BASE_URL=http://127.0.0.1:8080;
                           `run --base-urls` does this
  --mode upstream:http://proxy:3128
                           behind another proxy; `run` does this if
                           HTTPS_PROXY is set
  --mode socks5            set ALL_PROXY=socks5h://... for the client
  --mode transparent       on a router or container host, with rules in
                           its packet filter
  --mode wireguard         for a phone or another machine, by a tunnel
  --mode local:claude      that program's connections, no variables set;
                           macOS, Windows, Linux 6.8+ with sudo. On Linux
                           the name is a thread's, so give the process id:
                           --mode local:PID

All modes were tried with mitmproxy 12.2.3, and all but local are in the tests: in each, a call has
its provider's name, tokens and price. In all but reverse the client has to trust mitmproxy's
certificate. A client that pins its provider's certificate cannot be read; give it a base URL
(reverse) if it has such a setting.

Exit code: the client's; 128 + N if signal N ended it; 125 no proxy, 126 not executable, 127 not
found.
"""


@click.command(
    epilog=EXAMPLES,
    context_settings={"allow_interspersed_args": False},
    options_metavar="[OPTIONS] --",
)
@click.argument(
    "client",
    nargs=-1,
    required=True,
    type=click.UNPROCESSED,
    metavar="CLIENT [ARGS]...",
    # Complete file names: the shell's completion of the client's arguments cannot be called here.
    shell_complete=lambda _context, _argument, begun: [CompletionItem(begun, type="file")],
)
@click.option(
    "--name",
    metavar="NAME",
    help="Name of this run in the records. Default: the client's name and a random number.",
)
@click.option("--own-proxy", is_flag=True, help="Start a proxy even if one is running.")
@click.option(
    "--base-urls",
    "by_base_url",
    is_flag=True,
    help="Also set OPENAI_BASE_URL, ANTHROPIC_BASE_URL and GOOGLE_GEMINI_BASE_URL, for clients "
    "that ignore proxies or trust only their provider's certificate.",
)
@click.option(
    "--intercept",
    type=click.Choice(["llm", "all"]),
    default="llm",
    show_default=True,
    help="TLS connections to decrypt.",
)
@confdir_option
@click.option(
    "--mitmdump-arg",
    "arguments",
    multiple=True,
    metavar="ARG",
    help="Pass ARG to the proxy that is started. May be repeated.",
)
@click.option("-q", "--quiet", is_flag=True, help="Do not print what was spent.")
@journal_option
@click.pass_context
def command(
    context: click.Context,
    client: tuple[str, ...],
    name: str | None,
    own_proxy: bool,
    by_base_url: bool,
    intercept: str,
    confdir: Path,
    arguments: tuple[str, ...],
    quiet: bool,
    directory: Path,
) -> None:
    """Run a client through llmtally, and print what it spent."""
    from .base_urls import BaseUrls, base_urls
    from .proxy import ProxyError, find_or_start

    run = _new_run(name, client[0])
    started = time.time()
    try:
        extra = base_urls(os.environ) if by_base_url else BaseUrls([], {})
        arguments = (*extra.arguments, *arguments)
        proxy = find_or_start(
            directory,
            os.environ,
            run,
            confdir=confdir.expanduser(),
            intercept=intercept,
            arguments=arguments,
            may_join=not (own_proxy or arguments),
        )
    except ProxyError as error:
        raise Refusal(str(error)) from error
    with proxy:
        environment = _environment(directory, proxy.presence, run)
        code = _run_client(client, {**environment, **extra.environment})
    if not quiet:
        if code == INTERRUPTED and sys.stderr.isatty():
            note("")  # the terminal has written ^C where the client stopped
        for line in proxy.log.splitlines()[-LOG_LINES:]:
            note(line)
        if not _print_spent(directory, run, started):
            why = None if by_base_url else _node_problem(client)
            note(f"llmtally: {run.name} made no calls that llmtally saw. {why or DOCTOR}")
    context.exit(code)


def _new_run(name: str | None, program: str) -> Run:
    """The run in this directory, by the given name or one made of the program's."""
    import secrets  # takes half as long to load as all of click

    from ...attribution.run_tag import NAME, Run

    name = name or f"{_short(program)}-{secrets.token_hex(3)}"
    if not NAME.fullmatch(name):
        raise click.BadParameter(
            "use letters, digits, `.`, `_` and `-`, at most 64 of them", param_hint="--name"
        )
    return Run(name, str(Path.cwd()))


def _short(program: str) -> str:
    """A program's name, reduced to what a run's name may have."""
    return (
        "".join(
            char
            for char in Path(program).name
            if char.isascii() and (char.isalnum() or char in "._-")
        ).lstrip("._-")[:40]
        or "run"
    )


def _environment(directory: Path, proxy: Presence, run: Run) -> dict[str, str]:
    """The environment that leads the client through the proxy."""
    from .environment import ProxyTarget, client_environment
    from .trust import AUTHORITY

    assert proxy.regular is not None
    target = ProxyTarget(*proxy.regular, Path(proxy.confdir) / AUTHORITY, directory)
    try:
        return client_environment(os.environ, target, run)
    except OSError as error:
        raise Refusal(
            f"The client can't be given a certificate: {error.filename}: {error.strerror}."
        ) from error


def _run_client(client: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run the client to its end; its exit code."""
    from . import foreground

    try:
        return foreground.run(client, environment)
    except foreground.CannotStartError as error:
        note(f"llmtally: {error}")
        click.get_current_context().exit(error.code)


def _print_spent(directory: Path, run: Run, started: float) -> bool:
    """Print what the run's calls cost, and where to see more; False if it made none."""
    from ..run_summary import calls_of

    if not (calls := calls_of(directory, run.name, started)):
        return False
    _print_sums(run.name, calls)
    source = click.get_current_context().get_parameter_source("directory")
    elsewhere = source is ParameterSource.COMMANDLINE
    note(f"details: llmtally page{f' --dir {shlex.quote(str(directory))}' if elsewhere else ''}")
    return True


def _print_sums(name: str, calls: Sequence[Call]) -> None:
    """The total, and the models, kinds of work and the call that cost most."""
    from ...text import tables
    from ...tracker.totals import summed
    from .. import run_summary, totals_columns

    models = run_summary.by_model(calls)
    totals = summed(each for _, each in models)
    note(f"llmtally: {name}: {run_summary.in_a_line(totals)}")
    if len(models) > 1:
        figures = totals_columns.columns(totals)
        rows = [[model, *totals_columns.cells(each, figures)] for model, each in models]
        tables.show(
            tables.Table([tables.Column("model", "Model"), *figures], rows),
            tables.console(stderr=True),
        )
    if line := run_summary.by_kind(calls):
        note(f"by kind: {line}")
    if line := run_summary.most_expensive(calls):
        note(f"most expensive: {line}")


def _node_problem(client: Sequence[str]) -> str | None:
    from .node import ignores_proxy

    return ignores_proxy(client, os.environ)
