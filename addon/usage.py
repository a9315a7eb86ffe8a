"""The addon for mitmproxy, which reads LLM token spend off the wire: `mitmdump -s addon/usage.py`.

This file only loads the package beside it. Restart mitmdump after editing the package, because a
live reload runs only this file again.
"""

try:
    from llmtally.mitm import UsageAddon
except ModuleNotFoundError as error:
    raise ImportError(
        f"The Python that runs mitmdump has no module {error.name!r}. From a checkout, "
        "`scripts/run` installs everything and "
        "starts mitmdump; in your environment, run `pip install PATH_OF_THE_CHECKOUT`."
    ) from None

addons = [UsageAddon()]
