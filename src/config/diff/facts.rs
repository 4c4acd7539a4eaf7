//! What a configuration says, as facts: subject, name, value.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};

use super::Part;
use crate::config::excerpt::scrub;
use crate::config::health::{DeploymentChecks, HealthSettings};
use crate::config::model::{
    Budget, BudgetSettings, ByError, ClientGone, Config, CountedTokens, DeploymentConfig, Fsync,
    JournalSettings, QueueSettings, UserConfig, WhenFull,
};
use crate::config::secret::Secret;
use crate::config::sharing::{SharedBy, SharingSettings};
use crate::cost::PriceBook;

/// Part and name.
pub(super) type Subject = (Part, String);

/// A value, and what it is compared by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fact {
    pub(super) shown: String,
    secret: Option<Secret>,
}

/// What each subject is, by name.
#[derive(Debug, Default)]
pub(super) struct Facts(pub(super) BTreeMap<Subject, BTreeMap<String, Fact>>);

impl Facts {
    pub(super) fn of(config: &Config) -> Self {
        let mut facts = Self::default();
        for one in &config.deployments {
            facts.deployment(one, &config.price_book);
        }
        facts.routes(config);
        facts.settings(config);
        for user in &config.users {
            facts.user(user);
        }
        facts
    }

    /// Adds a fact about `subject`, if there is a value.
    pub(super) fn say(&mut self, subject: &Subject, name: &str, value: Option<impl ToString>) {
        let facts = self.0.entry(subject.clone()).or_default();
        if let Some(value) = value {
            let fact = Fact {
                shown: value.to_string(),
                secret: None,
            };
            facts.insert(name.to_owned(), fact);
        }
    }

    pub(super) fn say_secret(&mut self, subject: &Subject, name: &str, value: Option<&Secret>) {
        let facts = self.0.entry(subject.clone()).or_default();
        if let Some(value) = value {
            let fact = Fact {
                shown: "(a secret)".to_owned(),
                secret: Some(value.clone()),
            };
            facts.insert(name.to_owned(), fact);
        }
    }

    fn deployment(&mut self, one: &DeploymentConfig, book: &PriceBook) {
        let mut address = one.api_base.clone();
        address.set_query(None);
        let called = format!(
            "{} → {}/{} at {address}",
            one.model_name, one.provider.name, one.upstream_model
        );
        // Equal ones are told apart by their number: which of them changes says nothing.
        let mut subject = (Part::Models, called.clone());
        let mut number = 1;
        while self.0.contains_key(&subject) {
            number += 1;
            subject.1 = format!("{called} ({number})");
        }
        self.say_secret(&subject, "api_key", one.api_key.as_ref());
        let query = one.api_base.query().map(Secret::new);
        self.say_secret(&subject, "query of api_base", query.as_ref());
        for (name, value) in &one.extra_headers {
            self.say_secret(&subject, &format!("header {name}"), Some(value));
        }
        let json = |map: &Map<String, Value>| {
            (!map.is_empty()).then(|| Secret::new(Value::Object(map.clone()).to_string()))
        };
        self.say_secret(&subject, "extra_body", json(&one.extra_body).as_ref());
        for (name, value) in &one.defaults {
            self.say(&subject, name, Some(scrub(&value.to_string())));
        }
        self.say(&subject, "organization", one.organization.as_ref());
        self.say(&subject, "timeout", seconds(one.timeout_secs));
        self.say(&subject, "stream_timeout", seconds(one.stream_timeout_secs));
        self.say(&subject, "weight", one.weight);
        self.say(&subject, "rpm", one.rpm);
        self.say(&subject, "tpm", one.tpm);
        self.say(&subject, "order", one.order);
        self.say(&subject, "max_parallel_requests", one.max_parallel_requests);
        self.say(&subject, "cooldown_time", seconds(one.cooldown_time_secs));
        self.say(&subject, "num_retries", one.num_retries);
        self.say(&subject, "allowed_fails", one.allowed_fails);
        self.say(
            &subject,
            "allowed_fails_policy",
            by_error(one.allowed_fails_policy),
        );
        self.say(&subject, "tags", list(&one.tags));
        self.say(&subject, "blocked", one.blocked.then_some(true));
        let team = one.team.as_ref();
        self.say(&subject, "team_id", team.map(|team| &team.team_id));
        self.say(&subject, "max_budget", one.budget.as_ref().map(spendable));
        self.say(&subject, "drop_params", one.drop_params);
        self.say(
            &subject,
            "stream_resume",
            one.stream_resume.then_some("prefill"),
        );
        self.say(
            &subject,
            "additional_drop_params",
            list(&one.additional_drop_params),
        );
        self.say(
            &subject,
            "allowed_openai_params",
            list(&one.allowed_openai_params),
        );
        self.say(&subject, "mock_response", one.mock_response.as_ref());
        let info = &one.model_info;
        self.say(&subject, "mode", info.mode.as_ref());
        self.say(&subject, "access_groups", list(&info.access_groups));
        let checks = &info.checks;
        let off = checks.off.then_some("off");
        self.say(&subject, "background health check", off);
        self.say(&subject, "health_check_model", checks.model.as_ref());
        // What counts for everybody says nothing of this one.
        let timeout =
            Some(checks.timeout).filter(|own| *own != DeploymentChecks::default().timeout);
        self.say(&subject, "health_check_timeout", timeout.map(shown));
        self.say(&subject, "health_check_max_tokens", checks.max_tokens);
        self.say(&subject, "max_tokens", info.max_tokens);
        self.say(&subject, "max_input_tokens", info.max_input_tokens);
        self.say(&subject, "max_output_tokens", info.max_output_tokens);
        let price = one.price(book, &one.upstream_model).unwrap_or_default();
        for figure in price.figures() {
            let name = format!("price {}{}", figure.part.name(), figure.when);
            let value = format!("{} USD per {}", figure.usd, figure.part.unit().name());
            self.say(&subject, &name, Some(value));
        }
        if let Some(terms) = price.terms() {
            self.say(&subject, "discount", Some(terms.discount));
            self.say(&subject, "margin", Some(terms.margin));
            self.say(&subject, "margin per call", Some(terms.fixed));
        }
    }

    fn routes(&mut self, config: &Config) {
        let router = &config.router;
        let subject = (Part::Routes, "router".to_owned());
        self.say(&subject, "num_retries", Some(router.num_retries));
        self.say(&subject, "retry_after", Some(shown(router.retry_after)));
        self.say(&subject, "max_fallbacks", Some(router.max_fallbacks));
        self.say(&subject, "allowed_fails", router.allowed_fails);
        self.say(&subject, "cooldown_time", Some(shown(router.cooldown_time)));
        self.say(
            &subject,
            "disable_cooldowns",
            Some(router.disable_cooldowns),
        );
        self.say(&subject, "routing_strategy", Some(&router.routing_strategy));
        let args = router.strategy_args;
        let buffer = Some(args.lowest_latency_buffer);
        self.say(&subject, "lowest_latency_buffer", buffer);
        self.say(&subject, "latency ttl", Some(shown(args.ttl)));
        for (name, policy) in [
            ("retry_policy", router.retry_policy),
            ("allowed_fails_policy", router.allowed_fails_policy),
        ] {
            self.say(&subject, name, by_error(policy));
        }
        for (group, policy) in &router.model_group_retry_policy {
            let name = format!("retry_policy of {group}");
            self.say(&subject, &name, by_error(*policy));
        }
        self.say(
            &subject,
            "enable_tag_filtering",
            Some(router.enable_tag_filtering),
        );
        self.say(
            &subject,
            "tag_filtering_match_any",
            Some(router.tag_filtering_match_any),
        );
        self.say(
            &subject,
            "enable_pre_call_checks",
            Some(router.enable_pre_call_checks),
        );
        self.say(
            &subject,
            "default_max_parallel_requests",
            router.default_max_parallel_requests,
        );
        for (provider, budget) in &router.provider_budgets {
            let name = format!("budget of {provider}");
            self.say(&subject, &name, Some(spendable(budget)));
        }
        self.say(&subject, "drop_params", Some(config.litellm.drop_params));
        let aliases = (Part::Routes, "aliases".to_owned());
        for (alias, group) in &router.model_group_alias {
            self.say(&aliases, alias, Some(group));
        }
        for (kind, pairs) in [
            ("fallbacks", Some(&router.fallbacks)),
            (
                "context_window_fallbacks",
                router.context_window_fallbacks.as_ref(),
            ),
            (
                "content_policy_fallbacks",
                router.content_policy_fallbacks.as_ref(),
            ),
        ] {
            let subject = (Part::Routes, kind.to_owned());
            for (group, targets) in pairs.into_iter().flatten() {
                self.say(&subject, group, Some(targets.join(", then ")));
            }
        }
    }

    fn settings(&mut self, config: &Config) {
        let limits = (Part::Limits, "everybody".to_owned());
        let general = &config.general;
        self.say(
            &limits,
            "max_parallel_requests of a key",
            general.max_parallel_requests,
        );
        self.say(&limits, "global_max_rpm", general.global_max_rpm);
        self.say(&limits, "global_max_tpm", general.global_max_tpm);
        self.say(
            &limits,
            "global_max_parallel_requests",
            general.global_max_parallel_requests,
        );
        self.say(
            &limits,
            "max_body_bytes",
            Some(config.server.max_body_bytes),
        );

        let timers = (Part::Timeouts, "timers".to_owned());
        let drained = match config.server.client_gone {
            ClientGone::Cancel => None,
            ClientGone::Drain(bounds) => Some(bounds.time),
        };
        let timeouts = &config.server.timeouts;
        for (name, value) in [
            ("connect", Some(timeouts.connect)),
            ("first_byte", Some(timeouts.first_byte)),
            ("first_content", Some(timeouts.first_content)),
            ("idle", Some(timeouts.idle)),
            ("total", Some(timeouts.total)),
            ("request", Some(timeouts.request)),
            ("header_wait", Some(timeouts.header_wait)),
            ("client_gone.drain", drained),
            ("shutdown", Some(config.server.shutdown_timeout)),
            ("timeout", config.router.timeout),
            ("stream_timeout", config.router.stream_timeout),
        ] {
            self.say(&timers, name, value.map(shown));
        }
        self.say(
            &timers,
            "request_timeout",
            seconds(config.litellm.request_timeout_secs),
        );
        self.gateway(config);
    }

    fn journal(&mut self, journal: JournalSettings) {
        let here = (Part::Gateway, "journal".to_owned());
        let fsync = match journal.fsync {
            Fsync::Always => "always".to_owned(),
            Fsync::Interval(every) => format!("every {}", shown(every)),
            Fsync::Never => "never".to_owned(),
        };
        let when_full = match journal.when_full {
            WhenFull::Refuse => "refuse",
            WhenFull::Unrecorded => "unrecorded",
        };
        self.say(&here, "fsync", Some(fsync));
        self.say(&here, "max_bytes", Some(journal.max_bytes));
        self.say(&here, "when_full", Some(when_full));
    }

    fn sharing(&mut self, sharing: Option<&SharingSettings>) {
        let here = (Part::Gateway, "shares".to_owned());
        let Some(sharing) = sharing else { return };
        let by = match sharing.by {
            SharedBy::Keys => "keys",
            SharedBy::Priorities => "priorities",
        };
        self.say(&here, "callbacks", Some(by));
        let reserved = format!("{:?}", sharing.reserved);
        self.say(&here, "priority_reservation", Some(reserved));
        self.say(&here, "default_priority", Some(sharing.default_part));
        self.say(&here, "saturation_threshold", Some(sharing.threshold));
    }

    fn queue(&mut self, queue: Option<QueueSettings>) {
        let here = (Part::Gateway, "queue".to_owned());
        let wait = queue.map_or(Duration::ZERO, |queue| queue.max_wait);
        self.say(&here, "max_wait_secs", Some(shown(wait)));
        let Some(queue) = queue else { return };
        self.say(&here, "max_waiting", Some(queue.max_waiting));
        let most = queue.max_waiting_per_subject;
        self.say(&here, "max_waiting_per_subject", Some(most));
    }

    /// How long what is kept.
    fn kept(&mut self, gateway: &Subject, config: &Config) {
        let general = &config.general;
        let period = general.spend_retention.map(shown);
        self.say(gateway, "maximum_spend_logs_retention_period", period);
        let interval = Some(shown(general.retention_interval));
        self.say(gateway, "maximum_spend_logs_retention_interval", interval);
        let is_on = config.transcripts.is_some();
        self.say(gateway, "store_prompts_in_spend_logs", Some(is_on));
        let Some(transcripts) = config.transcripts else {
            return;
        };
        let here = (Part::Gateway, "transcripts".to_owned());
        self.say(&here, "retention", Some(shown(transcripts.retention)));
        for (name, value) in [
            ("max_text_chars", transcripts.max_text_chars),
            ("max_body_bytes", transcripts.max_body_bytes),
            ("buffer_bytes", transcripts.buffer_bytes),
        ] {
            self.say(&here, name, Some(value));
        }
    }

    fn gateway(&mut self, config: &Config) {
        let general = &config.general;
        let gateway = (Part::Gateway, "gateway".to_owned());
        self.say_secret(&gateway, "master_key", general.master_key.as_ref());
        self.say(&gateway, "database_url", Some(&general.database_url));
        self.say(
            &gateway,
            "database_connection_pool_limit",
            general.database_connection_pool_limit,
        );
        self.say(
            &gateway,
            "database_connection_timeout",
            general.database_connection_timeout.map(shown),
        );
        let ttl = general.user_api_key_cache_ttl;
        self.say(&gateway, "user_api_key_cache_ttl", Some(shown(ttl)));
        self.kept(&gateway, config);
        let stale = config.server.stale_keys;
        self.say(&gateway, "stale_keys_secs", Some(shown(stale)));
        let receipts = config.server.receipts;
        self.say(&gateway, "receipts.headers", Some(receipts.headers));
        let comment = receipts.stream_comment;
        self.say(&gateway, "receipts.stream_comment", Some(comment));
        self.say(
            &gateway,
            "litellm_key_header_name",
            general.litellm_key_header_name.as_ref(),
        );
        self.say(
            &gateway,
            "user_header_name",
            general.user_header_name.as_ref(),
        );
        let addresses = &general.allowed_ips;
        self.say(
            &gateway,
            "allowed_ips",
            (!addresses.is_empty()).then(|| addresses.join(", ")),
        );
        self.say(
            &gateway,
            "store_model_in_db",
            Some(general.store_model_in_db),
        );
        self.say(
            &gateway,
            "always_include_stream_usage",
            Some(general.always_include_stream_usage),
        );
        self.say(&gateway, "log_level", Some(&general.log_level));
        let litellm = &config.litellm;
        self.say(
            &gateway,
            "require_auth_for_metrics_endpoint",
            Some(litellm.require_auth_for_metrics_endpoint),
        );
        self.say(
            &gateway,
            "include_cost_in_streaming_usage",
            Some(litellm.include_cost_in_streaming_usage),
        );
        self.say(
            &gateway,
            "block_requests_for_models_without_pricing",
            Some(litellm.block_requests_for_models_without_pricing),
        );
        self.budgets(&gateway, &config.budgets);
        let server = &config.server;
        self.say(&gateway, "host", server.host.as_ref());
        self.say(&gateway, "port", Some(server.port));
        self.say(&gateway, "workers", server.workers);
        self.say(&gateway, "data_dir", Some(server.data_dir.display()));
        self.journal(server.journal);
        self.queue(server.queue);
        self.sharing(config.sharing.as_ref());
        self.health(&config.health);
        self.redis(&gateway, config.redis.as_ref());
        let closed = config.general.fail_closed_limits;
        self.say(&gateway, "fail_closed_rate_limit_enforcement", Some(closed));
        let counted = match config.general.counted_tokens {
            CountedTokens::Total => "total",
            CountedTokens::Input => "input",
            CountedTokens::Output => "output",
        };
        self.say(&gateway, "token_rate_limit_type", Some(counted));
        let cache = config.cache.as_ref();
        self.say(&gateway, "cache", cache.map(|cache| cache.kind.clone()));
        self.say(
            &gateway,
            "cache ttl",
            seconds(cache.and_then(|cache| cache.ttl_secs)),
        );
        for export in &config.log_exports {
            self.say(
                &gateway,
                &format!("logging to {}", export.kind),
                Some("yes"),
            );
        }
    }

    fn budgets(&mut self, gateway: &Subject, budgets: &BudgetSettings) {
        for (name, budget) in [
            ("max_budget", &budgets.global),
            ("max_internal_user_budget", &budgets.default_user),
            ("max_end_user_budget", &budgets.default_end_user),
        ] {
            self.say(gateway, name, budget.as_ref().map(spendable));
        }
        self.say(
            gateway,
            "max_end_user_budget_id",
            budgets.default_end_user_id.as_ref(),
        );
        for (tag, budget) in &budgets.tags {
            let name = format!("budget of tag {tag}");
            self.say(gateway, &name, Some(spendable(budget)));
        }
        for (name, switch) in [
            ("apply_user_budget_to_team_keys", budgets.users_on_team_keys),
            ("budget_rollover", budgets.carries_over),
        ] {
            self.say(gateway, name, Some(switch));
        }
        let status = budgets.exceeded_status;
        self.say(gateway, "budget_exceeded_status_code", Some(status));
        let zone = budgets.zone.iana_name().unwrap_or("UTC");
        self.say(gateway, "timezone", Some(zone));
        self.say(gateway, "budget_reset_time", Some(budgets.day_begins));
    }

    fn health(&mut self, health: &HealthSettings) {
        let subject = (Part::Gateway, "health checks".to_owned());
        let every = health.background.then(|| shown(health.interval));
        self.say(&subject, "interval", every);
        self.say(&subject, "by", Some(health.by.as_str()));
        self.say(&subject, "concurrency", Some(health.concurrency));
        self.say(&subject, "groups", list(&health.groups));
        self.say(&subject, "details", Some(health.details));
        let counts = health.routing.then(|| shown(health.staleness));
        self.say(&subject, "passed over for", counts);
        self.say(&subject, "ignore_transient", Some(health.ignore_transient));
        let only = health.list_healthy_only;
        self.say(&subject, "model_list_healthy_only", Some(only));
    }

    fn user(&mut self, user: &UserConfig) {
        let subject = (Part::Users, user.user_id.clone());
        self.say(&subject, "role", Some(&user.role));
        self.say(&subject, "email", user.email.as_ref());
        self.say(&subject, "models", list(&user.models));
        self.say(&subject, "rpm_limit", user.rpm_limit);
        self.say(&subject, "tpm_limit", user.tpm_limit);
        self.say(
            &subject,
            "max_budget",
            user.max_budget
                .map(|usd| format!("{} USD", usd.normalize())),
        );
        self.say(&subject, "budget_duration", user.budget_duration.as_ref());
    }
}

fn seconds(value: Option<f64>) -> Option<String> {
    value.map(|value| format!("{value} s"))
}

pub(super) fn shown(value: Duration) -> String {
    format!("{} s", value.as_secs_f64())
}

fn list(values: &[String]) -> Option<String> {
    (!values.is_empty()).then(|| values.join(", "))
}

fn spendable(budget: &Budget) -> String {
    let limit = budget.limit.normalize();
    match budget.period {
        Some(period) => format!("{limit} USD in {}", shown(period)),
        None => format!("{limit} USD"),
    }
}

/// A policy that names nothing is none.
fn by_error(policy: ByError) -> Option<ByError> {
    (policy != ByError::default()).then_some(policy)
}
