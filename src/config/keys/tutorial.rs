//! The sections that only the tutorial's dialect has.

use super::Area::{Caching, Observability};
use super::Kind::{Any, Number, PerMinute, Secret, Span, Text, Texts, Usd, Whole};
use super::{Others, Section, on, planned};

pub(super) const USERS: Section = Section {
    path: "user_config",
    others: Others::Unknown,
    keys: &[
        on(
            "user_id",
            Text,
            "required",
            "who; made at start where nobody is called so",
        ),
        on("user_email", Text, "", "address"),
        on(
            "user_role",
            Text,
            "`internal_user`",
            "`app_user` and unknown words mean `internal_user`",
        ),
        on(
            "models",
            Texts,
            "all",
            "models that the user's keys may use",
        ),
        on("max_budget", Usd, "", "budget of all the user's keys"),
        on("budget_duration", Span, "", "its period"),
        on(
            "rpm_limit",
            PerMinute,
            "",
            "requests of all the user's keys",
        ),
        on("tpm_limit", PerMinute, "", "tokens of all the user's keys"),
    ],
};

pub(super) const RATE_LIMITS: Section = Section {
    path: "rate_limit_config",
    others: Others::Unknown,
    keys: &[
        on(
            "redis_host",
            Text,
            "",
            "as `router_settings.redis_host`, which wins; so the next ones",
        ),
        on("redis_port", Whole, "6379", ""),
        on("redis_password", Secret, "", ""),
        on("redis_db", Whole, "0", ""),
        on("redis_url", Secret, "", ""),
    ],
};

pub(super) const CACHE_SETTINGS: Section = Section {
    path: "cache_settings",
    others: Others::Unknown,
    keys: &[
        planned(
            Caching,
            "type",
            Text,
            "`redis`",
            "as in `litellm_settings.cache_params`, which wins; so the next ones",
        ),
        planned(Caching, "host", Text, "", ""),
        planned(Caching, "port", Whole, "6379", ""),
        planned(Caching, "password", Secret, "", ""),
        planned(
            Caching,
            "ttl",
            super::Kind::Seconds,
            "`litellm_settings.cache_ttl`",
            "",
        ),
        planned(
            Caching,
            "similarity_threshold",
            Number,
            "",
            "0 to 1; makes the cache semantic",
        ),
    ],
};

pub(super) const LOGGING: Section = Section {
    path: "logging",
    others: Others::Unknown,
    keys: &[
        planned(
            Observability,
            "type",
            Text,
            "required",
            "`datadog`, `sentry`, `langsmith`, …",
        ),
        planned(
            Observability,
            "*",
            Any,
            "",
            "settings of that service: `datadog_api_key`, `datadog_site`, `dsn`, `project_name`, `api_key`, …",
        ),
    ],
};
