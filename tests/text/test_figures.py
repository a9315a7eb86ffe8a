"""Figures as people read them."""

from __future__ import annotations

import pytest

from llmtally.text.figures import format_count, format_duration, format_usd


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "$0.00"),
        (12.345, "$12.35"),
        (1234567.891, "$1,234,567.89"),
        (0.5, "$0.5000"),
        (0.0372, "$0.0372"),
        (0.0000876, "$0.000088"),
        (1e-7, "<$0.000001"),
        (1e-12, "<$0.000001"),
    ],
)
def test_dollars(amount: float, text: str) -> None:
    """Small calls are not rounded to nothing."""
    assert format_usd(amount) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (None, "?"),
        (950, "950"),
        (9_999, "9999"),
        (12_345, "12.3k"),
        (999_949, "999.9k"),
        (999_950, "1.0M"),
        (4_560_000, "4.6M"),
        (7_100_000_000, "7.1G"),
        (33_395_200_000_000, "33.4T"),
        (10**16, "10000.0T"),
    ],
)
def test_format_count(number: int | None, text: str) -> None:
    """Numbers of any size in a few columns, and a thousand of a unit is one of the next."""
    assert format_count(number) == text


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (4, "0.0s"),
        (4_210, "4.2s"),
        (59_949, "59.9s"),
        (59_951, "1m 00s"),
        (166_000, "2m 46s"),
        (10_000_000, "2h 46m"),
    ],
)
def test_format_duration(milliseconds: float, text: str) -> None:
    """A duration is shown in at most two units, so that nobody has to divide seconds."""
    assert format_duration(milliseconds) == text
