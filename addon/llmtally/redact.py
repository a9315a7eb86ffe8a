"""Takes credentials and prompts out of error messages, which echo both: `Invalid API key: sk-..`,
`input_value=..`.

Nothing here can recognise a secret with certainty. So `redact` takes out what looks like a
credential, queries of URLs, what validators repeat of the request, and long quotations; and
`without_echo`, where the request is at hand, what the request itself said. What is left still
distinguishes one error from another.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

REDACTED = "[…]"
"""The text in place of something that was removed."""

MAX_INSPECTED = 2048
"""Characters of a message that are inspected: ten times as many as are kept, so that what is kept
was redacted together with what follows it."""

KEY_LENGTH = 20
"""Letters and digits mixed at this length or more are a credential or an id; issued keys have 20
(AWS) and more."""

QUOTE_LENGTH = 32
"""Longest quotation that is kept: names of models and parameters are shorter, or have no blanks."""

ECHO_LENGTH = 32
"""Characters that an error and a long request share by more than chance: `Please try again in` is
shorter."""
SHORT_ECHO_LENGTH = 12
"""The same for a short request."""
SHORT_REQUEST = 4096
"""Characters of a short request: a question, not a codebase."""
REQUEST_INSPECTED = 256 * 1024
"""Characters of a request that are searched for what an error repeats; the search for one phrase
takes some 20 microseconds."""
REQUEST_NODES = 16_384
"""JSON values of a request that are searched for texts: a long session has some thousands."""
SECRET_LENGTH = 6
"""Shorter credentials (`none`, `dummy`) are words; longer ones are taken out wherever they
stand."""

_KNOWN_KEY = re.compile(
    # the letters that these begin with: most places in a text are passed over at once
    r"\b(?=[abcefghknprstxy])"
    r"(?:Bearer\s+\S+"
    r"|eyJ[\w-]{8,}(?:\.[\w-]*)*"  # JSON web tokens
    r"|(?:sk|pk|rk|gsk|xai|pplx|hf|csk|nvapi|tgp|fw|r8|gh[opsu]|github_pat|glpat|xox[abps])[-_](?=[\w-]*[\d*]|[\w-]{20})[\w.*-]+"
    r"|sk-[\w.*-]+"
    r"|key-(?=[\w-]{0,64}\d)[\w-]{8,}"  # to look further at each of many would take quadratic time
    r"|(?:AIza|AKIA|ASIA|ya29\.)[\w.-]{8,})",
    re.IGNORECASE,
)
_RUN = re.compile(rf"[A-Za-z0-9_+/=-]{{{KEY_LENGTH},}}(?:\.[A-Za-z0-9_+/=-]+)*")
"""What may be a key, by its characters and length; some are an id, a dot and the secret."""
_QUERY = re.compile(r"(/[^\s?'\"`]*)\?[^\s'\"`]+")
_WORD = re.compile(
    r"[A-Za-z]{0,14}|\d{1,8}|[A-Za-z]{0,8}\d{1,3}[A-Za-z]{0,2}|\d{1,2}x\d{1,3}[A-Za-z]"
)
"""The words that names are made of, between hyphens and slashes: `Instruct`, `20250929`, `llama3`,
`70B`, `8x22b`."""
_USER_IN_URL = re.compile(r"://[^/\s@]+@")
_ECHO = re.compile(
    r"\binput(?:_value)?\s*=|\bgot:|['\"](?:input(?:_value)?|content|text|prompt|messages|parts)['\"]\s*:",
    re.IGNORECASE,
)
"""Where validators begin to repeat what they were given (pydantic, FastAPI, zod), or a request
begins that was repeated whole."""
_QUOTATION = re.compile(
    r"(?<!\w)(?:(['\"`]).*?(?:\1(?!\w)|$)|[\u201c\u2018\xab][^\u201d\u2019\xbb]*[\u201d\u2019\xbb]?)"
)
"""Text in quotation marks. An apostrophe opens none; what is not closed goes to the end."""
_WORD_START = re.compile(r"(?<!\w)\w")
_CLOSING = "'\"`\u201d\u2019\xbb"


def redact(message: str) -> str:
    """One line that says what went wrong, without credentials and without the prompt."""
    seen = message[:MAX_INSPECTED]
    if len(message) > MAX_INSPECTED:  # half a key does not look like one
        seen = seen.rpartition(" ")[0]
    line = " ".join(
        "".join(character if character.isprintable() else " " for character in seen).split()
    )
    if echo := _ECHO.search(line):
        line = line[: echo.end()] + REDACTED
    line = _QUOTATION.sub(_shorten, line)
    line = _QUERY.sub(rf"\1?{REDACTED}", _USER_IN_URL.sub(f"://{REDACTED}@", line))
    return _RUN.sub(
        lambda run: REDACTED if _is_mixed(run[0]) else run[0], _KNOWN_KEY.sub(REDACTED, line)
    )


def without_echo(message: str, request: Any, secret: str) -> str:
    """A redacted message without the credential of the request it answers, and without phrases of
    that request's JSON body."""
    if len(secret) >= SECRET_LENGTH:
        message = message.replace(secret, REDACTED)
        cut = next(
            (
                n
                for n in range(len(secret) - 1, SECRET_LENGTH - 1, -1)
                if message.endswith(secret[:n])
            ),
            0,
        )
        message = message[: len(message) - cut] + REDACTED if cut else message
    if len(message) < SHORT_ECHO_LENGTH:
        return message
    said = " ".join(_texts(request).split())
    kept, copied = [], 0
    for start, end in _echoes(
        message, said, SHORT_ECHO_LENGTH if len(said) < SHORT_REQUEST else ECHO_LENGTH
    ):
        kept += [message[copied:start], REDACTED]
        copied = end
    return "".join([*kept, message[copied:]])


def _texts(value: Any) -> str:
    """All strings within a JSON value, the last ones first: an error is about what is new."""
    texts: list[str] = []
    stack, size = [value], 0
    for _ in range(REQUEST_NODES):
        if not stack or size > REQUEST_INSPECTED:
            break
        node = stack.pop()
        if isinstance(node, str):
            texts.append(node[: REQUEST_INSPECTED - size])
            size += len(node)
        elif isinstance(node, dict | list):
            stack.extend(node.values() if isinstance(node, dict) else node)
    return "\n".join(texts)


def _echoes(message: str, request: str, least: int) -> Iterator[tuple[int, int]]:
    """Where phrases of at least two words stand in the message that stand in the request too, each
    as long as possible."""
    end = 0
    for word in _WORD_START.finditer(message):
        start = word.start()
        blank = message.find(" ", start)
        if blank < 0 or start + least > len(message):
            return
        least_end = max(start + least, blank + 2)
        if start < end or message[start:least_end] not in request:
            continue
        end = least_end
        while end < len(message) and message[start : end + 1] in request:
            end += 1
        yield start, end


def without_known_keys(text: str) -> str:
    """The text, with everything that begins as a known kind of key taken out."""
    return _KNOWN_KEY.sub(REDACTED, text)


def holds_known_key(text: str) -> bool:
    """Whether something in the text begins as a known kind of key; ids do not."""
    return _KNOWN_KEY.search(text) is not None


def looks_like_key(text: str) -> bool:
    """Whether something in the text looks like any kind of key; long ids look like keys, too."""
    return holds_known_key(text) or any(_is_mixed(run) for run in _RUN.findall(text))


def _shorten(quotation: re.Match[str]) -> str:
    """Empty a long quotation. Short ones stay, and so do names, which have no blanks; keys among
    them are looked for later."""
    quoted = quotation[0]
    if len(quoted) <= QUOTE_LENGTH + 2 or " " not in quoted:
        return quoted
    return quoted[0] + REDACTED + (quoted[-1] if quoted[-1] in _CLOSING else "")


def _is_mixed(run: str) -> bool:
    """Whether part of a long run is letters and digits at random, rather than a chain of words and
    numbers, as names of models are."""
    return any(_looks_random(part) for part in run.split(".") if len(part) >= KEY_LENGTH)


def _looks_random(part: str) -> bool:
    if part.isalpha() or part.isdigit():
        return False
    return not all(_WORD.fullmatch(word) for word in re.split(r"[-_+/=]", part))
