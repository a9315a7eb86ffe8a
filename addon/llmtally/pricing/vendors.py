"""Models that only their vendor sells. If your gateway answers with one, it has paid for it."""

from __future__ import annotations

from fnmatch import fnmatchcase

_CLOSED: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("anthropic", ("claude-*",)),
    (
        "openai",
        (
            "gpt-*",
            "chatgpt-*",
            "o[1-9]",
            "o[1-9]-*",
            "codex-*",
            "ft:gpt-*",
            "text-embedding-3-*",
            "text-embedding-ada-*",
        ),
    ),
    ("google", ("gemini-*",)),
    ("x-ai", ("grok-*",)),
    ("mistral", ("*stral-latest", "*stral-*-latest")),
    ("cohere", ("command-*-20[0-9][0-9]", "embed-v4*")),
)
"""Price ids of vendors, and names (shell-style) that only they sell. Mistral and Cohere also
publish weights, under names that people run: theirs are in this table as far as the spelling is
that of their API."""

_OPEN = (
    *("gpt-oss*", "gpt-j*", "gpt-neo*"),
    # tuned on the answers of the model they are named after
    *("*distill*", "*gguf*", "*gemma*", "*llama*", "*qwen*"),
    "gpt-3.5-turbo*",  # what llama.cpp's server calls any model unless told
)
"""Names that look like a vendor's, but belong to weights that anybody can run."""


def proprietary_vendor(model: str) -> tuple[str, str] | None:
    """The price id of the only vendor that sells a model, and the vendor's name for it; None: the
    weights are public, or the name is not known.

    A team's gateway stands at a private address and names what it resells, often with the vendor or
    the cloud in front of the name.
    """
    name = model.lower().rpartition("/")[2].rpartition("anthropic.")[2]
    if any(fnmatchcase(name, pattern) for pattern in _OPEN):
        return None
    return next(
        (
            (vendor, name)
            for vendor, names in _CLOSED
            if any(fnmatchcase(name, pattern) for pattern in names)
        ),
        None,
    )
