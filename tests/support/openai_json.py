"""JSON as a hostile or careless peer may send it: any shape, under the keys that the OpenAI formats
look at."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

KEYS = (
    *(
        "id",
        "object",
        "type",
        "model",
        "choices",
        "delta",
        "message",
        "text",
        "content",
        "usage",
        "finish_reason",
        "error",
        "code",
    ),
    *(
        "prompt_tokens",
        "completion_tokens",
        "input_tokens",
        "output_tokens",
        "total_tokens",
        "cached_tokens",
        "reasoning_tokens",
    ),
    *(
        "prompt_tokens_details",
        "input_tokens_details",
        "input_token_details",
        "output_tokens_details",
        "completion_tokens_details",
    ),
    *(
        "cache_write_tokens",
        "cache_write_tokens_details",
        "ttl_30m_tokens",
        "cached_tokens_details",
        "audio_tokens",
        "image_tokens",
    ),
    *(
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        "prompt_cache_hit_tokens",
        "prompt_cache_miss_tokens",
    ),
    *(
        "cost",
        "total_cost",
        "request_cost",
        "is_byok",
        "cost_details",
        "cost_in_usd_ticks",
        "service_tier",
        "num_search_queries",
    ),
    *(
        "server_tool_use",
        "tool_calls_details",
        "invocation",
        "web_search_requests",
        "copilot_usage",
        "token_details",
        "token_count",
    ),
    *(
        "token_type",
        "x_groq",
        "usage_breakdown",
        "models",
        "timings",
        "prompt_n",
        "cache_n",
        "perf_metrics",
        "base_resp",
    ),
    *(
        "status_code",
        "tool_calls",
        "function",
        "arguments",
        "thinking",
        "response",
        "status",
        "incomplete_details",
        "reason",
    ),
    *(
        "tool_usage",
        "image_gen",
        "web_search",
        "num_requests",
        "output",
        "action",
        "tools",
        "stream_id",
        "event",
        "decision",
    ),
    *(
        "delegation_id",
        "session",
        "audio",
        "input",
        "transcription",
        "status_details",
        "svg_usage",
        "custom_id",
        "body",
        "detail",
    ),
    *(
        "generate",
        "stream",
        "b64_json",
        "last_error",
        "value",
        "refusal",
        "function_call",
        "transcript",
        "seconds",
        "item_id",
    ),
)

WORDS = (
    *(
        "response.created",
        "response.completed",
        "response.failed",
        "response.done",
        "response.create",
        "response.event",
        "error",
    ),
    *(
        "message",
        "message_start",
        "message_delta",
        "content_block_delta",
        "decision.event",
        "session.created",
        "thread.run",
    ),
    *(
        "response",
        "list",
        "queued",
        "failed",
        "cancelled",
        "chat.completion",
        "web_search_call",
        "image_generation",
        "input",
    ),
    *(
        "conversation.item.input_audio_transcription.completed",
        "transcript.text.done",
        "image_generation.completed",
    ),
)

_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(min_value=0, max_value=1000),
    st.integers(),
    st.floats(),
    st.sampled_from(WORDS),
    st.text(max_size=8),
)


def values() -> st.SearchStrategy[Any]:
    """Any JSON value; the keys of objects are mostly known ones."""
    return st.recursive(
        _scalars,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=4), inner, max_size=6)
        ),
        max_leaves=20,
    )


def objects() -> st.SearchStrategy[dict[str, Any]]:
    """A strategy for any JSON object."""
    return st.dictionaries(st.sampled_from(KEYS), values(), max_size=8)
