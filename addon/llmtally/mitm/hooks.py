"""The addon: its life in mitmproxy, and which of its parts takes which hook.

Nothing here waits, and nothing here may fail the traffic.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import time
from pathlib import Path

from mitmproxy import ctx, exceptions, http
from mitmproxy.addonmanager import Loader
from mitmproxy.log import ALERT
from mitmproxy.proxy import server_hooks

from ..attribution import Attributor
from ..attribution.run_tag import OWN_RUN, Runs, parse
from ..exchange import Memory
from ..journal import account_key
from ..providers import RouteTable
from ..system.client_process import Processes
from ..tally.sink import Sink
from ..text.call_line import totals_line
from . import options
from .announcer import Announcer
from .commands import Commands
from .flow_observer import FlowObserver
from .guard import Guard
from .quotas import Quotas
from .recorder import Recorder
from .runs import RunHooks
from .scheduler import Scheduler
from .tunnels import Tunnels

logger = logging.getLogger(__name__)


class UsageAddon:
    """Follows every LLM call that passes the proxy."""

    name = "llmtally"

    def __init__(self) -> None:
        runs = Runs(parse(os.environ.get(OWN_RUN, "")))
        self._switches = options.Switches()
        self._scheduler = Scheduler()
        self._processes = Processes(
            self._scheduler.io, lambda delay, work: self._loop.call_later(delay, work)
        )
        self._recorder = Recorder(self._switches, runs, self._processes, self._scheduler)
        self.coverage = self._recorder.coverage
        """Responses of LLM routes by the bucket they ended in, and tunnels that could not be opened
        as `bypassed`."""
        guard = Guard(lambda: self._recorder.count("unparsed"))
        quotas = Quotas(
            self._switches,
            self._recorder,
            guard,
            self._scheduler,
            lambda work: self._loop.call_soon_threadsafe(work),
        )
        self._observer = FlowObserver(
            self._switches, self._recorder, quotas, self._processes, guard, self._scheduler
        )
        self._token = ""
        self._configured = False
        self._running = False
        self.commands = Commands(lambda: self._live, self._scheduler.detached)
        self._announcer = Announcer(lambda: self._live)
        self._runs = RunHooks(runs)
        tunnels = Tunnels(lambda host: self._observer.routes.provider(host), self._recorder.count)
        # Hooks of one addon, not addons of their own: mitmproxy asks each addon at each of a
        # request's eight events, which would cost 20 us a request.
        self.http_connect = self._runs.http_connect
        self.tls_clienthello = tunnels.tls_clienthello
        self.tls_failed_client = tunnels.tls_failed_client
        self.responseheaders = self._observer.responseheaders
        self.update = self._observer.update
        self.response = self._observer.response
        self.error = self._observer.error
        self.websocket_message = self._observer.websocket_message
        self.websocket_end = self._observer.websocket_end

    @property
    def _live(self) -> Sink | None:
        return self._recorder.live

    def load(self, loader: Loader) -> None:
        """Declare the options and commands."""
        self._loop = asyncio.get_running_loop()
        options.declare(loader)
        ctx.master.commands.collect_commands(self.commands)
        # mitmproxy keeps an option it cannot parse to itself and never configures the addon:
        # traffic would pass uncounted. By the next turn of the loop `configure` has been called; an
        # error said by then ends mitmproxy with exit code 1.
        self._loop.call_soon(self._check_configured)

    def _check_configured(self) -> None:
        if not self._configured:
            named = (
                ", ".join(sorted(key for key in ctx.options.deferred if key.startswith("usage_")))
                or "one of usage_*"
            )
            logger.error(
                "llmtally: the value of an option cannot be read (%s), so nothing would be "
                "counted.",
                named,
            )
            ctx.master.shutdown()

    def configure(self, updated: set[str]) -> None:
        """Check the options that changed and apply them."""
        self._configured = True
        self._switches.read()
        if "usage_hosts" in updated:
            self._observer.routes = RouteTable(options.custom_rows())
        if "usage_intercept" in updated:
            options.check_intercept()
        if "usage_prices" in updated and (
            problem := self._recorder.read_prices(options.price_file())
        ):
            raise exceptions.OptionsError(f"usage_prices: {problem}")
        if "usage_dir" in updated:
            self._open(options.directory())
        assert self._live is not None
        if updated & {"usage_dir", "usage_limits"}:
            self._live.set_limits(options.limits())
        if updated & {"usage_dir", "usage_web_token"}:
            self._token = options.web_token(self._live.directory)
        options.web_address()
        if self._running and any(
            key == "usage_dir" or key.startswith("usage_web") for key in updated
        ):
            self._serve()

    def _open(self, directory: Path) -> None:
        try:
            key = account_key(directory)
            live = Sink(directory, clock=time.time, alert=_alert)
        except OSError as error:
            raise options.unusable(directory, error) from None
        if self._live is not None:
            self._live.close()
        self._recorder.live, self._recorder.memory = live, Memory(Attributor(key))
        if self._running:
            self._restore()

    def running(self) -> None:
        """Open the page, read the journal back, say where records go, and name options nobody
        knows."""
        self._running = True
        self._observer.take_over()
        # What is loaded by now stays: no full collection need look at it again, which takes 90 ms
        # in which no stream moves.
        gc.collect()
        gc.freeze()
        if unknown := options.unknown():
            logger.warning("llmtally: no such option: %s. It has no effect.", ", ".join(unknown))
        if self._live is not None:
            _alert(f"counting calls into {self._live.directory}{options.where_to()}")
            self._restore()
            self._serve()
        self._announcer.running()

    def _restore(self) -> None:
        live, memory = self._recorder.live, self._recorder.memory
        assert live is not None
        assert memory is not None
        live.restore(lambda call: memory.recall(call))
        live.keep_status(self._scheduler.io)

    def _serve(self) -> None:
        live = self._live
        if live is None:
            return
        live.stop_serving()
        if not ctx.options.usage_web:
            return
        host, port = options.web_address()
        if (
            url := live.serve(
                host=host, port=port, token=self._token, explain=self._recorder.explain
            )
        ) is not None:
            _alert(f"the page is at {url}")

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """A request begins."""
        self._observer.requestheaders(flow)
        self._runs.requestheaders(flow)

    def server_connect(self, data: server_hooks.ServerConnectionHookData) -> None:
        """Keep clients of the proxy from our own page: to us, they would seem to be local."""
        if (
            self._live is not None
            and data.server.address is not None
            and self._live.is_page(data.server.address[:2])
        ):
            data.server.error = "llmtally's page is not reachable through the proxy."

    def server_connected(self, data: server_hooks.ServerConnectionHookData) -> None:
        """The same for names of which only the resolver knows that they lead there."""
        local, remote = data.server.sockname, data.server.peername
        if self._live is not None and local is not None and remote is not None:
            self._live.proxy_connected(local[:2], remote[:2])

    def done(self) -> None:
        """Settle what is in flight and close the journal. On a script reload, what is in flight
        goes on to the next instance."""
        if ctx.master.should_exit.is_set():
            self._observer.cut_short()
        else:
            self._observer.hand_over()
        self._scheduler.finish()
        if self._live is not None:
            if self.coverage:
                _alert(
                    "this run: "
                    f"{totals_line(self._live.tracker.usage(time.time())['since_start'])}; "
                    f"responses: {self._buckets()}"
                )
            self._live.close()
        self._announcer.done()

    def _buckets(self) -> str:
        return ", ".join(f"{count} {bucket}" for bucket, count in self.coverage.most_common())


def _alert(text: str) -> None:
    logger.log(ALERT, "llmtally: %s", text)
