"""What has one meaning and is written in several places, as one of them cannot import the other."""

from __future__ import annotations

import re
from pathlib import Path

from llmtally import web
from llmtally.cli import statusline
from llmtally.tracker.window_json import WARNING_PCT

STATIC = Path(web.__file__).parent / "static"


def test_a_window_is_nearly_full_at_the_same_percentage_everywhere() -> None:
    """The page's problems, its gauges and the status line warn of the same windows."""
    [in_page] = re.findall(r"WARNING_PCT = (\d+)", (STATIC / "limits.js").read_text("utf-8"))

    assert statusline.FULL_PCT == float(in_page) == WARNING_PCT
