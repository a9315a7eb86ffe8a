"""`redact.py`: what must not stay of a provider's words, and what must."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtally.redact import (
    MAX_INSPECTED,
    REQUEST_INSPECTED,
    holds_known_key,
    looks_like_key,
    redact,
    without_echo,
    without_known_keys,
)

LONG = "My password is hunter2 and my dog is called Rex, so fire Bob"

SECRETS = {
    "Invalid API key: sk-live-SECRET1234567890": "Invalid API key: […]",
    "bad key sk-abc": "bad key […]",
    "Incorrect API key provided: sk-proj-****abcd.": "Incorrect API key provided: […]",
    "no key-1a2b3c4d5e here": "no […] here",
    "AIzaSyD-1234567890 is not valid": "[…] is not valid",
    "gsk_1234567890 is not valid": "[…] is not valid",
    "xai-AbC1234567 is not valid": "[…] is not valid",
    "token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc- is expired": "token […] is expired",
    "header Authorization: Bearer abc.def refused": "header Authorization: […] refused",
    "key wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY refused": "key […] refused",
    "key 5f0c3a528a534c0e9d0e0b6f6f3f9a11 refused": "key […] refused",
    "https://me:pw@host/v1 failed": "https://[…]@host/v1 failed",
    "url 'https://host/v1/chat?key=hunter2&x=1' failed": "url 'https://host/v1/chat?[…]' failed",
    "POST /v1/chat?api_key=hunter2 failed": "POST /v1/chat?[…] failed",
    "key 5f0c3a528a534c0e9d0e0b6f6f3f9a11.AbCdEf123456 refused": "key […] refused",
    "1 error [type=string, input_value={'role':'user','content':'My SSN'}]": "1 error [type=string, input_value=[…]",
    "Expected str, got: My SSN is 1": "Expected str, got:[…]",
    "bad body {'role': 'user', 'content': 'My SSN'}": "bad body {'role': 'user', 'content':[…]",
    f"cannot parse '{LONG}' as JSON": "cannot parse '[…]' as JSON",
    f'cannot parse "{LONG}': 'cannot parse "[…]',
    f"cannot parse “{LONG}” as JSON": "cannot parse “[…]” as JSON",
    "two\nlines\x1b[31m": "two lines [31m",
}

KEPT = [
    "model 'llama3.2:1b' not found",
    (
        "The model `gpt-9` does not exist or you do not have access to it, and `gpt-8` does not "
        "either."
    ),
    "model 'meta-llama/Llama-3.3-70B-Instruct-Turbo-Free' not found",
    (
        "Qwen/Qwen3-235B-A22B-Instruct-2507, mistralai/Mixtral-8x22B-Instruct-v0.1 and "
        "claude-sonnet-4-5-20250929 are overloaded"
    ),
    (
        "Rate limit reached for gpt-4o-mini-2024-07-18: Limit 200000, Used 199, Requested 20. "
        "Please try again in 1.5s."
    ),
    (
        "This request would exceed your organization's rate limit, it's full of people's wishes, "
        "isn't it"
    ),
    (
        "This model's maximum context length is 8192 tokens. However, your messages resulted in "
        "9000 tokens."
    ),
    "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-20250514-v1:0 denied",
    (
        "publishers/anthropic/models/claude-3-5-sonnet-v2@20241022 is not servable in region "
        "us-central1"
    ),
    "Is claude-9 a model? It may be in https://example.com/docs, see there.",
    "generativelanguage.googleapis.com/generate_content_free_tier_requests, limit: 20",
    "Unexpected 'a' or 'b', and a 'c' where nobody would have thought of a 'd'",
]


@pytest.mark.parametrize("message", SECRETS)
def test_secrets_go(message: str) -> None:
    """Credentials, repeated requests, long quotations and control characters are taken out of what
    is otherwise kept."""
    assert redact(message) == SECRETS[message]


@pytest.mark.parametrize("message", KEPT)
def test_what_identifies_an_error_stays(message: str) -> None:
    """Names of models, limits and times stay: they are not secrets."""
    assert redact(message) == message


def test_half_a_key_at_the_end_of_what_is_looked_at_goes() -> None:
    """A message is never cut within a word before it is redacted."""
    message = "x " * (MAX_INSPECTED // 2 - 3) + "a1b2c3d4e5f6a7b8c9d0e1f2"

    assert redact(message).replace("x", "").strip() == ""


@pytest.mark.parametrize(
    "text", ["sk-ant-api03-SECRETSECRET", "Bearer x", "5f0c3a52-8a53-4c0e-9d0e-0b6f6f3f9a11"]
)
def test_keys_are_known(text: str) -> None:
    """Whatever looks like a key counts as one, even an id; only keys count as a known kind of
    key."""
    assert looks_like_key(text)
    assert holds_known_key(text) == (not text.startswith("5f"))


@pytest.mark.parametrize(
    "text", ["", "curl", "openai-python", "my-application-server-2", "claude-cli", "googleapis.com"]
)
def test_names_are_no_keys(text: str) -> None:
    """Names of programs do not look like keys."""
    assert not looks_like_key(text)


REQUEST = {
    "model": "gpt-9",
    "messages": [{"role": "user", "content": f"Tell me: {LONG}\nPlease"}],
    "max_tokens": 10,
}


@pytest.mark.parametrize(
    ("message", "left"),
    [
        (f"prompt: {LONG}", "prompt: […]"),
        (f"cannot read «password is hunter2 and» in {LONG[10:40]}", "cannot read «[…]» in […]"),
        ("too long: dog is called Rex, so fire Bob Please", "too long: […]"),
        ("model gpt-9 not found, max_tokens is fine", "model gpt-9 not found, max_tokens is fine"),
        ("My dog is not allowed", "My dog is not allowed"),
        ("overloaded", "overloaded"),
        ("bad hunter2key.", "bad […]."),
        ("it was hunter2k", "it was […]"),
    ],
)
def test_what_the_request_said_goes(message: str, left: str) -> None:
    """Its credential, whole or cut off, and phrases of several words; names stay."""
    assert without_echo(message, REQUEST, "hunter2key") == left


def test_the_longer_a_request_the_longer_an_echo() -> None:
    """A codebase has some phrases of any error in it: only long ones count as copied."""
    message = "Rate limit reached, please try again in 1.5 seconds"
    request = {"input": ["please try again in", "limit reached", "word " * 2000]}

    assert without_echo(message, request, "") == message
    assert without_echo(message, {"input": [message, "word " * 2000]}, "") == "[…]"


def test_a_secret_that_is_a_word_stays() -> None:
    """Local servers take `none` for a key."""
    assert without_echo("There is none left", None, "none") == "There is none left"


@given(
    st.text(),
    st.recursive(
        st.text() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    ),
    st.text(),
)
def test_an_echo_is_looked_for_in_anything(message: str, request: object, secret: str) -> None:
    """Whatever was asked and answered, nothing is raised."""
    without_echo(redact(message), request, secret)


def test_looking_for_an_echo_is_bounded() -> None:
    """Neither a long request nor a deep one holds anything up."""
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    began = time.process_time()
    without_echo("a b c d e f " * 16, [deep, ["a b c d " * REQUEST_INSPECTED] * 100], "x")

    assert time.process_time() - began < 0.5


@given(st.text())
def test_any_text_becomes_one_line(message: str) -> None:
    """Whatever is said, it can be printed in one line."""
    line = redact(message)

    assert line.isprintable()
    assert line == line.strip()


@pytest.mark.parametrize(
    "piece", ["'", "' ", " '", "a'", "“", "sk-", "key-", "a-", "0a", "://", "eyJ.", "input ="]
)
def test_nothing_takes_long(piece: str) -> None:
    """No message and no path makes the patterns search it again and again."""
    began = time.process_time()
    redact(piece * 100_000)
    without_known_keys(piece * 16_000)

    assert time.process_time() - began < 0.5
