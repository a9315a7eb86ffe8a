"""What others wrote, without what is nobody's business: errors echo keys (`Invalid API key: sk-..`) and prompts (`input_value=..`).

Nothing here can know a secret when it sees one. So it takes out what looks like a credential, what validators repeat of the
request, and long quotations; what is left still tells one error from another.
"""

from __future__ import annotations

import re

GONE = "[…]"
"""Stands where something was taken out."""

LOOKED_AT = 2048
"""Characters of a message that are looked at: ten times what is kept, so that what is kept was redacted with what follows it."""

KEY_LENGTH = 20
"""Letters and digits mixed for this long are a credential or an id; issued keys have 20 (AWS) and more."""

QUOTE_LENGTH = 32
"""Longest quotation that is kept: names of models and parameters are shorter, or have no blanks."""

_KNOWN_KEY = re.compile(
    r"\b(?=[abcefghknprstxy])"  # the letters that these begin with: most places in a text are passed over at once
    r"(?:Bearer\s+\S+"
    r"|eyJ[\w-]{8,}(?:\.[\w-]*)*"  # JSON web tokens
    r"|(?:sk|pk|rk|gsk|xai|pplx|hf|csk|nvapi|tgp|fw|r8|gh[opsu]|github_pat|glpat|xox[abps])[-_](?=[\w-]*[\d*]|[\w-]{20})[\w.*-]+"
    r"|sk-[\w.*-]+"
    r"|key-(?=[\w-]*\d)[\w-]{8,}"
    r"|(?:AIza|AKIA|ASIA|ya29\.)[\w.-]{8,})",
    re.IGNORECASE,
)
_RUN = re.compile(rf"[A-Za-z0-9_+/=-]{{{KEY_LENGTH},}}")
_WORD = re.compile(r"[A-Za-z]{0,14}|\d{1,8}|[A-Za-z]{0,8}\d{1,3}[A-Za-z]{0,2}|\d{1,2}x\d{1,3}[A-Za-z]")
"""What names are made of, between their hyphens and slashes: `Instruct`, `20250929`, `llama3`, `70B`, `8x22b`."""
_USER_IN_URL = re.compile(r"://[^/\s@]+@")
_ECHO = re.compile(
    r"\binput(?:_value)?\s*=|\bgot:|['\"](?:input(?:_value)?|content|text|prompt|messages|parts)['\"]\s*:", re.IGNORECASE
)
"""Where validators begin to repeat what they were given (pydantic, FastAPI, zod), or a request begins that was repeated whole."""
_QUOTATION = re.compile(r"(?<!\w)(?:(['\"`]).*?(?:\1(?!\w)|$)|[\u201c\u2018\xab][^\u201d\u2019\xbb]*[\u201d\u2019\xbb]?)")
"""An apostrophe opens none; what is not closed goes to the end."""
_CLOSING = "'\"`\u201d\u2019\xbb"


def redact(message: str) -> str:
    """One line that says what went wrong, without credentials and without the prompt."""
    seen = message[:LOOKED_AT]
    if len(message) > LOOKED_AT:  # half a key does not look like one
        seen = seen.rpartition(" ")[0]
    line = " ".join("".join(character if character.isprintable() else " " for character in seen).split())
    if echo := _ECHO.search(line):
        line = line[: echo.end()] + GONE
    line = _QUOTATION.sub(_shorten, line)
    line = _USER_IN_URL.sub(f"://{GONE}@", line)
    return _RUN.sub(lambda run: GONE if _is_mixed(run[0]) else run[0], _KNOWN_KEY.sub(GONE, line))


def holds_known_key(text: str) -> bool:
    """Whether something in it begins as keys of a known kind do; ids do not."""
    return _KNOWN_KEY.search(text) is not None


def looks_like_key(text: str) -> bool:
    """Whether something in it looks like a key, of whatever kind; long ids look like keys."""
    return holds_known_key(text) or any(_is_mixed(run) for run in _RUN.findall(text))


def _shorten(quotation: re.Match[str]) -> str:
    """Short quotations stay, and so do names, which have no blanks; keys among them are looked for later."""
    quoted = quotation[0]
    if len(quoted) <= QUOTE_LENGTH + 2 or " " not in quoted:
        return quoted
    return quoted[0] + GONE + (quoted[-1] if quoted[-1] in _CLOSING else "")


def _is_mixed(run: str) -> bool:
    """Whether a long run is no chain of words and numbers, as names of models are, but letters and digits as they fall."""
    if run.isalpha() or run.isdigit():
        return False
    return not all(_WORD.fullmatch(word) for word in re.split(r"[-_+/=]", run))
