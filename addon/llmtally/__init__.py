"""Read the token spend of any LLM client off the wire."""

import os

__version__ = "0.1.0"

# Permissions close the journal to others, O_APPEND lets proxies share it, and signals end what
# `llmtally run` starts.
if os.name != "posix":
    raise ImportError(
        "llmtally needs Linux, macOS or another POSIX system. On Windows, run it and the "
        "clients in WSL."
    )
