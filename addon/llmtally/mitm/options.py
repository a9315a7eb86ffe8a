"""The options, `--set usage_*`: what there is, and what a person typed there as the house wants it.

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


def declare(loader: Loader) -> None:
    """Tell mitmproxy what there is."""
    loader.add_option(
        "usage_dir",
        str,
        "~/.llmtally",
        "Directory of the journal (one JSON line per call) and its key.",
    )
    loader.add_option(
        "usage_prices",
        str,
        "",
        f"File with your own prices; also ${PRICES_VARIABLE}. It is reloaded when it changes.",
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
        "Put streamed bodies back on their flows when they end, for debugging. Costs memory.",
    )
    loader.add_option(
        "usage_intercept",
        str,
        "all",
        "TLS connections that are opened: `all`, or `llm`, which passes on those of other "
        "hosts than LLM providers' unopened.",
        choices=INTERCEPT,
    )
    loader.add_option("usage_quiet", bool, False, "Do not print a line for every call.")
    loader.add_option("usage_web", bool, True, "Serve the page that shows what is being spent.")
    loader.add_option("usage_web_host", str, "127.0.0.1", "Address the page listens on.")
    loader.add_option(
        "usage_web_port", int, 8088, "Port the page listens on; 0 takes any that is free."
    )
    loader.add_option(
        "usage_web_token",
        str,
        "",
        "Token that opens the page. Empty: one is made and kept in usage_dir.",
    )
    loader.add_option(
        "usage_limits",
        Sequence[str],
        [],
        "Limits of your own for the 5-hour window: output_tokens, total_tokens, messages or "
        "cost_usd, e.g. `cost_usd=10`.",
    )
    loader.add_option(
        "usage_poll_anthropic",
        bool,
        False,
        "Ask Anthropic every 5 minutes how full the plan's windows are, with the newest "
        "OAuth token seen.",
    )


def directory() -> Path:
    """Where the journal is kept."""
    return Path(ctx.options.usage_dir).expanduser()


def unusable(path: Path, error: OSError) -> exceptions.OptionsError:
    """The error for a directory that cannot be used."""
    return exceptions.OptionsError(
        f"usage_dir: {path} can't be used ({error.strerror}). Choose a writable one with "
        "--set usage_dir=DIRECTORY."
    )


def price_file() -> Path | None:
    """The user's price file."""
    named = ctx.options.usage_prices or os.environ.get(PRICES_VARIABLE, "")
    path = Path(named).expanduser() if named else None
    if path is not None and not path.is_file():
        raise exceptions.OptionsError(
            f"usage_prices: {path} is no file. Name an existing price file, or unset the option."
        )
    return path


def custom_rows() -> list[Provider]:
    """Rows of the provider table that the user added."""
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


def check_intercept() -> None:
    """mitmproxy does not hold people to the choices."""
    if ctx.options.usage_intercept not in INTERCEPT:
        raise exceptions.OptionsError(
            f"usage_intercept: {ctx.options.usage_intercept!r} is not among {', '.join(INTERCEPT)}."
        )


def limits() -> ConfiguredLimits:
    """The limits that the user has set."""
    try:
        return ConfiguredLimits.parse(ctx.options.usage_limits)
    except ValueError as error:
        raise exceptions.OptionsError(f"usage_limits: {error}") from None


def web_address() -> tuple[str, int]:
    """Where the page listens."""
    port: int = ctx.options.usage_web_port
    if not 0 <= port <= 65535:
        raise exceptions.OptionsError(
            f"usage_web_port: {port} is no port. Choose one up to 65535, or 0 for any that is free."
        )
    return ctx.options.usage_web_host, port


def web_token(kept_in: Path) -> str:
    """The token that opens the page."""
    try:
        return load_token(kept_in, ctx.options.usage_web_token)
    except (ValueError, OSError) as error:
        raise exceptions.OptionsError(f"usage_web_token: {error}") from None


def where_to() -> str:
    """How clients get here, in the one mode where that can be said in a line."""
    if ctx.options.mode != ["regular"]:
        return ""
    host, port = ctx.options.listen_host or "127.0.0.1", ctx.options.listen_port
    return f"; lead clients through http://{host}:{port or 8080}" if port != 0 else ""


def unknown() -> list[str]:
    """Options somebody set that do not exist."""
    return sorted(key for key in ctx.options.deferred if key.startswith("usage_"))


@dataclass(slots=True)
class Switches:
    """Options that are looked at for every call. mitmproxy copies a value each time it is asked for
    it, which takes longer."""

    quiet: bool = False
    """Nobody sees a line for every call: that is an option of ours, or mitmproxy shows nothing
    below an error (`-q`)."""
    keep_bodies: bool = False
    poll_anthropic: bool = False
    saves_flows: bool = False
    """mitmproxy writes flows to a file as they end (`-w`)."""

    def read(self) -> None:
        """Note how they stand."""
        # Where nobody sees a log entry it still passes through all of mitmproxy's addons, which
        # takes longer than pricing a call.
        unseen = (
            getattr(ctx.options, "termlog_verbosity", "") in ("error", "warn")
            and ctx.master.addons.get("eventstore") is None
        )
        self.quiet = ctx.options.usage_quiet or unseen
        self.keep_bodies = ctx.options.usage_keep_bodies
        self.poll_anthropic = ctx.options.usage_poll_anthropic
        self.saves_flows = bool(getattr(ctx.options, "save_stream_file", None))
