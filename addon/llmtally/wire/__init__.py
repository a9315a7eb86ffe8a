"""Bytes in, messages out: content codings and framings. Nothing here knows what an LLM is."""
