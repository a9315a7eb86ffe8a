"""What the bodies of OpenAI's APIs, and of all who speak them, have in common: the `usage` object, and errors.

https://platform.openai.com/docs/api-reference/chat/object

Prompt (or input) counts include what was read from and written to a cache, completion (or output) counts include reasoning.
Dialects differ in names and in what stands outside; `total_tokens` is no bucket but tells which convention a server keeps.
Which dialect it is follows from the object's shape, never from the host: gateways pass on what their upstream said.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..record import ApiError, Reading, Usage
from . import anthropic_messages
from .format import api_error, count, described_error, items, mapping, number, server_tools, text

_INPUT_DETAILS = ("prompt_tokens_details", "input_tokens_details", "input_token_details")
_OUTPUT_DETAILS = ("completion_tokens_details", "output_tokens_details", "output_token_details")

_CACHE_READ = ("cached_tokens", "prompt_cache_hit_tokens", "num_cached_tokens", "cache_read_input_tokens")
"""OpenAI (Moonshot and others at the top level), DeepSeek, Mistral, Anthropic's name (LiteLLM, Perplexity)."""
_CACHE_WRITE = ("cache_write_tokens", "cache_creation_input_tokens", "cache_creation_tokens")
"""OpenAI, Anthropic's name, LiteLLM's."""
_EXCLUSIVE = frozenset({"cache_read_input_tokens", "cache_creation_input_tokens"})
"""Keys that mark Anthropic's convention, the cache beside the input, when they stand beside `input_tokens`."""

TICKS_PER_USD = 1e10
"""xAI: one tick of `cost_in_usd_ticks` is 1e-10 USD."""


def read_body(message: Any, reading: Reading) -> Reading:
    """Fold what every whole body has at its top level: id, model, usage, or an error."""
    message = mapping(message)
    if (error := read_error(message)) is not None:
        return reading._replace(error=error, finished=True)
    reading = reading._replace(
        response_id=text(message.get("id")) or reading.response_id,
        model=text(message.get("model")) or reading.model,
        finished=True,
    )
    usage = mapping(message.get("usage"))
    return with_usage(reading, usage) if usage else reading


def read_error(message: Mapping[str, Any]) -> ApiError | None:
    """What went wrong, wherever the dialects of an OpenAI-shaped body say it."""
    if (error := api_error(message.get("error"))) is not None:
        return error
    if message.get("object") == "error":  # Mistral, older vLLM
        return api_error(message) or ApiError("error")
    status = mapping(message.get("base_resp"))
    if count(status.get("status_code")):  # MiniMax: errors come as 200
        return described_error(status["status_code"], status.get("status_msg"))
    if (error := api_error(mapping(message.get("x_groq")).get("error"))) is not None:
        return error
    if "choices" not in message and (detail := message.get("detail")):  # FastAPI
        return api_error(detail if isinstance(detail, str) else mapping(detail)) or ApiError("error")
    return None


def with_usage(reading: Reading, usage: Any, copilot: Any = None) -> Reading:
    """Fold one usage object, with GitHub Copilot's `copilot_usage` beside it if there is one."""
    usage = mapping(usage)
    known = reading.usage or Usage()
    counted, contradicting = read_usage(usage, known)
    if split := read_copilot_usage(copilot):
        counted, contradicting = counted.updated(split), False
    cost, cost_partial = _stated_cost(usage)
    if cost is None:
        cost = reading.cost_usd
    if not counted:
        return reading._replace(cost_usd=cost)
    return reading._replace(
        usage=known.updated(counted),
        cost_usd=cost,
        cost_approximate=cost_partial or (contradicting and cost is None),
        service_tier=text(usage.get("service_tier")) or reading.service_tier,
    )


def read_usage(usage: Mapping[str, Any], known: Usage | None = None) -> tuple[Usage, bool]:
    """The counts in disjoint buckets, and whether they contradicted each other.

    `known` is what the response said before: where this object is silent about the cache, the input is what remains of the
    prompt without the cache known from elsewhere (a header, an earlier copy of the object).
    """
    if "prompt_tokens" not in usage and "total_tokens" not in usage and not _EXCLUSIVE.isdisjoint(usage):
        return anthropic_messages.read_usage(usage), False
    input_details, output_details = _details(usage, _INPUT_DETAILS), _details(usage, _OUTPUT_DETAILS)
    prompt = _prompt(usage)
    completion = _first(usage, "completion_tokens", "output_tokens")
    total = count(usage.get("total_tokens"))
    reasoning = _largest((output_details, usage), ("reasoning_tokens",))
    cache = _read_cache(usage, input_details)
    after = (known or Usage()).updated(cache)
    cached = (after.cache_read_tokens or 0) + (after.cache_write_tokens or 0)
    beside = _beside_prompt(prompt, completion, total, cached, reasoning)
    uncached = None if prompt is None else prompt - (cached - beside)
    output = _output(prompt, completion, total, beside)
    contradicting = uncached is not None and uncached < 0
    if reasoning is not None and output is not None and reasoning > output:
        # A part can't exceed its whole: this server counts reasoning elsewhere, and its total is silent about it.
        output, contradicting = output + reasoning, True
    counted = cache._replace(
        input_tokens=None if uncached is None else max(0, uncached),
        output_tokens=output,
        reasoning_tokens=reasoning,
        input_audio_tokens=count(input_details.get("audio_tokens")),
        output_audio_tokens=count(output_details.get("audio_tokens")),
        input_image_tokens=_largest((input_details, usage), ("image_tokens",)),
        output_image_tokens=count(output_details.get("image_tokens")),
        server_tools=_server_tools(usage),
    )
    return counted, contradicting


def _read_cache(usage: Mapping[str, Any], details: Mapping[str, Any]) -> Usage:
    by_ttl = mapping(details.get("cache_write_tokens_details"))
    written_30m, written_12h = count(by_ttl.get("ttl_30m_tokens")), count(by_ttl.get("ttl_12h_tokens"))
    written = _largest((details, usage), _CACHE_WRITE)
    if written is None and (written_30m is not None or written_12h is not None):
        written = (written_30m or 0) + (written_12h or 0)
    return Usage(
        cache_read_tokens=_largest((details, usage), _CACHE_READ),
        cache_write_tokens=written,
        cache_write_30m_tokens=written_30m,
        cache_write_12h_tokens=written_12h,
        cache_read_audio_tokens=count(mapping(details.get("cached_tokens_details")).get("audio_tokens")),
    )


def read_copilot_usage(copilot: Any) -> Usage | None:
    """GitHub Copilot's own split, disjoint and authoritative: `{"token_details": [{"token_type", "token_count"}]}`."""
    sums: dict[str, int] = {}
    for entry in items(mapping(copilot).get("token_details")):
        kind, n = text(mapping(entry).get("token_type")), count(mapping(entry).get("token_count"))
        if kind is not None and n is not None:
            sums[kind] = sums.get(kind, 0) + n
    split = Usage(
        input_tokens=sums.get("input"),
        cache_read_tokens=sums.get("cache_read"),
        cache_write_tokens=sums.get("cache_write"),
        output_tokens=sums.get("output"),
    )
    return split or None


def read_cost_header(headers: Mapping[str, str], reading: Reading) -> Reading:
    """A LiteLLM proxy states what it charged in a header: https://docs.litellm.ai/docs/proxy/response_headers"""
    cost = number(headers.get("x-litellm-response-cost"))
    return reading if cost is None else reading._replace(cost_usd=cost)


def _prompt(usage: Mapping[str, Any]) -> int | None:
    prompt = _first(usage, "prompt_tokens", "input_tokens")
    if prompt is not None:
        return prompt
    hit, miss = count(usage.get("prompt_cache_hit_tokens")), count(usage.get("prompt_cache_miss_tokens"))
    return None if hit is None and miss is None else (hit or 0) + (miss or 0)


def _beside_prompt(prompt: int | None, completion: int | None, total: int | None, cached: int, reasoning: int | None) -> int:
    """How much of the cache the prompt count leaves out: all of it if only then the total comes out right, else nothing."""
    if prompt is None or total is None or cached == reasoning:
        return 0
    return cached if total == prompt + (completion or 0) + cached else 0


def _output(prompt: int | None, completion: int | None, total: int | None, beside: int) -> int | None:
    """The completion, or all that the total has beyond the prompt: xAI and Gemini leave reasoning out of the completion."""
    if prompt is None or total is None:
        return completion
    rest = total - prompt - beside
    return rest if rest > (completion or 0) else completion


def _server_tools(usage: Mapping[str, Any]) -> dict[str, int] | None:
    """Calls of tools the provider ran: xAI, OpenRouter, Perplexity."""
    found: dict[str, int | None] = {"search_sources": count(usage.get("num_sources_used"))}
    found["web_search"] = count(usage.get("num_search_queries"))
    for holder in ("server_side_tool_usage_details", "server_tool_use_details", "server_tool_use"):
        for name, value in mapping(usage.get(holder)).items():
            if name.endswith(("_calls", "_requests")):
                found[name.removesuffix("_calls").removesuffix("_requests")] = count(value)
    for name, value in mapping(usage.get("tool_calls_details")).items():
        found[name] = count(mapping(value).get("invocation"))
    return server_tools(found.items())


def _stated_cost(usage: Mapping[str, Any]) -> tuple[float | None, bool]:
    """The cost in USD that the object states, and whether it is known to leave something out."""
    ticks = number(usage.get("cost_in_usd_ticks"))
    if ticks is not None:
        return ticks / TICKS_PER_USD, False
    cost = usage.get("cost")
    if isinstance(cost, dict):
        return _perplexity_cost(cost), False
    charged = number(cost)
    if charged is None:
        return number(usage.get("estimated_cost")), False
    if usage.get("is_byok") is not True:
        return charged, False
    # With a key of one's own OpenRouter's `cost` is only its fee; the tokens are billed by the upstream.
    upstream = number(mapping(usage.get("cost_details")).get("upstream_inference_cost"))
    return charged + (upstream or 0), upstream is None


def _perplexity_cost(cost: Mapping[str, Any]) -> float | None:
    """Every chunk but the last carries a skeleton of zeros; only the last has `request_cost`."""
    total = number(cost.get("total_cost"))
    if text(cost.get("currency")) not in (None, "USD") or (not total and "request_cost" not in cost):
        return None
    return total


def _details(usage: Mapping[str, Any], names: tuple[str, ...]) -> Mapping[str, Any]:
    return next((found for name in names if (found := mapping(usage.get(name)))), {})


def _first(usage: Mapping[str, Any], *names: str) -> int | None:
    return next((n for name in names if (n := count(usage.get(name))) is not None), None)


def _largest(holders: tuple[Mapping[str, Any], ...], names: tuple[str, ...]) -> int | None:
    """The same count under several names: a 0 under one of them is a default that was never filled in."""
    return max((n for holder in holders for name in names if (n := count(holder.get(name))) is not None), default=None)
