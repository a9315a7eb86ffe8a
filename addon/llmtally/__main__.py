"""`python -m llmtally` is the command line."""

from .cli import main

main()
