"""Usage objects recorded from real providers: our formats read all of them, and every disagreement
with another library has its reason."""

from __future__ import annotations

import pytest

from llmtally.record import TOKEN_FIELDS, Usage
from recorded import BODIES, Recorded

EACH = pytest.mark.parametrize(
    "recorded", BODIES, ids=[f"line{recorded.line}" for recorded in BODIES]
)


def test_nothing_was_lost() -> None:
    """The file of recorded bodies still has all of them."""
    assert len(BODIES) == 1100


@EACH
def test_read_without_complaint(recorded: Recorded) -> None:
    """Every body is read: counts that are not negative, the model where it names one, no error."""
    reading = recorded.reading

    assert reading.error is None
    assert all(
        n is None or n >= 0 for n in (getattr(recorded.usage, name) for name in TOKEN_FIELDS)
    )
    assert reading.model == (recorded.body.get("model") or recorded.body.get("modelVersion"))


@EACH
def test_buckets_add_up_to_the_total(recorded: Recorded) -> None:
    """Where the provider states a total, the four disjoint buckets come to it."""
    stated = recorded.body.get("usage") or recorded.body.get("usageMetadata") or {}
    total = next(
        (
            stated[name]
            for name in ("total_tokens", "totalTokens", "totalTokenCount")
            if name in stated
        ),
        None,
    )

    assert total is None or recorded.usage.total_tokens == total


@EACH
def test_subsets_fit_their_buckets(recorded: Recorded) -> None:
    """No subset is larger than the bucket it is part of."""
    usage = recorded.usage

    assert (usage.cache_write_1h_tokens or 0) <= (usage.cache_write_tokens or 0)
    assert (usage.cache_read_audio_tokens or 0) <= min(
        usage.cache_read_tokens or 0, usage.input_audio_tokens or 0
    )
    assert (usage.input_audio_tokens or 0) + (usage.input_image_tokens or 0) <= all_input(usage)
    assert (usage.reasoning_tokens or 0) <= (usage.output_tokens or 0)
    assert (usage.output_audio_tokens or 0) + (usage.output_image_tokens or 0) <= (
        usage.output_tokens or 0
    )


RULES = {
    "anthropic_messages": (("anthropic", "default"),),
    "bedrock_converse": (("aws", "default"),),
    "cohere_chat": (("cohere", "tokens"), ("cohere", "embeddings")),
    "gemini_generate": (("google", "default"),),
    "openai_chat": (("openai", "chat"),),
    "openai_embeddings": (("openai", "embeddings"),),
    "openai_responses": (("openai", "responses"),),
}
"""Which of the other library's rules are meant for what each format reads; the first that find
anything."""

DIFFERENCES = (
    (
        (
            "Google's OpenAI dialect leaves thoughts out of `completion_tokens`; only the total "
            "has them, and it is billed."
        ),
        {"output_tokens"},
        {697, 698},
    ),
    (
        "Mistral says `num_cached_tokens` beside the counts, which its rules do not look at.",
        {"cache_read_tokens"},
        {199, 220, 221, 223, 224, 226, 266, 271, 329, 340, 341, 523, 530, 551, 552, 603, 618, 653},
    ),
    (
        (
            "`usage.iterations` is the whole bill: the top level, which it reads, leaves out the "
            "advisor and compaction."
        ),
        {"input_tokens", "output_tokens"},
        {142, 170, 175},
    ),
    (
        "As above; this compaction also wrote to the cache.",
        {"input_tokens", "output_tokens", "cache_write_tokens"},
        {148},
    ),
    (
        (
            "It counts Google's modality DOCUMENT as images; we take apart only what may have a "
            "other price."
        ),
        {"input_image_tokens"},
        {110, 335, 337, 416, 475, 540, 573},
    ),
)
"""Why the readings differ, in which counts, on which lines of the file. Nothing else may differ."""


def all_input(usage: Usage) -> int:
    return (
        (usage.input_tokens or 0) + (usage.cache_read_tokens or 0) + (usage.cache_write_tokens or 0)
    )


def in_their_words(usage: Usage) -> dict[str, int]:
    """Our buckets in the vocabulary of the other library, whose input includes the caches."""
    tools = usage.server_tools or {}
    return {
        "input_tokens": all_input(usage),
        "cache_read_tokens": usage.cache_read_tokens or 0,
        "cache_write_tokens": usage.cache_write_tokens or 0,
        "cache_write_1h_tokens": usage.cache_write_1h_tokens or 0,
        "output_tokens": usage.output_tokens or 0,
        "output_reasoning_tokens": usage.reasoning_tokens or 0,
        "input_audio_tokens": usage.input_audio_tokens or 0,
        "input_image_tokens": usage.input_image_tokens or 0,
        "output_image_tokens": usage.output_image_tokens or 0,
        "output_audio_tokens": usage.output_audio_tokens or 0,
        "cache_audio_read_tokens": usage.cache_read_audio_tokens or 0,
        "web_searches": tools.get("web_search", 0),
    }


def differing(recorded: Recorded) -> dict[str, tuple[int, int]]:
    """The counts that differ: ours and theirs."""
    readings = [recorded.read_by(*rules) for rules in RULES[recorded.format.name]]
    theirs = next((reading for reading in readings if reading is not None), None)
    assert theirs is not None
    return {
        name: (n, theirs.get(name, 0))
        for name, n in in_their_words(recorded.usage).items()
        if n != theirs.get(name, 0)
    }


@EACH
def test_agrees_with_another_library(recorded: Recorded) -> None:
    """Two independent readings of one body agree, but for the differences that stand in the
    table."""
    expected = next((names for _, names, lines in DIFFERENCES if recorded.line in lines), set())

    assert differing(recorded).keys() == expected, differing(recorded)
