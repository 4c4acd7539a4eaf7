//! `GET /router/state`: what routing knows of each deployment right now, and why one is left alone.
//!
//! ```json
//! {"strategy":"simple-shuffle","deployments":[{"id":"…","model_group":"gpt-4o","state":"open",
//!  "cooldown_remaining_ms":4200,
//!  "cooldown":{"rule":"failure_rate","failure":"server","status":503,"since":"2026-11-22T10:00:00.25Z",
//!   "until":"2026-11-22T10:00:05.25Z","requests":8,"failures":5},
//!  "probing":false,"in_flight":2,"requests":120,"failures":5,"tokens":9000,"cooldowns":1,
//!  "minute":{"requests":8,"failures":5,"failed_in_a_row":2},
//!  "usage":{"requests":31,"tokens":4200,"rpm":500},"latency_ms":430}]}
//! ```
//!
//! `unhealthy_remaining_ms` is there while a failed health check counts. `minute` is the calendar minute that the breaker judges, `usage` the last 60 s against what the provider grants.

use actix_web::HttpResponse;
use jiff::Timestamp;
use serde::Serialize;
use trunkline_actors::board::{BreakerState, Row};
use trunkline_actors::clock::{Millis, UnixMs, whole_millis};
use trunkline_actors::deployment::{DeploymentHandle, FailureKind};

use crate::config::DeploymentConfig;
use crate::http::extract::{Call, Caller, View};

#[derive(Serialize)]
struct State<'a> {
    strategy: &'static str,
    deployments: Vec<Deployment<'a>>,
}

#[derive(Serialize)]
struct Deployment<'a> {
    id: &'a str,
    model_group: &'a str,
    state: &'static str,
    /// Until it is tried again; absent unless open.
    #[serde(skip_serializing_if = "Option::is_none")]
    cooldown_remaining_ms: Option<u64>,
    /// Absent while closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    cooldown: Option<Cooldown>,
    /// For how long a failed health check makes requests pass over it; absent while it is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    unhealthy_remaining_ms: Option<u64>,
    /// A request is finding out whether it is well again.
    probing: bool,
    in_flight: u32,
    requests: u64,
    failures: u64,
    tokens: u64,
    cooldowns: u64,
    minute: Minute,
    usage: Usage,
    /// Moving average.
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_ms: Option<u128>,
}

#[derive(Serialize)]
struct Cooldown {
    rule: &'static str,
    /// Absent when another replica saw it.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    since: String,
    until: String,
    /// Of the minute that it began in, up to then.
    requests: u32,
    failures: u32,
}

#[derive(Serialize)]
struct Minute {
    requests: u32,
    failures: u32,
    failed_in_a_row: u32,
}

#[derive(Serialize)]
struct Usage {
    requests: u64,
    tokens: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    rpm: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tpm: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_parallel_requests: Option<u32>,
}

/// All deployments, in the order of the config.
pub(crate) async fn show(_caller: Caller<View>, call: Call) -> HttpResponse {
    let app = call.app();
    let now = app.shared.clock.now();
    let (table, targets) = app.shared.deployed();
    let deployments = targets
        .configs()
        .filter_map(|deployment| {
            let handle = table.deployment(&deployment.id)?;
            Some(shown(deployment, &handle, now))
        })
        .collect();
    HttpResponse::Ok().json(State {
        strategy: table.strategy().as_str(),
        deployments,
    })
}

fn shown<'a>(
    config: &'a DeploymentConfig,
    handle: &DeploymentHandle,
    now: Millis,
) -> Deployment<'a> {
    let row = handle.row();
    let left = |until: Millis| whole_millis(until.since(now));
    let (state, cooldown_remaining_ms, probing) = match row.state(now) {
        BreakerState::Closed => ("closed", None, false),
        BreakerState::Open { until } => ("open", Some(left(until)), false),
        BreakerState::HalfOpen { probing } => ("half_open", None, probing),
    };
    let counts = row.counts();
    let used = handle.meter().used(now);
    Deployment {
        id: &config.id,
        model_group: &config.model_name,
        state,
        cooldown_remaining_ms,
        cooldown: cooldown(row, now),
        unhealthy_remaining_ms: row.unhealthy_until(now).map(left),
        probing,
        in_flight: row.in_flight(),
        requests: row.requests(),
        failures: row.failures(),
        tokens: row.tokens(),
        cooldowns: row.cooldowns(),
        minute: Minute {
            requests: counts.requests,
            failures: counts.failures,
            failed_in_a_row: counts.in_a_row,
        },
        usage: Usage {
            requests: used.requests,
            tokens: used.tokens,
            rpm: config.rpm,
            tpm: config.tpm,
            max_parallel_requests: config.max_parallel_requests,
        },
        latency_ms: row.latency().map(|latency| latency.as_millis()),
    }
}

fn cooldown(row: &Row, now: Millis) -> Option<Cooldown> {
    let why = row.why()?;
    // The board's clock counts from the start of the process.
    let started = UnixMs::now().0.saturating_sub(now.0);
    let shown = |at: Millis| {
        let unix_ms = i64::try_from(started.saturating_add(at.0)).unwrap_or(i64::MAX);
        Timestamp::from_millisecond(unix_ms).map_or_else(|_| String::new(), |at| at.to_string())
    };
    Some(Cooldown {
        rule: why.rule.as_str(),
        failure: why.kind.map(FailureKind::as_str),
        status: why.kind.map(|_| why.status),
        since: shown(why.since),
        until: shown(why.until),
        requests: why.requests,
        failures: why.failures,
    })
}
