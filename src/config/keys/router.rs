//! `router_settings`.

use super::Area::{Caching, Fleet, Routing};
use super::Kind::{Any, List, Map, Number, Path, Seconds, Secret, Switch, Text, Texts, Whole};
use super::{Key, Others, Section, ignored, on, planned, refused};

pub(super) const ROUTER: Section = Section {
    path: "router_settings",
    others: Others::Unknown,
    keys: &[
        on(
            "num_retries",
            Whole,
            "2",
            "retries within a group after the first attempt; at most 32 count",
        ),
        on(
            "retry_after",
            Seconds,
            "0",
            "least pause before a retry that has to wait; 8 s at most count",
        ),
        on("timeout", Seconds, "", "one attempt"),
        on(
            "stream_timeout",
            Seconds,
            "`timeout`",
            "one streamed attempt: its gaps",
        ),
        on(
            "fallbacks",
            List,
            "",
            "list of `group: [groups]`; `*` stands for every group without an entry",
        ),
        on(
            "context_window_fallbacks",
            List,
            "`fallbacks`",
            "for prompts that are too long",
        ),
        on(
            "content_policy_fallbacks",
            List,
            "`fallbacks`",
            "for refusals",
        ),
        on(
            "default_fallbacks",
            Texts,
            "",
            "the `*` entry of `fallbacks`",
        ),
        on(
            "max_fallbacks",
            Whole,
            "5",
            "how deep fallbacks of fallbacks are followed",
        ),
        on(
            "allowed_fails",
            Whole,
            "by error rate",
            "failures within one cooldown time that are allowed",
        ),
        on(
            "cooldown_time",
            Seconds,
            "5",
            "pause of a failing deployment",
        ),
        on("disable_cooldowns", Switch, "false", "no pauses"),
        on(
            "model_group_alias",
            Map,
            "",
            "`alias: group`, or `alias: {model: group, hidden: true}`",
        ),
        on(
            "model_group_alias_map",
            Map,
            "",
            "another word for `model_group_alias`",
        ),
        on(
            "routing_strategy",
            Text,
            "`simple-shuffle`",
            "how a deployment is picked: `simple-shuffle`, `least-busy`, `latency-based-routing`, `usage-based-routing`, `usage-based-routing-v2`, `cost-based-routing`, `power-of-two-choices`",
        ),
        on(
            "routing_strategy_args",
            Map,
            "",
            "numbers of the strategy; see its own table",
        ),
        planned(
            Routing,
            "routing_groups",
            List,
            "",
            "a strategy for some groups",
        ),
        on(
            "allowed_fails_policy",
            Map,
            "",
            "`allowed_fails` by class of error; see its own table",
        ),
        on(
            "retry_policy",
            Map,
            "",
            "`num_retries` by class of error; see its own table",
        ),
        on(
            "model_group_retry_policy",
            Map,
            "`retry_policy`",
            "`group: {…}`: the same by group, class by class",
        ),
        on(
            "enable_pre_call_checks",
            Switch,
            "false",
            "a chat goes only to deployments whose `max_input_tokens` its prompt fits into",
        ),
        on(
            "enable_pre_call_check",
            Switch,
            "false",
            "another word for it",
        ),
        planned(
            Routing,
            "optional_pre_call_checks",
            Texts,
            "",
            "further filters by name",
        ),
        on(
            "enable_tag_filtering",
            Switch,
            "false",
            "a request's tags decide which deployments may answer",
        ),
        on(
            "tag_filtering_match_any",
            Switch,
            "true",
            "one tag in common is enough; else all of the request's",
        ),
        planned(Routing, "tag_routing_prefix", Text, "", "which tags route"),
        on(
            "provider_budget_config",
            Map,
            "",
            "`provider: {budget_limit: USD, time_period: 1d}`: what may be spent at a provider",
        ),
        planned(
            Routing,
            "enable_weighted_failover",
            Switch,
            "false",
            "pick again by weight after a failure",
        ),
        on(
            "default_max_parallel_requests",
            Whole,
            "no limit",
            "for deployments without their own",
        ),
        planned(
            Routing,
            "default_litellm_params",
            Map,
            "",
            "parameters of every deployment",
        ),
        on(
            "redis_url",
            Secret,
            "`REDIS_URL`",
            "where replicas share limits, budgets and cooldowns: `redis://…`, over TLS `rediss://…`; wins over the next ones",
        ),
        on("redis_host", Text, "`REDIS_HOST`", "the same in parts"),
        on("redis_port", Whole, "6379", "as above"),
        on("redis_username", Text, "", "as above"),
        on("redis_password", Secret, "", "as above"),
        on("redis_db", Whole, "0", "as above"),
        on(
            "redis_ssl",
            Switch,
            "false",
            "TLS; the certificate is checked",
        ),
        on(
            "redis_ssl_ca_certs",
            Path,
            "",
            "who may sign the server's certificate, as PEM; without it the system's authorities, else Mozilla's",
        ),
        on(
            "redis_ssl_certfile",
            Path,
            "",
            "our own certificate, as PEM, for a server that asks for one; with the next one",
        ),
        on("redis_ssl_keyfile", Path, "", "its key, as PEM"),
        on(
            "redis_ssl_cert_reqs",
            Text,
            "`required`",
            "certificates are always checked: anything else is refused",
        ),
        on(
            "redis_startup_nodes",
            Any,
            "`REDIS_CLUSTER_NODES`",
            "nodes of a Redis Cluster, `[{host: a, port: 7001}, …]`; any of them tells of the others; wins over the URL",
        ),
        refused("redis_cluster_nodes", Any, "write `redis_startup_nodes`"),
        on(
            "redis_sentinel_nodes",
            Any,
            "`REDIS_SENTINEL_NODES`",
            "sentinels that know the server, `[[a, 26379], …]`; user, password and number above are the server's",
        ),
        on(
            "redis_service_name",
            Text,
            "`REDIS_SERVICE_NAME`",
            "what sentinels call the server, such as `mymaster`",
        ),
        on("redis_sentinel_username", Text, "", "the sentinels' own"),
        on(
            "redis_sentinel_password",
            Secret,
            "`REDIS_SENTINEL_PASSWORD`",
            "as above",
        ),
        planned(
            Fleet,
            "redis_*",
            Any,
            "",
            "further settings of the connection",
        ),
        planned(
            Fleet,
            "cache_kwargs",
            Map,
            "",
            "further settings of the connection",
        ),
        planned(
            Caching,
            "cache_responses",
            Switch,
            "false",
            "response cache",
        ),
        planned(
            Caching,
            "caching_groups",
            List,
            "",
            "groups that share entries",
        ),
        planned(Caching, "cache_*", Any, "", "further settings of the cache"),
        ignored(
            "client_ttl",
            Seconds,
            "connections to providers are kept by their own rule",
        ),
        ignored(
            "debug_level",
            Text,
            "the log level is `general_settings.log_level`",
        ),
        ignored(
            "set_verbose",
            Switch,
            "the log level is `general_settings.log_level`",
        ),
        on(
            "enable_health_check_routing",
            Switch,
            "false",
            "as in `general_settings`",
        ),
        on(
            "health_check_staleness_threshold",
            Seconds,
            "2 intervals",
            "as in `general_settings`",
        ),
        on(
            "health_check_ignore_transient_errors",
            Switch,
            "false",
            "as in `general_settings`",
        ),
        planned(
            Routing,
            "deployment_affinity_ttl_seconds",
            Seconds,
            "3600",
            "how long a caller stays with a deployment",
        ),
        planned(
            Routing,
            "model_group_affinity_config",
            Map,
            "",
            "the same by group",
        ),
        ignored(
            "ignore_invalid_deployments",
            Switch,
            "an entry that cannot be served is left out with a warning, one that cannot be read is an error",
        ),
    ],
};

pub(super) const STRATEGY_ARGS: Section = Section {
    path: "router_settings.routing_strategy_args",
    others: Others::Unknown,
    keys: &[
        on(
            "ttl",
            Seconds,
            "3600",
            "`latency-based-routing`: how long a latency counts that nobody renews",
        ),
        on(
            "lowest_latency_buffer",
            Number,
            "0",
            "`latency-based-routing`: share by which one may be slower than the quickest and still be picked",
        ),
        ignored(
            "max_latency_list_size",
            Whole,
            "latencies are moving averages that forget by time",
        ),
        ignored(
            "rolling_window_size",
            Whole,
            "latencies are moving averages that forget by time",
        ),
    ],
};

pub(super) const RETRY_POLICY: Section = Section {
    path: "router_settings.retry_policy",
    others: Others::Unknown,
    keys: RETRIES,
};

pub(super) const ALLOWED_FAILS_POLICY: Section = Section {
    path: "router_settings.allowed_fails_policy",
    others: Others::Unknown,
    keys: ALLOWED_FAILS,
};

/// The same for one deployment.
pub(super) const OWN_ALLOWED_FAILS_POLICY: Section = Section {
    path: "model_list.model_info.allowed_fails_policy",
    others: Others::Unknown,
    keys: ALLOWED_FAILS,
};

const RETRIES: &[Key] = &[
    on(
        "BadRequestErrorRetries",
        Whole,
        "",
        "400s of the request, prompts that are too long among them",
    ),
    on("AuthenticationErrorRetries", Whole, "", "401"),
    on(
        "TimeoutErrorRetries",
        Whole,
        "",
        "408, 504, a timer that ran out",
    ),
    on("RateLimitErrorRetries", Whole, "", "429"),
    on(
        "ContentPolicyViolationErrorRetries",
        Whole,
        "",
        "refusals by content policy",
    ),
    on(
        "InternalServerErrorRetries",
        Whole,
        "",
        "5xx, no connection, a broken answer, a cut stream",
    ),
];

const ALLOWED_FAILS: &[Key] = &[
    on(
        "BadRequestErrorAllowedFails",
        Whole,
        "",
        "400s of the request, prompts that are too long among them",
    ),
    on("AuthenticationErrorAllowedFails", Whole, "", "401"),
    on(
        "TimeoutErrorAllowedFails",
        Whole,
        "",
        "408, 504, a timer that ran out",
    ),
    on("RateLimitErrorAllowedFails", Whole, "", "429"),
    on(
        "ContentPolicyViolationErrorAllowedFails",
        Whole,
        "",
        "refusals by content policy",
    ),
    on(
        "InternalServerErrorAllowedFails",
        Whole,
        "",
        "5xx, no connection, a broken answer, a cut stream",
    ),
];
