"""Quotas of Google's APIs. https://ai.google.dev/gemini-api/docs/rate-limits

Gemini reports no limits with its answers. A 429 has `error.details`: `RetryInfo.retryDelay`
("34.07s") and `QuotaFailure.violations` (`quotaId:
"GenerateRequestsPerDayPerProjectPerModel-FreeTier"`), at times in a list of one. Code Assist
reports a plan's quotas on `POST /v1internal:retrieveUserQuota`: `buckets[{modelId, tokenType,
remainingFraction}]`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..formats.format import items, mapping, number
from ..record import LimitReading
from .values import DAY, MINUTE, label, percent, reset_value, word

_SUBJECTS = (("InputTokens", "input_tokens"), ("Tokens", "tokens"), ("Requests", "requests"))
_PERIODS = (("PerDay", "_day", DAY), ("Daily", "_day", DAY), ("PerMinute", "_minute", MINUTE))


def read_error(body: Mapping[str, Any], now: float) -> Iterator[LimitReading]:
    """Read the quotas that a 429 names, or only the time to wait where it names none."""
    details = [mapping(detail) for detail in items(mapping(body.get("error")).get("details"))]
    retries = (
        reset_value(detail.get("retryDelay"), now=now)
        for detail in details
        if _is_type(detail, "RetryInfo")
    )
    retry_at = next((at for at in retries if at is not None), None)
    violations = [
        mapping(entry)
        for detail in details
        if _is_type(detail, "QuotaFailure")
        for entry in items(detail.get("violations"))
    ]
    for violation in violations:
        yield _read_violation(violation, retry_at, now)
    if retry_at is not None and not violations:
        yield LimitReading(
            key="retry_after",
            source="provider_api_rate_limit",
            resets_at=retry_at,
            status="rejected",
        )


def read_quota_answer(body: Any, now: float) -> Iterator[LimitReading]:
    """Read an answer of `retrieveUserQuota`, which has a bucket for each model."""
    for bucket in items(mapping(body).get("buckets")):
        bucket = mapping(bucket)
        left = number(bucket.get("remainingFraction"))
        if left is None:
            continue
        subject = word(bucket.get("tokenType")) or "requests"
        model = label(bucket.get("modelId"))
        yield LimitReading(
            key=word(f"{subject}_{model}" if model else subject) or subject,
            source="provider_native",
            utilization=percent(1 - left),
            remaining=number(bucket.get("remainingAmount")),
            resets_at=reset_value(bucket.get("resetTime"), now=now),
            name=model,
        )


def _is_type(detail: Mapping[str, Any], name: str) -> bool:
    kind = detail.get("@type")
    return isinstance(kind, str) and kind.endswith(f"google.rpc.{name}")


def _read_violation(
    violation: Mapping[str, Any], retry_at: float | None, now: float
) -> LimitReading:
    quota = violation.get("quotaId") or violation.get("quotaMetric")
    quota = quota if isinstance(quota, str) else ""
    subject = next((key for mark, key in _SUBJECTS if mark in quota), "requests")
    period, seconds = next(
        ((suffix, length) for mark, suffix, length in _PERIODS if mark in quota), ("", None)
    )
    # Every 429 asks for a retry within the minute, one about the day's quota too: that is not when
    # the day ends.
    if seconds == DAY and retry_at is not None and retry_at <= now + MINUTE:
        retry_at = None
    return LimitReading(
        key=subject + period,
        source="provider_api_rate_limit",
        limit=number(violation.get("quotaValue")),
        resets_at=retry_at,
        window_seconds=seconds,
        status="rejected",
        name=label(mapping(violation.get("quotaDimensions")).get("model")),
    )
