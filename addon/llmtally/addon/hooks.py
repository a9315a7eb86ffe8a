"""The hooks: mitmproxy's life of a flow on one side, the sans-IO core on the other.

Nothing here waits, and nothing here may fail the traffic: what reads is called through `_guarded`, the one broad `except` of the
house beside the tap's. Reading and settling happen after the bytes have gone on, in slices on mitmproxy's loop, or in a worker
thread where a body is large.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mitmproxy import ctx, exceptions, http, tls
from mitmproxy.addonmanager import Loader
from mitmproxy.flow import Flow
from mitmproxy.hooks import UpdateHook
from mitmproxy.log import ALERT
from mitmproxy.proxy import server_hooks
from mitmproxy.websocket import WebSocketMessage

from .. import limits, quota
from ..attribution import Attributor, RequestView
from ..client_process import Processes, with_process
from ..exchange import Ending, Exchange, Memory
from ..formats.format import described_error
from ..journal import account_key
from ..later import Later
from ..live import Live
from ..pricing import Pricer
from ..providers import PRICE_IDS, Directory
from ..record import Call
from ..runs import Runs, with_run
from ..tap import RequestTap, Tap, tap_of
from ..terminal import one_line, printable, totals_line
from ..wire.framing import is_streaming
from . import options
from .announcer import Announcer
from .commands import Commands
from .flows import ending_of, head_of, is_coded, lower_headers, method_of
from .options import declare
from .runs import RunHooks
from .tunnels import Tunnels

logger = logging.getLogger(__name__)

HEAVY = 256 * 2**10
"""Bodies above this are read in a worker thread: parsing one holds the loop for a millisecond or more."""

HEAVY_CODED = 16 * 2**10
"""The same for bodies in a content coding, which may be many times larger."""

KEPT_FRAMES = 64
"""WebSocket messages left on a flow; mitmproxy keeps all, which for a socket open for days is a leak."""

PRICES_INTERVAL = 2.0
"""Seconds between looks at the price file's time stamp."""

MAX_BYPASSED = 256
"""Hosts that are named once each; there are fewer rows in the provider table."""

COMMENT_MARK = "llmtally: "


@dataclass(slots=True)
class Followed:
    """A flow that leads to an LLM."""

    flow: http.HTTPFlow
    exchange: Exchange
    tap: Tap | None = None
    request_tap: RequestTap | None = None
    ignored: bool = False
    """It is left alone: no provider was asked, or reading it has failed."""


class UsageAddon:
    """Follows every LLM call that passes the proxy."""

    name = "llmtally"

    def __init__(self) -> None:
        self.coverage: Counter[str] = Counter()
        """Responses of LLM routes by the bucket they ended in, and tunnels that could not be opened as `bypassed`."""
        self._followed: dict[str, Followed] = {}
        self._configured = False
        self._directory = Directory()
        self._memory: Memory | None = None
        self._live: Live | None = None
        self._token = ""
        self._running = False
        self._quota: dict[str, str] = {}
        """Flows that ask a quota endpoint, and its host."""
        self._pricer = Pricer(price_ids=PRICE_IDS)
        self._prices_checked = 0.0
        self._lines: list[str] = []
        """Calls that are not printed yet."""
        self._later = Later()
        self._processes = Processes(self._later.pool.submit, lambda delay, work: self._loop.call_later(delay, work))
        self._poll = quota.QuotaPoll(self._later.pool.submit, self._polled)
        self._bypassed: set[str] = set()
        self._runs = Runs()
        self.addons = [
            Commands(lambda: self._live, self._later.pool.submit),
            Tunnels(lambda host: self._directory.provider(host)),
            RunHooks(self._runs),
            Announcer(lambda: self._live),
        ]
        """mitmproxy takes these in with this one."""

    # Life

    def load(self, loader: Loader) -> None:
        """Declare the options."""
        self._loop = asyncio.get_running_loop()
        declare(loader)
        # mitmproxy keeps an option it cannot parse to itself and never configures the addon: traffic would pass uncounted.
        # By the next turn of the loop `configure` has been called; an error said by then ends mitmproxy with exit code 1.
        self._loop.call_soon(self._check_configured)

    def _check_configured(self) -> None:
        if not self._configured:
            named = ", ".join(sorted(key for key in ctx.options.deferred if key.startswith("usage_"))) or "one of usage_*"
            logger.error("llmtally: the value of an option cannot be read (%s), so nothing would be counted.", named)
            ctx.master.shutdown()

    def configure(self, updated: set[str]) -> None:
        """Check the options that changed and apply them."""
        self._configured = True
        if "usage_hosts" in updated:
            self._directory = Directory(options.custom_rows())
        if "usage_intercept" in updated:
            options.check_intercept()
        if "usage_prices" in updated:
            self._pricer = Pricer(price_ids=PRICE_IDS, override_path=options.price_file())
            if problem := self._pricer.reload_if_changed():
                raise exceptions.OptionsError(f"usage_prices: {problem}")
        if "usage_dir" in updated:
            self._open(options.directory())
        assert self._live is not None
        if updated & {"usage_dir", "usage_limits"}:
            self._live.set_limits(options.limits())
        if updated & {"usage_dir", "usage_web_token"}:
            self._token = options.web_token(self._live.directory)
        options.web_address()
        if self._running and any(key == "usage_dir" or key.startswith("usage_web") for key in updated):
            self._serve()

    def _open(self, directory: Path) -> None:
        try:
            key = account_key(directory)
            live = Live(directory, clock=time.time, alert=_alert)
        except OSError as error:
            raise options.unusable(directory, error) from None
        if self._live is not None:
            self._live.close()
        self._live = live
        self._memory = Memory(Attributor(key))
        if self._running:
            self._restore()

    def running(self) -> None:
        """Open the page, read the journal back, say where records go, and name options nobody knows."""
        self._running = True
        # What is loaded by now stays: no full collection need look at it again, which takes 90 ms in which no stream moves.
        gc.collect()
        gc.freeze()
        if unknown := options.unknown():
            logger.warning("llmtally: no such option: %s. It has no effect.", ", ".join(unknown))
        if self._live is not None:
            _alert(f"counting calls into {self._live.directory}{options.where_to()}")
            self._restore()
            self._serve()

    def _restore(self) -> None:
        live, memory = self._live, self._memory
        assert live is not None
        assert memory is not None
        live.restore(lambda call: memory.recall(call))
        live.keep_status(self._later.pool.submit)

    def _serve(self) -> None:
        live = self._live
        if live is None:
            return
        live.stop_serving()
        if not ctx.options.usage_web:
            return
        host, port = options.web_address()
        url = live.serve(
            host=host,
            port=port,
            token=self._token,
            explain=lambda call: self._pricer.price(call),
        )
        if url is not None:
            _alert(f"the page is at {url}")

    def done(self) -> None:
        """Settle what is in flight and close the journal. On a script reload, flows in flight go on to the next instance."""
        if ctx.master.should_exit.is_set():
            for followed in list(self._followed.values()):
                self._guarded(followed, self._cut_short, followed)
            self._followed.clear()
        self._later.finish()
        if self._live is not None:
            if self.coverage:
                _alert(
                    f"this run: {totals_line(self._live.tracker.usage(time.time())['since_start'])}; responses: {self._buckets()}"
                )
            self._live.close()

    def _buckets(self) -> str:
        return ", ".join(f"{count} {bucket}" for bucket, count in self.coverage.most_common())

    def _cut_short(self, followed: Followed) -> None:
        self._request_sent(followed)
        self._settle(followed, "client_aborted", time.time(), None)

    # The request

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Decide whether this is an LLM call, by host and path."""
        if flow.live and flow.is_replay != "response":
            self._guarded(None, self._follow, flow)

    def _follow(self, flow: http.HTTPFlow) -> Followed | None:
        method = method_of(flow.request)
        if method is None or self._memory is None:
            return None
        head = head_of(flow, method)
        route = self._directory.route(method, head.host, head.path)
        if route is None:
            if limits.is_quota_path(head.host, head.path):
                self._quota[flow.id] = head.host
            return None
        followed = self._followed[flow.id] = Followed(flow, Exchange(route, head, self._memory))
        if ctx.options.usage_poll_anthropic and head.host == quota.HOST and (token := quota.oauth_token(head.headers)) is not None:
            self._poll.seen(token, time.monotonic())
        if flow.request.stream:
            before = flow.request.stream
            followed.request_tap = flow.request.stream = RequestTap(before if callable(before) else None)
        if (peer := flow.client_conn.peername) is not None:
            self._processes.connected(flow.client_conn.id, peer[:2], now=time.monotonic())
        return followed

    # The response

    def responseheaders(self, flow: http.HTTPFlow) -> None:
        """Choose the decoders, and tap the body if it is a stream."""
        if (followed := self._followed.get(flow.id)) is not None:
            if flow.response is not None and flow.response.timestamp_end is not None:
                followed.ignored = True  # made up by an addon: no provider was asked
                return
            self._guarded(followed, self._start_response, flow, followed)
            if followed.ignored and flow.response is not None and is_streaming(flow.response.headers.get("content-type", "")):
                flow.response.stream = flow.response.stream or True  # unread, but not held back either

    def _start_response(self, flow: http.HTTPFlow, followed: Followed) -> None:
        assert flow.response is not None
        exchange = followed.exchange
        self._request_sent(followed)
        exchange.response_started(flow.response.status_code, lower_headers(flow.response.headers), time.time())
        if flow.response.status_code != 101 and (exchange.streaming or flow.response.stream):
            self._attach(flow.response, followed, flow)

    def update(self, flows: Sequence[Flow]) -> None:
        """Wrap a stream callable that another addon has set after `responseheaders`: this comes before the first byte."""
        for flow in flows:
            followed = self._followed.get(flow.id)
            if followed is None or followed.tap is None or not isinstance(flow, http.HTTPFlow) or flow.response is None:
                continue
            if flow.response.timestamp_end is None and flow.response.stream is not followed.tap.stream:
                followed.tap.drain()
                followed.tap.active = False
                self._guarded(followed, self._attach, flow.response, followed, flow)

    def _attach(self, response: http.Response, followed: Followed, flow: http.HTTPFlow) -> None:
        before = response.stream
        followed.tap = Tap(
            followed.exchange,
            chained=before if callable(before) else None,
            clock=time.time,
            later=self._later.soon,
            settle=functools.partial(self._record, flow),
            keep=ctx.options.usage_keep_bodies,
        )
        response.stream = followed.tap.stream

    def response(self, flow: http.HTTPFlow) -> None:
        """The response is whole, or is a WebSocket upgrade that goes on."""
        assert flow.response is not None
        if (host := self._quota.pop(flow.id, None)) is not None:
            self._later.soon(functools.partial(self._guarded, None, self._read_quota, flow, host, flow.response.raw_content))
        elif flow.response.status_code == 101:
            if flow.websocket is None:
                self._followed.pop(flow.id, None)  # some other protocol; no hook will tell of its end
        else:
            self._guarded(None, self._finish, flow, "complete" if flow.error is None else "client_aborted")

    def error(self, flow: http.HTTPFlow) -> None:
        """The flow broke: one of the sides went away, or it was killed."""
        self._quota.pop(flow.id, None)
        if flow.websocket is None:
            self._guarded(None, self._finish, flow, ending_of(flow))

    def _finish(self, flow: http.HTTPFlow, ending: Ending) -> None:
        followed = self._followed.pop(flow.id, None) or self._taken_over(flow)
        if followed is None or followed.ignored:
            return
        at = time.time()
        body: bytes | None = None
        if (response := flow.response) is not None and flow.server_conn.timestamp_start is None:
            return  # answered by an addon: no provider was asked
        if response is not None:
            if followed.tap is None:
                body = response.raw_content
            else:
                self._release(response, followed.tap)
        sent = self._request_sent(followed)
        settle = functools.partial(self._guarded, followed, self._settle, followed, ending, at, body)
        if sent + len(body or b"") > (HEAVY if not is_coded(flow) else HEAVY_CODED):
            self._later.in_thread(functools.partial(followed.exchange.read_ahead, body or b"", at), settle)
        elif options.saves_flows():
            settle()  # `-w` writes the flow when this hook is over, and the comment with it
        elif (looking := self._processes.pending(flow.client_conn.id)) is not None:
            self._later.after(looking, settle)
        else:
            self._later.soon(settle)

    @staticmethod
    def _request_sent(followed: Followed) -> int:
        """Hand over what is known of the request by now; gives the size of the body that is there to be read."""
        request, tap = followed.flow.request, followed.request_tap
        body = request.raw_content if tap is None else tap.body()
        size = tap.size if tap is not None else None if body is None else len(body)
        followed.exchange.request_sent(body, size, request.timestamp_end or request.timestamp_start)
        return len(body or b"")

    def _taken_over(self, flow: http.HTTPFlow) -> Followed | None:
        """A flow that an instance before a script reload was following."""
        if not flow.live or flow.is_replay == "response" or flow.response is None:
            return None
        if (tap := tap_of(flow.response.stream)) is not None:
            tap.settle = functools.partial(self._record, flow)
            return Followed(flow, tap.exchange, tap)
        if (followed := self._follow(flow)) is not None:
            del self._followed[flow.id]
            followed.exchange.response_started(flow.response.status_code, lower_headers(flow.response.headers), time.time())
        return followed

    @staticmethod
    def _release(response: http.Response, tap: Tap) -> None:
        """Take the tap off: a closure left on a flow keeps its chunks alive in tools that keep flows."""
        if response.stream is tap.stream:
            response.stream = tap.chained or True
        if tap.kept is not None:
            response.raw_content = b"".join(tap.kept)

    # Sockets

    def websocket_message(self, flow: http.HTTPFlow) -> None:
        """One message, either way."""
        followed = self._followed.get(flow.id)
        if followed is None or followed.ignored or flow.websocket is None:
            return
        messages = flow.websocket.messages
        if messages and not messages[-1].injected and not messages[-1].dropped:
            self._later.soon(functools.partial(self._guarded, followed, self._frame, followed, messages[-1], time.time()))
        others_keep = options.saves_flows() or ctx.master.addons.get("view") is not None
        if len(messages) > KEPT_FRAMES and followed.exchange.route.confirmed and not others_keep:
            del messages[:-1]

    def _frame(self, followed: Followed, message: WebSocketMessage, at: float) -> None:
        self._record(followed.flow, followed.exchange.frame(message.content, from_client=message.from_client, at=at))

    def websocket_end(self, flow: http.HTTPFlow) -> None:
        """The socket closed; a turn that is still open was cut off."""
        followed = self._followed.pop(flow.id, None)
        if followed is not None and flow.websocket is not None:
            ending: Ending = "client_aborted" if flow.websocket.closed_by_client else "upstream_aborted"
            self._later.soon(functools.partial(self._guarded, followed, self._settle, followed, ending, time.time(), None))

    # Settlement

    def _settle(self, followed: Followed, ending: Ending, at: float, body: bytes | None) -> None:
        if followed.tap is not None:
            followed.tap.drain()
            followed.tap.active = False
        flow, exchange = followed.flow, followed.exchange
        error = None
        if flow.error is not None and ending == "upstream_aborted":
            error = described_error("connection", flow.error.msg)
        calls = exchange.feed(body, at) if body and not exchange.read else []
        if flow.response is not None and flow.response.trailers:
            exchange.trailed(lower_headers(flow.response.trailers))
        self._record(flow, calls + exchange.end(ending, at, error))
        if self._live is not None:
            self._live.stream_events += exchange.messages

    def _record(self, flow: http.HTTPFlow, calls: list[Call]) -> None:
        for call in calls:
            self._record_one(flow, call)

    def _record_one(self, flow: http.HTTPFlow, call: Call) -> None:
        attribution = with_run(call.attribution, self._runs.of(flow.client_conn.id))
        attribution = with_process(attribution, self._processes.of(flow.client_conn.id))
        if attribution is not call.attribution:
            call = call._replace(attribution=attribution)
        if call.coverage in ("priced", "unpriced"):
            self._reload_prices()
            call = call.priced(self._pricer.price(call))
        self.coverage[call.coverage] += 1
        if self._live is not None:
            self._live.add(call)
        if call.coverage == "duplicate" or call.pending:
            return
        line = one_line(call)
        if not ctx.options.usage_quiet:
            self._lines.append(line)
            if len(self._lines) == 1:
                self._later.soon(self._print_lines)
        self._comment(flow, line)

    def _print_lines(self) -> None:
        """What has been settled since the last time: mitmproxy shows each log entry to all its addons, which costs 100 us."""
        lines, self._lines = self._lines, []
        logger.log(ALERT, "%s", "\n".join(lines))

    def _comment(self, flow: http.HTTPFlow, line: str) -> None:
        """Put the call beside its flow; what a person wrote there stays."""
        if flow.comment and not flow.comment.startswith(COMMENT_MARK):
            return
        flow.comment = f"{COMMENT_MARK}{line}"
        if ctx.master.addons.get("view") is not None:
            ctx.master.addons.trigger(UpdateHook([flow]))

    def _reload_prices(self) -> None:
        now = time.monotonic()
        if now - self._prices_checked > PRICES_INTERVAL:
            self._prices_checked = now
            if problem := self._pricer.reload_if_changed():
                _alert(problem)

    # What cannot be read

    def tls_failed_client(self, data: tls.TlsData) -> None:
        """A client that does not trust the CA (or pins a certificate) goes past us: say so, once per host."""
        host = (data.context.client.sni or "").lower()
        if self._directory.provider(host) is None:
            return
        self._count("bypassed")
        if host not in self._bypassed and len(self._bypassed) < MAX_BYPASSED:
            self._bypassed.add(host)
            logger.warning(
                "llmtally: a client refused the connection to %s: it does not trust mitmproxy's CA. Its calls are not counted. "
                "Point it at mitmproxy-ca-cert.pem (the README says how for each client).",
                printable(host),
            )

    def server_connect(self, data: server_hooks.ServerConnectionHookData) -> None:
        """Keep clients of the proxy from our own page: to us, they would seem to be local."""
        if self._live is not None and data.server.address is not None and self._live.is_page(data.server.address[:2]):
            data.server.error = "llmtally's page is not reachable through the proxy."

    def _read_quota(self, flow: http.HTTPFlow, host: str, body: bytes | None) -> None:
        """A client asked how full its plan's windows are: take note of the answer."""
        assert flow.response is not None
        coding = flow.response.headers.get("content-encoding", "")
        self._quota_answered(host, flow.request.path, lower_headers(flow.request.headers), coding, body or b"")

    def _polled(self, token: str, body: bytes) -> None:
        """Our own question was answered; this is its thread."""
        headers = {"authorization": f"Bearer {token}"}
        handle = functools.partial(self._guarded, None, self._quota_answered, quota.HOST, quota.PATH, headers, "", body)
        self._loop.call_soon_threadsafe(handle)

    def _quota_answered(self, host: str, path: str, headers: Mapping[str, str], coding: str, body: bytes) -> None:
        now = time.time()
        found = quota.read_answer(host, path, coding, body, now=now)
        if found and self._live is not None and self._memory is not None:
            provider = quota.PROVIDERS.get(host, host)
            asked = self._memory.attributor.attribute(RequestView(provider, host, path, headers), now=now)
            self._live.add_limits(found, provider=provider, account=asked.account)

    def _count(self, bucket: str) -> None:
        self.coverage[bucket] += 1
        if self._live is not None:
            self._live.count(bucket)

    def _guarded(self, followed: Followed | None, work: Callable[..., Any], *args: Any) -> None:
        """Run what reads. The traffic is not ours: what goes wrong here is logged once per flow, and the flow goes on unread."""
        if followed is not None and followed.ignored:
            return
        try:
            work(*args)
        except Exception:
            self._count("unparsed")
            if followed is not None:
                followed.ignored = True
            logger.exception("llmtally: reading a flow failed; it goes on unread. This is a bug of llmtally.")


def _alert(text: str) -> None:
    logger.log(ALERT, "llmtally: %s", text)
