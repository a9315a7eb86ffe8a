"""Limits as every dialect reports them, with their numbers worked out by hand."""

from __future__ import annotations

from typing import Any

from llmtally.record import LimitReading

NOW = 1_785_000_000.0


HOURS_5 = 18_000.0


DAYS_7 = 604_800.0


def native(key: str, utilization: float | None = None, **fields: Any) -> LimitReading:
    """A window of a plan, as its provider counts it."""
    return LimitReading(key=key, source="provider_native", utilization=utilization, **fields)


def classic(key: str, utilization: float | None = None, **fields: Any) -> LimitReading:
    """A reading of a classic rate limit."""
    return LimitReading(
        key=key, source="provider_api_rate_limit", utilization=utilization, **fields
    )


HEADERS: dict[str, tuple[str, dict[str, str], list[LimitReading]]] = {
    "anthropic_api_key": (
        "anthropic",
        {
            "anthropic-ratelimit-input-tokens-limit": "80000",
            "anthropic-ratelimit-input-tokens-remaining": "80000",
            "anthropic-ratelimit-input-tokens-reset": "2025-08-21T12:40:59Z",
            "anthropic-ratelimit-requests-limit": "1000",
            "anthropic-ratelimit-requests-remaining": "999",
            "anthropic-ratelimit-tokens-limit": "96000",
        },
        [
            classic(
                "input_tokens", 0.0, limit=80_000.0, remaining=80_000.0, resets_at=1_755_780_059.0
            ),
            classic("requests", 0.1, limit=1000.0, remaining=999.0),
            classic("tokens", limit=96_000.0),
        ],
    ),
    "anthropic_pools_of_priority_and_fast_mode": (
        "anthropic",
        {
            "anthropic-priority-input-tokens-limit": "10000",
            "anthropic-priority-input-tokens-remaining": "2500",
            "anthropic-fast-output-tokens-limit": "4000",
            "anthropic-fast-output-tokens-remaining": "1000",
            "anthropic-fast-output-tokens-reset": "2025-08-21T14:40:59+02:00",
        },
        [
            classic("priority_input_tokens", 75.0, limit=10_000.0, remaining=2500.0),
            classic(
                "fast_output_tokens",
                75.0,
                limit=4000.0,
                remaining=1000.0,
                resets_at=1_755_780_059.0,
            ),
        ],
    ),
    "anthropic_subscription": (
        "anthropic",
        {
            "anthropic-ratelimit-unified-status": "allowed",
            "anthropic-ratelimit-unified-reset": "1785182400",
            "anthropic-ratelimit-unified-representative-claim": "five_hour",
            "anthropic-ratelimit-unified-5h-status": "allowed",
            "anthropic-ratelimit-unified-5h-reset": "1785182400",
            "anthropic-ratelimit-unified-5h-utilization": "0.01",
            "anthropic-ratelimit-unified-7d-status": "allowed_warning",
            "anthropic-ratelimit-unified-7d-reset": "1785500000",
            "anthropic-ratelimit-unified-7d-utilization": "0.94",
            "anthropic-ratelimit-unified-7d-surpassed-threshold": "0.75",
            "anthropic-ratelimit-unified-fallback-percentage": "0.5",
            "anthropic-ratelimit-unified-overage-status": "rejected",
            "anthropic-ratelimit-unified-overage-disabled-reason": "org_level_disabled",
        },
        [
            native(
                "5h",
                1.0,
                resets_at=1_785_182_400.0,
                window_seconds=HOURS_5,
                status="allowed",
                representative=True,
            ),
            native(
                "7d",
                94.0,
                resets_at=1_785_500_000.0,
                window_seconds=DAYS_7,
                status="allowed_warning",
            ),
            native("overage", status="rejected"),
        ],
    ),
    "anthropic_subscription_refused_for_one_model": (
        "anthropic",
        {
            "anthropic-ratelimit-unified-status": "rejected",
            "anthropic-ratelimit-unified-representative-claim": "seven_day_overage_included",
            "anthropic-ratelimit-unified-5h-status": "allowed",
            "anthropic-ratelimit-unified-5h-utilization": "0.3",
            "anthropic-ratelimit-unified-7d_oi-status": "rejected",
            "anthropic-ratelimit-unified-7d_oi-utilization": "1.07",
            "anthropic-ratelimit-unified-7d_oi-reset": "1785182400",
            "anthropic-ratelimit-unified-7d_oi-surpassed-threshold": "1.0",
            "retry-after": "51811",
            "x-should-retry": "true",
        },
        [
            native("5h", 30.0, window_seconds=HOURS_5, status="allowed"),
            native(
                "7d_oi",
                107.0,
                resets_at=1_785_182_400.0,
                window_seconds=DAYS_7,
                status="rejected",
                representative=True,
            ),
        ],
    ),
    "anthropic_claim_without_its_window": (
        "anthropic",
        {
            "anthropic-ratelimit-unified-status": "rejected",
            "anthropic-ratelimit-unified-reset": "1785182400",
            "anthropic-ratelimit-unified-representative-claim": "seven_day_opus",
        },
        [
            native(
                "7d_opus",
                resets_at=1_785_182_400.0,
                window_seconds=DAYS_7,
                status="rejected",
                representative=True,
            )
        ],
    ),
    "anthropic_overall_status_alone": (
        "anthropic",
        {
            "anthropic-ratelimit-unified-status": "allowed_warning",
            "anthropic-ratelimit-unified-reset": "1785182400",
        },
        [native("unified", resets_at=1_785_182_400.0, status="allowed_warning")],
    ),
    "anthropic_extra_usage_by_period": (
        "anthropic",
        {
            "anthropic-ratelimit-unified-overage-status": "allowed",
            "anthropic-ratelimit-unified-overage-reset": "1785500000",
            "anthropic-ratelimit-unified-overage-utilization": "0.5",
            "anthropic-ratelimit-unified-overage-in-use": "true",
            "anthropic-ratelimit-unified-overage-period-monthly-utilization": "0.125",
            "anthropic-ratelimit-unified-fallback": "available",
            "anthropic-ratelimit-unified-upgrade-paths": "max",
        },
        [
            native("overage", 50.0, resets_at=1_785_500_000.0, status="in_use"),
            native("overage-period-monthly", 12.5),
        ],
    ),
    "anthropic_window_of_a_future_name": (
        "anthropic",
        {"anthropic-ratelimit-unified-30d_new-thing-surpassed-threshold": "0.5"},
        [native("30d_new-thing", window_seconds=2_592_000.0, status="allowed_warning")],
    ),
    "codex_weekly_window_in_the_primary_slot": (
        "chatgpt_codex",
        {
            "x-codex-plan-type": "pro",
            "x-codex-active-limit": "codex",
            "x-codex-primary-used-percent": "22",
            "x-codex-primary-window-minutes": "10080",
            "x-codex-primary-reset-at": "1790426679",
            "x-codex-primary-reset-after-seconds": "155800",
            "x-codex-secondary-used-percent": "0",
            "x-codex-secondary-window-minutes": "0",
            "x-codex-secondary-reset-at": "",
            "x-codex-secondary-reset-after-seconds": "0",
            "x-codex-primary-over-secondary-limit-percent": "0",
            "x-codex-credits-has-credits": "False",
            "x-codex-credits-unlimited": "False",
            "x-codex-credits-balance": "0",
        },
        [native("7d", 22.0, resets_at=1_790_426_679.0, window_seconds=DAYS_7)],
    ),
    "codex_further_family_reached_and_credits": (
        "chatgpt_codex",
        {
            "x-codex-primary-used-percent": "100.0",
            "x-codex-primary-window-minutes": "300",
            "x-codex-primary-reset-at": "",
            "x-codex-primary-reset-after-seconds": "600",
            "x-codex-bengalfox-primary-used-percent": "12.5",
            "x-codex-bengalfox-primary-window-minutes": "1440",
            "x-codex-bengalfox-limit-name": "gpt-5.3-codex-spark",
            "x-codex-rate-limit-reached-type": "primary",
            "x-codex-credits-has-credits": "True",
            "x-codex-credits-unlimited": "false",
            "x-codex-credits-balance": "12.5",
        },
        [
            native("5h", 100.0, resets_at=NOW + 600, window_seconds=HOURS_5, status="rejected"),
            native("24h_bengalfox", 12.5, window_seconds=86_400.0, name="gpt-5.3-codex-spark"),
            native("credits", remaining=12.5),
        ],
    ),
    "codex_family_outside_the_prefix": (
        "chatgpt_codex",
        {
            "x-new-thing-secondary-used-percent": "5",
            "x-new-thing-secondary-window-minutes": "90",
            "x-new-thing-secondary-reset-at": "1790426679",
        },
        [native("90m_new_thing", 5.0, resets_at=1_790_426_679.0, window_seconds=5400.0)],
    ),
    "codex_unlimited_credits_and_a_window_of_no_length": (
        "chatgpt_codex",
        {
            "x-codex-primary-used-percent": "3",
            "x-codex-credits-has-credits": "1",
            "x-codex-credits-unlimited": "true",
        },
        [native("primary", 3.0), native("credits", status="unlimited")],
    ),
    "openai": (
        "openai",
        {
            "x-ratelimit-limit-requests": "500",
            "x-ratelimit-limit-tokens": "30000",
            "x-ratelimit-remaining-requests": "499",
            "x-ratelimit-remaining-tokens": "22500",
            "x-ratelimit-reset-requests": "120ms",
            "x-ratelimit-reset-tokens": "6m0s",
            "x-ratelimit-limit-project-tokens": "1000",
            "x-ratelimit-limit-tokens_usage_based": "40000",
        },
        [
            classic("requests", 0.2, limit=500.0, remaining=499.0, resets_at=NOW + 0.12),
            classic("tokens", 25.0, limit=30_000.0, remaining=22_500.0, resets_at=NOW + 360),
            classic("project_tokens", limit=1000.0),
            classic("tokens_usage_based", limit=40_000.0),
        ],
    ),
    "azure_garbage_beside_a_real_limit": (
        "azure_openai",
        {
            "x-ratelimit-limit-tokens": "-1",
            "x-ratelimit-remaining-tokens": "-1",
            "x-ratelimit-reset-tokens": "0",
            "x-ratelimit-limit-requests": "250",
            "x-ratelimit-remaining-requests": "200",
            "x-ratelimit-reset-requests": "10",
        },
        [classic("requests", 20.0, limit=250.0, remaining=200.0, resets_at=NOW + 10)],
    ),
    "groq_requests_are_a_days": (
        "groq",
        {
            "x-ratelimit-limit-requests": "14400",
            "x-ratelimit-remaining-requests": "14370",
            "x-ratelimit-reset-requests": "2m59.56s",
            "x-ratelimit-limit-tokens": "18000",
            "x-ratelimit-remaining-tokens": "17997",
            "x-ratelimit-reset-tokens": "7.66s",
        },
        [
            classic(
                "requests_day",
                0.208333,
                limit=14_400.0,
                remaining=14_370.0,
                resets_at=NOW + 179.56,
                window_seconds=86_400.0,
            ),
            classic(
                "tokens_minute",
                0.016667,
                limit=18_000.0,
                remaining=17_997.0,
                resets_at=NOW + 7.66,
                window_seconds=60.0,
            ),
        ],
    ),
    "cerebras_says_the_period": (
        "cerebras",
        {
            "x-ratelimit-limit-requests-day": "14400",
            "x-ratelimit-remaining-requests-day": "7200",
            "x-ratelimit-reset-requests-day": "33011.382867",
            "x-ratelimit-limit-tokens-minute": "60000",
            "x-ratelimit-remaining-tokens-minute": "0",
            "x-ratelimit-reset-tokens-minute": "11.5",
        },
        [
            classic(
                "requests_day",
                50.0,
                limit=14_400.0,
                remaining=7200.0,
                resets_at=NOW + 33_011.382867,
                window_seconds=86_400.0,
            ),
            classic(
                "tokens_minute",
                100.0,
                limit=60_000.0,
                remaining=0.0,
                resets_at=NOW + 11.5,
                window_seconds=60.0,
            ),
        ],
    ),
    "mistral": (
        "mistral",
        {
            "x-ratelimit-limit-req-minute": "60",
            "x-ratelimit-remaining-req-minute": "45",
            "x-ratelimit-limit-tokens-minute": "500000",
            "x-ratelimit-remaining-tokens-minute": "499000",
            "x-ratelimit-tokens-query-cost": "1000",
        },
        [
            classic("requests_minute", 25.0, limit=60.0, remaining=45.0, window_seconds=60.0),
            classic(
                "tokens_minute", 0.2, limit=500_000.0, remaining=499_000.0, window_seconds=60.0
            ),
        ],
    ),
    "together_counts_by_the_second": (
        "together",
        {
            "x-ratelimit-limit": "10",
            "x-ratelimit-remaining": "9",
            "x-ratelimit-reset": "1",
            "x-tokenlimit-limit": "3000",
            "x-tokenlimit-remaining": "1500",
        },
        [
            classic(
                "requests", 10.0, limit=10.0, remaining=9.0, resets_at=NOW + 1, window_seconds=1.0
            ),
            classic("tokens", 50.0, limit=3000.0, remaining=1500.0, window_seconds=1.0),
        ],
    ),
    "fireworks_over_the_limit": (
        "fireworks",
        {
            "x-ratelimit-limit-tokens-prompt": "60000",
            "x-ratelimit-limit-tokens-generated": "6000",
            "x-ratelimit-limit-tokens-cache-adjusted-prompt": "30000",
            "x-ratelimit-over-limit": "yes",
        },
        [
            classic("input_tokens", limit=60_000.0, status="over_limit"),
            classic("output_tokens", limit=6000.0, status="over_limit"),
            classic("tokens_cache_adjusted_prompt", limit=30_000.0, status="over_limit"),
        ],
    ),
    "openrouter_resets_in_epoch_milliseconds": (
        "openrouter",
        {
            "x-ratelimit-limit": "50",
            "x-ratelimit-remaining": "0",
            "x-ratelimit-reset": "1785600000000",
        },
        [classic("requests", 100.0, limit=50.0, remaining=0.0, resets_at=1_785_600_000.0)],
    ),
    "xai_without_reset": (
        "x_ai",
        {"x-ratelimit-limit-requests": "8", "x-ratelimit-remaining-requests": "6"},
        [classic("requests", 25.0, limit=8.0, remaining=6.0)],
    ),
    "volcengine_only_requests": (
        "unknown",
        {"x-ratelimit-remaining-requests": "6", "x-ratelimit-reset-requests": "1785182400"},
        [classic("requests", remaining=6.0, resets_at=1_785_182_400.0)],
    ),
    "copilot_premium_requests": (
        "github_copilot",
        {
            "x-quota-snapshot-premium_interactions": "ent=4000&ov=0.0&ovPerm=true&rem=95.7&rst=2026-07-01T00%3A00%3A00Z"
            "&totRem=3830.1",
            "x-quota-snapshot-chat": "ent=-1&ov=0.0&ovPerm=false&rem=100.0&rst=2026-07-01T00%3A00%3A00Z",
            "x-quota-snapshot-completions": "ent=0&rem=0",
            "x-usage-ratelimit-weekly": "ent=100&rem=60.0&rst=2026-07-01T00%3A00%3A00Z",
            "x-usage-ratelimit-session": "ent=100&rem=-4.5",
        },
        [
            native(
                "premium_interactions",
                4.3,
                limit=4000.0,
                remaining=3830.1,
                resets_at=1_782_864_000.0,
            ),
            native("weekly", 40.0, limit=100.0, resets_at=1_782_864_000.0, window_seconds=DAYS_7),
            native("session", 104.5, limit=100.0),
        ],
    ),
    "limit_of_zero_is_none_and_a_burst_is_nothing_used": (
        "unknown",
        {
            "x-ratelimit-limit-requests": "0",
            "x-ratelimit-remaining-requests": "0",
            "x-ratelimit-limit-tokens": "100",
            "x-ratelimit-remaining-tokens": "150",
        },
        [classic("tokens", 0.0, limit=100.0, remaining=150.0)],
    ),
    "no_limits_at_all": (
        "openai",
        {"content-type": "text/event-stream", "x-request-id": "req_1", "retry-after": "3"},
        [],
    ),
}


EVENTS: dict[str, tuple[Any, list[LimitReading]]] = {
    "codex": (
        {
            "type": "codex.rate_limits",
            "plan_type": "plus",
            "rate_limits": {
                "allowed": True,
                "limit_reached": False,
                "primary": {"used_percent": 31, "window_minutes": 300, "reset_at": 1_800_000_000},
                "secondary": {
                    "used_percent": 4.5,
                    "window_minutes": 10_079,
                    "resets_in_seconds": 491_245,
                },
            },
            "credits": {"has_credits": True, "unlimited": False, "balance": "12.5"},
            "additional_rate_limits": {
                "codex_bengalfox": {
                    "limit_name": "gpt-5.3-codex-spark",
                    "primary": {
                        "used_percent": 7,
                        "window_minutes": 299,
                        "reset_at": 1_800_000_000,
                    },
                }
            },
        },
        [
            native("5h", 31.0, resets_at=1_800_000_000.0, window_seconds=HOURS_5, status="allowed"),
            native("7d", 4.5, resets_at=NOW + 491_245, window_seconds=DAYS_7, status="allowed"),
            native(
                "5h_bengalfox",
                7.0,
                resets_at=1_800_000_000.0,
                window_seconds=HOURS_5,
                name="gpt-5.3-codex-spark",
            ),
            native("credits", remaining=12.5),
        ],
    ),
    "codex_of_one_family": (
        {
            "type": "codex.rate_limits",
            "rate_limits": {
                "allowed": False,
                "limit_reached": True,
                "primary": {"used_percent": 100, "window_minutes": 43_800},
                "secondary": {"used_percent": 60, "window_minutes": 10_080},
            },
            "credits": None,
            "metered_limit_name": "codex_bengalfox",
            "limit_name": "spark",
        },
        [
            native(
                "30d_bengalfox", 100.0, window_seconds=2_628_000.0, status="rejected", name="spark"
            ),
            native("7d_bengalfox", 60.0, window_seconds=DAYS_7, name="spark"),
        ],
    ),
    "codex_error_frame_with_headers": (
        {
            "type": "error",
            "status": 429,
            "error": {
                "type": "usage_limit_reached",
                "plan_type": "plus",
                "resets_in_seconds": 3600,
            },
            "headers": {
                "X-Codex-Primary-Used-Percent": "100",
                "x-codex-primary-window-minutes": 300,
                "x-codex-other": None,
            },
        },
        [
            native("5h", 100.0, window_seconds=HOURS_5),
            native("usage_limit", 100.0, resets_at=NOW + 3600, status="rejected", name="plus"),
        ],
    ),
    "error_frame_of_an_api_key": (
        {
            "type": "error",
            "status": 429,
            "error": {"type": "rate_limit_exceeded"},
            "headers": {
                "X-RateLimit-Limit-Requests": 500,
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "12s",
            },
        },
        [classic("requests", 100.0, limit=500.0, remaining=0.0, resets_at=NOW + 12)],
    ),
    "codex_response_failed": (
        {
            "type": "response.failed",
            "response": {"error": {"code": "usage_limit_reached", "resets_at": 1_790_000_000}},
        },
        [native("usage_limit", 100.0, resets_at=1_790_000_000.0, status="rejected")],
    ),
    "realtime": (
        {
            "type": "rate_limits.updated",
            "rate_limits": [
                {"name": "requests", "limit": 1000, "remaining": 999, "reset_seconds": 60.5},
                {"name": "tokens", "limit": 50_000, "remaining": 12_500, "reset_seconds": 60},
            ],
        },
        [
            classic("requests", 0.1, limit=1000.0, remaining=999.0, resets_at=NOW + 60.5),
            classic("tokens", 75.0, limit=50_000.0, remaining=12_500.0, resets_at=NOW + 60),
        ],
    ),
    "copilot": (
        {
            "type": "response.completed",
            "response": {"id": "resp_1"},
            "copilot_quota_snapshots": {
                "premium_interactions": {
                    "entitlement": "300",
                    "percent_remaining": 80.0,
                    "overage_count": 0,
                    "overage_permitted": True,
                    "reset_date": "2026-07-01T00:00:00Z",
                }
            },
        },
        [native("premium_interactions", 20.0, limit=300.0, resets_at=1_782_864_000.0)],
    ),
    "copilot_within_the_response": (
        {
            "type": "response.completed",
            "response": {
                "copilot_quota_snapshots": {"chat": {"entitlement": "50", "remaining": 20}}
            },
        },
        [native("chat", 60.0, limit=50.0, remaining=20.0)],
    ),
}


ERRORS: dict[str, tuple[str, int, Any, list[LimitReading]]] = {
    "codex": (
        "chatgpt_codex",
        429,
        {
            "error": {
                "type": "usage_limit_reached",
                "message": "…",
                "plan_type": "pro",
                "resets_at": 1_790_000_000,
            }
        },
        [native("usage_limit", 100.0, resets_at=1_790_000_000.0, status="rejected", name="pro")],
    ),
    "gemini_minute_in_a_list_of_one": (
        "gemini",
        429,
        [
            {
                "error": {
                    "code": 429,
                    "status": "RESOURCE_EXHAUSTED",
                    "details": [
                        {
                            "@type": "type.googleapis.com/google.rpc.QuotaFailure",
                            "violations": [
                                {
                                    "quotaMetric": "generativelanguage.googleapis.com/generate_content_free_tier_input_token_count",
                                    "quotaId": "GenerateContentInputTokensPerModelPerMinute-FreeTier",
                                    "quotaDimensions": {
                                        "location": "global",
                                        "model": "gemini-2.5-pro",
                                    },
                                    "quotaValue": "125000",
                                }
                            ],
                        },
                        {
                            "@type": "type.googleapis.com/google.rpc.RetryInfo",
                            "retryDelay": "34.07s",
                        },
                    ],
                }
            }
        ],
        [
            classic(
                "input_tokens_minute",
                limit=125_000.0,
                resets_at=NOW + 34.07,
                window_seconds=60.0,
                status="rejected",
                name="gemini-2.5-pro",
            )
        ],
    ),
    "gemini_day_is_not_over_in_a_minute": (
        "gemini",
        429,
        {
            "error": {
                "details": [
                    {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.07s"},
                    {
                        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
                        "violations": [
                            {
                                "quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier",
                                "quotaValue": "50",
                            }
                        ],
                    },
                ]
            }
        },
        [classic("requests_day", limit=50.0, window_seconds=86_400.0, status="rejected")],
    ),
    "gemini_day_with_its_end": (
        "gemini",
        429,
        {
            "error": {
                "details": [
                    {
                        "@type": "type.googleapis.com/google.rpc.RetryInfo",
                        "retryDelay": "51820.638305887s",
                    },
                    {
                        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
                        "violations": [
                            {"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}
                        ],
                    },
                ]
            }
        },
        [
            classic(
                "requests_day",
                resets_at=NOW + 51_820.638305887,
                window_seconds=86_400.0,
                status="rejected",
            )
        ],
    ),
    "google_only_says_wait": (
        "code_assist",
        429,
        {
            "error": {
                "details": [
                    {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1h2m3s"}
                ]
            }
        },
        [classic("retry_after", resets_at=NOW + 3723, status="rejected")],
    ),
    "google_overloaded_is_no_limit": (
        "gemini",
        503,
        {
            "error": {
                "code": 503,
                "details": [
                    {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "5s"}
                ],
            }
        },
        [],
    ),
    "openrouter": (
        "openrouter",
        429,
        {
            "error": {
                "code": 429,
                "message": "Rate limit exceeded: free-models-per-day",
                "metadata": {
                    "headers": {
                        "X-RateLimit-Limit": "50",
                        "X-RateLimit-Remaining": "0",
                        "X-RateLimit-Reset": "1785600000000",
                    }
                },
            }
        },
        [classic("requests", 100.0, limit=50.0, remaining=0.0, resets_at=1_785_600_000.0)],
    ),
    "an_error_about_something_else": (
        "openai",
        400,
        {"error": {"type": "invalid_request_error", "message": "no"}},
        [],
    ),
}


OAUTH_USAGE = {
    "five_hour": {
        "utilization": 1.0,
        "resets_at": "2026-06-30T17:20:00.261810+00:00",
        "limit_dollars": None,
    },
    "seven_day": {"utilization": 17.0, "resets_at": "2026-07-01T02:00:00+02:00"},
    "seven_day_opus": None,
    "seven_day_sonnet": {"utilization": 0.0, "resets_at": None},
    "seven_day_oauth_apps": None,
    "iguana_necktie": {"utilization": 55.0, "resets_at": None},
    "extra_usage": {
        "is_enabled": False,
        "monthly_limit": 2000,
        "used_credits": 514.0,
        "utilization": 25.7,
        "currency": "USD",
        "decimal_places": 2,
        "disabled_reason": None,
    },
}


QUOTA_ANSWERS: dict[str, tuple[str, str, Any, list[LimitReading]]] = {
    "anthropic_named_windows": (
        "api.anthropic.com",
        "/api/oauth/usage",
        OAUTH_USAGE,
        [
            native("5h", 1.0, resets_at=1_782_840_000.26181, window_seconds=HOURS_5),
            native("7d", 17.0, resets_at=1_782_864_000.0, window_seconds=DAYS_7),
            native("7d_sonnet", 0.0, window_seconds=DAYS_7),
            native("overage", 25.7, limit=20.0, remaining=14.86, status="disabled", name="USD"),
        ],
    ),
    "anthropic_list_of_windows": (
        "api.anthropic.com",
        "/api/oauth/usage",
        {
            "five_hour": {"utilization": 99.0, "resets_at": None},
            "limits": [
                {
                    "kind": "session",
                    "group": "session",
                    "percent": 1,
                    "severity": "normal",
                    "resets_at": "2026-07-01T00:00:00Z",
                },
                {
                    "kind": "weekly_all",
                    "group": "weekly",
                    "percent": 80,
                    "severity": "warning",
                    "resets_at": None,
                    "scope": None,
                },
                {
                    "kind": "weekly_scoped",
                    "group": "weekly",
                    "percent": 12.5,
                    "severity": "normal",
                    "resets_at": None,
                    "scope": {"model": {"id": None, "display_name": "Fable"}, "surface": None},
                    "is_active": True,
                },
            ],
            "extra_usage": {
                "is_enabled": True,
                "monthly_limit": 5000,
                "used_credits": 1250,
                "utilization": None,
            },
        },
        [
            native("5h", 1.0, resets_at=1_782_864_000.0, window_seconds=HOURS_5, status="normal"),
            native("7d", 80.0, window_seconds=DAYS_7, status="warning"),
            native("7d_fable", 12.5, window_seconds=DAYS_7, status="normal", name="Fable"),
            native("overage", 25.0, limit=50.0, remaining=37.5, status="allowed"),
        ],
    ),
    "chatgpt": (
        "chatgpt.com",
        "/backend-api/wham/usage?x=1",
        {
            "plan_type": "pro",
            "rate_limit": {
                "allowed": True,
                "limit_reached": False,
                "primary_window": {
                    "used_percent": 15,
                    "limit_window_seconds": 18_000,
                    "reset_after_seconds": 60,
                    "reset_at": 1_785_001_600,
                },
                "secondary_window": None,
            },
            "additional_rate_limits": [
                {
                    "limit_name": "spark",
                    "metered_feature": "codex_bengalfox",
                    "rate_limit": {
                        "primary_window": {
                            "used_percent": 3,
                            "limit_window_seconds": 604_800,
                            "reset_after_seconds": 60,
                        }
                    },
                }
            ],
            "credits": {"has_credits": True, "unlimited": False, "balance": "9.99"},
            "spend_control": {
                "reached": False,
                "individual_limit": {
                    "source": "workspace",
                    "limit": "200",
                    "used": "150",
                    "remaining": "50",
                    "used_percent": 75,
                    "remaining_percent": 25,
                    "reset_after_seconds": 600,
                    "reset_at": 1_785_000_600,
                },
            },
        },
        [
            native("5h", 15.0, resets_at=1_785_001_600.0, window_seconds=HOURS_5, status="allowed"),
            native("7d_bengalfox", 3.0, resets_at=NOW + 60, window_seconds=DAYS_7, name="spark"),
            native("credits", remaining=9.99),
            native(
                "spend", 75.0, limit=200.0, remaining=50.0, resets_at=NOW + 600, name="workspace"
            ),
        ],
    ),
    "chatgpt_member_at_the_end_of_a_budget": (
        "chatgpt.com",
        "/backend-api/wham/usage",
        {
            "spend_control": {
                "reached": True,
                "individual_limit": {"remaining_percent": 0, "reset_after_seconds": 60},
            }
        },
        [native("spend", 100.0, resets_at=NOW + 60, status="rejected")],
    ),
    "chatgpt_no_budget": (
        "chatgpt.com",
        "/backend-api/wham/usage",
        {"spend_control": {"reached": False, "individual_limit": None}},
        [],
    ),
    "chatgpt_other_base": (
        "chatgpt.com",
        "/api/codex/usage",
        {"rate_limit": None, "credits": None},
        [],
    ),
    "copilot": (
        "api.github.com",
        "/copilot_internal/user",
        {
            "quota_reset_date": "2026-07-01",
            "quota_snapshots": {
                "premium_interactions": {
                    "entitlement": 300,
                    "remaining": 225,
                    "percent_remaining": 75.0,
                    "unlimited": False,
                },
                "chat": {
                    "entitlement": 300,
                    "remaining": 300,
                    "percent_remaining": 100.0,
                    "unlimited": True,
                },
                "completions": {"entitlement": 0, "remaining": 0, "percent_remaining": 0},
            },
        },
        [
            native(
                "premium_interactions",
                25.0,
                limit=300.0,
                remaining=225.0,
                resets_at=1_782_864_000.0,
            )
        ],
    ),
    "code_assist": (
        "cloudcode-pa.googleapis.com",
        "/v1internal:retrieveUserQuota",
        {
            "buckets": [
                {
                    "modelId": "gemini-2.5-pro",
                    "tokenType": "REQUESTS",
                    "remainingFraction": 0.93,
                    "remainingAmount": "930",
                    "resetTime": "2026-07-01T00:00:00Z",
                },
                {"modelId": "gemini-2.5-flash"},
            ]
        },
        [
            native(
                "requests_gemini-2.5-pro",
                7.0,
                remaining=930.0,
                resets_at=1_782_864_000.0,
                name="gemini-2.5-pro",
            )
        ],
    ),
    "openrouter": (
        "openrouter.ai",
        "/api/v1/key",
        {"data": {"limit": 10, "limit_remaining": 7.5, "limit_reset": "weekly", "usage": 2.5}},
        [native("credits", 25.0, limit=10.0, remaining=7.5, window_seconds=DAYS_7, name="weekly")],
    ),
}
