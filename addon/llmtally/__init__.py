"""Read the token spend of any LLM client off the wire."""

__version__ = "0.1.0"
