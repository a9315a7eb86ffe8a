"""The heart: endings, sockets, background responses, repeats, and that nothing a peer sends gets
out of hand."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmtally.attribution import Attributor
from llmtally.exchange import Ending, Exchange, Memory, RequestHead
from llmtally.exchange.lanes import MAX_LANES
from llmtally.exchange.memory import SEEN_IDS, Sighting
from llmtally.providers import PROVIDERS, Method, Route, RouteTable
from llmtally.record import Call

ALL_ROUTES = [
    Route(row, endpoint.format, "model", endpoint.streams_json)
    for row in PROVIDERS
    for endpoint in row.endpoints
] + [Route(PROVIDERS[0], PROVIDERS[0].endpoints[0].format, confirmed=False)]

START = {
    "type": "message_start",
    "message": {
        "id": "msg_1",
        "model": "claude-opus-4-8",
        "usage": {"input_tokens": 12, "cache_read_input_tokens": 900, "output_tokens": 2},
    },
}
DELTA = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "abcd"}}
END = {
    "type": "message_delta",
    "delta": {"stop_reason": "end_turn"},
    "usage": {"output_tokens": 40},
}
STOP = {"type": "message_stop"}


def memory() -> Memory:
    return Memory(Attributor(b"key"))


def exchange(
    host: str = "api.anthropic.com",
    path: str = "/v1/messages",
    *,
    method: Method = "POST",
    shared: Memory | None = None,
    status: int = 200,
    content_type: str = "text/event-stream",
    request: Any = None,
    headers: dict[str, str] | None = None,
    credential: str = "Bearer sk-ant-api03-x",
    began: float = 100.0,
) -> Exchange:
    route = RouteTable().route(method, host, path)
    assert route is not None
    opened = Exchange(
        route,
        RequestHead("flow", method, host, path, {"authorization": credential}, timestamp=began),
        shared or memory(),
    )
    body = orjson.dumps(request) if request is not None else None
    opened.request_sent(body, len(body or b""), began + 0.5)
    opened.response_started(
        101 if method == "SOCKET" else status,
        {"content-type": content_type, **(headers or {})},
        began + 1,
    )
    return opened


def sse(*events: Any) -> bytes:
    return b"".join(b"data: " + orjson.dumps(event) + b"\n\n" for event in events)


def one(calls: list[Call]) -> Call:
    assert len(calls) == 1, calls
    return calls[0]


class TestEvents:
    """What a provider sent in pieces is counted, whether it was read or passed over."""

    def test_of_a_stream(self) -> None:
        """About as many as there were, as what is skipped is not looked at one by one."""
        opened = exchange()
        for event in (START, *[DELTA] * 500, END):
            opened.feed(sse(event), 101.5)
        opened.end("complete", 102.0)

        assert opened.events == pytest.approx(502, rel=0.02)

    def test_of_a_socket(self) -> None:
        """Frames of the server count as events, read or not; the client's do not."""
        opened = exchange("chatgpt.com", "/backend-api/codex/responses", method="SOCKET")
        opened.frame(b'{"type": "response.create", "model": "gpt-5"}', from_client=True, at=101.0)
        for kind in ("response.created", *["response.output_text.delta"] * 9, "response.completed"):
            opened.frame(
                orjson.dumps({"type": kind, "delta": "x", "response": {"id": "r"}}),
                from_client=False,
                at=101.5,
            )
        opened.end("complete", 102.0)

        assert opened.events == 11

    @pytest.mark.parametrize("content_type", ["application/json", "text/plain"])
    def test_of_a_whole_body(self, content_type: str) -> None:
        """One answer in one piece is not a stream."""
        opened = exchange(content_type=content_type)
        opened.whole(orjson.dumps(START["message"]), 101.5)
        opened.end("complete", 102.0)

        assert opened.events == 0


class TestEndings:
    """One call settles in every ending, with what the wire had said by then."""

    def test_complete(self) -> None:
        """A stream that came to its end is complete, and its times count from when the request had
        been sent."""
        opened = exchange(request={"model": "claude-opus-4-8"})
        opened.feed(sse(START), 101.5)
        opened.feed(sse(DELTA), 102.0)
        opened.feed(sse(END, STOP), 103.0)

        call = one(opened.end("complete", 104.5))

        assert (call.outcome, call.coverage, call.stop_reason) == (
            "complete",
            "unpriced",
            "end_turn",
        )
        assert (
            call.usage.input_tokens,
            call.usage.cache_read_tokens,
            call.usage.output_tokens,
        ) == (12, 900, 40)
        assert (call.timestamp, call.started, call.ended) == (100.0, 100.5, 104.5)
        assert (call.ttft_ms, call.duration_ms) == (1500.0, 4000.0)

    @pytest.mark.parametrize("ending", ["client_aborted", "upstream_aborted"])
    def test_aborted(self, ending: Ending) -> None:
        """The input of an aborted stream is real, its output is estimated from what was
        delivered."""
        opened = exchange()
        opened.feed(sse(START, *[DELTA] * 25), 101.5)

        call = one(opened.end(ending, 102.0))

        assert call.outcome == ending
        assert (call.usage.input_tokens, call.usage.cache_read_tokens) == (12, 900)
        assert (call.usage.output_tokens, call.estimated, call.reported_output_tokens) == (
            25,
            True,
            2,
        )

    def test_estimate_from_skipped_events(self) -> None:
        """Events that were never parsed count in the estimate as those that were."""
        opened = exchange()
        opened.feed(sse(START, DELTA), 101.5)
        opened.feed(sse(*[DELTA] * 999), 101.6)

        call = one(opened.end("client_aborted", 102.0))

        assert call.estimated
        assert call.usage.output_tokens == pytest.approx(1000, rel=0.02)

    def test_estimate_of_a_stream_fed_at_once(self) -> None:
        """What is known of a message's envelope stays known, however many are parsed after the
        first content."""
        opened = exchange()
        opened.feed(sse(START, *[DELTA] * 1_999), 101.5)
        opened.feed(sse(*[DELTA] * 1_000), 101.6)

        call = one(opened.end("client_aborted", 102.0))

        assert call.usage.output_tokens == pytest.approx(2_999, rel=0.02)

    def test_pings_are_no_text(self) -> None:
        """Events that deliver nothing take nothing from the estimate."""
        opened = exchange()
        opened.feed(sse(START, DELTA), 101.5)
        opened.feed(sse(*[event for _ in range(500) for event in (DELTA, {"type": "ping"})]), 101.6)

        assert one(opened.end("client_aborted", 102.0)).usage.output_tokens == pytest.approx(
            501, rel=0.05
        )

    def test_client_leaves_after_the_end(self) -> None:
        """A client that hangs up once it has everything is not an abort."""
        opened = exchange()
        opened.feed(sse(START, DELTA, END), 101.5)

        assert one(opened.end("client_aborted", 102.0)).outcome == "complete"

    def test_server_stops_without_the_end(self) -> None:
        """A stream that is closed in good order but says nothing of its end was cut off by the
        server."""
        opened = exchange()
        opened.feed(sse(START, DELTA), 101.5)

        assert one(opened.end("complete", 102.0)).outcome == "upstream_aborted"

    def test_error_in_the_stream(self) -> None:
        """An error event makes an error of a 200, and the input stays counted."""
        opened = exchange()
        opened.feed(
            sse(
                START,
                DELTA,
                {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
            ),
            101.5,
        )

        call = one(opened.end("complete", 102.0))

        assert (call.status, call.outcome, call.coverage) == (200, "error", "unpriced")
        assert call.error is not None
        assert (call.error.type, call.usage.input_tokens) == ("overloaded_error", 12)

    def test_no_response(self) -> None:
        """A connection lost before the response head is a call too."""
        route = RouteTable().route("POST", "api.anthropic.com", "/v1/messages")
        assert route is not None
        lost = Exchange(
            route,
            RequestHead("flow", "POST", "api.anthropic.com", "/v1/messages", {}, timestamp=100.0),
            memory(),
        )

        call = one(lost.end("upstream_aborted", 101.0))

        assert (call.status, call.outcome, call.coverage, call.usage.total_tokens) == (
            None,
            "upstream_aborted",
            "no_usage",
            None,
        )

    def test_the_request_is_known_only_later(self) -> None:
        """A response may begin, and be read, before the request is known whole: what was asked is
        looked at when all is over."""
        opened = exchange()
        opened.feed(sse(START, DELTA), 101.5)
        opened.request_sent(b'{"model": "claude-opus-4-8", "service_tier": "priority"}', 56, 100.75)
        opened.feed(sse(END, STOP), 102.0)

        call = one(opened.end("complete", 103.0))

        assert (call.request_model, call.request_service_tier, call.request_bytes) == (
            "claude-opus-4-8",
            "priority",
            56,
        )
        assert (call.started, call.ttft_ms) == (100.75, 750.0)

    def test_a_poll_that_shows_nothing(self) -> None:
        """Asking for a response that does not exist is not a call."""
        opened = exchange(
            "api.openai.com",
            "/v1/responses/resp_1",
            method="GET",
            status=404,
            content_type="application/json",
        )
        opened.feed(b'{"error": {"type": "invalid_request_error"}}', 101.5)

        assert opened.end("complete", 102.0) == []

    def test_error_page(self) -> None:
        """A refusal that is not JSON is an error by its status."""
        opened = exchange(status=502, content_type="text/html")
        opened.feed(b"<html>Bad gateway</html>", 101.5)

        call = one(opened.end("complete", 102.0))

        assert (call.outcome, call.coverage) == ("error", "error")
        assert call.error is not None
        assert call.error.type == "http_502"

    def test_settled_once(self) -> None:
        """A second ending settles nothing: `error` may follow `done`."""
        opened = exchange()

        assert len(opened.end("client_aborted", 102.0)) == 1
        assert opened.end("complete", 103.0) == []

    def test_unparsed(self) -> None:
        """A response without a single known word is a bug or a new format, and is said to be."""
        opened = exchange(content_type="application/json")
        opened.feed(b'{"tokens_spent": 12}', 101.5)

        assert one(opened.end("complete", 102.0)).coverage == "unparsed"

    def test_damaged_coding(self) -> None:
        """What was read before a content coding broke stands."""
        coded = gzip.compress(sse(START, DELTA, END))
        opened = exchange(headers={"content-encoding": "gzip"})
        opened.feed(coded[:-8], 101.5)
        opened.feed(b"rubbish!" * 4, 101.6)

        assert one(opened.end("complete", 102.0)).usage.output_tokens == 40

    def test_parse_now(self) -> None:
        """Reading a whole body in advance changes nothing in what is settled."""
        body = orjson.dumps({**START["message"], "type": "message", "stop_reason": "end_turn"})  # type: ignore[dict-item]
        ahead, plain = (
            exchange(content_type="application/json", request={"model": "m"}) for _ in range(2)
        )

        ahead.parse_now(body, 101.0)
        plain.feed(body, 101.0)

        assert ahead.end("complete", 102.0) == plain.end("complete", 102.0)

    def test_parse_now_of_a_stream(self) -> None:
        """A request that is read in advance does not end the reading of the answer: its last chunks
        may still wait."""
        opened = exchange(request={"model": "m"})
        opened.feed(sse(START, DELTA), 101.0)
        opened.parse_now(None, 101.5)
        opened.feed(sse(END, STOP), 102.0)

        call = one(opened.end("complete", 102.0))

        assert (call.outcome, call.usage.output_tokens, call.request_model) == ("complete", 40, "m")


class TestRepeats:
    """A response is counted once, however often it is seen."""

    @staticmethod
    def ask(shared: Memory, host: str, began: float, ended: float, *, prompt: int = 9) -> Call:
        """One chat completion, whose id every server draws as `chatcmpl-A1`."""
        opened = exchange(
            host,
            "/v1/chat/completions",
            shared=shared,
            content_type="application/json",
            began=began,
        )
        usage = {"prompt_tokens": prompt, "completion_tokens": 4, "total_tokens": prompt + 4}
        answer = {
            "id": "chatcmpl-A1",
            "object": "chat.completion",
            "model": "m",
            "choices": [],
            "usage": usage,
        }
        opened.feed(orjson.dumps(answer), ended)
        return one(opened.end("complete", ended))

    def test_small_servers_draw_the_same_id_again(self) -> None:
        """The same prompt asked twice of one server, and of two servers one after the other, is as
        many calls."""
        shared = memory()
        calls = [
            self.ask(shared, "10.0.0.1", 100.0, 102.0),
            self.ask(shared, "10.0.0.1", 103.0, 105.0),
            self.ask(shared, "10.0.0.2", 106.0, 108.0),
            self.ask(shared, "10.0.0.1", 106.5, 108.5, prompt=10),
        ]

        assert [call.coverage for call in calls] == ["unpriced"] * 4

    def test_requests_at_once_to_one_server_are_calls_of_their_own(self) -> None:
        """One server may work at the same prompt twice at once and draw one id for both."""
        shared = memory()

        assert [self.ask(shared, "10.0.0.1", 100.0, 102.0).coverage for _ in range(2)] == [
            "unpriced"
        ] * 2

    @pytest.mark.parametrize(("gateway_ends", "upstream_ends"), [(105.0, 104.9), (104.9, 105.0)])
    def test_a_gateway_and_its_upstream(self, gateway_ends: float, upstream_ends: float) -> None:
        """The upstream's call lies within the gateway's, whichever is seen to end first: one
        call."""
        shared = memory()
        asked = sorted(
            [(gateway_ends, "10.0.0.1", 100.0), (upstream_ends, "api.openai.com", 100.1)]
        )
        calls = [self.ask(shared, host, began, ended) for ended, host, began in asked]

        assert [call.coverage for call in calls] == ["unpriced", "duplicate"]

    @pytest.mark.parametrize(
        ("again", "repeated"),
        [
            (Sighting("POST", "a.example", 20, 100.0, 110.0), False),
            (Sighting("POST", "a.example", 20, 104.0, 114.0), False),
            (Sighting("POST", "b.example", 20, 99.0, 110.5), True),
            (Sighting("POST", "b.example", 20, 110.0, 111.0), True),
            (Sighting("POST", "b.example", 20, 110.5, 111.0), False),
            (Sighting("POST", "b.example", 20, 90.0, 99.5), False),
            (Sighting("POST", "b.example", 30, 99.0, 110.5), False),
            (Sighting("GET", "a.example", 30, 500.0, 501.0), True),
            (Sighting("GET", "b.example", 30, 500.0, 501.0), True),
            (Sighting("SOCKET", "a.example", 20, 100.0, 110.0), True),
            (Sighting("SOCKET", "a.example", 30, 100.0, 110.0), False),
        ],
        ids=[
            *(
                "drawn again at once",
                "drawn again",
                "gateway",
                "touching",
                "another server's later",
                "another server's earlier",
            ),
            *(
                "another server's at once",
                "poll",
                "poll elsewhere",
                "second socket of a session",
                "another turn",
            ),
        ],
    )
    def test_what_repeats(self, again: Sighting, repeated: bool) -> None:
        """An id alone proves nothing: small servers draw theirs from a few hundred, or have but
        one."""
        shared = memory()
        assert not shared.counted_before(
            "chatcmpl-1", Sighting("POST", "a.example", 20, 100.0, 110.0)
        )

        assert shared.counted_before("chatcmpl-1", again) is repeated

    def test_a_poll_may_see_the_end_before_the_request_does(self) -> None:
        """A stream that still runs when a poll shows its whole answer ends as a repeat."""
        shared = memory()
        assert not shared.counted_before(
            "resp_1", Sighting("GET", "api.openai.com", 20, 104.0, 104.5)
        )

        assert shared.counted_before("resp_1", Sighting("POST", "api.openai.com", 20, 100.0, 105.0))

    @pytest.mark.parametrize("host", ["10.0.0.1", "10.0.0.2"])
    @pytest.mark.parametrize(("method", "repeated"), [("GET", True), ("POST", False)])
    def test_after_a_restart(self, method: Method, repeated: bool, host: str) -> None:
        """The journal's ids are for what is polled or downloaded later; a new request has a new
        answer."""
        later = memory()
        later.recall(self.ask(memory(), "10.0.0.1", 100.0, 102.0))

        assert (
            later.counted_before("chatcmpl-A1", Sighting(method, host, 13, 500.0, 501.0))
            is repeated
        )

    def test_memory_of_ids_is_bounded(self) -> None:
        """The oldest ids are forgotten."""
        shared, poll = memory(), Sighting("GET", "h", 1, 100.0, 101.0)
        for number in range(SEEN_IDS + 1):
            shared.counted_before(str(number), poll)

        assert not shared.counted_before("0", poll)
        assert shared.counted_before(str(SEEN_IDS), poll)

    @pytest.mark.parametrize(
        "so_far", [None, {"input_tokens": 9, "output_tokens": 1, "total_tokens": 10}]
    )
    def test_background(self, so_far: dict[str, int] | None) -> None:
        """A background response is one call: its end, seen by a poll, with the request that began
        it, whatever was used before."""
        shared = memory()
        path, request = "/v1/responses", {"model": "gpt-5.6-sol", "background": True}
        queued = {
            "id": "resp_1",
            "object": "response",
            "status": "queued",
            "model": "gpt-5.6-sol",
            "usage": None,
        }
        done = {
            **queued,
            "status": "completed",
            "usage": {"input_tokens": 9, "output_tokens": 4, "total_tokens": 13},
        }

        def ask(method: Method, where: str, answer: Any, body: Any = None) -> Call:
            opened = exchange(
                "api.openai.com",
                where,
                method=method,
                shared=shared,
                content_type="application/json",
                request=body,
            )
            opened.feed(orjson.dumps(answer), 101.5)
            return one(opened.end("complete", 102.0))

        begun = ask("POST", path, queued, request)
        underway = ask(
            "GET", f"{path}/resp_1", {**queued, "status": "in_progress", "usage": so_far}
        )
        ended = ask("GET", f"{path}/resp_1", done)
        again = ask("GET", f"{path}/resp_1", done)

        assert [call.pending for call in (begun, underway, ended, again)] == [
            True,
            True,
            False,
            False,
        ]
        assert begun.coverage == underway.coverage == "no_usage"
        assert (ended.request_model, ended.usage.total_tokens, ended.coverage) == (
            "gpt-5.6-sol",
            13,
            "unpriced",
        )
        assert again.coverage == "duplicate"


class TestSockets:
    """One call per turn, at its terminal event."""

    @staticmethod
    def created(response_id: str, **more: Any) -> bytes:
        return orjson.dumps(
            {
                "type": "response.created",
                "response": {"id": response_id, "model": "gpt-5.6-sol"},
                **more,
            }
        )

    @staticmethod
    def completed(
        response_id: str, kind: str = "response.completed", output: int = 5, **more: Any
    ) -> bytes:
        usage = {"input_tokens": 10, "output_tokens": output, "total_tokens": 10 + output}
        return orjson.dumps(
            {
                "type": kind,
                "response": {"id": response_id, "model": "gpt-5.6-sol", "usage": usage, **more},
            }
        )

    @staticmethod
    def ask(**more: Any) -> bytes:
        return orjson.dumps(
            {"type": "response.create", "model": "gpt-5.6-sol", "input": [], **more}
        )

    def socket(self) -> Exchange:
        return exchange("api.openai.com", "/v1/responses", method="SOCKET")

    def test_turns(self) -> None:
        """Each turn of a socket is a call, numbered from the second on."""
        opened, calls = self.socket(), list[Call]()
        for number in ("1", "2"):
            opened.frame(self.ask(), from_client=True, at=102.0)
            opened.frame(self.created(f"resp_{number}"), from_client=False, at=102.5)
            calls += opened.frame(self.completed(f"resp_{number}"), from_client=False, at=103.0)

        assert opened.end("client_aborted", 110.0) == []
        assert [
            (call.request_id, call.response_id, call.usage.output_tokens) for call in calls
        ] == [
            ("flow", "resp_1", 5),
            ("flow#2", "resp_2", 5),
        ]
        assert (calls[0].timestamp, calls[0].duration_ms, calls[0].transport) == (
            102.0,
            1000.0,
            "websocket",
        )

    def test_warm_up(self) -> None:
        """A warm-up generates nothing and is billed nothing: it is recorded as such, without a
        cost."""
        opened = self.socket()
        opened.frame(self.ask(generate=False), from_client=True, at=102.0)

        call = one(opened.frame(self.completed("resp_0", output=0), from_client=False, at=103.0))

        assert (call.attribution.request_class, call.coverage, call.cost_usd) == (
            "warmup",
            "no_usage",
            None,
        )

    def test_cut_off(self) -> None:
        """A turn that the socket's end interrupts is settled as aborted."""
        opened = self.socket()
        opened.frame(self.ask(), from_client=True, at=102.0)
        opened.frame(self.created("resp_1"), from_client=False, at=102.5)

        call = one(opened.end("upstream_aborted", 103.0))

        assert (call.outcome, call.usage.total_tokens, call.response_id) == (
            "upstream_aborted",
            None,
            "resp_1",
        )

    def test_steered(self) -> None:
        """A steered response and its automatic successor both count, both as asked for by the same
        request."""
        opened, calls = self.socket(), list[Call]()
        opened.frame(self.ask(service_tier="flex"), from_client=True, at=102.0)
        opened.frame(self.created("resp_1"), from_client=False, at=102.5)
        steered = self.completed(
            "resp_1", "response.incomplete", incomplete_details={"reason": "steered"}
        )
        calls += opened.frame(steered, from_client=False, at=103.0)
        opened.frame(self.created("resp_2"), from_client=False, at=103.1)
        calls += opened.frame(self.completed("resp_2"), from_client=False, at=104.0)

        assert [(call.outcome, call.request_service_tier) for call in calls] == [
            ("incomplete", "flex"),
            ("complete", "flex"),
        ]

    def test_error_without_a_turn(self) -> None:
        """An error frame ends the turn it interrupts, and makes no call where none is open."""
        opened, error = (
            self.socket(),
            orjson.dumps(
                {"type": "error", "status": 429, "error": {"code": "rate_limit_exceeded"}}
            ),
        )
        opened.frame(self.ask(), from_client=True, at=102.0)

        assert one(opened.frame(error, from_client=False, at=103.0)).outcome == "error"
        assert opened.frame(error, from_client=False, at=104.0) == []

    def test_lanes(self) -> None:
        """Responses that interleave by stream id do not mix."""
        opened, calls = self.socket(), list[Call]()
        for lane in ("a", "b"):
            opened.frame(
                self.ask(stream_id=lane, model=f"model-{lane}"), from_client=True, at=102.0
            )
            opened.frame(self.created(f"resp_{lane}", stream_id=lane), from_client=False, at=102.5)
        for lane, output in (("b", 7), ("a", 3)):
            frame = json.loads(self.completed(f"resp_{lane}", output=output)) | {"stream_id": lane}
            calls += opened.frame(orjson.dumps(frame), from_client=False, at=103.0)

        assert [
            (call.response_id, call.request_model, call.usage.output_tokens) for call in calls
        ] == [
            ("resp_b", "model-b", 7),
            ("resp_a", "model-a", 3),
        ]

    def test_successor_of_its_own_lane(self) -> None:
        """The continuation of a steered response was asked for in its own lane, whatever ended last
        in another."""
        opened, calls = self.socket(), list[Call]()
        for lane in ("a", "b"):
            opened.frame(
                self.ask(stream_id=lane, model=f"model-{lane}"), from_client=True, at=102.0
            )
        for name, lane in (("resp_1", "a"), ("resp_2", "b"), ("resp_3", "a")):
            opened.frame(self.created(name, stream_id=lane), from_client=False, at=102.5)
            ended = orjson.dumps(orjson.loads(self.completed(name)) | {"stream_id": lane})
            calls += opened.frame(ended, from_client=False, at=103.0)

        assert [call.request_model for call in calls] == ["model-a", "model-b", "model-a"]

    def test_asked_before_the_last_had_ended(self) -> None:
        """Requests in one lane are answered in their order: a warm-up before a real one stays the
        warm-up."""
        opened, calls = self.socket(), list[Call]()
        opened.frame(self.ask(generate=False), from_client=True, at=102.0)
        opened.frame(self.ask(), from_client=True, at=102.1)
        for name in ("resp_0", "resp_1"):
            opened.frame(self.created(name), from_client=False, at=102.5)
            calls += opened.frame(self.completed(name), from_client=False, at=103.0)

        assert [(call.attribution.request_class == "warmup", call.coverage) for call in calls] == [
            (True, "no_usage"),
            (False, "unpriced"),
        ]
        assert opened.end("client_aborted", 104.0) == []

    def test_all_that_was_asked_is_settled(self) -> None:
        """A socket that closes on two open requests leaves two records."""
        opened = self.socket()
        opened.frame(self.ask(), from_client=True, at=102.0)
        opened.frame(self.ask(), from_client=True, at=102.1)

        assert [call.outcome for call in opened.end("client_aborted", 104.0)] == [
            "client_aborted"
        ] * 2

    def test_an_idle_socket_is_not_quiet(self) -> None:
        """After a response has ended, the next one's first frames are read even if no request was
        seen."""
        opened = exchange(method="SOCKET")
        for response in ("msg_1", "msg_2"):
            start = {**START, "message": {**START["message"], "id": response}}  # type: ignore[dict-item]
            calls = [
                call
                for event in (start, DELTA, END, STOP)
                for call in opened.frame(orjson.dumps(event), from_client=False, at=102.0)
            ]
            assert [(call.response_id, call.usage.input_tokens) for call in calls] == [
                (response, 12)
            ]

    def test_lanes_are_bounded(self) -> None:
        """A client that opens lanes without end has the oldest settled."""
        opened, calls = self.socket(), list[Call]()
        for number in range(MAX_LANES + 3):
            calls += opened.frame(self.ask(stream_id=str(number)), from_client=True, at=102.0)

        assert [call.outcome for call in calls] == ["upstream_aborted"] * 3

    def test_limits_of_a_socket(self) -> None:
        """A rate-limit event belongs to the next call that settles."""
        opened = exchange("chatgpt.com", "/backend-api/codex/responses", method="SOCKET")
        window = {"used_percent": 31, "window_minutes": 300, "reset_at": 1_800_000_000}
        event = {
            "type": "codex.rate_limits",
            "plan_type": "plus",
            "rate_limits": {"primary": window, "secondary": None},
        }
        opened.frame(self.ask(), from_client=True, at=102.0)
        opened.frame(orjson.dumps(event), from_client=False, at=102.1)

        call = one(opened.frame(self.completed("resp_1"), from_client=False, at=103.0))

        assert [(limit.key, limit.utilization) for limit in call.limits] == [("5h", 31.0)]
        assert call.billing == "subscription"


@pytest.mark.parametrize(("in_use", "billing"), [("true", "api"), ("false", "subscription")])
def test_extra_usage_is_a_bill(in_use: str, billing: str) -> None:
    """A call that credit beyond the plan pays for is billed by the call, though its credential is a
    plan's."""
    said = {
        "anthropic-ratelimit-unified-overage-status": "allowed",
        "anthropic-ratelimit-unified-overage-in-use": in_use,
    }
    opened = exchange(headers=said, credential="Bearer sk-ant-oat01-x")
    opened.feed(sse(START, END, STOP), 101.5)

    assert one(opened.end("complete", 102.0)).billing == billing


class TestUnknownHosts:
    """On a host without a row the bodies must say that it is an LLM call."""

    def test_gateway(self) -> None:
        """Usage in the response says so."""
        opened = exchange(
            "gateway.example.com", "/v1/chat/completions", content_type="application/json"
        )
        opened.feed(
            b'{"id":"c1","model":"m","choices":[],"usage":{"prompt_tokens":3,'
            b'"completion_tokens":4,"total_tokens":7}}',
            101.5,
        )

        call = one(opened.end("complete", 102.0))

        assert (call.provider, call.usage.total_tokens, call.coverage) == ("unknown", 7, "unpriced")

    def test_not_an_llm(self) -> None:
        """A path that only looks alike is left alone."""
        opened = exchange(
            "shop.example.com",
            "/api/completions",
            content_type="application/json",
            request={"q": "sho"},
        )
        opened.feed(b'{"results": ["shoes"]}', 101.5)

        assert opened.end("complete", 102.0) == []

    def test_refused_llm_call(self) -> None:
        """A request that speaks of a model and messages is one, also when it is refused."""
        opened = exchange(
            "gateway.example.com",
            "/v1/chat/completions",
            status=401,
            request={"model": "m", "messages": []},
        )

        assert one(opened.end("complete", 102.0)).outcome == "error"

    def test_counting_is_no_call(self) -> None:
        """An answer that only counts tokens gives no call."""
        opened = exchange(content_type="application/json")
        opened.feed(b'{"input_tokens": 12}', 101.5)

        assert opened.end("complete", 102.0) == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda children: (
        st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=12), children, max_size=4)
    ),
    max_leaves=12,
)


class TestHostilePeers:
    """Nothing a peer sends raises, and nothing it sends grows without bound."""

    @settings(max_examples=300, deadline=None)
    @given(
        route=st.sampled_from(ALL_ROUTES),
        status=st.sampled_from([200, 101, 429, 500]),
        headers=st.dictionaries(
            st.sampled_from(["content-type", "content-encoding", "x-codex-primary-used-percent"]),
            st.text(max_size=40),
        ),
        request=st.binary(max_size=200),
        pieces=st.lists(st.binary(max_size=200), max_size=8),
        ending=st.sampled_from(["complete", "client_aborted", "upstream_aborted"]),
    )
    def test_arbitrary_bytes(
        self,
        route: Route,
        status: int,
        headers: dict[str, str],
        request: bytes,
        pieces: list[bytes],
        ending: Ending,
    ) -> None:
        """Arbitrary bytes settle at most one call an ending."""
        opened = Exchange(
            route, RequestHead("flow", "POST", "h", "/p", {}, timestamp=0.0), memory()
        )
        opened.request_sent(request, len(request), 0.0)
        opened.response_started(status, headers, 0.0)
        for piece in pieces:
            opened.feed(piece, 1.0)

        assert len(opened.end(ending, 2.0)) <= 1

    @settings(max_examples=300, deadline=None)
    @given(
        route=st.sampled_from(ALL_ROUTES),
        frames=st.lists(st.tuples(st.booleans(), json_values), max_size=8),
    )
    def test_arbitrary_frames(self, route: Route, frames: list[tuple[bool, Any]]) -> None:
        """Arbitrary JSON on a socket does not raise."""
        opened = Exchange(
            route, RequestHead("flow", "SOCKET", "h", "/p", {}, timestamp=0.0), memory()
        )
        opened.response_started(101, {}, 0.0)
        for from_client, value in frames:
            opened.frame(json.dumps(value).encode(), from_client=from_client, at=1.0)
        opened.end("client_aborted", 2.0)

    @settings(max_examples=200, deadline=None)
    @given(route=st.sampled_from(ALL_ROUTES), values=st.lists(json_values, max_size=6))
    def test_arbitrary_events(self, route: Route, values: list[Any]) -> None:
        """Arbitrary JSON in a stream does not raise."""
        opened = Exchange(
            route, RequestHead("flow", "POST", "h", "/p", {}, timestamp=0.0), memory()
        )
        opened.response_started(200, {"content-type": "text/event-stream"}, 0.0)
        for value in values:
            opened.feed(b"data: " + json.dumps(value).encode() + b"\n\n", 1.0)
        opened.end("complete", 2.0)

    @pytest.mark.parametrize(
        ("content_type", "chunk"),
        [
            ("text/event-stream", b"data: " + b"x" * 2**20),
            ("text/event-stream", b"x\n" * 2**19),
            ("application/x-ndjson", b'{"a": "' + b"x" * 2**20),
            ("application/json", b'{"a": "' + b"x" * 2**20),
            ("application/json", b"[" * 2**20),
            ("application/vnd.amazon.eventstream", b"\xff" * 2**20),
            ("text/plain", b" " * 2**20),
        ],
        ids=[
            "endless line",
            "endless event",
            "endless ndjson line",
            "endless document",
            "nesting",
            "eventstream",
            "blanks",
        ],
    )
    def test_endless(self, content_type: str, chunk: bytes) -> None:
        """256 MiB of what never ends is not kept."""
        opened = exchange(content_type=content_type)
        opened.feed(chunk, 1.0)
        tracemalloc.start()
        for _ in range(255):
            opened.feed(chunk[-(2**20) :], 1.0)
        held, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        opened.end("upstream_aborted", 2.0)

        assert held < 80 * 2**20
        assert peak < 160 * 2**20

    def test_bomb(self) -> None:
        """64 MiB of blanks in 64 KiB of gzip never stand in memory at once."""
        bomb = gzip.compress(b"\n" * 2**26)
        opened = exchange(headers={"content-encoding": "gzip"})
        tracemalloc.start()
        opened.feed(bomb, 1.0)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

        assert peak < 16 * 2**20

    def test_empty_events(self) -> None:
        """A flood of tiny events is not parsed to its end in the hope of content."""
        opened = exchange()
        opened.feed(b"data: {}\n\n" * 50_000, 1.0)

        before = opened.messages
        opened.feed(b"data: {}\n\n" * 50_000, 1.0)
        assert opened.messages == before

    def test_deep_nesting(self) -> None:
        """100,000 levels are refused by the reader, not by the stack."""
        opened = exchange(content_type="application/json")
        opened.feed(b'{"a":' * 100_000 + b"1" + b"}" * 100_000, 1.0)

        assert one(opened.end("complete", 2.0)).coverage == "unparsed"

    def test_a_long_socket(self) -> None:
        """A socket open for days holds no more after a thousand turns than after one."""
        opened = exchange("api.openai.com", "/v1/responses", method="SOCKET")

        def turns(numbers: range) -> Iterator[Call]:
            for number in numbers:
                opened.frame(TestSockets.ask(padding="x" * 1000), from_client=True, at=1.0)
                opened.frame(TestSockets.created(f"resp_{number}"), from_client=False, at=1.0)
                yield from opened.frame(
                    TestSockets.completed(f"resp_{number}"), from_client=False, at=2.0
                )

        assert len(list(turns(range(10)))) == 10
        tracemalloc.start()
        assert len(list(turns(range(10, 1_010)))) == 1_000
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()

        assert held < 2**20


def test_request_fields_survive_a_lost_body() -> None:
    """A request body that was not kept leaves the request's fields unknown, nothing else."""
    lost = exchange()
    lost.feed(sse(START, END), 101.5)

    call = one(lost.end("complete", 102.0))

    assert (call.request_model, call.usage.total_tokens) == (None, 952)
