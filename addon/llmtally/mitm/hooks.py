"""The addon: what mitmproxy loads, configures, runs and ends. It passes each hook to the parts that
need it.

Nothing here waits, and no error here may stop the traffic.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import time
from collections import Counter
from pathlib import Path

from mitmproxy import ctx, exceptions, http
from mitmproxy.addonmanager import Loader
from mitmproxy.log import ALERT
from mitmproxy.proxy import server_hooks

from ..attribution.run_tag import OWN_RUN, Runs, parse
from ..journal import account_key
from ..providers import RouteTable
from ..system.client_process import Processes
from ..tally.observations import Counted, PageApproached
from ..tally.prices import Prices
from ..tally.protocol import Settings
from ..tally.tally import OpenFlow, Tally
from ..text.call_line import totals_line
from . import options
from .announcer import Announcer
from .call_lines import CallLines
from .carrier import Inline
from .commands import Commands
from .flow_observer import FlowObserver
from .guard import Guard
from .link import Link
from .quotas import Quotas
from .runs import RunHooks
from .scheduler import Scheduler
from .tunnels import Tunnels

logger = logging.getLogger(__name__)


_handed_over: dict[int, OpenFlow] = {}
"""What the tally knows of flows in flight while mitmproxy reloads the script; this module stays
loaded."""


_handed_over_links: dict[Path, Link] = {}
"""The link to the tally of each directory, meanwhile."""


class UsageAddon:
    """Counts every LLM call that passes the proxy."""

    name = "llmtally"

    def __init__(self) -> None:
        self._switches = options.Switches()
        self._scheduler = Scheduler()
        self._runs = Runs(parse(os.environ.get(OWN_RUN, "")))
        self._processes = Processes(self._scheduler.io, self._scheduler.call_later)
        self._prices = Prices(self._scheduler.in_thread, _alert)
        self._tally: Tally | None = None
        """The tally of the directory in use, if it is in this process. `_count_inline` replaces it,
        here and in the other parts."""
        self._link: Link | None = None
        """The link to the tally of the directory in use, if that is another process."""
        self._directory: Path | None = None
        """The directory in use."""
        self._token = ""
        self._configured = False
        self._running = False
        self._lines = CallLines(self._switches, self._scheduler)
        self._inline = Inline(self._switches, self._scheduler, self._settled)
        self._quotas = Quotas(self._switches, self._inline, self._scheduler)
        self._observer = FlowObserver(
            self._switches,
            self._inline,
            self._quotas,
            self._runs,
            Guard(self._count),
            self._scheduler,
        )
        self._announcer = Announcer(lambda listening: self._observer.carrier.observe(listening))
        self._tunnels = Tunnels(self._count)
        self._run_hooks = RunHooks(self._runs)
        self.commands = Commands(self._scheduler.detached)
        # Hooks of one addon, not separate addons: mitmproxy asks each addon at each of a
        # request's eight events, which would cost 20 us a request.
        self.http_connect = self._run_hooks.http_connect
        self.tls_clienthello = self._tunnels.tls_clienthello
        self.tls_failed_client = self._tunnels.tls_failed_client
        self.responseheaders = self._observer.responseheaders
        self.update = self._observer.update
        self.response = self._observer.response
        self.error = self._observer.error
        self.websocket_message = self._observer.websocket_message
        self.websocket_end = self._observer.websocket_end

    @property
    def coverage(self) -> Counter[str]:
        """Responses of LLM routes by the bucket they ended in, and tunnels that could not be opened
        as `bypassed`, since the directory was opened."""
        return Counter() if self._tally is None else self._tally.recorder.coverage

    def _count(self, bucket: str, host: str | None = None) -> None:
        self._observer.carrier.observe(Counted(bucket, host))

    def _settled(self, key: int, lines: list[str]) -> None:
        """Calls were settled in a flow."""
        self._lines.show(self._observer.flow(key), lines)

    def load(self, loader: Loader) -> None:
        """Declare the options and commands."""
        options.declare(loader)
        ctx.master.commands.collect_commands(self.commands)
        # mitmproxy keeps an option it cannot parse to itself and never configures the addon:
        # traffic would pass uncounted. By the next turn of the loop `configure` has been called; an
        # error said by then ends mitmproxy with exit code 1.
        asyncio.get_running_loop().call_soon(self._check_configured)

    def _check_configured(self) -> None:
        if not self._configured:
            named = (
                ", ".join(sorted(key for key in ctx.options.deferred if key.startswith("usage_")))
                or "one of usage_*"
            )
            logger.error(
                "llmtally: the value of an option cannot be read (%s), so no call would be "
                "counted. Correct it and start again.",
                named,
            )
            ctx.master.shutdown()

    def configure(self, updated: set[str]) -> None:
        """Check the options that changed and apply them."""
        self._configured = True
        self._switches.read()
        if "usage_hosts" in updated:
            self._observer.routes = self._tunnels.routes = RouteTable(options.custom_rows())
        options.check_choices()
        if "usage_prices" in updated and (problem := self._prices.use(options.price_file())):
            raise exceptions.OptionsError(
                f"usage_prices: {problem} Correct the file, or unset the option."
            )
        limits = options.limits()
        if "usage_dir" in updated:
            self._open(options.directory())
        elif "usage_tally" in updated:
            logger.warning("llmtally: usage_tally has an effect at the next start only.")
        assert self._directory is not None
        if updated & {"usage_dir", "usage_web_token"}:
            self._token = options.web_token(self._directory)
        options.web_address()
        if self._link is not None:
            self._link.use(self._settings())
        if self._tally is not None and updated & {"usage_dir", "usage_limits"}:
            self._tally.sink.set_limits(limits)
        if (
            self._running
            and self._tally is not None
            and any(key == "usage_dir" or key.startswith("usage_web") for key in updated)
        ):
            self._serve(self._tally)

    def _settings(self) -> Settings:
        """The options of the directory, for its tally."""
        host, port = options.web_address()
        prices = options.price_file()
        return Settings(
            prices=str(prices.absolute()) if prices is not None else None,
            limits=list(ctx.options.usage_limits),
            web=ctx.options.usage_web,
            web_host=host,
            web_port=port,
            token=self._token,
        )

    def _open(self, directory: Path) -> None:
        """Use this directory from now on, and count where the options say."""
        # `-w` writes a flow as it ends, so its comment must be there by then
        if ctx.options.usage_tally == "process" and not self._switches.saves_flows:
            self._count_in_process(directory)
        else:
            self._count_inline(directory)
        self._directory = self._announcer.directory = self.commands.directory = directory

    def _count_in_process(self, directory: Path) -> None:
        try:
            account_key(directory)
            link = _handed_over_links.pop(directory, None) or Link(directory, Settings())
        except OSError as error:
            raise options.unusable(directory, error) from None
        link.answers(settled=self._settled, alert=_alert, fall_back=self._fall_back)
        if self._link is not None:
            self._link.move_to(link)
        self._close()
        self._link = self.commands.link = link
        self._observer.carrier = self._quotas.carrier = link
        self._announcer.page = lambda: link.shown.page
        if self._running:
            link.start()

    def _fall_back(self, reason: str) -> None:
        """Count in this process, because there can be no other."""
        if self._link is None or self._directory is None:
            return
        _alert(f"counting in the proxy itself, as no tally can be started: {reason}")
        left = self._link.release(sent=True)
        self._count_inline(self._directory)
        assert self._tally is not None
        self._tally.sink.set_limits(options.limits())
        self._serve(self._tally)
        self._inline.observe_all(left)

    def _close(self) -> None:
        """Let go of the tally in use, wherever it is."""
        if self._link is not None:
            self._link.finish()
            self._link.close()
            self._link = self.commands.link = None
        if self._tally is not None:
            self._tally.close()
            self._tally = self._inline.tally = self.commands.tally = None

    def _count_inline(self, directory: Path) -> None:
        try:
            tally = Tally(
                directory,
                prices=self._prices,
                processes=self._processes,
                clock=time.time,
                alert=_alert,
            )
        except OSError as error:
            raise options.unusable(directory, error) from None
        if self._tally is not None:
            tally.adopt(self._tally.release())
        self._close()
        self._tally = self._inline.tally = self.commands.tally = tally
        self._observer.carrier = self._quotas.carrier = self._inline
        self._announcer.page = lambda: tally.view.page
        if self._running:
            tally.start(self._scheduler.io)

    def running(self) -> None:
        """mitmproxy runs: name options that do not exist, say where records go, read the journal
        back, and open the page."""
        self._running = True
        self._observer.take_over()
        if self._tally is not None:
            self._tally.adopt(_handed_over)
            _handed_over.clear()
        # What is loaded by now stays: no full collection need look at it again, which takes 90 ms
        # in which no stream moves.
        gc.collect()
        gc.freeze()
        if unknown := options.unknown():
            logger.warning(
                "llmtally: no such option: %s. It has no effect; docs/options.md lists those that "
                "exist.",
                ", ".join(unknown),
            )
        if self._directory is not None:
            _alert(f"counting calls into {self._directory}{options.where_to()}")
        if self._link is not None:
            self._link.start()
        if self._tally is not None:
            self._tally.start(self._scheduler.io)
            self._serve(self._tally)
        self._announcer.running()

    def _serve(self, tally: Tally) -> None:
        """Serve the page as the options say now."""
        tally.view.stop_serving()
        if not ctx.options.usage_web:
            return
        host, port = options.web_address()
        if (url := tally.serve(host=host, port=port, token=self._token)) is not None:
            _alert(f"the page is at {url}")

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """The head of a request has come."""
        self._run_hooks.requestheaders(flow)
        self._observer.requestheaders(flow)

    def server_connect(self, data: server_hooks.ServerConnectionHookData) -> None:
        """Keep clients of the proxy from the page: to its server, they would seem to be local."""
        shows = self._link or (self._tally and self._tally.view)
        if shows and data.server.address and shows.is_page(data.server.address[:2]):
            data.server.error = "llmtally's page is not reachable through the proxy."

    def server_connected(self, data: server_hooks.ServerConnectionHookData) -> None:
        """Keep clients from the page, too, where only the resolver knew that a name leads there."""
        local, remote = data.server.sockname, data.server.peername
        if local is None or remote is None:
            return
        if self._tally is not None:
            self._tally.view.proxy_connected(local[:2], remote[:2])
        elif self._link is not None and self._link.shown.port == remote[1]:
            self._link.observe(PageApproached(local[:2], remote[:2]))

    def done(self) -> None:
        """mitmproxy ends or reloads the script: settle what is in flight, or leave it to the next
        instance, and close the journal."""
        if ctx.master.should_exit.is_set():
            self._observer.cut_short()
        else:
            self._observer.hand_over()
            if self._link is not None and self._directory is not None:
                _handed_over_links[self._directory] = self._link
                self._link = None
        if self._link is not None:
            self._link.finish()
            if (left := self._link.release(sent=False)) and self._directory is not None:
                # no tally has come up by now
                self._count_inline(self._directory)
                self._inline.observe_all(left)
        self._scheduler.finish()
        if self._tally is not None:
            _handed_over.update(self._tally.release())
            if self.coverage:
                spent = self._tally.sink.tracker.usage(time.time())["since_start"]
                _alert(f"this run: {totals_line(spent)}; responses: {self._buckets()}")
            self._tally.close()
        self._announcer.done()

    def _buckets(self) -> str:
        return ", ".join(f"{count} {bucket}" for bucket, count in self.coverage.most_common())


def _alert(text: str) -> None:
    logger.log(ALERT, "llmtally: %s", text)
