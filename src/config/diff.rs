//! What a gateway would do differently with another configuration: models, deployments, routes, limits, prices, users,
//! timeouts, access. Order, comments and spelling of the files do not count, nor do ids that come from the spelling.
//!
//! Each configuration is told as facts (subject, name, value), and the facts are compared. A secret is compared and
//! never shown.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::excerpt::scrub;
use super::health::{DeploymentChecks, HealthSettings};
use super::model::{
    Budget, BudgetSettings, ByError, ClientGone, Config, DeploymentConfig, Fsync, JournalSettings,
    UserConfig, WhenFull,
};
use super::secret::Secret;
use crate::cost::PriceBook;

/// Everything that differs; empty when both behave the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference(pub Vec<Change>);

/// One thing that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Which part of the gateway.
    pub area: Part,
    /// `gpt-4o → openai/gpt-4o at https://…`, `user u1`, a setting's section.
    pub subject: String,
    /// What of it changes; absent when the subject comes or goes as a whole.
    pub name: Option<String>,
    /// Before; absent when it was not there.
    pub old: Option<String>,
    /// After; absent when it is gone.
    pub new: Option<String>,
}

/// The parts of the report, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Deployments and their settings.
    Models,
    /// Aliases, fallbacks, retries, cooldowns.
    Routes,
    /// Limits of everybody.
    Limits,
    /// `user_config`.
    Users,
    /// Timers.
    Timeouts,
    /// Keys, database, sharing, caching, reporting.
    Gateway,
}

impl Part {
    fn title(self) -> &'static str {
        match self {
            Self::Models => "Models",
            Self::Routes => "Routes",
            Self::Limits => "Limits",
            Self::Users => "Users",
            Self::Timeouts => "Timeouts",
            Self::Gateway => "Gateway",
        }
    }
}

/// Compares two configurations.
pub fn diff(old: &Config, new: &Config) -> Difference {
    let (old, new) = (Facts::of(old), Facts::of(new));
    let subjects: BTreeSet<&Subject> = old.0.keys().chain(new.0.keys()).collect();
    let none = BTreeMap::new();
    let mut changes = Vec::new();
    for subject in subjects {
        let (area, name) = subject;
        let change = |what: Option<&String>, old: Option<String>, new: Option<String>| Change {
            area: *area,
            subject: name.clone(),
            name: what.cloned(),
            old,
            new,
        };
        // Settings always exist; a deployment, a user, an alias may come and go.
        let whole = matches!(area, Part::Models | Part::Users);
        match (old.0.get(subject), new.0.get(subject)) {
            (None, Some(facts)) if whole => {
                changes.push(change(None, None, Some(summary(facts))));
            }
            (Some(facts), None) if whole => {
                changes.push(change(None, Some(summary(facts)), None));
            }
            (old, new) => {
                let (old, new) = (old.unwrap_or(&none), new.unwrap_or(&none));
                let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
                for fact in names {
                    let (before, after) = (old.get(fact), new.get(fact));
                    if before != after {
                        let shown = |value: Option<&Fact>| value.map(|value| value.shown.clone());
                        changes.push(change(Some(fact), shown(before), shown(after)));
                    }
                }
            }
        }
    }
    Difference(changes)
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

fn summary(facts: &BTreeMap<String, Fact>) -> String {
    let facts: Vec<String> = facts
        .iter()
        .map(|(name, fact)| format!("{name} {}", fact.shown))
        .collect();
    facts.join(", ")
}

type Subject = (Part, String);

/// A value, and what it is compared by.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fact {
    shown: String,
    secret: Option<Secret>,
}

#[derive(Debug, Default)]
struct Facts(BTreeMap<Subject, BTreeMap<String, Fact>>);

impl Facts {
    fn of(config: &Config) -> Self {
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
    fn say(&mut self, subject: &Subject, name: &str, value: Option<impl ToString>) {
        let facts = self.0.entry(subject.clone()).or_default();
        if let Some(value) = value {
            let fact = Fact {
                shown: value.to_string(),
                secret: None,
            };
            facts.insert(name.to_owned(), fact);
        }
    }

    fn say_secret(&mut self, subject: &Subject, name: &str, value: Option<&Secret>) {
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
        self.health(&config.health);
        let redis = config.redis.as_ref();
        self.say(&gateway, "redis", redis.map(|redis| redis.shown.clone()));
        self.say_secret(&gateway, "redis_url", redis.map(|redis| &redis.url));
        self.say(
            &gateway,
            "fleet namespace",
            redis.map(|redis| redis.namespace.clone()),
        );
        self.say(
            &gateway,
            "fleet deadline_secs",
            redis.map(|redis| shown(redis.deadline)),
        );
        let closed = config.general.fail_closed_limits;
        self.say(&gateway, "fail_closed_rate_limit_enforcement", Some(closed));
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

fn shown(value: Duration) -> String {
    format!("{} s", value.as_secs_f64())
}

fn list(values: &[String]) -> Option<String> {
    (!values.is_empty()).then(|| values.join(", "))
}

// === impl Difference ===

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return writeln!(f, "No difference in behaviour.");
        }
        let mut part = None;
        for change in &self.0 {
            if part != Some(change.area) {
                writeln!(f, "{}:", change.area.title())?;
                part = Some(change.area);
            }
            writeln!(f, "  {change}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let none = "not set";
        match (&self.name, &self.old, &self.new) {
            (None, None, Some(new)) if new.is_empty() => write!(f, "+ {}", self.subject),
            (None, None, Some(new)) => write!(f, "+ {} ({new})", self.subject),
            (None, _, _) => write!(f, "- {}", self.subject),
            (Some(name), old, new) if old == new => {
                write!(f, "~ {}: {name} changes (not shown)", self.subject)
            }
            (Some(name), old, new) => write!(
                f,
                "~ {}: {name}: {} → {}",
                self.subject,
                old.as_deref().unwrap_or(none),
                new.as_deref().unwrap_or(none)
            ),
        }
    }
}

impl Difference {
    /// `[{"area", "subject", "name", "old", "new"}]`; a secret that changes has equal texts.
    pub fn to_json(&self) -> Value {
        let changes = self.0.iter().map(|change| {
            json!({
                "area": change.area.title().to_ascii_lowercase(),
                "subject": change.subject,
                "name": change.name,
                "old": change.old,
                "new": change.new,
            })
        });
        Value::Array(changes.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::diff;
    use crate::config::{CliOverrides, Config, ConfigSource, MapEnv, load};

    fn config(text: &str) -> Config {
        let source = ConfigSource::Text {
            name: "config.yaml",
            text,
        };
        load(source, &CliOverrides::default(), &MapEnv::default())
            .unwrap_or_else(|err| panic!("{err}"))
    }

    const OLD: &str = "model_list:
- {model_name: a, litellm_params: {model: openai/gpt-4o, api_key: sk-one-1234, rpm: 10}}
- {model_name: b, litellm_params: {model: openai/gpt-4o-mini, api_key: sk-one-1234}}
router_settings: {fallbacks: [{a: [b]}]}
user_config: [{user_id: u, rpm_limit: 5}]
";

    #[test]
    fn text_alone_is_no_difference() {
        let other = "# Comment\nuser_config:\n- rpm_limit: '5'\n  user_id: u\nlitellm_settings:\n  fallbacks: [{a: b}]\nmodel_list:\n- litellm_params:\n    rpm: 10\n    api_key: sk-one-1234\n    model: openai/gpt-4o\n  model_name: a\n- {model_name: b, litellm_params: {api_key: sk-one-1234, model: openai/gpt-4o-mini}}\n";
        let other = other.replace("[{a: b}]", "[{a: [b]}]");
        assert_eq!(
            diff(&config(OLD), &config(&other)).to_string(),
            "No difference in behaviour.\n"
        );
    }

    #[test]
    fn what_changes_is_told_by_part_and_secrets_are_not_shown() {
        let new = "model_list:
- {model_name: a, litellm_params: {model: openai/gpt-4o, api_key: sk-two-5678, rpm: 20}}
- {model_name: c, litellm_params: {model: openai/gpt-4.1, api_key: sk-one-1234, input_cost_per_token: 1e-6, output_cost_per_token: 2e-6}}
router_settings: {fallbacks: [{a: [c]}], num_retries: 0}
user_config: [{user_id: u, max_budget: 10, budget_duration: 30d}]
trunkline: {timeouts: {idle: 5}}
";
        let told = diff(&config(OLD), &config(new)).to_string();
        for line in [
            "  ~ a → openai/gpt-4o at https://api.openai.com/v1: api_key changes (not shown)",
            "  ~ a → openai/gpt-4o at https://api.openai.com/v1: rpm: 10 → 20",
            "  - b → openai/gpt-4o-mini at https://api.openai.com/v1",
            "  ~ fallbacks: a: b → c",
            "  ~ router: num_retries: 2 → 0",
            "  ~ u: rpm_limit: 5 → not set",
            "  ~ u: max_budget: not set → 10 USD",
            "  ~ timers: idle: 120 s → 5 s",
        ] {
            assert!(told.lines().any(|told| told == line), "{line}\n{told}");
        }
        assert!(told.contains("  + c → openai/gpt-4.1"), "{told}");
        assert!(!told.contains("sk-"), "{told}");
    }
}
