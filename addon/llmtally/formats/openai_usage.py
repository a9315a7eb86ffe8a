"""What all bodies of OpenAI's APIs share, whoever sends them: the `usage` object, and errors.

https://platform.openai.com/docs/api-reference/chat/object

Prompt (or input) counts include what was read from and written to a cache, completion (or output)
counts include reasoning. Dialects differ in names and in what these counts leave out;
`total_tokens` is not a bucket, but shows which convention a server follows. The dialect is
recognised by the object's shape, never by the host: gateways pass on what their upstream sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ..record import ApiError, Reading, Usage
from . import anthropic_messages
from .cost import stated_cost
from .format import api_error, count, described_error, mapping, miscounted, server_tools, text

_INPUT_DETAILS = ("prompt_tokens_details", "input_tokens_details", "input_token_details")
_OUTPUT_DETAILS = ("completion_tokens_details", "output_tokens_details", "output_token_details")

_CACHE_READ = (
    "cached_tokens",
    "prompt_cache_hit_tokens",
    "num_cached_tokens",
    "cache_read_input_tokens",
)
"""OpenAI's name (Moonshot and others have it at the top level), DeepSeek's, Mistral's, Anthropic's
(LiteLLM, Perplexity)."""
_CACHE_WRITE = ("cache_write_tokens", "cache_creation_input_tokens", "cache_creation_tokens")
"""OpenAI's name for it, Anthropic's, and LiteLLM's."""
_EXCLUSIVE = frozenset({"cache_read_input_tokens", "cache_creation_input_tokens"})
"""Keys that mark Anthropic's convention, the cache beside the input, when they stand beside
`input_tokens`."""


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
    return with_usage(reading, message.get("usage"))


def read_error(message: Mapping[str, Any]) -> ApiError | None:
    """What went wrong, wherever the dialects of an OpenAI-shaped body say it."""
    # Text Generation Inference
    if isinstance(said := message.get("error"), str) and "error_type" in message:
        return described_error(message["error_type"], said)
    if (error := api_error(message.get("error"))) is not None:
        return error
    if message.get("object") == "error":  # Mistral, older vLLM
        return api_error(message) or ApiError("error")
    if message.get("type") == "conversation.response.error":  # Mistral
        return described_error(message.get("code"), message.get("message"))
    status = mapping(message.get("base_resp"))
    if count(status.get("status_code")):  # MiniMax: errors come as 200
        return described_error(status["status_code"], status.get("status_msg"))
    if (error := api_error(mapping(message.get("x_groq")).get("error"))) is not None:
        return error
    if "choices" not in message and (detail := message.get("detail")):  # FastAPI
        return api_error(detail if isinstance(detail, str) else mapping(detail)) or ApiError(
            "error"
        )
    return None


def with_usage(reading: Reading, usage: Any) -> Reading:
    """Fold one usage object; a null or an empty one changes nothing."""
    if not usage:
        return reading
    inexact, usage = miscounted(usage), mapping(usage)
    known = reading.usage or Usage()
    counted, doubtful = read_usage(usage, known)
    cost, cost_partial = stated_cost(usage)
    if cost is None:
        cost = reading.cost_usd
    return reading._replace(
        usage=known.updated(counted) if counted else reading.usage,
        cost_usd=cost,
        cost_approximate=cost_partial
        or ((doubtful or inexact or reading.cost_approximate) and cost is None),
        service_tier=text(usage.get("service_tier")) or reading.service_tier,
    )


class _Reported(NamedTuple):
    """The counts that dialects define differently, as they were sent; the steps of `read_usage`
    find out what each of them includes."""

    prompt: int | None
    """Input, with or without the cache, by the server's convention."""
    completion: int | None
    """Output, with or without reasoning, by the server's convention."""
    total: int | None
    """The sum as the server counts it, which shows what the others include."""
    cached: int
    """Tokens read from and written to a cache, as far as this object or an earlier one reported
    them."""
    reasoning: int | None


def read_usage(usage: Mapping[str, Any], known: Usage | None = None) -> tuple[Usage, bool]:
    """The counts in disjoint buckets, and whether they contradict each other or are of a kind whose
    price is not known.

    `known` is what the response said before: where this object is silent about the cache, the input
    is what remains of the prompt without the cache known from elsewhere (a header, an earlier copy
    of the object).
    """
    if _is_anthropics(usage):
        return anthropic_messages.read_usage(usage), False
    input_details = _details(usage, _INPUT_DETAILS)
    output_details = _details(usage, _OUTPUT_DETAILS)
    cache = _read_cache(usage, input_details)
    completion = _first(usage, "completion_tokens", "output_tokens")
    total = count(usage.get("total_tokens"))
    connector_tokens = _connectors_beside_prompt(usage, completion, total)
    reported = _Reported(
        prompt=_prompt(usage, connector_tokens),
        completion=completion,
        total=total,
        cached=_cached(known.updated(cache) if known else cache),
        reasoning=_largest((output_details, usage), ("reasoning_tokens",)),
    )
    beside = _cache_beside_prompt(usage, reported)
    uncached = _uncached(reported, beside)
    output = _output(reported, beside)
    # What connectors put in is counted, but nobody publishes its price; and a part can't exceed its
    # whole.
    doubtful = connector_tokens > 0 or (uncached is not None and uncached < 0)
    if reported.reasoning is not None and output is not None and reported.reasoning > output:
        # This server counts reasoning elsewhere, and its total is silent about it.
        output, doubtful = output + reported.reasoning, True
    counted = Usage(
        input_tokens=None if uncached is None else max(0, uncached),
        cache_read_tokens=cache.cache_read_tokens,
        cache_write_tokens=cache.cache_write_tokens,
        cache_write_30m_tokens=cache.cache_write_30m_tokens,
        cache_write_12h_tokens=cache.cache_write_12h_tokens,
        cache_read_audio_tokens=cache.cache_read_audio_tokens,
        output_tokens=output,
        reasoning_tokens=reported.reasoning,
        input_audio_tokens=count(input_details.get("audio_tokens")),
        output_audio_tokens=count(output_details.get("audio_tokens")),
        input_image_tokens=_largest((input_details, usage), ("image_tokens",)),
        output_image_tokens=count(output_details.get("image_tokens")),
        server_tools=server_tools(_called_tools(usage)),
    )
    return counted, doubtful


def _is_anthropics(usage: Mapping[str, Any]) -> bool:
    """Whether it is Anthropic's object, which gateways pass on as it is: its cache keys, and none
    that only OpenAI has."""
    return (
        "prompt_tokens" not in usage
        and "total_tokens" not in usage
        and not _EXCLUSIVE.isdisjoint(usage)
    )


def _read_cache(usage: Mapping[str, Any], details: Mapping[str, Any]) -> Usage:
    by_ttl = mapping(details.get("cache_write_tokens_details"))
    written_30m, written_12h = (
        count(by_ttl.get("ttl_30m_tokens")),
        count(by_ttl.get("ttl_12h_tokens")),
    )
    written = _largest((details, usage), _CACHE_WRITE)
    if written is None and (written_30m is not None or written_12h is not None):
        written = (written_30m or 0) + (written_12h or 0)
    return Usage(
        cache_read_tokens=_largest((details, usage), _CACHE_READ),
        cache_write_tokens=written,
        cache_write_30m_tokens=written_30m,
        cache_write_12h_tokens=written_12h,
        cache_read_audio_tokens=count(
            mapping(details.get("cached_tokens_details")).get("audio_tokens")
        ),
    )


def _connectors_beside_prompt(
    usage: Mapping[str, Any], completion: int | None, total: int | None
) -> int:
    """Tokens that Mistral's connectors added to the prompt, if the total says that the prompt count
    leaves them out."""
    prompt, more = count(usage.get("prompt_tokens")), count(usage.get("connector_tokens"))
    return more if prompt is not None and more and total == prompt + (completion or 0) + more else 0


def _prompt(usage: Mapping[str, Any], connector_tokens: int) -> int | None:
    """The prompt, and what connectors added to it; where it is not counted, DeepSeek's cache hits
    and misses together."""
    prompt = _first(usage, "prompt_tokens", "input_tokens")
    if prompt is not None:
        return prompt + connector_tokens
    hit, miss = (
        count(usage.get("prompt_cache_hit_tokens")),
        count(usage.get("prompt_cache_miss_tokens")),
    )
    return None if hit is None and miss is None else (hit or 0) + (miss or 0)


def _cached(usage: Usage) -> int:
    return (usage.cache_read_tokens or 0) + (usage.cache_write_tokens or 0)


def _cache_beside_prompt(usage: Mapping[str, Any], reported: _Reported) -> int:
    """How much of the cache the prompt count leaves out: all or nothing, by the server's
    convention."""
    if reported.prompt is None:
        return 0
    if reported.cached > reported.prompt and not _EXCLUSIVE.isdisjoint(usage):
        return reported.cached  # Anthropic's keys, and too large a cache to be within the prompt
    if reported.total is None or reported.cached == reported.reasoning:
        return 0  # the total would fit either convention
    total_with_cache = reported.prompt + (reported.completion or 0) + reported.cached
    return reported.cached if reported.total == total_with_cache else 0


def _uncached(reported: _Reported, beside: int) -> int | None:
    """The prompt without that part of the cache that it includes; below 0 the counts contradict
    each other."""
    return None if reported.prompt is None else reported.prompt - (reported.cached - beside)


def _output(reported: _Reported, beside: int) -> int | None:
    """The completion, or all that the total has beyond the input: xAI and Gemini leave reasoning
    out of the completion."""
    if reported.prompt is None or reported.total is None:
        return reported.completion
    rest = reported.total - reported.prompt - beside
    return rest if rest > (reported.completion or 0) else reported.completion


def _called_tools(usage: Mapping[str, Any]) -> Iterator[tuple[str, int | None]]:
    """Calls of tools that the provider ran, as xAI, OpenRouter, Perplexity and Mistral's connectors
    report them."""
    yield "search_sources", count(usage.get("num_sources_used"))
    yield "web_search", count(usage.get("num_search_queries"))
    for holder in ("server_side_tool_usage_details", "server_tool_use_details", "server_tool_use"):
        for name, value in mapping(usage.get(holder)).items():
            if name.endswith(("_calls", "_requests")):
                yield name.removesuffix("_calls").removesuffix("_requests"), count(value)
    for name, value in mapping(usage.get("tool_calls_details")).items():
        yield name, count(mapping(value).get("invocation"))
    for name, value in mapping(usage.get("connectors")).items():
        yield name, count(value)


def _details(usage: Mapping[str, Any], names: tuple[str, ...]) -> Mapping[str, Any]:
    return next((found for name in names if (found := mapping(usage.get(name)))), {})


def _first(usage: Mapping[str, Any], *names: str) -> int | None:
    return next((n for name in names if (n := count(usage.get(name))) is not None), None)


def _largest(holders: tuple[Mapping[str, Any], ...], names: tuple[str, ...]) -> int | None:
    """A count that stands under several names: of those the largest, as a 0 can be a default that
    was never filled in."""
    return max(
        (n for holder in holders for name in names if (n := count(holder.get(name))) is not None),
        default=None,
    )
