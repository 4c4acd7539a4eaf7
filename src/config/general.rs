//! `general_settings`: the master key, the database, the log level.

use std::time::Duration;

use super::addresses::AddressList;
use super::database_url::{DatabaseUrl, DatabaseUrlError};
use super::env::Env;
use super::env_refs::{self, Missing, missing_at};
use super::error::NoticeKind;
use super::model::{CountedTokens, GeneralSettings};
use super::raw::RawGeneral;
use super::report::Report;
use super::secret::Secret;
use super::section::{seconds_above_zero, seconds_or_zero};
use super::settings::duration;
use super::span;
use super::yaml::{KeyPath, Node};

/// Shorter master keys are guessed too easily.
const SHORTEST_MASTER_KEY: usize = 8;

/// Where the books are, if it is said and can be read.
pub(super) fn database_url(
    raw: &RawGeneral,
    missing: &[Missing],
    env: &dyn Env,
    report: &mut Report<'_>,
) -> Option<DatabaseUrl> {
    let path = KeyPath::of(&["general_settings", "database_url"]);
    if let Some(name) = missing_at(missing, &path) {
        report.problem(
            &path,
            format!("environment variable {name} is not set"),
            format!("set {name} or write the URL"),
        );
        return None;
    }
    let from_file = raw
        .database_url
        .as_deref()
        .filter(|url| !url.trim().is_empty());
    let fix = "write sqlite:///file.db, sqlite:////absolute/file.db or postgresql://user:password@host:5432/name";
    match (from_file, env.var("DATABASE_URL")) {
        (Some(url), _) => url
            .parse()
            .map_err(|err: DatabaseUrlError| report.problem(&path, err.to_string(), fix))
            .ok(),
        (None, Some(url)) => url
            .parse()
            .map_err(|err: DatabaseUrlError| {
                report.problem_outside("DATABASE_URL", err.to_string(), fix);
            })
            .ok(),
        (None, None) => None,
    }
}

/// The addresses that callers may be at.
fn allowed_ips(raw: &RawGeneral, path: &KeyPath, report: &mut Report<'_>) -> Vec<String> {
    let Some(written) = &raw.allowed_ips else {
        return Vec::new();
    };
    if written.is_empty() {
        report.problem(
            path,
            "an empty list lets nobody in",
            "name the addresses that may call, or remove the key",
        );
    }
    for (at, text) in written.iter().enumerate() {
        if !AddressList::takes(text) {
            report.problem(
                &path.index(at),
                format!("`{text}` is no address and no network"),
                "write an address such as 192.0.2.7, or a network such as 10.0.0.0/8",
            );
        }
    }
    written.clone()
}

/// Whether deployments and credentials are stored in the database. Known before the section is read: whether a credential may
/// be there decides how entries are read.
pub(super) fn stores_entries(written: &Node, env: &dyn Env) -> bool {
    let path = KeyPath::of(&["general_settings", "store_model_in_db"]);
    let mut said = written.at(&path).cloned().unwrap_or(Node::Null);
    env_refs::resolve(&mut said, &path, env, &mut Vec::new());
    // What is no switch is said where the section is read.
    let switch = said.switch();
    switch.unwrap_or_else(|| env.is_on("STORE_MODEL_IN_DB"))
}

/// `general_settings`.
pub(super) fn general(
    raw: &RawGeneral,
    database_url: DatabaseUrl,
    missing: &[Missing],
    env: &dyn Env,
    report: &mut Report<'_>,
) -> GeneralSettings {
    let here = KeyPath::of(&["general_settings"]);
    if raw.database_connection_pool_limit == Some(0) {
        report.problem(
            &here.key("database_connection_pool_limit"),
            "must be at least 1",
            "write 1 or more, or remove the key",
        );
    }
    seconds_above_zero(
        raw.database_connection_timeout,
        &here.key("database_connection_timeout"),
        report,
    );
    seconds_or_zero(
        raw.user_api_key_cache_ttl,
        &here.key("user_api_key_cache_ttl"),
        report,
    );
    let master_key = master_key(raw, &here.key("master_key"), missing, env, report);
    let stores = raw.store_model_in_db;
    let store_model_in_db = stores.unwrap_or_else(|| env.is_on("STORE_MODEL_IN_DB"));
    let salt_key = env.var("LITELLM_SALT_KEY").map(Secret::new);
    if store_model_in_db && salt_key.is_none() {
        let message = if master_key.is_some() {
            "LITELLM_SALT_KEY is not set, so stored deployments are encrypted with the master key, and cannot be read when that is changed; set LITELLM_SALT_KEY to a key that stays"
        } else {
            "neither LITELLM_SALT_KEY nor a master key is set, so no deployment can be stored; set both"
        };
        report.notice(NoticeKind::Weak, &here.key("store_model_in_db"), message);
    }
    GeneralSettings {
        allowed_ips: allowed_ips(raw, &here.key("allowed_ips"), report),
        store_model_in_db,
        salt_key: salt_key.or_else(|| master_key.clone()),
        master_key,
        database_url,
        database_connection_pool_limit: raw.database_connection_pool_limit,
        database_connection_timeout: raw.database_connection_timeout.and_then(duration),
        max_parallel_requests: raw.max_parallel_requests,
        user_api_key_cache_ttl: raw
            .user_api_key_cache_ttl
            .and_then(duration)
            .unwrap_or(Duration::from_mins(1)),
        litellm_key_header_name: raw.litellm_key_header_name.clone(),
        user_header_name: raw.user_header_name.clone(),
        always_include_stream_usage: raw.always_include_stream_usage.unwrap_or(false),
        allow_mock_testing: raw
            .dangerously_allow_mock_testing_request_params
            .unwrap_or(false),
        fail_closed_limits: raw.fail_closed_rate_limit_enforcement.unwrap_or(false),
        counted_tokens: counted_tokens(raw, &here.key("token_rate_limit_type"), report),
        global_max_rpm: raw.global_max_rpm,
        global_max_tpm: raw.global_max_tpm,
        global_max_parallel_requests: raw.global_max_parallel_requests,
        spend_retention: spend_retention(raw, &here, report),
        retention_interval: retention_interval(raw, &here, report),
        rotation_grace: rotation_grace(env, report),
        rotation_interval: rotation_interval(env, report),
        log_level: log_level(raw, &here.key("log_level"), env, report),
    }
}

fn counted_tokens(raw: &RawGeneral, path: &KeyPath, report: &mut Report<'_>) -> CountedTokens {
    match raw.token_rate_limit_type.as_deref() {
        None | Some("total") => CountedTokens::Total,
        Some("input") => CountedTokens::Input,
        Some("output") => CountedTokens::Output,
        Some(other) => {
            report.problem(
                path,
                format!("`{other}` is no sort of tokens"),
                "write `total`, `input` or `output`",
            );
            CountedTokens::Total
        }
    }
}

/// How long rows are kept, if not for ever.
fn spend_retention(raw: &RawGeneral, here: &KeyPath, report: &mut Report<'_>) -> Option<Duration> {
    let key = here.key("maximum_spend_logs_retention_period");
    span::days(
        raw.maximum_spend_logs_retention_period.as_deref(),
        &key,
        report,
    )
}

fn retention_interval(raw: &RawGeneral, here: &KeyPath, report: &mut Report<'_>) -> Duration {
    let key = here.key("maximum_spend_logs_retention_interval");
    let interval = raw.maximum_spend_logs_retention_interval.as_deref();
    span::read(interval, &key, report).unwrap_or(span::A_DAY)
}

/// How long a former secret works where a call does not say it.
fn rotation_grace(env: &dyn Env, report: &mut Report<'_>) -> Option<Duration> {
    // Whoever turns this on relies on something that does not happen.
    let name = "LITELLM_KEY_ROTATION_ENABLED";
    if env.is_on(name) {
        report.notice_outside(
            NoticeKind::NotActedOn,
            name,
            "no key gets another secret by itself: there is no secret manager to hand it over by, and its holders would lose access. \
             Keys with auto_rotate that are due are counted (trunkline_keys_rotation_due), logged, and listed by GET /key/list?status=rotation_due; \
             POST /key/regenerate gives them another secret"
                .to_owned(),
        );
    }
    let name = "LITELLM_KEY_ROTATION_GRACE_PERIOD";
    let text = env.var(name)?;
    let grace = span::parse(text.trim());
    if grace.is_none() {
        report.problem_outside(name, "is not a length of time", span::FIX);
    }
    grace
}

/// From one look for keys that are due to the next.
fn rotation_interval(env: &dyn Env, report: &mut Report<'_>) -> Duration {
    let name = "LITELLM_KEY_ROTATION_CHECK_INTERVAL_SECONDS";
    let usual = Duration::from_hours(1);
    let Some(text) = env.var(name) else {
        return usual;
    };
    match text.trim().parse::<u32>() {
        Ok(seconds) if seconds > 0 => Duration::from_secs(seconds.into()),
        _ => {
            report.problem_outside(
                name,
                "is not a number of seconds",
                "write a whole number above 0, such as 3600",
            );
            usual
        }
    }
}

fn master_key(
    raw: &RawGeneral,
    path: &KeyPath,
    missing: &[Missing],
    env: &dyn Env,
    report: &mut Report<'_>,
) -> Option<Secret> {
    // Going on without would leave the gateway open, which nobody asked for who wrote this.
    if let Some(name) = missing_at(missing, path) {
        report.problem(
            path,
            format!("environment variable {name} is not set"),
            format!("set {name} to the master key"),
        );
        return None;
    }
    let fix = "write a random key such as the output of `openssl rand -hex 24`, after `sk-`";
    if raw
        .master_key
        .as_deref()
        .is_some_and(|key| key.trim().is_empty())
    {
        report.problem(path, "is empty", fix);
        return None;
    }
    let from_env = env.var("LITELLM_MASTER_KEY");
    if raw.master_key.is_none() && from_env.as_deref().is_some_and(|key| key.trim().is_empty()) {
        report.problem_outside("LITELLM_MASTER_KEY", "is blank", fix);
        return None;
    }
    let (key, outside) = match (&raw.master_key, &from_env) {
        (Some(key), _) => (key.trim(), false),
        (None, Some(key)) => (key.trim(), true),
        (None, None) => return None,
    };
    if key == "sk-1234" || key.chars().count() < SHORTEST_MASTER_KEY {
        let message = format!(
            "the master key is known to everybody or too short: anybody can administer this gateway; {fix}"
        );
        if outside {
            report.notice_outside(NoticeKind::Weak, "LITELLM_MASTER_KEY", message);
        } else {
            report.notice(NoticeKind::Weak, path, message);
        }
    }
    Some(Secret::new(key))
}

fn log_level(raw: &RawGeneral, path: &KeyPath, env: &dyn Env, report: &mut Report<'_>) -> String {
    let word = |text: &str| match text.trim().to_ascii_lowercase().as_str() {
        "critical" | "error" => Some("error"),
        "warn" | "warning" => Some("warn"),
        "info" => Some("info"),
        "debug" => Some("debug"),
        "trace" => Some("trace"),
        _ => None,
    };
    let fix = "write ERROR, WARN, INFO, DEBUG or TRACE";
    let from_file = raw.log_level.as_deref().map(|text| {
        word(text).unwrap_or_else(|| {
            report.problem(path, "is not a log level", fix);
            "info"
        })
    });
    let from_env = env.var("LITELLM_LOG").and_then(|text| {
        let level = word(&text);
        if level.is_none() {
            report.notice_outside(
                NoticeKind::Adjusted,
                "LITELLM_LOG",
                format!("is not a log level and is ignored; {fix}"),
            );
        }
        level
    });
    from_env.or(from_file).unwrap_or("info").to_owned()
}
