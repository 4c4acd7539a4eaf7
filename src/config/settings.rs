//! `router_settings`, `litellm_settings` and `trunkline`: defaults filled in, values checked, command line and environment on top.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use super::database_url::DatabaseUrl;
use super::env::Env;
use super::load::CliOverrides;
use super::model::{
    ClientGone, DrainBounds, Fsync, JournalSettings, LitellmSettings, QueueSettings, Receipts,
    RouterSettings, ServerSettings, Timeouts, WhenFull,
};
use super::raw::{
    ModelRef, RawClientGone, RawGeneral, RawJournal, RawLitellm, RawQueue, RawReceipts, RawRouter,
    RawTimeouts, RawTrunkline,
};
use super::report::Report;
use super::routing;
use super::section::{seconds_above_zero, seconds_or_zero};
use super::yaml::KeyPath;

const MIN_JOURNAL_BYTES: u64 = 1 << 20;
const DEFAULT_MAX_BODY_BYTES: usize = 32 * 1024 * 1024;

/// `trunkline`, the command line and the variables of the process itself.
pub(super) fn server(
    raw: &RawTrunkline,
    general: &RawGeneral,
    database: Option<&DatabaseUrl>,
    cli: &CliOverrides,
    env: &dyn Env,
    report: &mut Report<'_>,
) -> ServerSettings {
    let here = KeyPath::of(&["trunkline"]);
    seconds_or_zero(
        raw.shutdown_timeout_secs,
        &here.key("shutdown_timeout_secs"),
        report,
    );
    seconds_or_zero(raw.stale_keys_secs, &here.key("stale_keys_secs"), report);
    for (key, zero) in [
        ("workers", raw.workers == Some(0)),
        ("max_body_bytes", raw.max_body_bytes == Some(0)),
    ] {
        if zero {
            report.problem(
                &here.key(key),
                "must be at least 1",
                "write 1 or more, or remove the key",
            );
        }
    }
    let port = cli
        .port
        .or_else(|| number(env, "PORT", report))
        .unwrap_or(4000);
    let workers = cli
        .workers
        .or_else(|| number(env, "NUM_WORKERS", report))
        .or_else(|| {
            raw.workers
                .and_then(|workers| usize::try_from(workers).ok())
        })
        .filter(|workers| *workers > 0);
    let max_body_bytes = number(env, "TRUNKLINE_MAX_BODY_BYTES", report)
        .or_else(|| {
            raw.max_body_bytes
                .and_then(|bytes| usize::try_from(bytes).ok())
        })
        .filter(|bytes| *bytes > 0)
        .unwrap_or(DEFAULT_MAX_BODY_BYTES);
    let shutdown =
        seconds(env, "TRUNKLINE_SHUTDOWN_TIMEOUT_SECS", report).or(raw.shutdown_timeout_secs);
    ServerSettings {
        host: cli.host.clone().or_else(|| env.var("HOST")),
        port,
        workers,
        max_body_bytes,
        data_dir: data_dir(raw, database, env),
        shutdown_timeout: shutdown
            .and_then(duration)
            .unwrap_or(Duration::from_secs(30)),
        stale_keys: raw
            .stale_keys_secs
            .and_then(duration)
            .unwrap_or(Duration::from_hours(1)),
        timeouts: timeouts(&raw.timeouts, &here.key("timeouts"), env, report),
        client_gone: client_gone(
            &raw.client_gone,
            general.cancel_on_disconnect,
            &here.key("client_gone"),
            report,
        ),
        receipts: receipts(&raw.receipts),
        journal: journal(&raw.journal, &here.key("journal"), report),
        queue: queue(&raw.queue, &here.key("queue"), report),
    }
}

/// Without a time to wait there is no queue.
fn queue(raw: &RawQueue, path: &KeyPath, report: &mut Report<'_>) -> Option<QueueSettings> {
    seconds_or_zero(raw.max_wait_secs, &path.key("max_wait_secs"), report);
    for (key, count) in [
        ("max_waiting", raw.max_waiting),
        ("max_waiting_per_subject", raw.max_waiting_per_subject),
    ] {
        if count == Some(0) {
            report.problem(
                &path.key(key),
                "must be at least 1",
                "write 1 or more, or `max_wait_secs: 0` for no queue",
            );
        }
    }
    let count = |count: Option<u32>, default| {
        count.map_or(default, |count| usize::try_from(count).unwrap_or(default))
    };
    let max_wait = raw.max_wait_secs.and_then(duration)?;
    (!max_wait.is_zero()).then_some(QueueSettings {
        max_wait,
        max_waiting: count(raw.max_waiting, 1_000),
        max_waiting_per_subject: count(raw.max_waiting_per_subject, 100),
    })
}

fn receipts(raw: &RawReceipts) -> Receipts {
    let default = Receipts::default();
    Receipts {
        headers: raw.headers.unwrap_or(default.headers),
        stream_comment: raw.stream_comment.unwrap_or(default.stream_comment),
    }
}

fn journal(raw: &RawJournal, path: &KeyPath, report: &mut Report<'_>) -> JournalSettings {
    let default = JournalSettings::default();
    seconds_above_zero(
        raw.fsync_interval_secs,
        &path.key("fsync_interval_secs"),
        report,
    );
    let interval = match raw.fsync_interval_secs.and_then(duration) {
        Some(every) => Fsync::Interval(every),
        None => default.fsync,
    };
    let fsync = match raw.fsync.as_deref() {
        None | Some("interval") => interval,
        Some("always") => Fsync::Always,
        Some("never") => Fsync::Never,
        Some(other) => {
            report.problem(
                &path.key("fsync"),
                format!("`{other}` is no policy"),
                "write `always`, `interval` or `never`",
            );
            interval
        }
    };
    let when_full = match raw.when_full.as_deref() {
        None | Some("refuse") => WhenFull::Refuse,
        Some("unrecorded") => WhenFull::Unrecorded,
        Some(other) => {
            report.problem(
                &path.key("when_full"),
                format!("`{other}` is no policy"),
                "write `refuse` or `unrecorded`",
            );
            WhenFull::Refuse
        }
    };
    if raw.max_bytes.is_some_and(|bytes| bytes < MIN_JOURNAL_BYTES) {
        report.problem(
            &path.key("max_bytes"),
            "is too small to hold the requests under way",
            "write 1048576 (1 MiB) or more",
        );
    }
    JournalSettings {
        fsync,
        max_bytes: raw.max_bytes.unwrap_or(default.max_bytes),
        when_full,
    }
}

fn client_gone(
    raw: &RawClientGone,
    cancels: Option<bool>,
    path: &KeyPath,
    report: &mut Report<'_>,
) -> ClientGone {
    seconds_above_zero(raw.drain_secs, &path.key("drain_secs"), report);
    let default = DrainBounds::default();
    let bounds = DrainBounds {
        time: raw.drain_secs.and_then(duration).unwrap_or(default.time),
        bytes: raw
            .drain_bytes
            .and_then(|bytes| usize::try_from(bytes).ok())
            .unwrap_or(default.bytes),
        requests: raw
            .drain_requests
            .and_then(|requests| usize::try_from(requests).ok())
            .unwrap_or(default.requests),
    };
    match raw.policy.as_deref() {
        None if cancels == Some(false) => ClientGone::Drain(bounds),
        None | Some("cancel") => ClientGone::Cancel,
        Some("drain") => ClientGone::Drain(bounds),
        Some(other) => {
            report.problem(
                &path.key("policy"),
                format!("`{other}` is no policy"),
                "write `cancel` or `drain`",
            );
            ClientGone::Cancel
        }
    }
}

fn data_dir(raw: &RawTrunkline, database: Option<&DatabaseUrl>, env: &dyn Env) -> PathBuf {
    let said = env
        .var("TRUNKLINE_DATA_DIR")
        .or_else(|| raw.data_dir.clone());
    let beside = match database {
        Some(DatabaseUrl::Sqlite(file)) => file.parent().map(Path::to_path_buf),
        _ => None,
    };
    match (said, beside) {
        (Some(dir), _) => PathBuf::from(dir),
        // The parent of a bare file name is empty: the working directory.
        (None, Some(dir)) if dir.as_os_str().is_empty() => PathBuf::from("."),
        (None, Some(dir)) => dir,
        (None, None) => PathBuf::from("./data"),
    }
}

fn timeouts(raw: &RawTimeouts, path: &KeyPath, env: &dyn Env, report: &mut Report<'_>) -> Timeouts {
    let mut timeouts = Timeouts::default();
    for (key, value, timer) in [
        ("connect", raw.connect, &mut timeouts.connect),
        ("first_byte", raw.first_byte, &mut timeouts.first_byte),
        (
            "first_content",
            raw.first_content,
            &mut timeouts.first_content,
        ),
        ("idle", raw.idle, &mut timeouts.idle),
        ("total", raw.total, &mut timeouts.total),
        ("request", raw.request, &mut timeouts.request),
        ("header_wait", raw.header_wait, &mut timeouts.header_wait),
    ] {
        seconds_above_zero(value, &path.key(key), report);
        let variable = format!("TRUNKLINE_TIMEOUT_{}_SECS", key.to_ascii_uppercase());
        let from_env = seconds(env, &variable, report);
        if from_env == Some(0.0) {
            report.problem_outside(
                &variable,
                "is not a time this can wait",
                "set seconds above 0",
            );
        }
        if let Some(value) = from_env.or(value).and_then(duration) {
            *timer = value;
        }
    }
    timeouts
}

/// `router_settings`, completed from `litellm_settings` where both may hold a key.
pub(super) fn router(
    raw: &RawRouter,
    litellm: &RawLitellm,
    mapping: &BTreeMap<String, Vec<ModelRef>>,
    env: &dyn Env,
    report: &mut Report<'_>,
) -> RouterSettings {
    let here = KeyPath::of(&["router_settings"]);
    for (key, value) in [
        ("timeout", raw.timeout),
        ("stream_timeout", raw.stream_timeout),
    ] {
        seconds_above_zero(value, &here.key(key), report);
    }
    seconds_or_zero(raw.retry_after, &here.key("retry_after"), report);
    seconds_or_zero(raw.cooldown_time, &here.key("cooldown_time"), report);
    seconds_or_zero(
        litellm.cooldown_time,
        &KeyPath::of(&["litellm_settings", "cooldown_time"]),
        report,
    );
    let routing_strategy = routing::strategy(raw, &here, report);
    let strategy_args = routing::strategy_args(raw, &here, report);
    let default_fallbacks = raw
        .default_fallbacks
        .clone()
        .or_else(|| litellm.default_fallbacks.clone())
        .unwrap_or_default();
    let mut fallbacks =
        pairs(raw.fallbacks.as_ref().or(litellm.fallbacks.as_ref())).unwrap_or_default();
    for (group, targets) in mapping {
        if !fallbacks.iter().any(|(named, _)| named == group) {
            fallbacks.push((group.clone(), names(targets)));
        }
    }
    if !default_fallbacks.is_empty() && !fallbacks.iter().any(|(group, _)| group == "*") {
        fallbacks.push(("*".to_owned(), default_fallbacks.clone()));
    }
    let context_window = raw
        .context_window_fallbacks
        .as_ref()
        .or(litellm.context_window_fallbacks.as_ref());
    let content_policy = raw
        .content_policy_fallbacks
        .as_ref()
        .or(litellm.content_policy_fallbacks.as_ref());
    let cooldown = raw.cooldown_time.or(litellm.cooldown_time);
    let cooldown = cooldown.or_else(|| seconds(env, "DEFAULT_COOLDOWN_TIME_SECONDS", report));
    let max_fallbacks = raw.max_fallbacks.or(litellm.max_fallbacks);
    let mut aliases: BTreeMap<&String, &ModelRef> = litellm.model_alias_map.iter().collect();
    aliases.extend(&raw.model_group_alias);
    let hidden = aliases
        .iter()
        .filter(|(_, group)| group.hidden)
        .map(|(alias, _)| (*alias).clone())
        .collect();
    RouterSettings {
        num_retries: raw.num_retries.or(litellm.num_retries).unwrap_or(2),
        retry_after: raw.retry_after.and_then(duration).unwrap_or_default(),
        timeout: raw.timeout.and_then(duration),
        stream_timeout: raw.stream_timeout.and_then(duration),
        fallbacks,
        context_window_fallbacks: pairs(context_window),
        content_policy_fallbacks: pairs(content_policy),
        default_fallbacks,
        max_fallbacks: max_fallbacks
            .or_else(|| number(env, "ROUTER_MAX_FALLBACKS", report))
            .unwrap_or(5),
        allowed_fails: raw.allowed_fails.or(litellm.allowed_fails),
        cooldown_time: cooldown
            .and_then(duration)
            .unwrap_or(Duration::from_secs(5)),
        disable_cooldowns: raw.disable_cooldowns.unwrap_or(false),
        model_group_alias: aliases
            .into_iter()
            .map(|(alias, group)| (alias.clone(), group.name.clone()))
            .collect(),
        hidden_aliases: hidden,
        routing_strategy,
        strategy_args,
        retry_policy: (&raw.retry_policy).into(),
        model_group_retry_policy: routing::by_group(&raw.model_group_retry_policy),
        allowed_fails_policy: (&raw.allowed_fails_policy).into(),
        enable_tag_filtering: raw.enable_tag_filtering.unwrap_or(false),
        enable_pre_call_checks: raw.enable_pre_call_checks.unwrap_or(false),
        tag_filtering_match_any: raw.tag_filtering_match_any.unwrap_or(true),
        default_max_parallel_requests: raw.default_max_parallel_requests,
        provider_budgets: routing::provider_budgets(raw, &here, report),
    }
}

fn pairs(raw: Option<&Vec<BTreeMap<String, Vec<ModelRef>>>>) -> Option<Vec<(String, Vec<String>)>> {
    let entries = raw?.iter().flatten();
    Some(
        entries
            .map(|(group, targets)| (group.clone(), names(targets)))
            .collect(),
    )
}

fn names(targets: &[ModelRef]) -> Vec<String> {
    targets.iter().map(|target| target.name.clone()).collect()
}

/// `litellm_settings`.
pub(super) fn litellm(raw: &RawLitellm, env: &dyn Env, report: &mut Report<'_>) -> LitellmSettings {
    seconds_above_zero(
        raw.request_timeout,
        &KeyPath::of(&["litellm_settings", "request_timeout"]),
        report,
    );
    LitellmSettings {
        drop_params: raw
            .drop_params
            .unwrap_or_else(|| env.is_on("LITELLM_DROP_PARAMS")),
        request_timeout_secs: raw
            .request_timeout
            .or_else(|| seconds(env, "REQUEST_TIMEOUT", report).filter(|secs| *secs > 0.0)),
        require_auth_for_metrics_endpoint: raw.require_auth_for_metrics_endpoint.unwrap_or(false),
        include_cost_in_streaming_usage: raw.include_cost_in_streaming_usage.unwrap_or(true),
        block_requests_for_models_without_pricing: raw
            .block_requests_for_models_without_pricing
            .unwrap_or(false),
        cost_tracking: raw.cost_tracking.unwrap_or(true),
    }
}

/// `None` for what is no length of time.
pub(super) fn duration(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok()
}

fn seconds(env: &dyn Env, name: &str, report: &mut Report<'_>) -> Option<f64> {
    let value: f64 = number(env, name, report)?;
    if duration(value).is_none() {
        report.problem_outside(name, "is not a number of seconds", "set 0 or more");
        return None;
    }
    Some(value)
}

/// The number that a variable holds; what is none is reported.
pub(super) fn number<T: FromStr>(env: &dyn Env, name: &str, report: &mut Report<'_>) -> Option<T> {
    let text = env.var(name)?;
    let value = text.trim().parse().ok();
    if value.is_none() {
        report.problem_outside(
            name,
            format!("`{}` is not a number it can hold", text.escape_debug()),
            "set a number",
        );
    }
    value
}
