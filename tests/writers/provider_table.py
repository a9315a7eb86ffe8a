"""Writes the provider table of docs/providers.md from the rows: `python
tests/writers/provider_table.py`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "addon"))

from llmtally.providers import PROVIDERS  # noqa: E402  the script runs outside the tests too

DOCUMENT = ROOT / "docs" / "providers.md"
BLOCK = re.compile(r"(<!-- providers: .*? -->\n).*?(<!-- /providers -->)", re.DOTALL)


def table() -> str:
    """One row a provider: its hosts, its formats, whether it has list prices."""
    lines = ["| provider | hosts | formats | list price |", "|---|---|---|---|"]
    for row in PROVIDERS:
        hosts = ", ".join(f"`{host}`" for host in row.hosts)
        names = ", ".join(
            f"`{name}`"
            for name in dict.fromkeys(endpoint.format.name for endpoint in row.endpoints)
        )
        lines.append(f"| {row.name} | {hosts} | {names} | {'yes' if row.price_id else 'no'} |")
    return "\n".join(lines) + "\n"


def with_table(document: str) -> str:
    """The document with the table as it should be."""
    return BLOCK.sub(lambda found: found.group(1) + table() + found.group(2), document)


if __name__ == "__main__":
    DOCUMENT.write_text(with_table(DOCUMENT.read_text()))
