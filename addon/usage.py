"""Reads the token spend of any LLM client off the wire: `mitmdump -s addon/usage.py`.

This file is only the door. The house is the package beside it; restart mitmdump after editing that,
because a live reload re-runs this file alone.
"""

try:
    from llmtally.mitm import UsageAddon
except ModuleNotFoundError as error:
    raise ImportError(
        f"The Python that runs mitmdump has no module {error.name!r}. From a checkout, "
        "`scripts/run` installs everything and "
        "starts mitmdump; into an environment of your own, `pip install PATH_OF_THE_CHECKOUT` does."
    ) from None

addons = [UsageAddon()]
