"""The recorded usage bodies, each with the format that reads it. See `data/README.md`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmtally import formats
from llmtally.formats.format import Format
from llmtally.record import Reading, Usage


@dataclass(frozen=True, slots=True)
class Recorded:
    """One body off the wire."""

    line: int
    """Line of the file, from 1."""
    body: dict[str, Any]
    model: str | None
    extracted: list[dict[str, Any]]

    @property
    def format(self) -> Format:
        """The format of the body's endpoint, recognised by the body's shape because the endpoint
        was not recorded."""
        usage = self.body.get("usage") or {}
        if "usageMetadata" in self.body:
            return formats.GEMINI_GENERATE
        if "meta" in self.body or "billed_units" in usage:
            return formats.COHERE_CHAT
        if "inputTokens" in usage:
            return formats.BEDROCK_CONVERSE
        if "input_tokens" in usage:
            return (
                formats.OPENAI_RESPONSES if "total_tokens" in usage else formats.ANTHROPIC_MESSAGES
            )
        return formats.OPENAI_CHAT if "completion_tokens" in usage else formats.OPENAI_EMBEDDINGS

    @property
    def reading(self) -> Reading:
        """What our format makes of it."""
        return self.format.read(self.body, Reading())

    @property
    def usage(self) -> Usage:
        """The usage our format finds; fails where it finds none."""
        usage = self.reading.usage
        assert usage is not None
        return usage

    def read_by(self, provider: str, flavor: str) -> dict[str, int] | None:
        """What one set of the other library's rules makes of it; None where they find nothing."""
        for reading in self.extracted:
            if any(
                (rules["provider_id"], rules["api_flavor"]) == (provider, flavor)
                for rules in reading["extractors"]
            ):
                counts: dict[str, int] = reading["usage"]
                return counts
        return None


def load() -> list[Recorded]:
    """Load all recorded bodies."""
    with (Path(__file__).parent / "data" / "usage_bodies.jsonl").open("rb") as lines:
        rows = [json.loads(line) for line in lines]
    return [
        Recorded(line, row["body"], row["model"], row["extracted"])
        for line, row in enumerate(rows, start=1)
    ]


BODIES = load()
