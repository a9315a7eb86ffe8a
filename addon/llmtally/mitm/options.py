"""The options `usage_*`: declares them to mitmproxy, checks what a person has set, and reads it.

A mistake is an OptionsError that names the option and the cure.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mitmproxy import ctx, exceptions
from mitmproxy.addonmanager import Loader

from ..providers import Provider, custom
from ..tracker import ConfiguredLimits
from ..web import load_token

PRICES_VARIABLE = "RUNTIME_USAGE_PRICING_FILE"
INTERCEPT = ("all", "llm")
TALLY = ("inline", "process")


def declare(loader: Loader) -> None:
    """Declare the options to mitmproxy."""
    loader.add_option(
        "usage_dir",
        str,
        "~/.llmtally",
        "Directory for the journal (one JSON line per call) and the key of account hashes.",
    )
    loader.add_option(
        "usage_prices",
        str,
        "",
        f"JSON file with your prices; also ${PRICES_VARIABLE}. It is reloaded when it changes.",
    )
    loader.add_option(
        "usage_hosts",
        Sequence[str],
        [],
        "Further hosts that answer LLM calls, as `host=format`, e.g. "
        "`llm.example.com=openai_chat`.",
    )
    loader.add_option(
        "usage_keep_bodies",
        bool,
        False,
        "Put streamed bodies back on their flows when they end, for debugging. Uses memory.",
    )
    loader.add_option(
        "usage_intercept",
        str,
        "all",
        "TLS connections to decrypt: `all`, or `llm`, which passes those to other hosts than "
        "LLM providers' and those of usage_hosts on undecrypted.",
        choices=INTERCEPT,
    )
    loader.add_option(
        "usage_tally",
        str,
        "inline",
        "Where calls are counted: `inline`, in the proxy, or `process`, in a process that all "
        "proxies of the directory share.",
        choices=TALLY,
    )
    loader.add_option("usage_quiet", bool, False, "Print no line per call.")
    loader.add_option("usage_web", bool, True, "Serve the page that shows what is being spent.")
    loader.add_option("usage_web_host", str, "127.0.0.1", "Address on which the page listens.")
    loader.add_option(
        "usage_web_port", int, 8088, "Port on which the page listens; 0 picks any free one."
    )
    loader.add_option(
        "usage_web_token",
        str,
        "",
        "Token that opens the page. If it is empty, one is made and kept in usage_dir.",
    )
    loader.add_option(
        "usage_limits",
        Sequence[str],
        [],
        "Your limits for the 5-hour window: output_tokens, total_tokens, messages or "
        "cost_usd, e.g. `cost_usd=10`.",
    )
    loader.add_option(
        "usage_poll_anthropic",
        bool,
        False,
        "Ask Anthropic every 5 minutes how full the windows of your plan are, with the newest "
        "OAuth token seen.",
    )


def directory() -> Path:
    """The directory of the journal."""
    return Path(ctx.options.usage_dir).expanduser()


def unusable(path: Path, error: OSError) -> exceptions.OptionsError:
    """The error for a directory that cannot be used."""
    return exceptions.OptionsError(
        f"usage_dir: {path} cannot be used ({error.strerror}). Choose a writable one with "
        "--set usage_dir=DIRECTORY."
    )


def price_file() -> Path | None:
    """The price file that the user has named, if any."""
    named = ctx.options.usage_prices or os.environ.get(PRICES_VARIABLE, "")
    path = Path(named).expanduser() if named else None
    if path is not None and not path.is_file():
        raise exceptions.OptionsError(
            f"usage_prices: {path} is not a file. Name an existing price file, or unset the option."
        )
    return path


def custom_rows() -> list[Provider]:
    """The rows that the user adds to the provider table."""
    providers = []
    for row in ctx.options.usage_hosts:
        host, equals, format_name = row.partition("=")
        if not equals:
            raise exceptions.OptionsError(
                f"usage_hosts: {row!r} has no `=`. Write it as host=format, e.g. {row}=openai_chat."
            )
        try:
            providers.append(custom(host.strip().lower(), format_name.strip()))
        except ValueError as error:
            raise exceptions.OptionsError(
                f"usage_hosts: {row!r}: {error}. Write it as host=format."
            ) from None
    return providers


def check_choices() -> None:
    """Refuse other values than the choices, which mitmproxy itself does not."""
    for name, choices in (("usage_intercept", INTERCEPT), ("usage_tally", TALLY)):
        if (value := getattr(ctx.options, name)) not in choices:
            raise exceptions.OptionsError(
                f"{name}: {value!r} is not a choice. Set it to {' or '.join(choices)}."
            )


def limits() -> ConfiguredLimits:
    """The limits that the user has set."""
    try:
        return ConfiguredLimits.parse(ctx.options.usage_limits)
    except ValueError as error:
        raise exceptions.OptionsError(f"usage_limits: {error}") from None


def web_address() -> tuple[str, int]:
    """Host and port on which the page listens."""
    port: int = ctx.options.usage_web_port
    if not 0 <= port <= 65535:
        raise exceptions.OptionsError(
            f"usage_web_port: {port} is not a port. Choose one up to 65535, or 0 for any free one."
        )
    return ctx.options.usage_web_host, port


def web_token(kept_in: Path) -> str:
    """The token that opens the page: the one that is set, or else the one in this directory."""
    try:
        return load_token(kept_in, ctx.options.usage_web_token)
    except ValueError as error:
        raise exceptions.OptionsError(f"usage_web_token: {error}") from None
    except OSError as error:
        raise exceptions.OptionsError(
            f"usage_web_token: no token can be kept in {kept_in} ({error.strerror}). Choose a "
            "writable directory with --set usage_dir=DIRECTORY, or a token with "
            "--set usage_web_token=TOKEN."
        ) from None


def where_to() -> str:
    """The log line with the address for clients, in the one mode where a line can say it."""
    if ctx.options.mode != ["regular"]:
        return ""
    host, port = ctx.options.listen_host or "127.0.0.1", ctx.options.listen_port
    return f"; point clients at http://{host}:{port or 8080}" if port != 0 else ""


def unknown() -> list[str]:
    """Options `usage_*` that somebody has set and that do not exist."""
    return sorted(key for key in ctx.options.deferred if key.startswith("usage_"))


@dataclass(slots=True)
class Switches:
    """Option values that every call needs, read once: mitmproxy copies a value each time it is
    read, which is slower."""

    quiet: bool = False
    """Whether no line per call is printed: `usage_quiet` is set, or mitmproxy logs only errors
    (`-q`)."""
    keep_bodies: bool = False
    """Whether `usage_keep_bodies` is set."""
    poll_anthropic: bool = False
    """Whether `usage_poll_anthropic` is set."""
    saves_flows: bool = False
    """Whether mitmproxy writes flows to a file as they end (`-w`)."""

    def read(self) -> None:
        """Read the values again, because options have changed."""
        # Even a log entry that nobody sees passes through all of mitmproxy's addons, which takes
        # longer than pricing a call.
        unseen = (
            getattr(ctx.options, "termlog_verbosity", "") in ("error", "warn")
            and ctx.master.addons.get("eventstore") is None
        )
        self.quiet = ctx.options.usage_quiet or unseen
        self.keep_bodies = ctx.options.usage_keep_bodies
        self.poll_anthropic = ctx.options.usage_poll_anthropic
        self.saves_flows = bool(getattr(ctx.options, "save_stream_file", None))
