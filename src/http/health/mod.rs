//! Health: cheap and open for probes, detailed and calling for people with a key.
//!
//! LiteLLM's `/health` asks for a key and calls every model, so the tutorial's Kubernetes probes would never pass there.
//! Here `/health` says cheaply whether the process can serve; `?detailed=true` (or `?model=`) is LiteLLM's report.

mod report;
mod services;

use std::time::Duration;

use actix_web::HttpResponse;
use serde::Serialize;
use trunkline_actors::board::BreakerState;
use trunkline_actors::clock::UnixMs;
use trunkline_actors::fleet::Keeping;

use super::error::ApiError;
use super::extract::{AboutModels, Call, Caller, Public, identify};
use crate::app::App;
use crate::dispatch::RecordingState;

pub(crate) use services::show as service;

/// How long the database may take to answer a probe.
const PING: Duration = Duration::from_secs(2);

#[derive(Serialize)]
struct Status {
    status: &'static str,
    healthy_count: usize,
    unhealthy_count: usize,
}

#[derive(Serialize)]
struct Readiness {
    status: &'static str,
    db: &'static str,
    actors: &'static str,
    /// `weakened`: keys are served that the database could not confirm.
    keys: &'static str,
    /// `weakened`: customers and tags go without budgets that the database could not tell.
    budgets: &'static str,
    /// `alone`; `together` with other replicas; `divided`: each replica keeps a share, as configured; `weakened`: the same, because the
    /// shared limits do not answer.
    limits: &'static str,
    /// Replicas that are known to live.
    replicas: u64,
    /// `filling` from 80 % of its limit on; `full`: requests are refused; `weakened`: they go on without a record.
    journal: &'static str,
    /// `off`, `kept`, or `waiting`: the database takes none, and those that no room is left for are lost.
    transcripts: &'static str,
    /// `missing`: the identity provider's keys cannot be had, so tokens cannot be checked; `off` without one.
    signing_keys: &'static str,
    /// Age of the oldest record that is on the journal and not yet in the database.
    spend_lag_ms: u128,
}

/// What LiteLLM tells of itself here, as far as it means something.
#[derive(Serialize)]
struct Details<'a> {
    #[serde(flatten)]
    readiness: Readiness,
    litellm_version: &'static str,
    cache: Option<&'a str>,
    success_callbacks: [&'static str; 0],
    log_level: &'a str,
    is_detailed_debug: bool,
}

/// `GET /health`.
pub(crate) async fn status(_caller: Caller<Public>, call: Call) -> Result<HttpResponse, ApiError> {
    let wanted = call.query("model").or_else(|| call.query("model_id"));
    if wanted.is_some() || call.query("detailed").is_some_and(|value| value != "false") {
        let identity = identify(&call).await?;
        let report = report::of(&call, &identity, wanted.as_deref()).await;
        return Ok(HttpResponse::Ok().json(report));
    }
    let app = call.app();
    let now = app.shared.clock.now();
    let table = app.shared.routing.load();
    let healthy = table
        .deployments()
        .filter(|deployment| matches!(deployment.row().state(now), BreakerState::Closed))
        .filter(|deployment| !app.is_unhealthy(deployment.id().as_str()))
        .count();
    let draining = app.is_draining();
    let answer = Status {
        status: if draining { "shutting_down" } else { "healthy" },
        healthy_count: healthy,
        unhealthy_count: table.deployments().count() - healthy,
    };
    Ok(if draining {
        HttpResponse::ServiceUnavailable().json(answer)
    } else {
        HttpResponse::Ok().json(answer)
    })
}

/// `GET /health/liveliness` (LiteLLM's spelling) and `/health/liveness`.
pub(crate) async fn liveness(_caller: Caller<Public>, _call: Call) -> HttpResponse {
    HttpResponse::Ok().json("I'm alive!")
}

/// `GET /health/readiness`: 503 while draining, or when the database or an actor is gone.
pub(crate) async fn readiness(_caller: Caller<Public>, call: Call) -> HttpResponse {
    let answer = is_ready(call.app()).await;
    if answer.status == "healthy" {
        HttpResponse::Ok().json(answer)
    } else {
        HttpResponse::ServiceUnavailable().json(answer)
    }
}

/// `GET /health/readiness/details`: the same, and what the process is; always 200, for people.
pub(crate) async fn readiness_details(_caller: Caller<AboutModels>, call: Call) -> HttpResponse {
    let app = call.app();
    let log_level = app.config.general.log_level.as_str();
    HttpResponse::Ok().json(Details {
        readiness: is_ready(app).await,
        litellm_version: env!("CARGO_PKG_VERSION"),
        cache: None,
        success_callbacks: [],
        log_level,
        is_detailed_debug: matches!(log_level, "debug" | "trace"),
    })
}

async fn is_ready(app: &App) -> Readiness {
    let db = app.store.lifecycle.ping(PING).await.is_ok();
    if db {
        app.keys.store_answers();
        app.shared.labels.store_answers();
    }
    let actors = actors_live(app);
    Readiness {
        status: match (app.is_draining(), db && actors) {
            (true, _) => "shutting_down",
            (false, true) => "healthy",
            (false, false) => "unhealthy",
        },
        db: if db { "connected" } else { "Not connected" },
        actors: if actors { "running" } else { "not running" },
        keys: if app.keys.is_weakened() {
            "weakened"
        } else {
            "confirmed"
        },
        budgets: if app.shared.labels.is_weakened() {
            "weakened"
        } else {
            "kept"
        },
        limits: match app.keeping() {
            Keeping::Alone => "alone",
            Keeping::Together => "together",
            Keeping::Divided => "divided",
            Keeping::Weakened => "weakened",
        },
        replicas: app.replicas(),
        journal: match app.shared.recording.state() {
            RecordingState::Refused => "full",
            RecordingState::Unrecorded => "weakened",
            RecordingState::Recorded if app.journal.status().is_filling => "filling",
            RecordingState::Recorded => "ok",
        },
        transcripts: match &app.shared.transcripts {
            None => "off",
            Some(transcripts) if transcripts.is_waiting() => "waiting",
            Some(_) => "kept",
        },
        signing_keys: match app.keys.has_signing_keys() {
            None => "off",
            Some(true) => "there",
            Some(false) => "missing",
        },
        spend_lag_ms: app.ledger.status().lag(UnixMs::now()).as_millis(),
    }
}

fn actors_live(app: &App) -> bool {
    app.ledger.is_live()
        && app.shared.limiter.is_live()
        && app.supervisor.is_live(app.shared.clock.now())
}
