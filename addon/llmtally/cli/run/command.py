"""`llmtally run`."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from ..options import Failure, journal_option, note

if TYPE_CHECKING:
    from ...attribution.run_tag import Run
    from ...record import Call
    from ...system.presence import Presence
    from .base_urls import BaseUrls
    from .proxy import OwnProxy

REFUSED = 125
"""Exit code where the client was not started for a reason of ours, as `env` and `timeout` have
it."""

INTERRUPTED = 130
"""Exit code of a client that Ctrl-C has ended."""

LOG_LINES = 20
"""Of the proxy's warnings, the last so many: a client that does not trust us says the same again
and again."""

JOINED_SECONDS = 0.5
"""A proxy that goes on settles a call a tenth of a second after its end and writes it half of that
later; more if it is busy."""


DOCTOR = "Should it have? `llmtally doctor` finds out why."


class Refusal(Failure):
    """The client was not started."""

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
                                    Node before 22.21, which knows no proxy
  llmtally run -- env               shows what a client is given

It starts a proxy of its own on a free port and ends it with the client, or joins one that works on
the same directory. Only TLS connections to LLM hosts are opened, all others pass as they are. The
client is given HTTPS_PROXY and its like, NO_PROXY for loopback, and files with this machine's
certificates and mitmproxy's for every variable that names such files.

\b
Other ways to lead a client here, with a proxy started by hand:
  mitmdump -s "$(llmtally addon-path)" MODE            or: scripts/run MODE
where MODE is
  (nothing)                the client is given HTTPS_PROXY, as by `run`
  --mode reverse:https://api.anthropic.com
                           the client is given a base URL:
                           ANTHROPIC_BASE_URL=http://127.0.0.1:8080;
                           `run --base-urls` does it
  --mode upstream:http://proxy:3128
                           behind another proxy; `llmtally run` does it by
                           itself if HTTPS_PROXY is set
  --mode socks5            the client is given ALL_PROXY=socks5h://...
  --mode transparent       a router or container host, with rules in its
                           packet filter
  --mode wireguard         a phone or another machine, through a tunnel
  --mode local:claude      that program's connections, without variables;
                           macOS, Windows, Linux 6.8+ with sudo. On Linux
                           the name is a thread's, so name the process:
                           --mode local:PID

All were tried with mitmproxy 12.2.3, all but local are in the tests: in each a call has its
provider's name, tokens and price. All but reverse need the client to trust mitmproxy's certificate.
One that pins its provider's certificate cannot be read; give it a base URL (reverse) if it has such
a setting.

Exit code: the client's, 128 + N if signal N ended it; 125 no proxy, 126 not executable, 127 not
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
    # Files, as the shell completes them: its own way to complete the client's arguments is not to
    # be had.
    shell_complete=lambda _context, _argument, begun: [CompletionItem(begun, type="file")],
)
@click.option(
    "--name",
    metavar="NAME",
    help="What to call this run in the records. By default the client's name and a random number.",
)
@click.option("--own-proxy", is_flag=True, help="Start a proxy even if there is one to join.")
@click.option(
    "--base-urls",
    "by_base_url",
    is_flag=True,
    help="Give the client OPENAI_BASE_URL, ANTHROPIC_BASE_URL and GOOGLE_GEMINI_BASE_URL, too: "
    "for those that follow no proxy, "
    "or trust no certificate but their provider's.",
)
@click.option(
    "--intercept",
    type=click.Choice(["llm", "all"]),
    default="llm",
    show_default=True,
    help="TLS connections to open.",
)
@click.option(
    "--confdir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("~/.mitmproxy"),
    show_default=True,
    help="Where mitmproxy's certificates and config.yaml are.",
)
@click.option(
    "--mitmdump-arg",
    "arguments",
    multiple=True,
    metavar="ARG",
    help="Hand ARG to the proxy that is started. Repeat it.",
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
    import secrets  # half as slow to load as all of click

    from ...attribution.run_tag import NAME, Run
    from ..run_summary import calls_of
    from .foreground import CannotStartError, run
    from .node import ignores_proxy

    name = name or f"{_short(client[0])}-{secrets.token_hex(3)}"
    if not NAME.fullmatch(name):
        raise click.BadParameter(
            "use letters, digits, `.`, `_` and `-`, at most 64 of them", param_hint="--name"
        )
    this = Run(name, str(Path.cwd()))
    started = time.time()
    detour = _detour(by_base_url)
    arguments = (*detour.arguments, *arguments)
    joined, own = _proxy(
        directory,
        confdir.expanduser(),
        intercept,
        arguments,
        this,
        may_join=not (own_proxy or arguments),
    )
    log = ""
    try:
        environment = _environment(directory, joined if own is None else own.presence, this)
        code = run(client, {**environment, **detour.environment})
    except CannotStartError as error:
        note(f"llmtally: {error}")
        context.exit(error.code)
    finally:
        if own is not None:
            log = own.stop()
    if own is None:
        time.sleep(JOINED_SECONDS)
    if not quiet:
        if code == INTERRUPTED and sys.stderr.isatty():
            note("")  # the terminal has written ^C where the client stopped
        for line in log.splitlines()[-LOG_LINES:]:
            note(line)
        if calls := calls_of(directory, name, started):
            _say(name, calls)
            elsewhere = context.get_parameter_source("directory") is ParameterSource.COMMANDLINE
            note(
                "details: llmtally "
                f"page{f' --dir {shlex.quote(str(directory))}' if elsewhere else ''}"
            )
        else:
            past = None if by_base_url else ignores_proxy(client, os.environ)
            note(f"llmtally: {name} made no calls that llmtally saw. {past or DOCTOR}")
    context.exit(code)


def _say(name: str, calls: Sequence[Call]) -> None:
    """Print what the run spent."""
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


def _short(program: str) -> str:
    """A program's name as a run may have it."""
    return (
        "".join(
            char
            for char in Path(program).name
            if char.isascii() and (char.isalnum() or char in "._-")
        ).lstrip("._-")[:40]
        or "run"
    )


def _detour(by_base_url: bool) -> BaseUrls:
    from .base_urls import BaseUrls, base_urls
    from .proxy import ProxyError

    try:
        return base_urls(os.environ) if by_base_url else BaseUrls([], {})
    except ProxyError as error:
        raise Refusal(str(error)) from error


def _proxy(
    directory: Path,
    confdir: Path,
    intercept: str,
    arguments: tuple[str, ...],
    run: Run,
    *,
    may_join: bool,
) -> tuple[Presence | None, OwnProxy | None]:
    """The proxy that is joined, or the one that is started."""
    from ...attribution.run_tag import OWN_RUN, user_info
    from ...journal import make_directory
    from ..main import find_addon
    from .proxy import OwnProxy, ProxyError, to_join, upstream_mode
    from .trust import machine_roots

    try:
        make_directory(directory)
        if may_join and (joined := to_join(directory, os.environ)) is not None:
            return joined, None
        options = {
            "usage_intercept": intercept,
            "usage_web": "false",
            "flow_detail": "0",
            "termlog_verbosity": "warn",
        }
        # Upstream, what the client would have trusted without us.
        options["ssl_verify_upstream_trusted_ca"] = os.environ.get("SSL_CERT_FILE") or str(
            machine_roots()
        )
        arguments = (*upstream_mode(os.environ), *arguments)
        environment = {**os.environ, OWN_RUN: user_info(run)}
        return None, OwnProxy(
            directory,
            find_addon(),
            confdir=confdir,
            options=options,
            arguments=arguments,
            environment=environment,
        )
    except ProxyError as error:
        raise Refusal(str(error)) from error
    except OSError as error:
        raise Refusal(
            f"{directory} can't be used: {error.strerror}. Choose another with --dir or "
            "$LLMTALLY_DIR."
        ) from error


def _environment(directory: Path, proxy: Presence | None, run: Run) -> dict[str, str]:
    from .environment import ProxyTarget, client_environment
    from .trust import AUTHORITY

    assert proxy is not None
    assert proxy.regular is not None
    authority = Path(proxy.confdir) / AUTHORITY
    try:
        return client_environment(
            os.environ, ProxyTarget(*proxy.regular, authority, directory), run
        )
    except OSError as error:
        raise Refusal(
            f"The client can't be given a certificate: {error.filename}: {error.strerror}."
        ) from error
